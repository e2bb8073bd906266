//! A keystore: named keys in versions. Sealing uses a key's newest enabled version, opening any that is enabled.
//!
//! This is what a keystore holds once it is open. Where it is kept and how it is sealed is the engine's.

use std::fmt;
use std::sync::Arc;

use waxwing_aws_lc as aws_lc;
use waxwing_core::envelope::Binding;
use waxwing_core::{Dek, Random};
use waxwing_formats::codec::Encode as _;
use waxwing_formats::envelope::Recipient;
use waxwing_formats::keystore::{
    Contents, KEYS_MAX, KeyType, KeystoreFormatError, StoredKey, StoredVersion, VERSIONS_MAX, VersionState,
    is_key_name,
};
use zeroize::Zeroizing;

use crate::{
    BoxFuture, Kek, Key, KeyError, KeyProvider, RsaPrivateKey, RsaSize, ServiceError, UnwrapError, WrapError,
    XWingPrivateKey,
};

/// The name of a key or of one of its versions: `archive`, `archive/3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName {
    /// The key.
    pub key: String,
    /// The version, where one was named.
    pub version: Option<u32>,
}

impl std::str::FromStr for KeyName {
    type Err = KeystoreError;

    fn from_str(text: &str) -> Result<Self, KeystoreError> {
        let (key, version) = match text.split_once('/') {
            None => (text, None),
            Some((key, number)) => (key, Some(number.parse::<u32>().map_err(|_| KeystoreError::Name)?)),
        };
        if is_key_name(key) { Ok(Self { key: key.to_owned(), version }) } else { Err(KeystoreError::Name) }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            None => f.write_str(&self.key),
            Some(version) => write!(f, "{}/{version}", self.key),
        }
    }
}

/// What kind of key to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewKey {
    /// A 32-byte KEK.
    Aes256,
    /// An RSA key pair.
    Rsa(RsaSize),
    /// An X-Wing key pair.
    XWing,
}

/// Why a keystore did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// Not a name.
    #[error("a key's name is 1 to 200 of the characters A-Z a-z 0-9 . _ -, and a version's is NAME/NUMBER")]
    Name,
    /// No such key or version.
    #[error("the keystore has no key `{name}`")]
    NotFound {
        /// Which.
        name: KeyName,
    },
    /// The name is taken.
    #[error("the keystore has a key `{name}` already")]
    Exists {
        /// Which.
        name: String,
    },
    /// Every version is disabled.
    #[error("every version of the key `{name}` is disabled")]
    Disabled {
        /// Which.
        name: String,
    },
    /// The key was not made to leave the keystore.
    #[error("the key `{name}` was made to stay in the keystore")]
    NotExportable {
        /// Which.
        name: String,
    },
    /// Only a version of its own can be made of it.
    #[error("the key to import is of another kind than the versions of `{name}`")]
    AnotherKind {
        /// Which.
        name: String,
    },
    /// More keys or versions than fit.
    #[error("the keystore holds at most {KEYS_MAX} keys with {VERSIONS_MAX} versions each")]
    Full,
    /// A key was not made, or not read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The contents are not those of a keystore.
    #[error(transparent)]
    Format(#[from] KeystoreFormatError),
}

/// Named keys in versions.
#[derive(Debug, Default)]
pub struct Keystore(Contents);

impl Keystore {
    /// The keystore with these contents.
    ///
    /// # Errors
    ///
    /// [`KeystoreError::Format`].
    pub fn decode(contents: &[u8]) -> Result<Self, KeystoreError> {
        Ok(Self(Contents::decode(contents)?))
    }

