use std::{
    fmt,
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::{
    RandomFailed,
    publish::{Durability, publish_once, stage},
};

/// The HMAC-SHA-256 key (RFC 2104) under which the embedded server's URLs are signed.
///
/// Whoever makes URLs and whoever serves them share it; nobody else needs it. A new key revokes every URL made before.
pub struct SigningKey(Zeroizing<[u8; Self::LEN]>);

impl SigningKey {
    /// Length of the key, in bytes.
    pub const LEN: usize = 32;

    /// A key of the given bytes, which must be uniformly random.
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads the key in the file `path`, or makes one there (mode 0600) when the file is absent.
    ///
    /// Processes that start at the same moment end up with the same key.
    ///
    /// # Errors
    ///
    /// [`SigningKeyError`] when the file cannot be read or made, has another length, or is open to other users.
    pub fn load_or_create(path: &Path) -> Result<Self, SigningKeyError> {
        if let Some(key) = Self::load(path)? {
            return Ok(key);
        }
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        aws_lc_rs::rand::fill(&mut bytes[..]).map_err(|_| SigningKeyError::Random(RandomFailed))?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let publish = || {
            let mut staged = stage(dir)?;
            staged.write_all(&bytes[..])?;
            publish_once(staged, path, Durability::Synced)
        };
        // Published or not, the file that is there now is the one everybody uses.
        let _ = publish().map_err(|source| SigningKeyError::Create { path: path.to_owned(), source })?;
        Self::load(path)?.ok_or_else(|| SigningKeyError::Read {
            path: path.to_owned(),
            source: io::ErrorKind::NotFound.into(),
        })
    }

    pub(crate) fn mac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0[..])
    }

    fn load(path: &Path) -> Result<Option<Self>, SigningKeyError> {
        let failed = |source| SigningKeyError::Read { path: path.to_owned(), source };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        refuse_if_shared(&file, path).map_err(failed)??;
        let mut key = Self(Zeroizing::new([0; Self::LEN]));
        let exact = file.read_exact(&mut key.0[..]).is_ok() && file.read(&mut [0]).map_err(failed)? == 0;
        if exact { Ok(Some(key)) } else { Err(SigningKeyError::Length { path: path.to_owned() }) }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Why there is no [`SigningKey`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum SigningKeyError {
    #[error("cannot read the URL signing key `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot make the URL signing key `{}`", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("the URL signing key `{}` is not exactly {} bytes long; remove it to have a new one made", path.display(), SigningKey::LEN)]
    Length { path: PathBuf },
    #[error("the URL signing key `{}` is open to other users (mode {mode:03o}); make it 600", path.display())]
    Shared { path: PathBuf, mode: u32 },
    #[error("cannot make a URL signing key")]
    Random(#[source] RandomFailed),
}

#[cfg(unix)]
fn refuse_if_shared(file: &File, path: &Path) -> io::Result<Result<(), SigningKeyError>> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    Ok(if mode & 0o077 == 0 { Ok(()) } else { Err(SigningKeyError::Shared { path: path.to_owned(), mode }) })
}

#[cfg(not(unix))]
fn refuse_if_shared(_: &File, _: &Path) -> io::Result<Result<(), SigningKeyError>> {
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn prints_nothing() {
        assert_eq!(format!("{:?}", SigningKey::from_bytes([7; 32])), "SigningKey(..)");
    }

    #[test]
    fn processes_that_race_agree() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("url.key");
        let keys: Vec<[u8; 32]> = std::thread::scope(|scope| {
            let runs: Vec<_> =
                (0..8).map(|_| scope.spawn(|| *SigningKey::load_or_create(&path).unwrap().0)).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        assert_ne!(keys[0], [0; 32]);
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn refuses_other_lengths_and_shared_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("url.key");
        for len in [0, 31, 33] {
            fs::write(&path, vec![1; len]).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(SigningKey::load_or_create(&path), Err(SigningKeyError::Length { .. })));
        }
        fs::write(&path, [1; 32]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            SigningKey::load_or_create(&path),
            Err(SigningKeyError::Shared { mode: 0o640, .. })
        ));
    }
}
