//! How AWS is reached.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
pub use aws_credential_types::{
    Credentials as AwsCredentials, provider::SharedCredentialsProvider as AwsCredentialsProvider,
};

/// How often a call is made again, unless the caller says otherwise.
pub const RETRIES_MAX_DEFAULT: u32 = 3;
/// How long a call may take with all its retries, unless the caller says otherwise.
pub const CALL_TIME_MAX_DEFAULT: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long one attempt may take.
const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(10);

/// Whether a region was found. A variable that is set to nothing names none, though the SDK takes it.
pub(crate) fn has_region(config: &SdkConfig) -> bool {
    config.region().is_some_and(|region| !region.as_ref().is_empty())
}

/// How the services of AWS are reached.
#[derive(Debug, Clone)]
pub struct AwsOptions {
    /// Another address than the region's own, such as `http://127.0.0.1:5000`.
    pub endpoint: Option<String>,
    /// The region; without one what the SDK finds in environment and configuration.
    pub region: Option<String>,
    /// Who asks; without one what the SDK finds: environment, configuration, single sign-on, a program, the machine's role.
    pub credentials: Option<AwsCredentialsProvider>,
    /// How often a call that may succeed later is made again.
    pub retries_max: u32,
    /// How long a call may take with all its retries.
    pub call_time_max: Duration,
}

impl Default for AwsOptions {
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

impl AwsOptions {
    /// What a service's client is made from. Reads files and the environment, for what is not set here.
    pub(crate) async fn load(&self) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIME_MAX)
            .operation_attempt_timeout(ATTEMPT_TIME_MAX)
            .operation_timeout(self.call_time_max);
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::standard().with_max_attempts(self.retries_max.saturating_add(1)))
            .timeout_config(timeouts.build());
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(credentials) = &self.credentials {
            loader = loader.credentials_provider(credentials.clone());
        }
        loader.load().await
    }
}
