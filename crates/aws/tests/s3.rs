//! Objects in S3, on SeaweedFS, which checks signatures, conditions and encryption.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Barrier;
use std::time::{Duration, SystemTime};

use pollster::block_on;
use tokio::io::AsyncReadExt as _;
use waxwing_aws::s3::{Encryption, PART_LEN, S3Options, S3OutputOptions, S3Outputs, S3Store};
use waxwing_aws::{AwsCredentials, AwsCredentialsProvider, AwsOptions};
use waxwing_delivery::worker::{Outputs as _, Published};
use waxwing_store::{Object, ObjectName, ObjectStore as _, PresignedUrl, Put, StoreError, Upload};
use waxwing_testkit::logs::printed;
use waxwing_testkit::payload;
use waxwing_testkit::proxy::{Fault, Faults, Proxy};
use waxwing_testkit::server::{self, S3_ACCESS_KEY, S3_BUCKET, S3_OUTPUT_BUCKET, S3_SECRET_KEY};

const TTL: Duration = Duration::from_secs(1800);

fn options(url: &str, bucket: &str) -> S3Options {
    let credentials = AwsCredentials::new(S3_ACCESS_KEY, S3_SECRET_KEY, None, None, "tests");
    let aws = AwsOptions {
        endpoint: Some(url.to_owned()),
        region: Some("us-east-1".to_owned()),
        credentials: Some(AwsCredentialsProvider::new(credentials)),
        ..AwsOptions::default()
    };
    S3Options { aws, bucket: bucket.to_owned(), prefix: "below".to_owned(), path_style: true }
}

fn store(url: &str) -> S3Store {
    S3Store::new(options(url, S3_BUCKET)).unwrap()
}

