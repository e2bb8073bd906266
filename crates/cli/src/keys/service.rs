//! Services that keep keys, as the command line names them: `aws-kms:KEY`.

use std::sync::Arc;

use clap::Args;
#[cfg(feature = "aws-kms")]
use waxwing_keyring::{AwsKms, AwsKmsOptions};
use waxwing_keyring::{KeyProvider, KeyService};
use waxwing_profiles::{Profile, UnwrapAlgorithm};

use crate::exit::{Code, Failure};

/// Begins the name of a key of AWS KMS.
const AWS_KMS: &str = "aws-kms:";
/// The variable that names the key of AWS KMS for messages whose key it wraps.
const KEY_ID_VARIABLE: &str = "ENCRYPTION_KEY_ID";

/// How services that keep keys are reached.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServiceArgs {
    /// Another address of AWS KMS than the region's own [default: AWS_ENDPOINT_URL_KMS, if that is set]
    #[arg(long, global = true, value_name = "URL")]
    aws_endpoint: Option<String>,
    /// The region of AWS KMS [default: the one in the key's ARN, then AWS_REGION and the AWS configuration]
    #[arg(long, global = true, value_name = "REGION")]
    aws_region: Option<String>,
}

/// The key in `aws-kms:KEY`: an ARN, a key id, `alias/NAME`.
fn aws_kms_key(name: &str) -> Option<&str> {
    name.strip_prefix(AWS_KMS)
}

#[cfg(feature = "aws-kms")]
impl ServiceArgs {
    /// A key of AWS KMS. Nobody is asked yet.
    fn aws_kms(&self, key: &str) -> Result<AwsKms, Failure> {
        let Self { aws_endpoint, aws_region } = self.clone();
        let options =
            AwsKmsOptions { endpoint: aws_endpoint, region: aws_region, ..AwsKmsOptions::default() };
        AwsKms::new(key, options)
            .map_err(|err| Failure::new(Code::Usage, format!("`{AWS_KMS}{key}` names no key")).because(err))
    }

    pub(super) fn aws_kms_opener(&self, key: &str) -> Result<Arc<dyn KeyProvider>, Failure> {
        Ok(Arc::new(self.aws_kms(key)?))
    }

    /// An alias is followed now: whose recipient it is must be known before headers are compared.
    pub(super) fn aws_kms_recipient(&self, key: &str) -> Result<Arc<dyn KeyProvider>, Failure> {
        let kms = self.aws_kms(key)?;
        pollster::block_on(kms.arn()).map_err(|err| {
            Failure::new(Code::NoUsableKey, format!("cannot use the key `{AWS_KMS}{key}`")).because(err)
        })?;
        Ok(Arc::new(kms))
    }

    fn aws_kms_service(&self, key: &str) -> Result<Box<dyn KeyService>, Failure> {
        Ok(Box::new(self.aws_kms(key)?))
    }
}

#[cfg(not(feature = "aws-kms"))]
impl ServiceArgs {
    pub(super) fn aws_kms_opener(&self, key: &str) -> Result<Arc<dyn KeyProvider>, Failure> {
        Err(absent(key))
    }

    pub(super) fn aws_kms_recipient(&self, key: &str) -> Result<Arc<dyn KeyProvider>, Failure> {
        Err(absent(key))
    }

    fn aws_kms_service(&self, key: &str) -> Result<Box<dyn KeyService>, Failure> {
        Err(absent(key))
    }
}

#[cfg(not(feature = "aws-kms"))]
fn absent(key: &str) -> Failure {
    Failure::new(Code::NoUsableKey, format!("this build has no AWS KMS, which keeps the key `{key}`"))
        .hint("build waxwing with its feature aws-kms")
}

impl ServiceArgs {
    /// The service that wraps the keys of this profile's messages: the one that `names` names, or the environment.
    pub(super) fn of_profile(
        &self,
        profile: &Profile,
        names: &[String],
    ) -> Result<Option<Box<dyn KeyService>>, Failure> {
        if !profile.unwrap.algorithm.possible().any(|algorithm| *algorithm == UnwrapAlgorithm::Kms) {
            return Ok(None);
        }
        let key = match names {
            [] => std::env::var(KEY_ID_VARIABLE).ok(),
            [name] => aws_kms_key(name).map(str::to_owned),
            _ => return Err(Failure::new(Code::Usage, "a message of a profile has one recipient")),
        };
        key.map(|key| self.aws_kms_service(&key)).transpose()
    }
}
