//! What the AWS SDK and we log while jobs are kept. Alone in its process, since loggers are global.

#[path = "../../delivery/tests/support/mod.rs"]
mod support;

use support::{START, after, job, policy};
use waxwing_aws::{AwsCredentials, AwsCredentialsProvider, AwsOptions, DynamoDbLedger};
use waxwing_delivery::JobLedger;
use waxwing_testkit::{logs, server};

const SECRET: &str = "canary+secret+access+key";

#[test]
fn attack_15_no_log_of_the_sdk_holds_a_credential_or_a_url() {
    let Some(moto) = server::moto() else { return };
    logs::capture();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(|| logs::Capture)
        .init();
    let options = AwsOptions {
        endpoint: Some(moto.url()),
        region: Some("us-east-1".to_owned()),
        credentials: Some(AwsCredentialsProvider::new(AwsCredentials::new(
            "test", SECRET, None, None, "tests",
        ))),
        ..AwsOptions::default()
    };
    let ledger = DynamoDbLedger::new("jobs", "stranger".parse().unwrap(), policy(), options);
    ledger.create_table().unwrap();
    ledger.submit(&job("a", START)).unwrap();
    let claimed = ledger.claim(&"w1".parse().unwrap(), after(1)).unwrap().unwrap();
    ledger.heartbeat(&claimed.token(), after(2)).unwrap();
    tracing::trace!("the capture works");
    let log = logs::captured() + &format!("{ledger:?}");
    assert!(log.contains("the capture works"));
    assert!(!log.contains(SECRET));
    let at = log.find("CANARY").map(|at| &log[at.saturating_sub(600)..at]);
    assert_eq!(at, None, "the query of a pre-signed URL");
}
