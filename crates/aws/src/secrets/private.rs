//! Private keys in Secrets Manager.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::calls::{CURRENT, Calls, Facts, PREVIOUS, SecretVersion, Value};
use crate::runtime::{Broken, wait};
use crate::{AwsError, AwsOptions};

/// The longest name of a secret.
const NAME_LEN_MAX: usize = 512;
/// The longest ARN with what may stand behind it.
const ARN_LEN_MAX: usize = 2048;
/// How many secrets [`private_keys_below`] reads.
pub const PRIVATE_KEYS_MAX: usize = 64;

/// A secret that is meant, and which of its versions.
///
/// As text: a secret's name, its ARN, or its ARN with `:KEY:STAGE:VERSION` behind it, as ECS writes it in task definitions.
/// Either of the last two may be empty; `KEY`, which would choose a field of a JSON text, must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName {
    /// A name or an ARN.
    id: String,
    version: SecretVersion,
}

/// Text names no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretNameError {
    /// Not a name of Secrets Manager's.
    #[error("a secret's name has up to {NAME_LEN_MAX} ASCII letters, digits and / _ + = . @ -")]
    Name,
    /// An ARN of something else, or a broken one.
    #[error(
        "a secret's ARN is arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME, and perhaps ::STAGE:VERSION behind it"
    )]
    Arn,
    /// A field of a JSON text.
    #[error("a field of a secret was named; keep the key in a secret of its own, as it is")]
    Field,
}

/// A file with a private key. Prints its name alone, and is wiped on drop.
pub struct PrivateKeyFile {
    /// The secret's name.
    pub name: String,
    /// Which version of it this is.
    pub version: String,
    /// PEM, or DER of a binary secret: what [`Key::read`](waxwing_keyring::Key::read) takes.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// A private key was not fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// No such secret, or no such version of it.
    #[error("there is no secret `{0}`, or not in this version")]
    NotFound(String),
    /// More than anybody tries.
    #[error(
        "there are {found} secrets whose names begin so; the most for private keys is {PRIVATE_KEYS_MAX}"
    )]
    TooMany {
        /// How many.
        found: usize,
    },
    /// Secrets Manager did not do what it was asked.
    #[error("Secrets Manager did not give a private key")]
    Aws(#[source] AwsError),
}

/// Fetches a private key.
///
/// # Errors
///
/// [`SecretError`].
pub fn private_key(name: &SecretName, options: &AwsOptions) -> Result<PrivateKeyFile, SecretError> {
    let (name, calls) = (name.clone(), name.calls(options));
    wait(async move {
        let value = calls.value(&name.id, &name.version).await?;
        value.map(PrivateKeyFile::from).ok_or(SecretError::NotFound(name.id))
    })
}

/// Fetches a private key as it is now, and as it was before the last rotation if there was one: with both a worker opens, by
/// key id, what was sealed before and after. The version in `name` does not matter.
///
/// # Errors
///
/// [`SecretError`].
pub fn private_keys(name: &SecretName, options: &AwsOptions) -> Result<Vec<PrivateKeyFile>, SecretError> {
    let (name, calls) = (name.clone(), name.calls(options));
    wait(async move {
        let stage = |stage: &str| SecretVersion::Stage(stage.to_owned());
        let current = calls.value(&name.id, &stage(CURRENT)).await?;
        let current = current.ok_or_else(|| SecretError::NotFound(name.id.clone()))?;
        let previous = calls.value(&name.id, &stage(PREVIOUS)).await?;
        Ok(Some(current).into_iter().chain(previous).map(PrivateKeyFile::from).collect())
    })
}

/// Fetches the private keys of all secrets whose names begin with `prefix`, each as [`private_keys`] does.
///
/// # Errors
///
/// [`SecretError`]; [`SecretError::NotFound`] for a prefix that no secret has.
pub fn private_keys_below(prefix: &str, options: &AwsOptions) -> Result<Vec<PrivateKeyFile>, SecretError> {
    let (prefix, calls) = (prefix.to_owned(), Calls::new(options.clone()));
    wait(async move {
        let listed = calls.list(&prefix).await?;
        match listed.len() {
            0 => return Err(SecretError::NotFound(prefix)),
            1..=PRIVATE_KEYS_MAX => {}
            found => return Err(SecretError::TooMany { found }),
        }
        let mut files = Vec::new();
        for Facts { name, current, previous, .. } in listed {
            for version in [current, previous].into_iter().flatten() {
                // A version may be gone since the listing.
                files
                    .extend(calls.value(&name, &SecretVersion::Id(version)).await?.map(PrivateKeyFile::from));
            }
        }
        Ok(files)
    })
}

