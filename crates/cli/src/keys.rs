//! Keys as the command line names them: a file, `fd:N`, `env:NAME`.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use waxwing_formats::envelope::Context;
use waxwing_keyring::{KEY_FILE_LEN_MAX, Key, KeyError, Keyring, RecordKeys, RsaPrivateKey};
use zeroize::Zeroizing;

use crate::exit::{Code, Failure};

/// The variable in which a container platform hands over the private key: the PEM itself, whatever its name says.
const PRIVATE_KEY_VARIABLE: &str = "PRIVATE_KEY_SECRET_ARN";
/// The variable that names a file with it, as platforms do that mount secrets.
const PRIVATE_KEY_FILE_VARIABLE: &str = "PRIVATE_KEY_SECRET_ARN_FILE";

/// Options of every command that opens.
#[derive(Debug, Args)]
pub(crate) struct OpenKeyArgs {
    /// A private key or AES-256 key: a file, fd:N or env:NAME; may be given several times [default:
    /// env:PRIVATE_KEY_SECRET_ARN if that is set, or the file that PRIVATE_KEY_SECRET_ARN_FILE names]
    #[arg(short = 'k', long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// Where the passphrase of an encrypted key is: a file, fd:N or env:NAME
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<String>,
}

impl OpenKeyArgs {
    fn read_all(&self) -> Result<Vec<(String, Key)>, Failure> {
        let passphrase = match &self.passphrase_file {
            None => None,
            Some(name) => Some(passphrase(name)?),
        };
        let passphrase = passphrase.as_ref().map(|bytes| bytes.as_slice());
        let names = match self.keys.as_slice() {
            [] => default_key().into_iter().collect(),
            keys => keys.to_vec(),
        };
        if names.is_empty() {
            let failure = Failure::new(Code::Usage, "no key was given");
            return Err(failure.hint(format!("name one with -k, or put its PEM into {PRIVATE_KEY_VARIABLE}")));
        }
        names.into_iter().map(|name| Ok((name.clone(), read(&name, passphrase)?))).collect()
    }

    /// The keys for envelopes.
    pub(crate) fn keyring(&self) -> Result<Keyring, Failure> {
        let mut keyring = Keyring::default();
        for (name, key) in self.read_all()? {
            match key {
                Key::RsaPrivate(key) => keyring.push(key),
                Key::Kek(key) => keyring.push(key),
                Key::RsaPublic(_) => return Err(refused(&name, KeyError::PublicOnly)),
            }
        }
        Ok(keyring)
    }

    /// The keys for records, which are RSA keys only.
    pub(crate) fn record_keys(&self) -> Result<RecordKeys, Failure> {
        let private = |(name, key): (String, Key)| -> Result<Arc<RsaPrivateKey>, Failure> {
            key.into_rsa_private().map(Arc::new).map_err(|err| refused(&name, err))
        };
        let keys = self.read_all()?.into_iter().map(private).collect::<Result<Vec<_>, _>>()?;
        Ok(RecordKeys::new(keys))
    }
}

/// The name of the key that the environment holds or names.
fn default_key() -> Option<String> {
    match std::env::var_os(PRIVATE_KEY_VARIABLE) {
        Some(_) => Some(format!("env:{PRIVATE_KEY_VARIABLE}")),
        None => std::env::var(PRIVATE_KEY_FILE_VARIABLE).ok(),
    }
}

/// Reads a key that seals.
pub(crate) fn recipient(name: &str) -> Result<Key, Failure> {
    read(name, None)
}

fn read(name: &str, passphrase: Option<&[u8]>) -> Result<Key, Failure> {
    Key::read(&secret(name)?, passphrase).map_err(|err| refused(name, err))
}

pub(crate) fn refused(name: &str, err: KeyError) -> Failure {
    let failure = Failure::new(Code::NoUsableKey, format!("cannot use the key `{name}`"));
    match err {
        KeyError::PassphraseNeeded => failure.because(err).hint("give it with --passphrase-file"),
        err => failure.because(err),
    }
}

fn passphrase(name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = secret(name)?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(bytes)
}

/// Reads what must not stand on a command line.
fn secret(name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if let Some(variable) = name.strip_prefix("env:") {
        let value = std::env::var(variable).map_err(|_| {
            Failure::new(Code::NoUsableKey, format!("the environment has no text variable `{variable}`"))
        })?;
        return Ok(Zeroizing::new(value.into_bytes()));
    }
    let path = match name.strip_prefix("fd:") {
        Some(number) if number.parse::<u16>().is_ok() => format!("/dev/fd/{number}"),
        Some(_) => return Err(Failure::new(Code::Usage, format!("`{name}` names no descriptor"))),
        None => name.to_owned(),
    };
    // Room for everything, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_LEN_MAX + 1));
    File::open(Path::new(&path))
        .and_then(|file| file.take(KEY_FILE_LEN_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(|err| Failure::io(format!("cannot read the key `{name}`"), err).code(Code::NoUsableKey))?;
    Ok(bytes)
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
