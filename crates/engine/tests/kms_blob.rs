//! `kms-blob` with AWS KMS: both ways with a Node.js service, against moto, and exact errors for what is too short.
#![cfg(feature = "aws-kms")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use waxwing_core::SystemRandom;
use waxwing_core::content::Legacy;
use waxwing_engine::{
    Error, Input, MessageError, Output, PartOutputs, Parts, ProfileKeys, SealKeys, Work, open_message,
    seal_message,
};
use waxwing_keyring::{
    AwsCredentials, AwsCredentialsProvider, AwsKms, AwsKmsOptions, ServiceError, UnlockError, WrapError,
};
use waxwing_profiles::{Profile, preset};
use waxwing_testkit::server::{self, Server};
use waxwing_testkit::streams::SharedSink;
use waxwing_testkit::{payload, peers};

/// Where a blob's IV begins is where its wrapped key ends.
const LENGTH_LEN: usize = 2;
const IV_LEN: usize = 12;
const TAG_LEN: usize = 16;

#[test]
fn node_opens_what_we_seal_and_we_what_node_seals() {
    let Some(node) = Node::start() else { return };
    let arn = String::from_utf8(node.run(&["create"], b"")).unwrap();
    let kms = node.kms(&arn);
    for len in [0, 1, 15, 16, 17, 65_536, 3_000_001] {
        let plaintext = payload(len);
        let ours = seal(&kms, &plaintext).unwrap();
        let wrapped_len = usize::from(u16::from_be_bytes([ours[0], ours[1]]));
        assert_eq!(ours.len(), LENGTH_LEN + wrapped_len + IV_LEN + len + TAG_LEN);
        assert!(node.run(&["open", &arn], &ours) == plaintext, "Node at {len}");
        let theirs = node.run(&["seal", &arn], &plaintext);
        assert!(open(&kms, &theirs).unwrap() == plaintext, "we at {len}");
    }
}

#[test]
fn a_blob_is_refused_exactly_before_the_service_is_asked_and_uniformly_afterwards() {
    let Some(mut node) = Node::start() else { return };
    let arn = String::from_utf8(node.run(&["create"], b"")).unwrap();
    let other = String::from_utf8(node.run(&["create"], b"")).unwrap();
    let kms = node.kms(&arn);
    let blob = seal(&kms, b"").unwrap();
    let flipped = |at: usize| {
        let mut blob = blob.clone();
        blob[at] ^= 1;
        blob
    };
    for at in [blob.len() - 1, blob.len() - TAG_LEN - 1, blob.len() - TAG_LEN - IV_LEN - 1] {
        let refused = open(&kms, &flipped(at)).unwrap_err();
        assert!(matches!(refused, Error::Open(_)), "{at}: {refused:?}");
    }
    // The server would decrypt it: the blob is another of its keys'.
    assert!(open(&node.kms(&other), &blob).is_err());
    assert_eq!(open(&kms, &blob).unwrap(), b"");
    node.moto.kill();
    let wrapped_len = blob.len() - LENGTH_LEN - IV_LEN - TAG_LEN;
    let mut zero = blob.clone();
    zero[..LENGTH_LEN].fill(0);
    let mut long = blob.clone();
    long[..LENGTH_LEN].fill(0xff);
    for (short, said) in [
        (&blob[..0], "`whole` is 0 bytes long, too short for `tag`"),
        (&blob[..1], "`whole` is 1 bytes long, too short for `tag`"),
        (&zero[..], "`wrapped` says that it is 0 bytes long"),
        (&long[..], "`wrapped` says that it is 65535 bytes long, and 108 are there"),
        (&blob[..LENGTH_LEN + wrapped_len - 1], "`wrapped` says that it is 96 bytes long, and 79 are there"),
        (&blob[..blob.len() - 1], "`whole` is 125 bytes long, too short for `iv`"),
    ] {
        let refused = open(&kms, short).unwrap_err();
        assert!(matches!(refused, Error::Message(_)), "{} bytes: {refused:?}", short.len());
        assert!(refused.to_string().contains(said), "{} bytes: {refused}", short.len());
    }
    // Whole again: now the service is asked, and is gone.
    match open(&kms, &blob) {
        Err(Error::Unlock(UnlockError::Unavailable(keys))) => {
            assert!(matches!(keys.0[0].source, ServiceError::Unreachable(_)), "{keys}");
        }
        other => panic!("{other:?}"),
    }
    match seal(&kms, b"") {
        Err(Error::Wrap(WrapError::Service { source: ServiceError::Unreachable(_), .. })) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_service_nothing_is_written() {
    let outputs = PartOutputs::from([("body".to_owned(), Output::Stream(Box::new(SharedSink::default())))]);
    let input = Input::Stream(Box::new(&b"secret"[..]));
    let keys = SealKeys::default();
    let refused =
        seal_message(profile(), input, outputs, &keys, &SystemRandom, Legacy::Refused, &Work::default());
    assert!(matches!(refused, Err(Error::Message(MessageError::NoKey { .. }))), "{refused:?}");
}

/// moto, and the Node.js program beside it.
struct Node {
    moto: Server,
    node: PathBuf,
    packages: PathBuf,
}

impl Node {
    fn start() -> Option<Self> {
        Some(Self { node: peers::node()?, packages: peers::node_aws()?, moto: server::moto()? })
    }

    fn kms(&self, arn: &str) -> AwsKms {
        let credentials = AwsCredentials::new("test", "test", None, None, "tests");
        let options = AwsKmsOptions {
            endpoint: Some(self.moto.url()),
            credentials: Some(AwsCredentialsProvider::new(credentials)),
            retries_max: 0,
            ..AwsKmsOptions::default()
        };
        AwsKms::new(arn, options).unwrap()
    }

    fn run(&self, command: &[&str], input: &[u8]) -> Vec<u8> {
        let (name, rest) = command.split_first().unwrap();
        // A file: a pipe would have to be fed while its other end is read.
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(input).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let ran = Command::new(&self.node)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kms_blob.mjs"))
            .args([name, &self.moto.url().as_str()])
            .args(rest)
            .env("WAXWING_PEER_NODE_AWS", &self.packages)
            .stdin(Stdio::from(file))
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        ran.stdout
    }
}

fn profile() -> &'static Profile {
    &preset("kms-blob").unwrap().profile
}

fn seal(kms: &AwsKms, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
    let sink = SharedSink::default();
    let outputs = PartOutputs::from([("body".to_owned(), Output::Stream(Box::new(sink.clone())))]);
    let keys = SealKeys { service: Some(kms), ..SealKeys::default() };
    let input = Input::Stream(Box::new(std::io::Cursor::new(plaintext.to_vec())));
    seal_message(profile(), input, outputs, &keys, &SystemRandom, Legacy::Refused, &Work::default())?;
    Ok(sink.take())
}

fn open(kms: &AwsKms, blob: &[u8]) -> Result<Vec<u8>, Error> {
    let sink = SharedSink::default();
    let mut parts = Parts::default();
    parts.insert("body", Input::Stream(Box::new(std::io::Cursor::new(blob.to_vec()))));
    let keys = ProfileKeys { service: Some(Box::new(kms.clone())), ..ProfileKeys::default() };
    let output = Output::Stream(Box::new(sink.clone()));
    open_message(profile(), parts, output, &keys, Legacy::Refused, &Work::default())?;
    Ok(sink.take())
}
