//! The calls: each names one key, and believes no answer that is another key's.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_kms::Client;
use aws_sdk_kms::config::SharedCredentialsProvider;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, EncryptionAlgorithmSpec, KeySpec, KeyUsageType};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::fault::Fault;
use super::other_key;
use crate::{Key, RsaRecipientKey, ServiceError, said};

/// How often a call is made again, unless the caller says otherwise.
pub const RETRIES_MAX_DEFAULT: u32 = 3;
/// How long a call may take with all its retries, unless the caller says otherwise.
pub const CALL_TIME_MAX_DEFAULT: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long one attempt may take.
const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(10);

/// How AWS KMS is reached.
#[derive(Debug, Clone)]
pub struct AwsKmsOptions {
    /// Another address than the region's own, such as `http://127.0.0.1:5000`.
    pub endpoint: Option<String>,
    /// The region; without one that of the key's ARN, and then what the SDK finds in environment and configuration.
    pub region: Option<String>,
    /// Who asks; without one what the SDK finds: environment, configuration, single sign-on, a program, the machine's role.
    pub credentials: Option<SharedCredentialsProvider>,
    /// How often a call that may succeed later is made again.
    pub retries_max: u32,
    /// How long a call may take with all its retries.
    pub call_time_max: Duration,
}

impl Default for AwsKmsOptions {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            credentials: None,
            retries_max: RETRIES_MAX_DEFAULT,
            call_time_max: CALL_TIME_MAX_DEFAULT,
        }
    }
}

/// What `DescribeKey` says.
pub(super) struct Described {
    pub(super) arn: String,
    pub(super) is_rsa: bool,
}

/// A client that is made at the first call: making it reads files and the environment.
pub(super) struct Calls {
    options: AwsKmsOptions,
    client: OnceCell<Client>,
}

impl Calls {
    pub(super) fn new(options: AwsKmsOptions) -> Self {
        Self { options, client: OnceCell::new() }
    }

    pub(super) async fn describe(&self, name: &str) -> Result<Described, ServiceError> {
        let answer = self.client().await?.describe_key().key_id(name).send().await.map_err(Fault::service)?;
        let key = answer.key_metadata().ok_or_else(|| missing("KeyMetadata"))?;
        let arn = key.arn().ok_or_else(|| missing("Arn"))?.to_owned();
        let unsuitable = |what: &str| Err(ServiceError::Unsuitable(said(&format!("{arn} is {what}"))));
        if let Some(usage) = key.key_usage()
            && *usage != KeyUsageType::EncryptDecrypt
        {
            return unsuitable(&format!("a key for {usage}"));
        }
        let is_rsa = match key.key_spec() {
            Some(KeySpec::SymmetricDefault) => false,
            Some(KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096) => true,
            Some(other) => return unsuitable(&format!("a key of the type {other}")),
            None => return Err(missing("KeySpec")),
        };
        Ok(Described { arn, is_rsa })
    }

    pub(super) async fn public_key(&self, arn: &str) -> Result<RsaRecipientKey, ServiceError> {
        let answer =
            self.client().await?.get_public_key().key_id(arn).send().await.map_err(Fault::service)?;
        same_key(answer.key_id(), arn)?;
        let der = answer.public_key.ok_or_else(|| missing("PublicKey"))?.into_inner();
        match Key::read(&der, None) {
            Ok(Key::RsaPublic(key)) => Ok(key),
            Ok(_) => Err(ServiceError::Unexpected("a public key that is no RSA key".into())),
            Err(err) => {
                Err(ServiceError::Unexpected(said(&format!("a public key that cannot be used: {err}"))))
            }
        }
    }

    /// A DEK and the same wrapped.
    pub(super) async fn generate(
        &self,
        arn: &str,
        context: Option<HashMap<String, String>>,
    ) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), ServiceError> {
        let call = self.client().await?.generate_data_key().key_id(arn).key_spec(DataKeySpec::Aes256);
        let mut answer = call.set_encryption_context(context).send().await.map_err(Fault::service)?;
        let dek = plaintext(answer.plaintext.take());
        same_key(answer.key_id(), arn)?;
        Ok((dek?, blob(answer.ciphertext_blob)?))
    }

    pub(super) async fn encrypt(
        &self,
        arn: &str,
        dek: &[u8],
        context: Option<HashMap<String, String>>,
    ) -> Result<Vec<u8>, ServiceError> {
        let call = self.client().await?.encrypt().key_id(arn).plaintext(Blob::new(dek));
        let answer = call.set_encryption_context(context).send().await.map_err(Fault::service)?;
        same_key(answer.key_id(), arn)?;
        blob(answer.ciphertext_blob)
    }

    pub(super) async fn decrypt(
        &self,
        arn: &str,
        wrapped: Vec<u8>,
        how: EncryptionAlgorithmSpec,
        context: Option<HashMap<String, String>>,
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let client = self.client().await?;
        let call = client.decrypt().key_id(arn).encryption_algorithm(how).ciphertext_blob(Blob::new(wrapped));
        let mut answer = call.set_encryption_context(context).send().await.map_err(Fault::new)?;
        let dek = plaintext(answer.plaintext.take());
        same_key(answer.key_id(), arn)?;
        Ok(dek?)
    }

    async fn client(&self) -> Result<&Client, ServiceError> {
        self.client.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<Client, ServiceError> {
        let Self { options, .. } = self;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIME_MAX)
            .operation_attempt_timeout(ATTEMPT_TIME_MAX)
            .operation_timeout(options.call_time_max);
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::standard().with_max_attempts(options.retries_max.saturating_add(1)))
            .timeout_config(timeouts.build());
        if let Some(region) = &options.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &options.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(credentials) = &options.credentials {
            loader = loader.credentials_provider(credentials.clone());
        }
        let config = loader.load().await;
        if config.region().is_none() {
            let said = "no region is set; name the key by its ARN, or set AWS_REGION";
            return Err(ServiceError::Unreachable(said.to_owned()));
        }
        Ok(Client::new(&config))
    }
}

fn same_key(answered: Option<&str>, arn: &str) -> Result<(), ServiceError> {
    match answered {
        Some(answered) if answered == arn => Ok(()),
        Some(answered) => Err(other_key(answered)),
        None => Err(missing("KeyId")),
    }
}

fn plaintext(plaintext: Option<Blob>) -> Result<Zeroizing<Vec<u8>>, ServiceError> {
    plaintext.map(|blob| Zeroizing::new(blob.into_inner())).ok_or_else(|| missing("Plaintext"))
}

fn blob(blob: Option<Blob>) -> Result<Vec<u8>, ServiceError> {
    let blob = blob.map(Blob::into_inner).ok_or_else(|| missing("CiphertextBlob"))?;
    match blob.len() {
        1..=super::BLOB_LEN_MAX => Ok(blob),
        len => Err(ServiceError::Unexpected(format!("a ciphertext of {len} bytes"))),
    }
}

fn missing(field: &str) -> ServiceError {
    ServiceError::Unexpected(format!("there is no {field} in it"))
}
