use aws_sdk_s3::types::ServerSideEncryption;
use waxwing_keyring::said;

use super::S3Error;

/// How the store is to encrypt an object at rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Encryption {
    /// With keys that the store keeps (`AES256`).
    #[default]
    Aes256,
    /// With a key of AWS KMS (`aws:kms`).
    Kms {
        /// The key's ARN, id or alias; without one the account's key for S3.
        key_id: Option<String>,
    },
    /// As the bucket does by itself. Nothing is asked for, and nothing is checked.
    Bucket,
}

/// What a store says that it did.
#[derive(Debug, Clone, Default)]
pub(super) struct Encrypted {
    pub(super) how: Option<ServerSideEncryption>,
    pub(super) key_id: Option<String>,
}

impl Encryption {
    pub(super) fn header(&self) -> Option<ServerSideEncryption> {
        match self {
            Self::Aes256 => Some(ServerSideEncryption::Aes256),
            Self::Kms { .. } => Some(ServerSideEncryption::AwsKms),
            Self::Bucket => None,
        }
    }

    pub(super) fn key_id(&self) -> Option<String> {
        match self {
            Self::Kms { key_id } => key_id.clone(),
            Self::Aes256 | Self::Bucket => None,
        }
    }

    /// Compares what was asked for with what was done.
    pub(super) fn check(&self, done: &Encrypted) -> Result<(), S3Error> {
        let as_asked = match self {
            Self::Bucket => true,
            Self::Aes256 => done.how == Some(ServerSideEncryption::Aes256),
            Self::Kms { key_id } => {
                done.how == Some(ServerSideEncryption::AwsKms)
                    && key_id.as_deref().is_none_or(|asked| is_key(asked, done.key_id.as_deref()))
            }
        };
        if as_asked {
            return Ok(());
        }
        Err(S3Error::Encryption { asked: self.describe(), done: done.describe() })
    }

    /// The same for the beginning of an upload, of which not every store says anything.
    pub(super) fn check_begun(&self, done: &Encrypted) -> Result<(), S3Error> {
        if done.how.is_none() { Ok(()) } else { self.check(done) }
    }

    fn describe(&self) -> String {
        describe(self.header().as_ref(), self.key_id().as_deref())
    }
}

impl Encrypted {
    fn describe(&self) -> String {
        said(&describe(self.how.as_ref(), self.key_id.as_deref()))
    }
}

/// Whether a store that answers with a key's ARN or id means the key that was asked for. Which key an alias stands for, only
/// KMS knows.
fn is_key(asked: &str, answered: Option<&str>) -> bool {
    let Some(answered) = answered else { return false };
    let last = |text: &str| text.rsplit('/').next().map(str::to_owned);
    asked.starts_with("alias/") || asked.contains(":alias/") || last(asked) == last(answered)
}

fn describe(how: Option<&ServerSideEncryption>, key_id: Option<&str>) -> String {
    match (how, key_id) {
        (None, _) => "none".to_owned(),
        (Some(how), None) => how.to_string(),
        (Some(how), Some(key_id)) => format!("{how} with the key {key_id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(how: Option<ServerSideEncryption>, key_id: Option<&str>) -> Encrypted {
        Encrypted { how, key_id: key_id.map(str::to_owned) }
    }

    #[test]
    fn what_was_asked_for_must_be_said_to_be_done() {
        let kms = |key_id: Option<&str>| Encryption::Kms { key_id: key_id.map(str::to_owned) };
        let aes = || Some(ServerSideEncryption::Aes256);
        let with_kms = || Some(ServerSideEncryption::AwsKms);
        let arn = "arn:aws:kms:eu-west-1:1:key/7c1b";
        for (asked, done, good) in [
            (Encryption::Aes256, done(aes(), None), true),
            (Encryption::Aes256, done(None, None), false),
            (Encryption::Aes256, done(with_kms(), Some(arn)), false),
            (kms(None), done(with_kms(), Some(arn)), true),
            (kms(None), done(aes(), None), false),
            (kms(Some("7c1b")), done(with_kms(), Some(arn)), true),
            (kms(Some(arn)), done(with_kms(), Some(arn)), true),
            (kms(Some(arn)), done(with_kms(), Some("7c1b")), true),
            (kms(Some("alias/x")), done(with_kms(), Some(arn)), true),
            (kms(Some("alias/x")), done(with_kms(), None), false),
            (kms(Some("other")), done(with_kms(), Some(arn)), false),
            (kms(Some(arn)), done(with_kms(), None), false),
            (Encryption::Bucket, done(None, None), true),
        ] {
            assert_eq!(asked.check(&done).is_ok(), good, "{asked:?} {done:?}");
        }
    }
}
