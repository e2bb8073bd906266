//! Clients that are made when they are needed.

use std::fmt;

use aws_config::SdkConfig;
use tokio::sync::OnceCell;

use crate::options::has_region;
use crate::{AwsError, AwsOptions};

/// A client that is made at the first call: making it reads files and the environment.
pub(crate) struct Lazy<C> {
    options: AwsOptions,
    make: fn(&SdkConfig) -> C,
    client: OnceCell<C>,
}

impl<C> Lazy<C> {
    pub(crate) fn new(options: AwsOptions, make: fn(&SdkConfig) -> C) -> Self {
        Self { options, make, client: OnceCell::new() }
    }

    pub(crate) async fn client(&self) -> Result<&C, AwsError> {
        let connect = async || {
            let config = self.options.load().await;
            match has_region(&config) {
                true => Ok((self.make)(&config)),
                false => Err(AwsError::NoRegion),
            }
        };
        self.client.get_or_try_init(connect).await
    }
}

impl<C> fmt::Debug for Lazy<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lazy").field(&self.options).finish()
    }
}
