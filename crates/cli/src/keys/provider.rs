//! Keys as the command line names them: a file, or a name of what keeps them (`passphrase`, `keystore:NAME`,
//! `aws-kms:KEY`, `vault:MOUNT/KEY`, `pkcs11:…`).

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;

use waxwing_core::SystemRandom;
use waxwing_engine::{KeystoreFile, OpenKeystore};
use waxwing_formats::envelope::{Kind, PassphraseCost};
use waxwing_keyring::{
    Key, KeyError, KeyName, KeyProvider, Keyring, KeystoreError, Passphrase, RecipientText, describe,
};

use super::pkcs11::TokenKeys;
use super::refused;
use super::secret::{self, Asking, SecretArgs};
use super::vault::VaultKeys;
use crate::exit::{Code, Failure};
use crate::{files, home};

/// Finds keys by their names. A passphrase is read, or asked for, when the first key needs it, and once.
pub(crate) struct Providers<'a> {
    args: &'a SecretArgs,
    home: Option<&'a Path>,
    passphrase: OnceCell<Arc<Passphrase>>,
    keystore: OnceCell<OpenKeystore>,
    vault: VaultKeys,
    tokens: TokenKeys,
}

/// What a name stands for.
enum Named<'a> {
    File,
    /// A key of AWS KMS: its ARN, its id or an alias.
    AwsKms(&'a str),
    Passphrase,
    /// One key of the keystore, or all.
    Keystore(Option<KeyName>),
    /// A key of a transit engine.
    Vault,
    /// A key on a token.
    Pkcs11,
}

impl<'a> Named<'a> {
    fn of(name: &'a str) -> Result<Self, Failure> {
        let key_name = |key: &str| {
            key.parse().map_err(|err: KeystoreError| {
                Failure::new(Code::Usage, format!("`{name}` names no key of a keystore")).because(err)
            })
        };
        Ok(match name.split_once(':') {
            None if name == "passphrase" => Self::Passphrase,
            None if name == "keystore" => Self::Keystore(None),
            Some(("keystore", key)) => Self::Keystore(Some(key_name(key)?)),
            Some(("aws-kms", key)) => Self::AwsKms(key),
            Some(("vault", _)) => Self::Vault,
            Some(("pkcs11", _)) => Self::Pkcs11,
            _ => Self::File,
        })
    }
}

impl<'a> Providers<'a> {
    pub(crate) fn new(args: &'a SecretArgs, home: Option<&'a Path>) -> Self {
        Self {
            args,
            home,
            passphrase: OnceCell::new(),
            keystore: OnceCell::new(),
            vault: VaultKeys::default(),
            tokens: TokenKeys::default(),
        }
    }

    /// Everybody whom an envelope is sealed for.
    pub(crate) fn recipients(&self, names: &[String]) -> Result<Keyring, Failure> {
        let mut keyring = Keyring::default();
        for name in names {
            keyring.push_shared(self.recipient(name)?);
        }
        Ok(keyring)
    }

    /// Recipients that are to lose their wrapped key: keys as they are named elsewhere, or `KIND:ID` as `inspect` shows them.
    pub(crate) fn removed(&self, names: &[String]) -> Result<Keyring, Failure> {
        let mut keyring = Keyring::default();
        for name in names {
            match Named::of(name)? {
                Named::File if is_recipient_text(name) => keyring.push(RecipientText(name.clone())),
                Named::File => keyring.push_shared(self.key(name)?.into_recipient()),
                Named::AwsKms(key) => keyring.push_shared(self.args.services.aws_kms_recipient(key)?),
                Named::Passphrase => keyring.push(RecipientText(Kind::PASSPHRASE.to_owned())),
                Named::Keystore(_) | Named::Vault | Named::Pkcs11 => {
                    for opener in self.openers_of(name)? {
                        keyring.push_shared(opener);
                    }
                }
            }
        }
        Ok(keyring)
    }

    /// Everything that may open.
    pub(crate) fn openers(&self, names: &[String]) -> Result<Keyring, Failure> {
        let mut keyring = Keyring::default();
        for name in names {
            for opener in self.openers_of(name)? {
                keyring.push_shared(opener);
            }
        }
        Ok(keyring)
    }

    fn recipient(&self, name: &str) -> Result<Arc<dyn KeyProvider>, Failure> {
        match Named::of(name)? {
            Named::File => Ok(self.key(name)?.into_recipient()),
            Named::AwsKms(key) => self.args.services.aws_kms_recipient(key),
            Named::Passphrase => Ok(self.passphrase(Asking::New)?),
            Named::Keystore(Some(key)) => {
                self.keystore()?.keys.sealer(&key).map_err(|err| unusable(name, err))
            }
            Named::Keystore(None) => {
                let failure = Failure::new(Code::Usage, "a file is sealed for one key of the keystore");
                Err(failure.hint("name it: keystore:NAME; `waxwing keys list` shows them"))
            }
            Named::Vault => self.vault.key(name),
            Named::Pkcs11 => self.tokens.key(name, self.args),
        }
    }

    fn openers_of(&self, name: &str) -> Result<Vec<Arc<dyn KeyProvider>>, Failure> {
        match Named::of(name)? {
            Named::File => {
                let opener = self.key(name)?.into_opener().map_err(|err| refused(name, err))?;
                Ok(vec![opener])
            }
            Named::AwsKms(key) => Ok(vec![self.args.services.aws_kms_opener(key)?]),
            Named::Passphrase => Ok(vec![self.passphrase(Asking::Known)?]),
            Named::Keystore(key) => {
                self.keystore()?.keys.openers(key.as_ref()).map_err(|err| unusable(name, err))
            }
            Named::Vault => Ok(vec![self.vault.key(name)?]),
            Named::Pkcs11 => Ok(vec![self.tokens.key(name, self.args)?]),
        }
    }

