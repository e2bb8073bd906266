//! A bucket, and the calls that both stores make.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::timeout::TimeoutConfig;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{self, StalledStreamProtectionConfig};
use tokio::sync::OnceCell;
use waxwing_store::{ETag, ObjectMeta};

use super::encryption::Encrypted;
use super::fault::{Fault, chain};
use super::upload::TOKEN_NAME;
use crate::options::has_region;
use crate::quiet::quiet;
use crate::{AwsCredentials, AwsCredentialsProvider, AwsOptions, s3::S3Error};

/// The longest prefix of keys, in bytes: with it and the longest name a key stays below S3's 1024.
pub const KEY_PREFIX_LEN_MAX: usize = 512;
/// The longest name below the prefix, in bytes.
const NAME_LEN_MAX: usize = 511;
/// The longest name of a bucket, in bytes.
const BUCKET_LEN_MAX: usize = 63;
/// How long one attempt at a call may take that sends a part, or ends an upload.
const DATA_ATTEMPT_TIME_MAX: Duration = Duration::from_secs(120);
/// How long such a call may take with all its retries.
const DATA_CALL_TIME_MAX: Duration = Duration::from_secs(600);
/// How long a body may stand still.
const STALL_TIME_MAX: Duration = Duration::from_secs(20);

/// A bucket and how it is reached.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// How the service is reached.
    pub aws: AwsOptions,
    /// The bucket's name.
    pub bucket: String,
    /// What stands in front of every name, with a `/` between; may be empty.
    pub prefix: String,
    /// Whether the bucket is named in the path (`HOST/BUCKET/KEY`) rather than in the host (`BUCKET.HOST/KEY`). Stores under
    /// an address of their own mostly want the former.
    pub path_style: bool,
}

/// A bucket. Its clones share one client, which is made with the first call: making it reads files and the environment.
#[derive(Clone)]
pub(super) struct Bucket(Arc<Inner>);

struct Inner {
    options: S3Options,
    client: OnceCell<Client>,
    lent: Lent,
}

/// What a store tells of an object without its bytes.
pub(super) struct Head {
    pub(super) meta: ObjectMeta,
    pub(super) encrypted: Encrypted,
    pub(super) token: Option<String>,
}

impl Bucket {
    pub(super) fn new(mut options: S3Options) -> Result<Self, S3Error> {
        let name = &options.bucket;
        let named = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if name.is_empty() || name.len() > BUCKET_LEN_MAX || !named {
            return Err(S3Error::Name(
                "a bucket's name is 1 to 63 of the characters A-Z a-z 0-9 . _ -".into(),
            ));
        }
        let prefix = options.prefix.trim_matches('/');
        let unusable = |part: &str| part.is_empty() || part == "." || part == "..";
        if !prefix.is_empty() && (prefix.split('/').any(unusable) || prefix.contains(char::is_control)) {
            return Err(S3Error::Name("a prefix has no part that is empty, `.` or `..`".into()));
        }
        if prefix.len() > KEY_PREFIX_LEN_MAX {
            let said =
                format!("the prefix is {} bytes long; the limit is {KEY_PREFIX_LEN_MAX}", prefix.len());
            return Err(S3Error::Name(said));
        }
        options.prefix = prefix.to_owned();
        Ok(Self(Arc::new(Inner { options, client: OnceCell::new(), lent: Lent::default() })))
    }

    pub(super) fn name(&self) -> &str {
        &self.0.options.bucket
    }

