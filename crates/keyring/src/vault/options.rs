use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::ErrorKind::NotFound;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

/// The longest file of a token or of certificates, in bytes.
const FILE_LEN_MAX: u64 = 64 << 10;
/// How long a call may take when nothing else is said, with all its attempts.
const CALL_TIME_MAX_DEFAULT: Duration = Duration::from_secs(10);
/// How long a connection may take to be there when nothing else is said.
const CONNECT_TIME_MAX_DEFAULT: Duration = Duration::from_secs(5);
/// The file in the home folder into which `vault login` and `bao login` write the token.
const LOGIN_TOKEN: &str = ".vault-token";

/// Which server, and how it is talked to.
pub struct VaultOptions {
    /// Its URL: `https://vault.example:8200`. A path before `/v1/` stays.
    pub address: String,
    /// The token that every call sends.
    pub token: Zeroizing<String>,
    /// The namespace that every call is in.
    pub namespace: Option<String>,
    /// The only certificates that vouch for the server, in PEM; `None` for those of the platform.
    pub ca_pem: Option<Vec<u8>>,
    /// Sends the token in plain HTTP to wherever the address says; without it, to the loopback interface alone.
    pub danger_plain_http: bool,
    /// How long a connection may take to be there.
    pub connect_time_max: Duration,
    /// How long a call may take, with all its attempts.
    pub call_time_max: Duration,
}

impl VaultOptions {
    /// A server and its token; 5 s for a connection, 10 s for a call, the platform's certificates.
    pub fn new(address: impl Into<String>, token: Zeroizing<String>) -> Self {
        Self {
            address: address.into(),
            token,
            namespace: None,
            ca_pem: None,
            danger_plain_http: false,
            connect_time_max: CONNECT_TIME_MAX_DEFAULT,
            call_time_max: CALL_TIME_MAX_DEFAULT,
        }
    }

    /// The options from the places where `vault` and `bao` look for them. `variable` gives the variables of the environment,
    /// `home` is the user's home folder.
    ///
    /// | option | places, of which the first that is there and not empty counts |
    /// |---|---|
    /// | address | `BAO_ADDR`, `VAULT_ADDR` |
    /// | token | `BAO_TOKEN`, `VAULT_TOKEN`; the file named by `BAO_TOKEN_FILE`, `VAULT_TOKEN_FILE`; the file `.vault-token` in `home` |
    /// | namespace | `BAO_NAMESPACE`, `VAULT_NAMESPACE` |
    /// | certificates | the file named by `BAO_CACERT`, `VAULT_CACERT` |
    ///
    /// Other variables of theirs are not looked at; above all `VAULT_SKIP_VERIFY`, which would hand the token to anybody.
    ///
    /// # Errors
    ///
    /// [`VaultSetupError`] for an address or a token that is nowhere, and for a place that cannot be read.
    pub fn from_places(
        variable: impl Fn(&str) -> Option<OsString>,
        home: Option<&Path>,
    ) -> Result<Self, VaultSetupError> {
        let places = Places(variable);
        let address = places.text("ADDR")?.ok_or(VaultSetupError::NoAddress)?;
        let token = match (places.text("TOKEN")?, places.path("TOKEN_FILE")) {
            (Some(token), _) => Some(Zeroizing::new(token)),
            (None, Some(path)) => token_of(read(path)?)?,
            (None, None) => match home.map(|home| read(home.join(LOGIN_TOKEN))) {
                Some(Err(VaultSetupError::File { source, .. })) if source.kind() == NotFound => None,
                Some(file) => token_of(file?)?,
                None => None,
            },
        };
        let token = token.ok_or(VaultSetupError::NoToken)?;
        let ca_pem = places.path("CACERT").map(read).transpose()?.map(|pem| pem.to_vec());
        Ok(Self { namespace: places.text("NAMESPACE")?, ca_pem, ..Self::new(address, token) })
    }
}