fn outputs(url: &str) -> S3Outputs {
    let s3 = options(url, S3_OUTPUT_BUCKET);
    let content_type = "text/csv".to_owned();
    S3Outputs::new(S3OutputOptions { s3, content_type, encryption: Encryption::Aes256 }).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn read(mut object: Object) -> Vec<u8> {
    runtime().block_on(async move {
        let mut bytes = Vec::new();
        object.body.read_to_end(&mut bytes).await.unwrap();
        bytes
    })
}

fn publish(outputs: &S3Outputs, name: &str, bytes: &[u8]) -> std::io::Result<Published> {
    let mut staged = outputs.stage(name)?;
    staged.write_all(bytes)?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    staged.publish(digest.as_ref().try_into().unwrap())
}

/// The status of a GET, by somebody who has the URL alone.
fn status(url: &PresignedUrl) -> u16 {
    let url = url.expose().strip_prefix("http://").unwrap();
    let (host, path) = url.split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn what_was_put_is_got_whole_and_in_ranges() {
    let Some(s3) = server::seaweedfs() else { return };
    let store = store(&s3.url());
    let dir = tempfile::tempdir().unwrap();
    // One request, one part and a byte, three parts.
    for len in [0, 1000, PART_LEN, PART_LEN + 1, 2 * PART_LEN + 77] {
        let (name, bytes) = (ObjectName::random().unwrap(), payload(len));
        let path = dir.path().join("body");
        std::fs::write(&path, &bytes).unwrap();
        let Put::Stored(meta) = block_on(store.put(&name, Upload::file(&path))).unwrap() else {
            panic!("{len}")
        };
        assert_eq!(block_on(store.head(&name)).unwrap().len, len as u64);
        assert_eq!(read(block_on(store.get(&name)).unwrap()), bytes, "{len}");
        assert_eq!(block_on(store.put(&name, Upload::bytes(vec![1]))).unwrap(), Put::AlreadyThere);
        if len > 10 {
            let range = len as u64 - 10..len as u64 - 3;
            let part = block_on(store.get_range(&name, range, Some(&meta.etag))).unwrap();
            assert_eq!(read(part), bytes[len - 10..len - 3]);
        }
        let beyond = block_on(store.get_range(&name, 0..len as u64 + 1, None));
        assert!(matches!(beyond, Err(StoreError::Range { .. })), "{beyond:?}");
        let other = waxwing_store::ETag::parse("\"0000\"").unwrap();
        let changed = block_on(store.get_range(&name, 0..1, Some(&other)));
        assert!(matches!(changed, Err(StoreError::Changed { .. })), "{changed:?}");
        block_on(store.delete(&name)).unwrap();
        block_on(store.delete(&name)).unwrap();
        assert!(matches!(block_on(store.get(&name)), Err(StoreError::NotFound { .. })));
    }
}

/// Half an hour without waiting for it: the URL is signed for another time.
#[test]
fn a_url_is_good_for_thirty_minutes_and_for_one_object() {
    let Some(s3) = server::seaweedfs() else { return };
    let store = store(&s3.url());
    let name = ObjectName::random().unwrap();
    let _ = block_on(store.put(&name, Upload::bytes(vec![7; 100]))).unwrap();
    let signed = |minutes: u64| {
        let then = SystemTime::now() - Duration::from_secs(60 * minutes);
        block_on(store.presign_get(&name, TTL, then)).unwrap()
    };
    assert_eq!([0, 29, 31].map(|minutes| status(&signed(minutes))), [200, 200, 403]);
    let url = signed(31).expose().to_owned();
    let stretched = url.replace("X-Amz-Expires=1800", "X-Amz-Expires=604800");
    assert_ne!(stretched, url);
    assert_eq!(status(&PresignedUrl::new(stretched)), 403);
    let url = signed(0).expose().to_owned();
    let other = url.replace(&name.to_string(), &ObjectName::random().unwrap().to_string());
    assert_ne!(other, url);
    assert_eq!(status(&PresignedUrl::new(other)), 403);
    for ttl in [Duration::ZERO, Duration::from_secs(8 * 86400)] {
        let refused = block_on(store.presign_get(&name, ttl, SystemTime::now()));
        assert!(matches!(refused, Err(StoreError::Presign(_))), "{refused:?}");
    }
}

/// Every write to the bucket of outputs is a version from now on.
fn keep_versions(client: &aws_sdk_s3::Client) {
    let status = aws_sdk_s3::types::BucketVersioningStatus::Enabled;
    let versioning = aws_sdk_s3::types::VersioningConfiguration::builder().status(status).build();
    let call = client.put_bucket_versioning().bucket(S3_OUTPUT_BUCKET).versioning_configuration(versioning);
    runtime().block_on(call.send()).unwrap();
}

/// How often an output was written.
fn versions(client: &aws_sdk_s3::Client, name: &str) -> usize {
    let call = client.list_object_versions().bucket(S3_OUTPUT_BUCKET).prefix(format!("below/{name}"));
    runtime().block_on(call.send()).unwrap().versions().len()
}

fn sdk(url: &str) -> aws_sdk_s3::Client {
    let credentials = aws_sdk_s3::config::Credentials::new(S3_ACCESS_KEY, S3_SECRET_KEY, None, None, "tests");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version_latest()
        .endpoint_url(url)
        .region(aws_sdk_s3::config::Region::new("us-east-1"))
        .credentials_provider(credentials)
        .force_path_style(true);
    aws_sdk_s3::Client::from_conf(config.build())
}

#[test]
fn outputs_appear_once_however_many_publish() {
    let Some(s3) = server::seaweedfs() else { return };
    let outputs = outputs(&s3.url());
    outputs.check().unwrap();
    outputs.check().unwrap();
    let client = sdk(&s3.url());
    keep_versions(&client);
    for len in [10, PART_LEN + 5] {
        let (name, bytes, start) = (format!("o{len}.csv"), payload(len), Barrier::new(8));
        let published: Vec<Published> = std::thread::scope(|scope| {
            let publishers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        publish(&outputs, &name, &bytes).unwrap()
                    })
                })
                .collect();
            publishers.into_iter().map(|publisher| publisher.join().unwrap()).collect()
        });
        let count = |kind| published.iter().filter(|found| **found == kind).count();
        let (now, before) = (count(Published::Now), count(Published::Before));
        assert_eq!(now + before, 8, "{published:?}");
        // One, but that SeaweedFS was seen to complete two uploads of one name when a machine had too much to do, and
        // to tell one of the two that it had failed.
        let made = versions(&client, &name);
        assert!(made == 1 || made == 2 && len > PART_LEN, "{made} of {len}");
        assert!(now >= 1 && now <= made, "{now} of {made} versions of {len}");
        assert_eq!(publish(&outputs, &name, b"something else").unwrap(), Published::NameTaken);
    }
}