    /// The key of the object `name`.
    pub(super) fn key(&self, name: &str) -> Result<String, S3Error> {
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if name.len() > NAME_LEN_MAX || !name.split('/').all(plain) {
            return Err(S3Error::Name("the name cannot be an object's".into()));
        }
        let prefix = &self.0.options.prefix;
        Ok(if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") })
    }

    pub(super) async fn client(&self) -> Result<&Client, S3Error> {
        self.0.client.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<Client, S3Error> {
        let Inner { options, lent, .. } = &*self.0;
        let loaded = options.aws.load().await;
        if !has_region(&loaded) {
            let said = "no region is set; name one, or set AWS_REGION";
            return Err(S3Error::Unreachable(said.to_owned()));
        }
        let stalls = StalledStreamProtectionConfig::enabled().grace_period(STALL_TIME_MAX).build();
        let mut builder = config::Builder::from(&loaded)
            .force_path_style(options.path_style)
            .stalled_stream_protection(stalls);
        if let Some(provider) = loaded.credentials_provider() {
            lent.set_provider(provider);
            builder = builder.credentials_provider(lent.clone());
        }
        Ok(Client::from_conf(builder.build()))
    }

    /// When the credentials end that sign the calls, if they end.
    pub(super) async fn credentials_expire_at(&self) -> Result<Option<SystemTime>, S3Error> {
        self.client().await?;
        match self.0.lent.expiry() {
            Some(expiry) => Ok(expiry),
            None => match self.0.lent.provide_credentials().await {
                Ok(credentials) => Ok(credentials.expiry()),
                Err(err) => Err(S3Error::Credentials(chain(&err))),
            },
        }
    }

    pub(super) async fn head(&self, key: &str) -> Result<Option<Head>, S3Error> {
        let call = self.client().await?.head_object().bucket(self.name()).key(key);
        let found = match quiet(call.send()).await.map_err(Fault::new) {
            Ok(found) => found,
            Err(Fault { error: S3Error::NoObject(_), .. }) => return Ok(None),
            Err(Fault { error: S3Error::Denied(text), .. }) => {
                let said = format!("{text}; or the object is not there, and the bucket may not be listed");
                return Err(S3Error::Denied(said));
            }
            Err(fault) => return Err(fault.error),
        };
        let len = found.content_length().and_then(|len| u64::try_from(len).ok());
        Ok(Some(Head {
            meta: ObjectMeta {
                len: len.ok_or_else(|| missing("Content-Length"))?,
                etag: etag(found.e_tag())?,
            },
            token: found.metadata().and_then(|metadata| metadata.get(TOKEN_NAME)).cloned(),
            encrypted: Encrypted { how: found.server_side_encryption, key_id: found.ssekms_key_id },
        }))
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), S3Error> {
        let call = self.client().await?.delete_object().bucket(self.name()).key(key);
        match quiet(call.send()).await.map_err(Fault::new) {
            Ok(_) | Err(Fault { error: S3Error::NoObject(_), .. }) => Ok(()),
            Err(fault) => Err(fault.error),
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("bucket", &self.0.options.bucket)
            .field("prefix", &self.0.options.prefix)
            .field("endpoint", &self.0.options.aws.endpoint)
            .finish_non_exhaustive()
    }
}

/// The settings of a call that carries data.
pub(super) fn for_data() -> config::Builder {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(DATA_ATTEMPT_TIME_MAX)
        .operation_timeout(DATA_CALL_TIME_MAX);
    config::Builder::new().timeout_config(timeouts.build())
}

/// An object's tag, as the store says it. Some leave the quotes out.
pub(super) fn etag(text: Option<&str>) -> Result<ETag, S3Error> {
    let text = text.ok_or_else(|| missing("ETag"))?;
    let tag = ETag::parse(text).or_else(|| ETag::parse(&format!("\"{text}\"")));
    tag.ok_or_else(|| S3Error::Unexpected("an ETag that is weak or malformed".to_owned()))
}

pub(super) fn missing(field: &str) -> S3Error {
    S3Error::Unexpected(format!("there is no {field} in it"))
}

/// Credentials on their way from their provider to whoever signs with them. It knows when the last of them end; the SDK's
/// own cache, behind it, does not tell.
#[derive(Debug, Clone, Default)]
struct Lent(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    provider: Option<AwsCredentialsProvider>,
    /// Of what was lent last; nothing was lent if it is absent.
    expiry: Option<Option<SystemTime>>,
}

impl Lent {
    fn set_provider(&self, provider: AwsCredentialsProvider) {
        self.state(|state| state.provider = Some(provider));
    }

    fn expiry(&self) -> Option<Option<SystemTime>> {
        self.state(|state| state.expiry)
    }

    async fn lend(&self) -> provider::Result {
        let provider = self.state(|state| state.provider.clone());
        let provider = provider.ok_or_else(provider::error::CredentialsError::not_loaded_no_source)?;
        let credentials = provider.provide_credentials().await?;
        self.state(|state| state.expiry = Some(credentials.expiry()));
        Ok(credentials)
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ProvideCredentials for Lent {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.lend())
    }

    fn fallback_on_interrupt(&self) -> Option<AwsCredentials> {
        self.state(|state| state.provider.clone())?.fallback_on_interrupt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(name: &str, prefix: &str) -> Result<Bucket, S3Error> {
        Bucket::new(S3Options {
            aws: AwsOptions::default(),
            bucket: name.to_owned(),
            prefix: prefix.to_owned(),
            path_style: true,
        })
    }

    #[test]
    fn attack_23_keys_stay_below_their_prefix() {
        let plain = bucket("b", "").unwrap();
        let below = bucket("b", "/exports/eu/").unwrap();
        assert_eq!(plain.key("a/b.csv").unwrap(), "a/b.csv");
        assert_eq!(below.key("b.csv").unwrap(), "exports/eu/b.csv");
        for name in ["", "/a", "a/", "a//b", "..", "../a", "a/./b", "a b", "a\nb", "a?x", &"a".repeat(600)] {
            assert!(below.key(name).is_err(), "{name}");
        }
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for (name, prefix) in
            [("", ""), ("a/b", ""), ("a?b", ""), ("b", "a//b"), ("b", "a/../b"), ("b", "a\nb")]
        {
            assert!(matches!(bucket(name, prefix), Err(S3Error::Name(_))), "{name} {prefix}");
        }
        assert!(bucket("b", &"p".repeat(KEY_PREFIX_LEN_MAX + 1)).is_err());
    }
}
