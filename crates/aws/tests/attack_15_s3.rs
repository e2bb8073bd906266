//! What the AWS SDK and we log while objects are put, signed for and published. Alone in its process, since loggers are
//! global.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use pollster::block_on;
use waxwing_aws::s3::{Encryption, PART_LEN, S3Options, S3OutputOptions, S3Outputs, S3Store};
use waxwing_aws::{AwsCredentials, AwsCredentialsProvider, AwsOptions};
use waxwing_delivery::worker::{Outputs as _, Published};
use waxwing_store::{ObjectName, ObjectStore as _, Put, Upload};
use waxwing_testkit::logs::printed;
use waxwing_testkit::{logs, server};

const SECRET: &str = "canary+secret+access+key";
const TOKEN: &str = "canary/session/token";
const CONTENTS: &[u8] = b"canary;plaintext;";
const SHA256: [u8; 32] = [7; 32];

#[test]
fn attack_15_no_log_of_the_sdk_holds_a_credential_a_url_or_contents() {
    let Some(mut moto) = server::moto() else { return };
    for bucket in ["inbox", "outbox"] {
        assert_eq!(moto.request("PUT", &format!("/{bucket}"), &[], "").0, 200);
    }
    logs::capture();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(|| logs::Capture)
        .init();
    let credentials = AwsCredentials::new("test", SECRET, Some(TOKEN.to_owned()), None, "tests");
    let aws = AwsOptions {
        endpoint: Some(moto.url()),
        region: Some("us-east-1".to_owned()),
        credentials: Some(AwsCredentialsProvider::new(credentials)),
        retries_max: 1,
        call_time_max: Duration::from_secs(10),
    };
    let bucket = |name: &str| S3Options {
        aws: aws.clone(),
        bucket: name.to_owned(),
        prefix: String::new(),
        path_style: true,
    };
    let store = S3Store::new(bucket("inbox")).unwrap();
    let (name, large) = (ObjectName::random().unwrap(), ObjectName::random().unwrap());
    let put = |name, len: usize| block_on(store.put(name, Upload::bytes(CONTENTS.repeat(len))));
    assert!(matches!(put(&name, 1), Ok(Put::Stored(_))));
    assert!(matches!(put(&large, PART_LEN / CONTENTS.len() + 1), Ok(Put::Stored(_))));
    assert!(matches!(put(&name, 1), Ok(Put::AlreadyThere)));
    drop(block_on(store.get(&name)).unwrap());
    drop(block_on(store.get_range(&name, 0..3, None)).unwrap());
    let url = block_on(store.presign_get(&name, Duration::from_secs(60), SystemTime::now())).unwrap();
    let signature = url.expose().split("X-Amz-Signature=").nth(1).unwrap().split('&').next().unwrap();

    let options = S3OutputOptions {
        s3: bucket("outbox"),
        content_type: "text/csv".to_owned(),
        encryption: Encryption::Aes256,
    };
    let outputs = S3Outputs::new(options.clone()).unwrap();
    outputs.check().unwrap();
    for (name, times) in [("small.csv", 1), ("large.csv", PART_LEN / CONTENTS.len() + 1)] {
        let mut staged = outputs.stage(name).unwrap();
        staged.write_all(&CONTENTS.repeat(times)).unwrap();
        assert_eq!(staged.publish(&SHA256).unwrap(), Published::Now);
    }
    let mut staged = outputs.stage("small.csv").unwrap();
    staged.write_all(CONTENTS).unwrap();
    assert_eq!(staged.publish(&SHA256).unwrap(), Published::NameTaken);
    // What fails says more than what passes.
    let mut failures = String::new();
    let nowhere = S3Outputs::new(S3OutputOptions { s3: bucket("nowhere"), ..options.clone() }).unwrap();
    failures += &printed(&nowhere.check().unwrap_err());
    moto.kill();
    failures += &printed(&outputs.check().unwrap_err());
    failures += &printed(&put(&name, 1).unwrap_err());

    tracing::trace!("the capture works");
    let log = logs::captured() + &failures + &format!("{store:?} {outputs:?} {options:?} {url:?}");
    assert!(log.contains("the capture works"));
    for canary in [SECRET, TOKEN, "canary%2Fsession", "canary;plaintext", signature, "X-Amz-Signature="] {
        let at = log.find(canary).map(|at| &log[at.saturating_sub(600)..at]);
        assert_eq!(at, None, "{canary}");
    }
}
