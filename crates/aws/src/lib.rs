//! Delivery on AWS.
//!
//! The traits of `waxwing-delivery` and `waxwing-store`, kept by services. Each service is behind a feature of its name:
//!
//! * `dynamodb`: `DynamoDbLedger` keeps jobs as items of a table.
//! * `s3`: `S3Store` keeps ciphertexts as objects and pre-signs URLs of them, `S3Outputs` publishes plaintexts.
//! * `secrets-manager`: [`secrets`] keeps the public keys of agents, and fetches private ones.
//! * `sqs`: [`sqs`] announces jobs and hears of them.
//!
//! A client is made with the first call that needs it, from [`AwsOptions`]. What those leave open the SDK finds as all its
//! programs do: in the environment, in configuration files, from the machine's role.
//!
//! # Threat model
//!
//! A service is believed what only it can know, such as whether a name was free. It is not believed silently where that can be
//! checked: a store that ignores a condition or an encryption that it was asked for is an error. What services say is
//! foreign text, and is made fit for a line before it is shown. Nothing that holds plaintext, a key or a pre-signed URL is
//! logged, by the SDK neither.

// Without a service there is nothing to reach.
#![cfg(any(feature = "dynamodb", feature = "s3", feature = "secrets-manager", feature = "sqs"))]
// Not every service needs all of what they share.
#![cfg_attr(
    not(all(feature = "dynamodb", feature = "s3", feature = "secrets-manager", feature = "sqs")),
    allow(dead_code)
)]

#[cfg(any(feature = "dynamodb", feature = "secrets-manager", feature = "sqs"))]
mod client;
#[cfg(feature = "dynamodb")]
mod dynamodb;
#[cfg(any(feature = "dynamodb", feature = "secrets-manager", feature = "sqs"))]
mod error;
mod options;
mod quiet;
mod runtime;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "secrets-manager")]
pub mod secrets;
#[cfg(feature = "sqs")]
pub mod sqs;

#[cfg(feature = "dynamodb")]
pub use dynamodb::{DynamoDbLedger, INDEX, QUEUE};
#[cfg(any(feature = "dynamodb", feature = "secrets-manager", feature = "sqs"))]
pub use error::AwsError;
pub use options::{
    AwsCredentials, AwsCredentialsProvider, AwsOptions, CALL_TIME_MAX_DEFAULT, RETRIES_MAX_DEFAULT,
};