impl SecretName {
    /// The same secret in this version.
    #[must_use]
    pub fn with_version(self, version: SecretVersion) -> Self {
        Self { version, ..self }
    }

    /// The name or the ARN, without what names a version.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Which version is meant.
    pub fn version(&self) -> &SecretVersion {
        &self.version
    }

    /// Calls to the region of the ARN, unless the options say another.
    fn calls(&self, options: &AwsOptions) -> Calls {
        let region = self.id.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(2)).map(str::to_owned);
        Calls::new(AwsOptions { region: options.region.clone().or(region), ..options.clone() })
    }
}

impl FromStr for SecretName {
    type Err = SecretNameError;

    fn from_str(text: &str) -> Result<Self, SecretNameError> {
        let current = SecretVersion::Stage(CURRENT.to_owned());
        if !text.starts_with("arn:") {
            check_name(text, 1, NAME_LEN_MAX)?;
            return Ok(Self { id: text.to_owned(), version: current });
        }
        let parts: Vec<&str> = text.split(':').collect();
        let (arn, version) = match parts.as_slice() {
            [arn @ .., field, stage, id] if parts.len() == 10 => {
                if !field.is_empty() {
                    return Err(SecretNameError::Field);
                }
                let version = match (*stage, *id) {
                    ("", "") => current,
                    (stage, "") => SecretVersion::Stage(stage.to_owned()),
                    ("", id) => SecretVersion::Id(id.to_owned()),
                    _ => return Err(SecretNameError::Arn),
                };
                (arn, version)
            }
            arn => (arn, current),
        };
        let is_graphic = text.len() <= ARN_LEN_MAX && text.bytes().all(|b| b.is_ascii_graphic());
        match arn {
            ["arn", _, "secretsmanager", region, account, "secret", name]
                if is_graphic && !region.is_empty() && !account.is_empty() =>
            {
                check_name(name, 1, NAME_LEN_MAX)?;
                Ok(Self { id: arn.join(":"), version })
            }
            _ => Err(SecretNameError::Arn),
        }
    }
}

/// Whether text can be a secret's name, or begin one (API reference, `CreateSecret`, `Name`).
pub(super) fn check_name(text: &str, len_min: usize, len_max: usize) -> Result<(), SecretNameError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"/_+=.@-".contains(&b);
    match (len_min..=len_max).contains(&text.len()) && text.bytes().all(fits) {
        true => Ok(()),
        false => Err(SecretNameError::Name),
    }
}

impl From<Value> for PrivateKeyFile {
    fn from(value: Value) -> Self {
        Self { name: value.name, version: value.version, bytes: value.bytes }
    }
}

impl From<AwsError> for SecretError {
    fn from(err: AwsError) -> Self {
        Self::Aws(err)
    }
}

impl From<Broken> for SecretError {
    fn from(broken: Broken) -> Self {
        Self::Aws(broken.into())
    }
}

impl fmt::Debug for PrivateKeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKeyFile")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:keys/acme-AbCdEf";

    #[test]
    fn reads_names_arns_and_what_ecs_writes() {
        let read = |text: &str| text.parse::<SecretName>().map(|name| (name.id, name.version));
        let stage = |stage: &str| SecretVersion::Stage(stage.to_owned());
        assert_eq!(read("keys/acme"), Ok(("keys/acme".to_owned(), stage("AWSCURRENT"))));
        assert_eq!(read(ARN), Ok((ARN.to_owned(), stage("AWSCURRENT"))));
        assert_eq!(read(&format!("{ARN}:::")), Ok((ARN.to_owned(), stage("AWSCURRENT"))));
        assert_eq!(read(&format!("{ARN}::AWSPREVIOUS:")), Ok((ARN.to_owned(), stage("AWSPREVIOUS"))));
        assert_eq!(read(&format!("{ARN}:::v7")), Ok((ARN.to_owned(), SecretVersion::Id("v7".to_owned()))));
        assert_eq!(read(&format!("{ARN}:pem::")), Err(SecretNameError::Field));
        for broken in ["arn:aws:s3:::bucket", &format!("{ARN}::"), &format!("{ARN}::a:b"), "arn:"] {
            assert_eq!(read(broken), Err(SecretNameError::Arn), "{broken}");
        }
        for broken in ["", "a b", "a\nb", &"x".repeat(513)] {
            assert_eq!(read(broken), Err(SecretNameError::Name), "{broken}");
        }
    }
}
