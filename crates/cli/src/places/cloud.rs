//! Places on AWS. Addresses and credentials are found as all programs with the AWS SDK find them: `AWS_REGION`,
//! `AWS_PROFILE`, `AWS_ENDPOINT_URL_S3` and so on.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use waxwing_aws::s3::{
    CONTENT_TYPE_DEFAULT, Encryption, S3Error, S3Options, S3OutputOptions, S3Outputs, S3Store,
};
use waxwing_aws::secrets::{self, RegistryOptions, SecretName, SecretNameError, SecretsRegistry};
use waxwing_aws::sqs::{self, SqsJobs};
use waxwing_aws::{AwsOptions, DynamoDbLedger};
use waxwing_delivery::worker::{JobSource, Outputs};
use waxwing_delivery::{AgentId, AgentLedger, JobId, JobLedger, KeyId, Policy};
use waxwing_store::ObjectStore;
use zeroize::Zeroizing;

use super::variable;
use crate::exit::{Code, Failure};

/// How buckets are named in URLs.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StyleArgs {
    /// Where a bucket's name stands: in the `path`, or in the `host` [default: the path under an endpoint of one's own, else the host]
    #[arg(long, value_name = "WHERE", env = "WAXWING_S3_STYLE", hide_env_values = true)]
    s3_style: Option<Style>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Style {
    Path,
    Host,
}

/// How outputs are kept in a bucket.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BucketArgs {
    /// The type that outputs in S3 have
    #[arg(long, value_name = "TYPE", default_value = CONTENT_TYPE_DEFAULT)]
    content_type: String,
    /// How S3 encrypts outputs: AES256, aws:kms, aws:kms:KEY, or `bucket` for whatever the bucket does by itself
    #[arg(long, value_name = "HOW", default_value = "AES256")]
    sse: Sse,
    #[command(flatten)]
    style: StyleArgs,
}

#[derive(Debug, Clone)]
struct Sse(Encryption);

impl FromStr for Sse {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "AES256" => Encryption::Aes256,
            "aws:kms" => Encryption::Kms { key_id: None },
            "bucket" => Encryption::Bucket,
            text => match text.strip_prefix("aws:kms:").filter(|key| !key.is_empty()) {
                Some(key) => Encryption::Kms { key_id: Some(key.to_owned()) },
                None => return Err("it is AES256, aws:kms, aws:kms:KEY or bucket".to_owned()),
            },
        }))
    }
}

/// The ledger in a table. Whoever its jobs do not name is `agent`.
pub(super) fn ledger(table: &str, agent: AgentId, policy: Policy) -> Result<Arc<dyn JobLedger>, Failure> {
    Ok(Arc::new(DynamoDbLedger::new(table, agent, policy, AwsOptions::default())))
}

/// Makes a ledger's table.
pub(super) fn create_ledger(table: &str) -> Result<(), Failure> {
    let ledger = DynamoDbLedger::new(table, super::stranger(), Policy::default(), AwsOptions::default());
    ledger.create_table().map_err(crate::home::ledger_failed)
}

/// The agents whose secrets' names begin with `prefix`, each with a key that is expected of it if it is among `expected`.
pub(super) fn registry(
    prefix: &str,
    expected: BTreeMap<AgentId, Vec<KeyId>>,
) -> Result<Arc<dyn AgentLedger>, Failure> {
    let options = RegistryOptions { expected, ..RegistryOptions::default() };
    let start = Instant::now();
    let registry = SecretsRegistry::new(prefix, options, Arc::new(move || start.elapsed()));
    let what = || Failure::new(Code::Usage, format!("`{prefix}` cannot begin the names of secrets"));
    Ok(Arc::new(registry.map_err(|err| what().because(err))?))
}

/// The jobs of a ledger that the messages of a queue name.
pub(super) fn queue(
    url: &str,
    ledger: Arc<dyn JobLedger>,
    lease: Duration,
) -> Result<Arc<dyn JobSource>, Failure> {
    Ok(Arc::new(SqsJobs::new(url, ledger, lease, AwsOptions::default())))
}

/// Tells a queue of a job.
pub(super) fn announce(url: &str, job: &JobId) -> Result<(), Failure> {
    sqs::announce(url, job, &AwsOptions::default()).map_err(|err| {
        let failure = Failure::new(Code::Failed, format!("job {job} is in the ledger, but not in the queue"));
        failure
            .because(err)
            .hint("a worker without --queue finds it, and so does one that is told of it again")
    })
}

/// The private key in a secret, and the one before it.
pub(crate) fn private_keys(name: &str) -> Result<Vec<Zeroizing<Vec<u8>>>, Failure> {
    let unusable = || Failure::new(Code::NoUsableKey, format!("cannot fetch the private key `{name}`"));
    let secret: SecretName = name.parse().map_err(|err: SecretNameError| unusable().because(err))?;
    let files =
        secrets::private_keys(&secret, &AwsOptions::default()).map_err(|err| unusable().because(err))?;
    Ok(files.into_iter().map(|file| file.bytes).collect())
}

/// Outputs in BUCKET/PREFIX, after a look whether the store keeps what they rest on.
pub(super) fn outputs(place: &str, args: &BucketArgs) -> Result<Arc<dyn Outputs>, Failure> {
    let options = S3OutputOptions {
        s3: bucket(place, &args.style)?,
        content_type: args.content_type.clone(),
        encryption: args.sse.0.clone(),
    };
    let outputs = S3Outputs::new(options).map_err(|err| failure("publish to", place, err))?;
    outputs.check().map_err(|err| failure("publish to", place, err))?;
    Ok(Arc::new(outputs))
}

/// The store in BUCKET/PREFIX, with a warning when URLs of it end before `ttl`.
pub(super) fn store(place: &str, args: &StyleArgs, ttl: Duration) -> Result<Arc<dyn ObjectStore>, Failure> {
    let store = S3Store::new(bucket(place, args)?).map_err(|err| failure("store in", place, err))?;
    let expiry = pollster::block_on(store.credentials_expire_at());
    let expiry = expiry.map_err(|err| failure("store in", place, err))?;
    if let Some(left) = expiry.map(|expiry| expiry.duration_since(SystemTime::now()).unwrap_or_default())
        && left < ttl
    {
        eprintln!(
            "warning: the credentials end in {} s, and URLs that they sign end with them, not after {} s",
            left.as_secs(),
            ttl.as_secs()
        );
    }
    Ok(Arc::new(store))
}

fn bucket(place: &str, args: &StyleArgs) -> Result<S3Options, Failure> {
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let own_endpoint = variable("AWS_ENDPOINT_URL_S3")?.or(variable("AWS_ENDPOINT_URL")?).is_some();
    let path_style = args.s3_style.map_or(own_endpoint, |style| style == Style::Path);
    Ok(S3Options {
        aws: AwsOptions::default(),
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        path_style,
    })
}

fn failure(doing: &str, place: &str, err: S3Error) -> Failure {
    let (code, hint) = match &err {
        S3Error::Name(_) => (Code::Usage, None),
        S3Error::ConditionIgnored { .. } => {
            (Code::Refused, Some("use a store that keeps conditions: AWS, SeaweedFS, MinIO"))
        }
        S3Error::Encryption { .. } => {
            (Code::Refused, Some("say --sse bucket if the store's own way is good enough"))
        }
        S3Error::NoBucket(_) => (Code::NotFound, None),
        _ => (Code::Failed, None),
    };
    let failure = Failure::new(code, format!("cannot {doing} s3://{place}")).because(err);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