    /// Its contents: secret.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Room for everything, so that no copy is left behind by growing.
        let mut contents = Zeroizing::new(Vec::with_capacity(self.0.encoded_len()));
        self.0.encode(&mut contents);
        contents
    }

    /// The keys, by name.
    pub fn keys(&self) -> &[StoredKey] {
        &self.0.keys
    }

    /// The key of this name.
    ///
    /// # Errors
    ///
    /// [`KeystoreError::NotFound`].
    pub fn key(&self, name: &str) -> Result<&StoredKey, KeystoreError> {
        self.0.keys.iter().find(|key| key.name == name).ok_or_else(|| not_found(name))
    }

    /// Makes a key with its first version, and returns the version's number.
    ///
    /// # Errors
    ///
    /// [`KeystoreError::Name`], [`KeystoreError::Exists`], [`KeystoreError::Full`], [`KeystoreError::Key`].
    pub fn create(
        &mut self,
        name: &str,
        new: NewKey,
        exportable: bool,
        now_unix_secs: u64,
        random: &dyn Random,
    ) -> Result<u32, KeystoreError> {
        let (kind, secret) = generate(new, random)?;
        self.insert(name, kind, exportable)?;
        self.add_version(name, secret, now_unix_secs)
    }

    /// Makes a new version of a key, of the same kind and size, and returns its number.
    ///
    /// # Errors
    ///
    /// [`KeystoreError::NotFound`], [`KeystoreError::Full`], [`KeystoreError::Key`].
    pub fn rotate(
        &mut self,
        name: &str,
        now_unix_secs: u64,
        random: &dyn Random,
    ) -> Result<u32, KeystoreError> {
        let key = self.key(name)?;
        let new = match key.kind {
            KeyType::Aes256 => NewKey::Aes256,
            KeyType::XWing => NewKey::XWing,
            KeyType::Rsa => NewKey::Rsa(match key.versions.last().map(rsa_modulus_len) {
                Some(256) => RsaSize::Rsa2048,
                Some(512) => RsaSize::Rsa4096,
                _ => RsaSize::Rsa3072,
            }),
        };
        let (_, secret) = generate(new, random)?;
        self.add_version(name, secret, now_unix_secs)
    }

    /// Takes a key from outside as a new version of `name`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// [`KeystoreError::Name`], [`KeystoreError::AnotherKind`], [`KeystoreError::Full`], and [`KeystoreError::Key`] for a
    /// public key.
    pub fn import(
        &mut self,
        name: &str,
        key: Key,
        exportable: bool,
        now_unix_secs: u64,
    ) -> Result<u32, KeystoreError> {
        let (kind, secret) = match key {
            Key::Kek(kek) => (KeyType::Aes256, Zeroizing::new(kek.expose().to_vec())),
            Key::RsaPrivate(key) => (KeyType::Rsa, key.key().to_pkcs8_der()),
            Key::XWingPrivate(key) => (KeyType::XWing, Zeroizing::new(key.expose().to_vec())),
            Key::RsaPublic(_) | Key::XWingPublic(_) => return Err(KeyError::PublicOnly.into()),
        };
        match self.key(name) {
            Ok(there) if there.kind != kind => {
                return Err(KeystoreError::AnotherKind { name: name.to_owned() });
            }
            Ok(_) => {}
            Err(_) => self.insert(name, kind, exportable)?,
        }
        self.add_version(name, secret, now_unix_secs)
    }

    /// Enables or disables a version, or all versions of a key. Returns how many changed.
    ///
    /// # Errors
    ///
    /// [`KeystoreError::NotFound`].
    pub fn set_state(&mut self, name: &KeyName, state: VersionState) -> Result<usize, KeystoreError> {
        let mut changed = 0;
        for version in self.versions_mut(name)? {
            changed += usize::from(version.state != state);
            version.state = state;
        }
        Ok(changed)
    }

    /// Removes a version, or a key with all its versions, for good. What is wrapped under them alone never opens again.
    ///
    /// # Errors
    ///
    /// [`KeystoreError::NotFound`].
    pub fn destroy(&mut self, name: &KeyName) -> Result<(), KeystoreError> {
        let _ = self.versions_mut(name)?;
        match name.version {
            None => self.0.keys.retain(|key| key.name != name.key),
            Some(number) => {
                let key = self.key_mut(&name.key)?;
                key.versions.retain(|version| version.number != number);
            }
        }
        Ok(())
    }

    /// A version as a key file. Without a version, the newest enabled one.
    ///
    /// # Errors
    ///
    /// [`KeystoreError::NotFound`], [`KeystoreError::Disabled`], [`KeystoreError::NotExportable`].
    pub fn export(&self, name: &KeyName) -> Result<Zeroizing<String>, KeystoreError> {
        let key = self.key(&name.key)?;
        if !key.exportable {
            return Err(KeystoreError::NotExportable { name: name.key.clone() });
        }
        Ok(match read(key, self.version(name)?)? {
            Key::Kek(kek) => kek.to_text(),
            Key::RsaPrivate(key) => key.to_pem(),
            Key::XWingPrivate(key) => key.to_pem(),
            Key::RsaPublic(_) | Key::XWingPublic(_) => return Err(KeyError::PublicOnly.into()),
        })
    }

    /// The public half of a version as PEM; `None` for a KEK, which has none. Without a version, the newest enabled one.
    ///
    /// # Errors
    ///
    /// [`KeystoreError::NotFound`], [`KeystoreError::Disabled`].
    pub fn public_pem(&self, name: &KeyName) -> Result<Option<String>, KeystoreError> {
        Ok(match read(self.key(&name.key)?, self.version(name)?)? {
            Key::RsaPrivate(key) => Some(key.public().to_pem()),
            Key::XWingPrivate(key) => Some(key.public().to_pem()),
            _ => None,
        })
    }

    /// Who seals under this name: that version, or the newest enabled one.
    ///
    /// # Errors
    ///
    /// [`KeystoreError::NotFound`], [`KeystoreError::Disabled`].
    pub fn sealer(&self, name: &KeyName) -> Result<Arc<dyn KeyProvider>, KeystoreError> {
        Ok(read(self.key(&name.key)?, self.version(name)?)?.into_recipient())
    }

    /// Who opens under this name, or under every name: all versions, newest first. One that is disabled says so when it is
    /// asked.
    ///
    /// # Errors
    ///
    /// [`KeystoreError::NotFound`].
    pub fn openers(&self, name: Option<&KeyName>) -> Result<Vec<Arc<dyn KeyProvider>>, KeystoreError> {
        let keys: Vec<&StoredKey> = match name {
            None => self.0.keys.iter().collect(),
            Some(name) => vec![self.key(&name.key)?],
        };
        let mut openers: Vec<Arc<dyn KeyProvider>> = Vec::new();
        for key in keys {
            for version in key.versions.iter().rev() {
                if name.is_some_and(|name| name.version.is_some_and(|number| number != version.number)) {
                    continue;
                }
                let opener = read(key, version)?.into_opener()?;
                openers.push(match version.state {
                    VersionState::Enabled => opener,
                    VersionState::Disabled => Arc::new(DisabledKey {
                        name: format!("{}/{}", key.name, version.number),
                        key: opener,
                    }),
                });
            }
        }
        match name {
            Some(name) if openers.is_empty() => Err(KeystoreError::NotFound { name: name.clone() }),
            _ => Ok(openers),
        }
    }

    /// The version of this name, or the newest enabled one.
    fn version(&self, name: &KeyName) -> Result<&StoredVersion, KeystoreError> {
        let key = self.key(&name.key)?;
        match name.version {
            Some(number) => {
                let version = key.versions.iter().find(|version| version.number == number);
                let version = version.ok_or_else(|| KeystoreError::NotFound { name: name.clone() })?;
                match version.state {
                    VersionState::Enabled => Ok(version),
                    VersionState::Disabled => Err(KeystoreError::Disabled { name: name.to_string() }),
                }
            }
            None => {
                let enabled = key.versions.iter().rfind(|version| version.state == VersionState::Enabled);
                enabled.ok_or_else(|| KeystoreError::Disabled { name: name.key.clone() })
            }
        }
    }

    fn key_mut(&mut self, name: &str) -> Result<&mut StoredKey, KeystoreError> {
        self.0.keys.iter_mut().find(|key| key.name == name).ok_or_else(|| not_found(name))
    }

    /// The versions that `name` names: never none of a named version.
    fn versions_mut(
        &mut self,
        name: &KeyName,
    ) -> Result<impl Iterator<Item = &mut StoredVersion>, KeystoreError> {
        let key = self.key_mut(&name.key)?;
        let is_named =
            move |version: &StoredVersion| name.version.is_none_or(|number| number == version.number);
        if name.version.is_some() && !key.versions.iter().any(is_named) {
            return Err(KeystoreError::NotFound { name: name.clone() });
        }
        Ok(key.versions.iter_mut().filter(move |version| is_named(version)))
    }

    fn insert(&mut self, name: &str, kind: KeyType, exportable: bool) -> Result<(), KeystoreError> {
        if !is_key_name(name) {
            return Err(KeystoreError::Name);
        }
        if self.0.keys.len() == KEYS_MAX {
            return Err(KeystoreError::Full);
        }
        match self.0.keys.binary_search_by(|key| key.name.as_str().cmp(name)) {
            Ok(_) => Err(KeystoreError::Exists { name: name.to_owned() }),
            Err(at) => {
                let key = StoredKey {
                    name: name.to_owned(),
                    kind,
                    exportable,
                    next_version: 1,
                    versions: Vec::new(),
                };
                self.0.keys.insert(at, key);
                Ok(())
            }
        }
    }

    fn add_version(
        &mut self,
        name: &str,
        secret: Zeroizing<Vec<u8>>,
        created_unix_secs: u64,
    ) -> Result<u32, KeystoreError> {
        let key = self.key_mut(name)?;
        let number = key.next_version;
        let next = number.checked_add(1).filter(|_| key.versions.len() < VERSIONS_MAX);
        key.next_version = next.ok_or(KeystoreError::Full)?;
        key.versions.push(StoredVersion { number, state: VersionState::Enabled, created_unix_secs, secret });
        Ok(number)
    }
}

