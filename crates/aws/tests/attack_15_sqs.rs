//! What the AWS SDK and we log while jobs are heard of. Alone in its process, since loggers are global.

#[path = "../../delivery/tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{START, after, job, policy, receipt};
use waxwing_aws::sqs::{SqsJobs, announce};
use waxwing_aws::{AwsCredentials, AwsCredentialsProvider, AwsOptions};
use waxwing_delivery::worker::{Heard, JobSource as _};
use waxwing_delivery::{JobLedger, MemoryLedger};
use waxwing_testkit::logs::printed;
use waxwing_testkit::{logs, server};

const SECRET: &str = "canary+secret+access+key";
const TOKEN: &str = "canary/session/token";
/// By which moto knows the service that is meant.
const SERVICE: &str =
    "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0";
const LEASE: Duration = Duration::from_secs(30);

#[test]
fn attack_15_no_log_of_the_sdk_holds_a_credential_a_url_or_a_stranger_s_message() {
    let Some(mut moto) = server::moto() else { return };
    let call = |query: &str| {
        let form = [("content-type", "application/x-www-form-urlencoded"), ("authorization", SERVICE)];
        assert_eq!(
            moto.request("POST", "/", &form, &format!("{query}&Version=2012-11-05")).0,
            200,
            "{query}"
        );
    };
    call("Action=CreateQueue&QueueName=jobs");
    let url = format!("{}/123456789012/jobs", moto.url());
    // A provider of another make, which takes the queue for the place of the whole record.
    call(&format!(
        "Action=SendMessage&QueueUrl={url}&MessageBody=%7B%22PresignedURL%22%3A%22https%3A%2F%2Fh%2Fx%3Fsig%3DCANARY%22%7D"
    ));
    logs::capture();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(|| logs::Capture)
        .init();
    let credentials = AwsCredentials::new("test", SECRET, Some(TOKEN.to_owned()), None, "tests");
    let options = AwsOptions {
        endpoint: Some(moto.url()),
        region: Some("us-east-1".to_owned()),
        credentials: Some(AwsCredentialsProvider::new(credentials)),
        retries_max: 1,
        call_time_max: Duration::from_secs(10),
    };
    let ledger: Arc<dyn JobLedger> = Arc::new(MemoryLedger::new(policy()));
    let source = SqsJobs::new(&url, Arc::clone(&ledger), LEASE, options.clone());
    let worker = "w1".parse().unwrap();
    let heard = source.claim(&worker, after(0), 1).unwrap();
    assert!(matches!(heard, Heard::Nothing { .. }), "{heard:?}");
    let job = job("one", START);
    ledger.submit(&job).unwrap();
    announce(&url, job.id(), &options).unwrap();
    let Heard::Jobs(mut jobs) = source.claim(&worker, after(1), 1).unwrap() else { panic!("no job") };
    let (claimed, notice) = jobs.pop().unwrap();
    let notice = notice.unwrap();
    notice.hide(LEASE);
    let done = ledger.finish(&claimed.token(), receipt(), after(2)).unwrap();
    notice.answer(&done, after(2));
    // What fails says more than what passes.
    let nowhere = SqsJobs::new(&format!("{url}-none"), ledger, LEASE, options.clone());
    let mut failures = printed(&nowhere.claim(&worker, after(3), 1).unwrap_err());
    moto.kill();
    notice.hide(LEASE);
    failures += &printed(&source.claim(&worker, after(3), 1).unwrap_err());
    failures += &printed(&announce(&url, job.id(), &options).unwrap_err());

    tracing::trace!("the capture works");
    let log = logs::captured() + &failures + &format!("{source:?} {options:?} {done:?}");
    assert!(log.contains("the capture works"));
    assert!(log.contains("a message names no job") && log.contains("a message comes again"), "{log}");
    for canary in [SECRET, TOKEN, "CANARY"] {
        let at = log.find(canary).map(|at| &log[at.saturating_sub(600)..at]);
        assert_eq!(at, None, "{canary}");
    }
}
