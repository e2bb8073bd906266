//! What keys cost: a passphrase, and files sealed and opened with AWS KMS, with and without a cache of DEKs.
//!
//! `cargo bench -p waxwing-engine --features aws-kms --bench keys`. The KMS is moto's (`WAXWING_PEER_SERVERS`), on the same
//! cores: what is measured is our side, the loopback and moto, none of which is AWS.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use waxwing_core::SystemRandom;
use waxwing_core::envelope::{LockedHeader, SealOptions};
use waxwing_engine::{Existing, HeaderPlace, Input, Output, Work, open, seal};
use waxwing_formats::envelope::{Context, PassphraseCost};
use waxwing_keyring::{
    AwsCredentials, AwsCredentialsProvider, AwsKms, AwsKmsOptions, CacheLimits, Cached, Keyring, Passphrase,
};
use waxwing_testkit::{payload, server};

/// Bytes of each file.
const LEN: usize = 4096;

/// From file to file: a cache counts bytes, so it must know how many there will be.
fn seal_one(file: &Path, to: &Path, recipients: &Keyring) {
    let output = Output::File { path: to.to_owned(), existing: Existing::Replace };
    let (input, options) = (Input::open(file).unwrap(), SealOptions::default());
    seal(input, output, HeaderPlace::Attached, recipients, options, &SystemRandom, &Work::default()).unwrap();
}

fn open_one(sealed: &Path, to: &Path, keys: &Keyring) {
    let output = Output::File { path: to.to_owned(), existing: Existing::Replace };
    let input = Input::open(sealed).unwrap();
    open(input, None, output, keys, &Context::default(), &Work::default()).unwrap();
}

fn passphrases(criterion: &mut Criterion) {
    let mut ring = Keyring::default();
    ring.push(Passphrase::new(b"correct horse", PassphraseCost::DEFAULT, Arc::new(SystemRandom)).unwrap());
    let drafted = pollster::block_on(ring.draft(SealOptions::default(), None, &SystemRandom));
    let (draft, recipients) = drafted.unwrap();
    let header = LockedHeader::decode(&draft.seal_header(&recipients).unwrap().0).unwrap();
    let mut group = criterion.benchmark_group("passphrase");
    group.sample_size(20);
    group.bench_function("Argon2id, 64 MiB, 3 passes, 4 lanes", |bencher| {
        bencher.iter(|| black_box(pollster::block_on(ring.unlock(&header)).unwrap()))
    });
    group.finish();
}

fn kms(criterion: &mut Criterion) {
    let Some(moto) = server::moto() else { return };
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    std::fs::write(&plain, payload(LEN)).unwrap();
    let credentials = AwsCredentials::new("test", "test", None, None, "bench");
    let options = AwsKmsOptions {
        endpoint: Some(moto.url()),
        region: Some("us-east-1".into()),
        credentials: Some(AwsCredentialsProvider::new(credentials)),
        ..AwsKmsOptions::default()
    };
    let arn = create_key(&moto);
    let key = || AwsKms::new(&arn, options.clone()).unwrap();
    let started = Instant::now();
    let limits = CacheLimits {
        age_max: Duration::from_secs(3600),
        messages_max: 100,
        bytes_max: 1 << 30,
        entries_max: 10_000,
    };
    let cached = || Cached::new(key(), limits, Arc::new(move || started.elapsed()));
    let mut group = criterion.benchmark_group("AWS KMS (moto), files of 4 KiB");
    group.throughput(Throughput::Elements(1));
    for (name, ring) in [
        ("without a cache", Keyring::new([Arc::new(key()) as _])),
        ("100 files to a DEK", Keyring::new([Arc::new(cached()) as _])),
    ] {
        let out = dir.path().join("out");
        group.bench_function(format!("seal, {name}"), |bencher| {
            bencher.iter(|| seal_one(&plain, &out, &ring));
        });
        let sealed: Vec<_> = (0..100).map(|n| dir.path().join(format!("{n}.wax"))).collect();
        sealed.iter().for_each(|path| seal_one(&plain, path, &ring));
        let mut next = sealed.iter().cycle();
        group.bench_function(format!("open, {name}"), |bencher| {
            bencher.iter(|| open_one(next.next().unwrap(), &out, &ring));
        });
    }
    group.finish();
}

fn create_key(moto: &server::Server) -> String {
    let headers = [
        ("x-amz-target", "TrentService.CreateKey"),
        ("content-type", "application/x-amz-json-1.1"),
        // moto looks for the service in it, and checks nothing.
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=0",
        ),
    ];
    let (status, answer) = moto.request("POST", "/", &headers, "{}");
    assert_eq!(status, 200, "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    answer["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
}

criterion_group!(benches, passphrases, kms);
criterion_main!(benches);