#[test]
fn attack_28_what_is_dropped_is_nowhere() {
    let Some(s3) = server::seaweedfs() else { return };
    let outputs = outputs(&s3.url());
    for len in [10, 2 * PART_LEN + 5] {
        let mut staged = outputs.stage("gone.csv").unwrap();
        staged.write_all(&payload(len)).unwrap();
        drop(staged);
    }
    assert_eq!(publish(&outputs, "gone.csv", b"x").unwrap(), Published::Now, "the name is free");
    for name in ["../x", "/x", "a//b", "x\n"] {
        assert!(outputs.stage(name).is_err(), "{name}");
    }
}

/// Whatever the connection does, what is there in the end is whole and ours.
#[test]
fn a_bad_connection_is_survived() {
    let Some(s3) = server::seaweedfs() else { return };
    let faults = Faults {
        seed: 11,
        // The SDK has a quota for repeated calls; with many more faults it gives up, as it should.
        percent: 12,
        kinds: vec![Fault::InternalError, Fault::Unavailable, Fault::ResetBefore, Fault::Delay],
        stall: Duration::from_secs(1),
    };
    let proxy = Proxy::start(s3.address(), faults);
    let through = |url: &str| {
        let mut s3 = options(url, S3_OUTPUT_BUCKET);
        s3.aws.retries_max = 8;
        let content_type = "text/csv".to_owned();
        S3Outputs::new(S3OutputOptions { s3, content_type, encryption: Encryption::Aes256 }).unwrap()
    };
    let outputs = through(&proxy.url());
    for n in 0..10 {
        let bytes = payload(1000 + n * PART_LEN / 3);
        assert_eq!(publish(&outputs, &format!("f{n}.csv"), &bytes).unwrap(), Published::Now, "{n}");
        assert_eq!(publish(&through(&s3.url()), &format!("f{n}.csv"), &bytes).unwrap(), Published::Before);
    }
    assert!(!proxy.done(Fault::ResetBefore).is_empty());
}

/// The roles of `deploy/aws` may not list a bucket, and to those S3 says 403 of what is not there.
#[test]
fn all_is_done_without_the_right_to_list() {
    let Some(s3) = server::seaweedfs() else { return };
    let calm = Faults { seed: 0, percent: 0, kinds: Vec::new(), stall: Duration::ZERO };
    let proxy = Proxy::without_listing(s3.address(), calm);
    let (store, outputs) = (store(&proxy.url()), outputs(&proxy.url()));
    outputs.check().unwrap();
    outputs.check().unwrap();
    for len in [10, PART_LEN + 5] {
        let (name, bytes) = (ObjectName::random().unwrap(), payload(len));
        let put = || block_on(store.put(&name, Upload::bytes(bytes.clone()))).unwrap();
        assert!(matches!(put(), Put::Stored(_)));
        assert_eq!(put(), Put::AlreadyThere);
        assert_eq!(read(block_on(store.get(&name)).unwrap()), bytes);
        block_on(store.delete(&name)).unwrap();
        block_on(store.delete(&name)).unwrap();
        let name = format!("w{len}.csv");
        assert_eq!(publish(&outputs, &name, &bytes).unwrap(), Published::Now);
        assert_eq!(publish(&outputs, &name, &bytes).unwrap(), Published::Before);
        assert_eq!(publish(&outputs, &name, b"something else").unwrap(), Published::NameTaken);
    }
    // Whoever looks for what is gone is not told that their rights must be wrong.
    let gone = block_on(store.head(&ObjectName::random().unwrap())).unwrap_err();
    let said = printed(&gone);
    assert!(said.contains("403") && said.contains("or the object is not there"), "{said}");
}