/// A version that is disabled: known, and of no use until it is enabled again.
#[derive(Debug)]
struct DisabledKey {
    name: String,
    key: Arc<dyn KeyProvider>,
}

impl DisabledKey {
    fn disabled(&self) -> ServiceError {
        ServiceError::Disabled(format!("enable it with `waxwing keys enable {}`", self.name))
    }
}

impl KeyProvider for DisabledKey {
    fn is_for(&self, recipient: &Recipient) -> bool {
        self.key.is_for(recipient)
    }

    fn wrap<'a>(&'a self, _: &'a Dek, _: Binding<'a>) -> BoxFuture<'a, Result<Recipient, WrapError>> {
        Box::pin(async { Err(WrapError::Service { key: self.name.clone(), source: self.disabled() }) })
    }

    fn unwrap<'a>(
        &'a self,
        recipient: &'a Recipient,
        _: Binding<'a>,
    ) -> BoxFuture<'a, Result<Option<Dek>, UnwrapError>> {
        Box::pin(async {
            match self.is_for(recipient) {
                false => Ok(None),
                true => Err(UnwrapError::Service { key: self.name.clone(), source: self.disabled() }),
            }
        })
    }
}

fn not_found(name: &str) -> KeystoreError {
    KeystoreError::NotFound { name: KeyName { key: name.to_owned(), version: None } }
}

