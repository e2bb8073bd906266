//! Keys of a command line: what opens, and the context that is checked or written.

mod pkcs11;
mod provider;
mod secret;
mod service;
mod vault;

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use tracing::warn;
use waxwing_formats::envelope::Context;
use waxwing_keyring::{Key, KeyError, KeyService, Keyring, RecordKeys, RsaPrivateKey};
use waxwing_profiles::Profile;
use zeroize::Zeroizing;

pub(crate) use self::provider::{Providers, cannot_open};
pub(crate) use self::secret::SecretArgs;
use crate::exit::{Code, Failure};
use crate::places;

/// The variable in which a container platform hands over the private key: the PEM itself, whatever its name says.
const PRIVATE_KEY_VARIABLE: &str = "PRIVATE_KEY_SECRET_ARN";
/// The variable that names a file with it, as platforms do that mount secrets.
const PRIVATE_KEY_FILE_VARIABLE: &str = "PRIVATE_KEY_SECRET_ARN_FILE";

/// Options of every command that opens.
#[derive(Debug, Args)]
pub(crate) struct OpenKeyArgs {
    /// What opens: a private key or AES-256 key in a file, fd:N or env:NAME; `passphrase`; `keystore` or keystore:NAME;
    /// aws-kms:ARN; vault:MOUNT/KEY; for records also secrets-manager:NAME. May be given several times [default: env:PRIVATE_KEY_SECRET_ARN if that is set, or the file that
    /// PRIVATE_KEY_SECRET_ARN_FILE names]
    #[arg(short = 'k', long = "key", value_name = "KEY")]
    keys: Vec<String>,
    #[command(flatten)]
    secrets: SecretArgs,
}

impl OpenKeyArgs {
    /// The keys for envelopes.
    pub(crate) fn keyring(&self, home: Option<&Path>) -> Result<Keyring, Failure> {
        Providers::new(&self.secrets, home).openers(&self.names()?)
    }

    /// Where passphrases and the keystore are.
    pub(crate) fn secrets(&self) -> &SecretArgs {
        &self.secrets
    }

    /// The service that unwraps the keys of this profile's messages, if one was named.
    pub(crate) fn service(&self, profile: &Profile) -> Result<Option<Box<dyn KeyService>>, Failure> {
        self.secrets.service(profile, &self.keys)
    }

    /// The one RSA key for a message of a profile; none where nothing was named.
    pub(crate) fn one_rsa_key(&self) -> Result<Option<Arc<RsaPrivateKey>>, Failure> {
        if self.keys.is_empty() && default_key().is_none() {
            return Ok(None);
        }
        let mut keys = self.rsa_keys()?;
        let (Some(key), true) = (keys.pop(), keys.is_empty()) else {
            let failure = Failure::new(Code::Usage, "a message of a profile is opened with one key");
            return Err(failure.hint("several would have to be tried in turn, and that is a guess"));
        };
        Ok(Some(key))
    }

    /// The keys for records, which are RSA keys only.
    pub(crate) fn record_keys(&self) -> Result<RecordKeys, Failure> {
        self.rsa_keys().map(RecordKeys::new)
    }

    fn rsa_keys(&self) -> Result<Vec<Arc<RsaPrivateKey>>, Failure> {
        let providers = Providers::new(&self.secrets, None);
        let mut keys = Vec::new();
        for name in self.names()? {
            let Some(secret) = secret_of(&name) else {
                let key = providers.key(&name)?.into_rsa_private().map_err(|err| refused(&name, err))?;
                keys.push(Arc::new(key));
                continue;
            };
            for (at, file) in places::private_keys(&secret)?.iter().enumerate() {
                match Key::read(file, None).and_then(Key::into_rsa_private) {
                    Ok(key) => keys.push(Arc::new(key)),
                    Err(err) if at == 0 => return Err(refused(&name, err)),
                    // A mistake that was mended since opens nothing, and must not end who has the right key.
                    Err(error) => {
                        warn!(%error, "the secret's version before the current one is no private key")
                    }
                }
            }
        }
        Ok(keys)
    }

    fn names(&self) -> Result<Vec<String>, Failure> {
        let names = match self.keys.as_slice() {
            [] => default_key().into_iter().collect(),
            keys => keys.to_vec(),
        };
        if names.is_empty() {
            let failure = Failure::new(Code::Usage, "no key was given");
            return Err(failure.hint(format!("name one with -k, or put its PEM into {PRIVATE_KEY_VARIABLE}")));
        }
        Ok(names)
    }
}

/// The secret in Secrets Manager that a key's name means: by its ARN, also where the environment holds that in place of the key.
fn secret_of(name: &str) -> Option<String> {
    const ARN: &str = "arn:";
    if let Some(secret) = name.strip_prefix("secrets-manager:") {
        return Some(secret.to_owned());
    }
    let held = name.strip_prefix("env:").and_then(|variable| std::env::var(variable).ok());
    let text = held.as_deref().unwrap_or(name).trim();
    (text.starts_with(ARN) && text.split(':').nth(2) == Some("secretsmanager")).then(|| text.to_owned())
}

/// A shared secret as it is written: what a file has, without the line's end behind it.
pub(crate) fn written_secret(name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    secret::read(name).map(secret::line)
}

/// The name of the key that the environment holds or names.
fn default_key() -> Option<String> {
    match std::env::var_os(PRIVATE_KEY_VARIABLE) {
        Some(_) => Some(format!("env:{PRIVATE_KEY_VARIABLE}")),
        None => std::env::var(PRIVATE_KEY_FILE_VARIABLE).ok(),
    }
}

/// Reads a public key, or one that has a public half.
pub(crate) fn recipient(name: &str) -> Result<Key, Failure> {
    Key::read(&secret::read(name)?, None).map_err(|err| refused(name, err))
}

pub(crate) fn refused(name: &str, err: KeyError) -> Failure {
    let failure = Failure::new(Code::NoUsableKey, format!("cannot use the key `{name}`"));
    match err {
        KeyError::PassphraseNeeded => failure.because(err).hint("give it with --passphrase-file"),
        err => failure.because(err),
    }
}

/// Options of every command that checks or writes a context.
#[derive(Debug, Args)]
pub(crate) struct ContextArgs {
    /// A named value: bound to the envelope when sealing, required of it when opening; may be given several times
    #[arg(short = 'c', long = "context", value_name = "NAME=VALUE", value_parser = pair)]
    entries: Vec<(String, String)>,
}

impl ContextArgs {
    pub(crate) fn context(&self) -> Result<Context, Failure> {
        Context::new(self.entries.iter().cloned())
            .map_err(|err| Failure::new(Code::Usage, "the context is not acceptable").because(err))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').ok_or_else(|| "it must be NAME=VALUE".to_owned())?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}