/// What a store answers to a method for the n-th time: status and body.
type Answers = fn(&str, usize) -> (u16, &'static str);

/// The address of a store that answers so, as long as the test lives.
fn scripted(answers: Answers) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut asked = HashMap::<String, usize>::new();
        for client in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(client.try_clone().unwrap());
            let (mut method, mut len) = (String::new(), 0);
            for line in reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
                if method.is_empty() {
                    method = line.split(' ').next().unwrap().to_owned();
                }
                if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                    len = value.parse().unwrap();
                }
            }
            std::io::copy(&mut reader.take(len), &mut std::io::sink()).unwrap();
            let times = asked.entry(method.clone()).or_default();
            *times += 1;
            let (status, body) = answers(&method, *times);
            let head = "etag: \"00\"\r\nx-amz-server-side-encryption: AES256\r\nconnection: close";
            let len = body.len();
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {len}\r\n{head}\r\n\r\n{body}");
            (&client).write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

fn publish_at(answers: Answers, bytes: &[u8]) -> std::io::Result<Published> {
    let mut s3 = options(&scripted(answers), S3_OUTPUT_BUCKET);
    s3.aws.retries_max = 0;
    let content_type = "text/csv".to_owned();
    let outputs = S3Outputs::new(S3OutputOptions { s3, content_type, encryption: Encryption::Aes256 });
    publish(&outputs.unwrap(), "out.csv", bytes)
}

/// Without the right to list a put that failed cannot be told from one that was not made. It is told as it failed then, and
/// made again where that helps.
#[test]
fn a_put_that_cannot_be_looked_after_is_told_as_it_failed() {
    const BUSY: &str = "<Error><Code>ConditionalRequestConflict</Code><Message>busy</Message></Error>";
    const TAKEN: &str = "<Error><Code>PreconditionFailed</Code><Message>taken</Message></Error>";
    let busy_at_first: Answers = |method, times| match (method, times) {
        ("PUT", 1 | 2) => (409, BUSY),
        ("PUT", _) => (200, ""),
        _ => (403, ""),
    };
    assert_eq!(publish_at(busy_at_first, b"x").unwrap(), Published::Now);

    let kind = |answers: Answers, bytes: &[u8]| {
        let failed = publish_at(answers, bytes).unwrap_err();
        (failed.kind(), failed.to_string())
    };
    let down: Answers = |method, _| if method == "PUT" { (503, "") } else { (403, "") };
    let (found, said) = kind(down, b"x");
    assert_eq!(found, ErrorKind::ConnectionAborted, "{said}");
    // In parts: begun by POST, sent by PUT, completed by POST, given up by DELETE.
    let busy_at_last: Answers = |method, times| match (method, times) {
        ("POST", 1) => {
            (200, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
        }
        ("POST", _) => (409, BUSY),
        ("PUT", _) => (200, ""),
        ("DELETE", _) => (204, ""),
        _ => (403, ""),
    };
    let (found, said) = kind(busy_at_last, &payload(PART_LEN + 1));
    assert_eq!(found, ErrorKind::ConnectionAborted, "{said}");
    // An object that is there may be looked at by whoever may read it: here the rights are wrong, and that is told.
    let unreadable: Answers = |method, _| if method == "PUT" { (412, TAKEN) } else { (403, "") };
    let (found, said) = kind(unreadable, b"x");
    assert_eq!(found, ErrorKind::PermissionDenied, "{said}");
}