impl fmt::Debug for VaultOptions {
    /// Without the token, and without the address: it may have a password in it until it is checked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultOptions").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// Why there is no client for Vault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultSetupError {
    /// No place has an address.
    #[error("there is no address of Vault or OpenBao")]
    NoAddress,
    /// No place has a token.
    #[error("there is no token for Vault or OpenBao")]
    NoToken,
    /// A variable is not UTF-8.
    #[error("the variable {name} is no text")]
    Variable {
        /// Its name.
        name: String,
    },
    /// A file cannot be read, or is too long.
    #[error("cannot read `{}`", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The address is no such thing.
    #[error("the address of Vault or OpenBao {0}")]
    Address(&'static str),
    /// The address would have the token sent for everybody on the way to read.
    #[error("the token is not sent to `{host}` in plain HTTP")]
    PlainHttp {
        /// Where it would have gone.
        host: String,
    },
    /// The token is empty, or has characters that none has.
    #[error("the token for Vault or OpenBao is empty or has characters that no token has")]
    Token,
    /// The namespace has characters that none has.
    #[error("the namespace has characters that no namespace has")]
    Namespace,
    /// The certificates are malformed.
    #[error("the certificates for Vault or OpenBao cannot be used")]
    Ca(#[source] reqwest::Error),
    /// There is no certificate among them.
    #[error("the certificates for Vault or OpenBao are none: a file in PEM is needed")]
    NoCertificate,
    /// TLS could not be set up.
    #[error("cannot set up a client for Vault or OpenBao")]
    Client(#[source] reqwest::Error),
}

/// The environment.
struct Places<V>(V);

impl<V: Fn(&str) -> Option<OsString>> Places<V> {
    /// OpenBao's variable or else Vault's, with its name.
    fn named(&self, name: &str) -> Option<(String, OsString)> {
        ["BAO_", "VAULT_"].into_iter().find_map(|product| {
            let name = format!("{product}{name}");
            let value = (self.0)(&name).filter(|value| !value.is_empty())?;
            Some((name, value))
        })
    }

    fn text(&self, name: &str) -> Result<Option<String>, VaultSetupError> {
        let Some((name, value)) = self.named(name) else { return Ok(None) };
        value.into_string().map(Some).map_err(|_| VaultSetupError::Variable { name })
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.named(name).map(|(_, value)| value.into())
    }
}

/// The token that a file holds, without the line end that editors put behind it; `None` for nothing.
fn token_of(file: Zeroizing<Vec<u8>>) -> Result<Option<Zeroizing<String>>, VaultSetupError> {
    let text = std::str::from_utf8(&file).map_err(|_| VaultSetupError::Token)?.trim();
    Ok((!text.is_empty()).then(|| Zeroizing::new(text.to_owned())))
}

fn read(path: PathBuf) -> Result<Zeroizing<Vec<u8>>, VaultSetupError> {
    // Room for all that is read: a buffer that grows leaves copies.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_LEN_MAX as usize + 1));
    let read = File::open(&path).and_then(|file| file.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes));
    match read {
        Ok(len) if len as u64 > FILE_LEN_MAX => {
            let text = format!("it is longer than {FILE_LEN_MAX} bytes");
            Err(VaultSetupError::File { path, source: io::Error::new(io::ErrorKind::FileTooLarge, text) })
        }
        Ok(_) => Ok(bytes),
        Err(source) => Err(VaultSetupError::File { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The options that these variables and this folder give, as `address token namespace`.
    fn found(variables: &[(&str, &str)], home: Option<&Path>) -> Result<String, VaultSetupError> {
        let variable = |name: &str| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some(OsString::from(value))
        };
        let VaultOptions { address, token, namespace, .. } = VaultOptions::from_places(variable, home)?;
        Ok(format!("{address} {} {}", *token, namespace.unwrap_or_default()))
    }

    #[test]
    fn the_first_place_that_has_something_counts() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(LOGIN_TOKEN), "of-login\n").unwrap();
        let file = home.path().join("token");
        fs::write(&file, " of-file\r\n").unwrap();
        let file = file.to_str().unwrap();
        let places = [
            ("BAO_TOKEN", "of-bao"),
            ("VAULT_TOKEN", "of-vault"),
            ("VAULT_TOKEN_FILE", file),
            ("VAULT_ADDR", "http://a"),
            ("VAULT_NAMESPACE", "team"),
        ];
        let home = Some(home.path());
        for (first, expected) in ["of-bao", "of-vault", "of-file", "of-login"].into_iter().enumerate() {
            assert_eq!(found(&places[first..], home).unwrap(), format!("http://a {expected} team"));
        }
        let other = [("BAO_ADDR", "http://b"), ("VAULT_ADDR", "http://a"), ("BAO_TOKEN", "")];
        assert_eq!(found(&other, home).unwrap(), "http://b of-login ");
    }

    #[test]
    fn what_is_nowhere_or_cannot_be_read_is_named() {
        let home = tempfile::tempdir().unwrap();
        let address = ("VAULT_ADDR", "http://a");
        assert!(matches!(found(&[], None), Err(VaultSetupError::NoAddress)));
        for home in [None, Some(home.path())] {
            assert!(matches!(found(&[address], home), Err(VaultSetupError::NoToken)));
        }
        let missing = [address, ("VAULT_TOKEN_FILE", "/nowhere/token")];
        let told = found(&missing, None).unwrap_err().to_string();
        assert_eq!(told, "cannot read `/nowhere/token`", "a file that somebody named has to be there");
        let path = home.path().join(LOGIN_TOKEN);
        fs::write(&path, "\n").unwrap();
        assert!(matches!(found(&[address], Some(home.path())), Err(VaultSetupError::NoToken)));
        fs::write(&path, [b'x'; FILE_LEN_MAX as usize + 1]).unwrap();
        assert!(matches!(found(&[address], Some(home.path())), Err(VaultSetupError::File { .. })));
        fs::write(&path, b"\xff").unwrap();
        assert!(matches!(found(&[address], Some(home.path())), Err(VaultSetupError::Token)));
        let no_file = [address, ("VAULT_TOKEN", "t"), ("VAULT_CACERT", "/nowhere/ca.pem")];
        assert!(matches!(found(&no_file, None), Err(VaultSetupError::File { .. })));
    }
}
