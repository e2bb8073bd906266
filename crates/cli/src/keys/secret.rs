//! What must not stand on a command line: files, descriptors, variables, prompts, other programs.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use waxwing_keyring::{KEY_FILE_LEN_MAX, KeyService};
use waxwing_profiles::Profile;
use zeroize::Zeroizing;

use super::service::ServiceArgs;
use crate::exit::{Code, Failure};

/// The longest secret.
const SECRET_LEN_MAX: usize = KEY_FILE_LEN_MAX;

/// Where passphrases and the keystore are.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SecretArgs {
    /// Where the passphrase is, of an encrypted key, of `passphrase` or of the keystore: a file, fd:N or env:NAME [default:
    /// it is asked for at the terminal]
    #[arg(long, global = true, value_name = "FILE", env = "WAXWING_PASSPHRASE_FILE", hide_env = true)]
    pub(super) passphrase_file: Option<String>,
    /// A shell command that prints the passphrase, such as one that asks the platform's secret service
    #[arg(long, global = true, value_name = "COMMAND", env = "WAXWING_PASSPHRASE_COMMAND", hide_env = true)]
    #[arg(conflicts_with = "passphrase_file")]
    pub(super) passphrase_command: Option<String>,
    /// The keystore's file [default: keystore.wax in the home folder]
    #[arg(long, global = true, value_name = "FILE", env = "WAXWING_KEYSTORE", hide_env = true)]
    pub(super) keystore: Option<PathBuf>,
    /// What opens the keystore, if not its passphrase: as -k; may be given several times
    #[arg(long, global = true, value_name = "KEY", env = "WAXWING_KEYSTORE_KEY", hide_env = true)]
    pub(super) keystore_key: Vec<String>,
    /// Where the PIN of a token (`pkcs11:`) is: a file, fd:N or env:NAME
    #[cfg(feature = "pkcs11")]
    #[arg(long, global = true, value_name = "FILE", env = "WAXWING_PIN_FILE", hide_env = true)]
    pub(super) pin_file: Option<String>,
    /// The module that speaks with tokens, for `pkcs11:` URIs that name none
    #[cfg(feature = "pkcs11")]
    #[arg(long, global = true, value_name = "FILE", env = "WAXWING_PKCS11_MODULE", hide_env = true)]
    pub(super) pkcs11_module: Option<PathBuf>,
    #[command(flatten)]
    pub(super) services: ServiceArgs,
}

/// Whether a passphrase that is asked for is a new one, which a slip of the finger would lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    Known,
    New,
}

impl SecretArgs {
    /// The same with another place for the passphrase, if one is named.
    pub(crate) fn with_passphrase_file(&self, file: Option<&str>) -> Self {
        match file {
            None => self.clone(),
            Some(file) => {
                Self { passphrase_file: Some(file.to_owned()), passphrase_command: None, ..self.clone() }
            }
        }
    }

    /// The service that wraps the keys of this profile's messages: the one that `names` names, or the environment.
    pub(crate) fn service(
        &self,
        profile: &Profile,
        names: &[String],
    ) -> Result<Option<Box<dyn KeyService>>, Failure> {
        self.services.of_profile(profile, names)
    }

    /// The passphrase as it was written, from where the arguments say, else from the terminal. `what` says of what it is.
    pub(super) fn passphrase(&self, what: &str, asking: Asking) -> Result<Zeroizing<Vec<u8>>, Failure> {
        match (&self.passphrase_file, &self.passphrase_command) {
            (Some(name), _) => read(name),
            (None, Some(command)) => output_of(command),
            (None, None) => ask(what, asking),
        }
    }
}

/// A written secret without the line's end behind it.
pub(crate) fn line(mut written: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    if written.last() == Some(&b'\n') {
        written.pop();
    }
    if written.last() == Some(&b'\r') {
        written.pop();
    }
    written
}

/// Reads a file, `fd:N` or `env:NAME`.
pub(crate) fn read(name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
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
    File::open(Path::new(&path))
        .and_then(read_all)
        .map_err(|err| Failure::io(format!("cannot read the key `{name}`"), err).code(Code::NoUsableKey))
}

/// All there is, up to one byte more than is acceptable.
fn read_all(source: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for everything, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_LEN_MAX + 1));
    source.take(SECRET_LEN_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn output_of(command: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |why: String| {
        Failure::new(Code::NoUsableKey, format!("the command for the passphrase {why}"))
            .hint("it must print the passphrase on its standard output, and end with 0")
    };
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|err| failed(format!("did not start: {err}")))?;
    let stdout = child.stdout.take().expect("it was asked for");
    let printed = read_all(stdout).map_err(|err| failed(format!("cannot be read: {err}")))?;
    let status = child.wait().map_err(|err| failed(format!("did not end: {err}")))?;
    if status.success() { Ok(printed) } else { Err(failed(format!("failed with {status}"))) }
}

fn ask(what: &str, asking: Asking) -> Result<Zeroizing<Vec<u8>>, Failure> {
    // Where nobody can see the question, nobody is asked.
    if !io::stderr().is_terminal() {
        let failure = Failure::new(Code::NoUsableKey, format!("the passphrase of {what} is needed"));
        return Err(failure.hint("give it with --passphrase-file, or where somebody can be asked for it"));
    }
    let prompt = |question: String| {
        rpassword::prompt_password(question)
            .map(|answer| Zeroizing::new(answer.into_bytes()))
            .map_err(|err| Failure::io("cannot ask for a passphrase", err).code(Code::NoUsableKey))
    };
    let passphrase = prompt(format!("Passphrase of {what}: "))?;
    if asking == Asking::New && prompt("The same again: ".to_owned())? != passphrase {
        return Err(Failure::new(Code::Usage, "the two passphrases differ; nothing was done"));
    }
    Ok(passphrase)
}
