//! What a build without the feature `aws` says instead.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use waxwing_delivery::worker::{JobSource, Outputs};
use waxwing_delivery::{AgentId, AgentLedger, JobId, JobLedger, KeyId, Policy};
use waxwing_store::ObjectStore;
use zeroize::Zeroizing;

use crate::exit::{Code, Failure};

/// No options.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BucketArgs {}

/// No options.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StyleArgs {}

pub(super) fn ledger(_table: &str, _agent: AgentId, _policy: Policy) -> Result<Arc<dyn JobLedger>, Failure> {
    Err(lacking("a ledger in DynamoDB"))
}

pub(super) fn create_ledger(_table: &str) -> Result<(), Failure> {
    Err(lacking("a ledger in DynamoDB"))
}

pub(super) fn registry(
    _prefix: &str,
    _expected: BTreeMap<AgentId, Vec<KeyId>>,
) -> Result<Arc<dyn AgentLedger>, Failure> {
    Err(lacking("a registry in Secrets Manager"))
}

pub(super) fn queue(
    _url: &str,
    _ledger: Arc<dyn JobLedger>,
    _lease: Duration,
) -> Result<Arc<dyn JobSource>, Failure> {
    Err(lacking("a queue of SQS"))
}

pub(super) fn announce(_url: &str, _job: &JobId) -> Result<(), Failure> {
    Err(lacking("a queue of SQS"))
}

pub(crate) fn private_keys(_name: &str) -> Result<Vec<Zeroizing<Vec<u8>>>, Failure> {
    Err(lacking("keys in Secrets Manager"))
}

pub(super) fn outputs(_place: &str, _args: &BucketArgs) -> Result<Arc<dyn Outputs>, Failure> {
    Err(lacking("outputs in S3"))
}

pub(super) fn store(
    _place: &str,
    _args: &StyleArgs,
    _ttl: Duration,
) -> Result<Arc<dyn ObjectStore>, Failure> {
    Err(lacking("a store in S3"))
}

fn lacking(what: &str) -> Failure {
    Failure::new(Code::Usage, format!("this build has no support for {what}"))
        .hint("build it with the feature `aws`")
}