fn generate(new: NewKey, random: &dyn Random) -> Result<(KeyType, Zeroizing<Vec<u8>>), KeyError> {
    Ok(match new {
        NewKey::Aes256 => {
            let mut secret = Zeroizing::new(vec![0; 32]);
            random.fill(&mut secret).map_err(|_| KeyError::Generation)?;
            (KeyType::Aes256, secret)
        }
        NewKey::Rsa(size) => (KeyType::Rsa, RsaPrivateKey::generate(size)?.key().to_pkcs8_der()),
        NewKey::XWing => {
            (KeyType::XWing, Zeroizing::new(XWingPrivateKey::generate(random)?.expose().to_vec()))
        }
    })
}

fn read(key: &StoredKey, version: &StoredVersion) -> Result<Key, KeystoreError> {
    let malformed = || KeyError::Malformed { what: "key in the keystore" };
    Ok(match key.kind {
        KeyType::Aes256 => {
            let secret = version.secret.as_slice().try_into().map_err(|_| malformed())?;
            Key::Kek(Kek::new(&format!("{}/{}", key.name, version.number), secret)?)
        }
        KeyType::Rsa => Key::read(&version.secret, None)?,
        KeyType::XWing => {
            let seed = version.secret.as_slice().try_into().map_err(|_| malformed())?;
            Key::XWingPrivate(Box::new(XWingPrivateKey::from_seed(seed)))
        }
    })
}

fn rsa_modulus_len(version: &StoredVersion) -> usize {
    aws_lc::RsaPrivateKey::from_pkcs8_der(&version.secret).map_or(0, |key| key.public().modulus_len())
}

#[cfg(test)]
mod tests;