    /// Reads a key file, whose passphrase is asked for only if it has one.
    pub(crate) fn key(&self, name: &str) -> Result<Key, Failure> {
        let file = secret::read(name)?;
        let key = match Key::read(&file, None) {
            Err(KeyError::PassphraseNeeded) => {
                let passphrase =
                    secret::line(self.args.passphrase(&format!("the key `{name}`"), Asking::Known)?);
                Key::read(&file, Some(&passphrase))
            }
            read => read,
        };
        key.map_err(|err| refused(name, err))
    }

    fn passphrase(&self, asking: Asking) -> Result<Arc<Passphrase>, Failure> {
        if let Some(known) = self.passphrase.get() {
            return Ok(known.clone());
        }
        let read = self.read_passphrase("the envelope", asking)?;
        Ok(self.passphrase.get_or_init(|| read).clone())
    }

    fn read_passphrase(&self, what: &str, asking: Asking) -> Result<Arc<Passphrase>, Failure> {
        let written = self.args.passphrase(what, asking)?;
        let passphrase = Passphrase::new(&written, PassphraseCost::DEFAULT, Arc::new(SystemRandom));
        passphrase
            .map(Arc::new)
            .map_err(|err| Failure::new(Code::NoUsableKey, "the passphrase cannot be used").because(err))
    }

    /// Where the keystore is.
    pub(crate) fn keystore_file(&self) -> Result<KeystoreFile, Failure> {
        if let Some(path) = &self.args.keystore {
            return Ok(KeystoreFile::new(path));
        }
        let home = self.home.map(Path::to_owned).or_else(home::platform_dir).ok_or_else(|| {
            Failure::new(Code::Usage, "there is no home directory to keep a keystore in")
                .hint("name its file with --keystore or WAXWING_KEYSTORE")
        })?;
        Ok(KeystoreFile::new(home.join("keystore.wax")))
    }

    /// What opens the keystore: the keys that were named for it, else its passphrase.
    pub(crate) fn keystore_openers(&self, file: &KeystoreFile) -> Result<Keyring, Failure> {
        let recipients = file.recipients().map_err(|err| cannot_open(file, err))?;
        let named = self.args.keystore_key.as_slice();
        if !named.is_empty() {
            self.refuse_itself(named)?;
            return self.openers(named);
        }
        if !recipients.iter().any(|recipient| recipient.kind.as_str() == Kind::PASSPHRASE) {
            let whom = recipients.iter().map(describe).collect::<Vec<_>>().join(", ");
            let what = format!("the keystore {} has no passphrase", files::name(file.path()));
            return Err(Failure::new(Code::NoUsableKey, what)
                .hint(format!("it opens for {whom}; name that key with --keystore-key")));
        }
        let what = format!("the keystore {}", files::name(file.path()));
        let mut keyring = Keyring::default();
        keyring.push_shared(self.read_passphrase(&what, Asking::Known)?);
        Ok(keyring)
    }

    /// For whom a new keystore is sealed: the keys that were named for it, else a new passphrase.
    pub(crate) fn keystore_recipients(&self, file: &KeystoreFile) -> Result<Keyring, Failure> {
        let named = self.args.keystore_key.as_slice();
        if !named.is_empty() {
            self.refuse_itself(named)?;
            return self.recipients(named);
        }
        let what = format!("the new keystore {}", files::name(file.path()));
        let mut keyring = Keyring::default();
        keyring.push_shared(self.read_passphrase(&what, Asking::New)?);
        Ok(keyring)
    }

    fn refuse_itself(&self, named: &[String]) -> Result<(), Failure> {
        for name in named {
            if let Named::Keystore(_) = Named::of(name)? {
                return Err(Failure::new(Code::Usage, "a keystore is not opened by a key that lies in it"));
            }
        }
        Ok(())
    }

    fn keystore(&self) -> Result<&OpenKeystore, Failure> {
        if let Some(open) = self.keystore.get() {
            return Ok(open);
        }
        let file = self.keystore_file()?;
        if !file.exists() {
            let what = format!("there is no keystore {}", files::name(file.path()));
            return Err(Failure::new(Code::NotFound, what).hint("`waxwing keys create NAME` makes one"));
        }
        let open = file.open(&self.keystore_openers(&file)?).map_err(|err| cannot_open(&file, err))?;
        Ok(self.keystore.get_or_init(|| open))
    }
}

/// Whether it is a recipient's text: of a kind that headers have, which no file is likely to be called.
fn is_recipient_text(name: &str) -> bool {
    const KINDS: [&str; 5] =
        [Kind::RSA_OAEP_SHA256, Kind::AES_256, Kind::X_WING, Kind::AWS_KMS, Kind::VAULT_TRANSIT];
    name.split_once(':').is_some_and(|(kind, _)| KINDS.contains(&kind))
}

pub(crate) fn cannot_open(file: &KeystoreFile, err: waxwing_engine::Error) -> Failure {
    files::failure(format!("cannot open the keystore {}", files::name(file.path())), err)
}

fn unusable(name: &str, err: KeystoreError) -> Failure {
    Failure::new(Code::NoUsableKey, format!("cannot use the key `{name}`")).because(err)
}
