//! What connectors promise, on a real S3 store.

use std::io::{Read as _, Write as _};

use waxwing_store::remote::{
    Fault, Location, NewFile, RemoteFile, RemoteOptions, RemoteWriter, S3Credentials,
};
use waxwing_testkit::payload;
use waxwing_testkit::server::{self, S3_ACCESS_KEY, S3_BUCKET, S3_SECRET_KEY, Server};

fn options(server: &Server) -> RemoteOptions {
    RemoteOptions {
        s3_endpoint: Some(server.url()),
        s3_credentials: S3Credentials::Key {
            id: S3_ACCESS_KEY.to_owned(),
            secret: S3_SECRET_KEY.to_owned().into(),
            session_token: None,
        },
        ..RemoteOptions::default()
    }
}

fn location(key: &str) -> Location {
    Location::parse(&format!("s3://{S3_BUCKET}/{key}")).unwrap().unwrap()
}

fn put(location: &Location, options: &RemoteOptions, bytes: &[u8]) {
    let new = NewFile { replace: true, ..NewFile::default() };
    let mut writer = RemoteWriter::create(location, options, new).unwrap();
    writer.write_all(bytes).unwrap();
    writer.publish().unwrap();
}

fn read(location: &Location, options: &RemoteOptions) -> Vec<u8> {
    let mut bytes = Vec::new();
    RemoteFile::open(location, options).unwrap().into_reader().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_file_is_one_version_of_it() {
    let Some(server) = server::seaweedfs() else { return };
    let (options, object) = (options(&server), location("a"));
    put(&object, &options, &payload(8 << 20));
    let file = RemoteFile::open(&object, &options).unwrap();
    let mut piece = [0; 10];
    file.read_exact_at(&mut piece, 5_000_000).unwrap();
    assert_eq!(piece, payload(8 << 20)[5_000_000..5_000_010]);
    let behind = file.read_exact_at(&mut piece, (8 << 20) - 9).unwrap_err();
    assert_eq!(behind.kind(), std::io::ErrorKind::UnexpectedEof);

    put(&object, &options, &vec![7; 8 << 20]);
    let changed = file.read_exact_at(&mut piece, 5_000_000).unwrap_err().to_string();
    assert_eq!(changed, format!("`s3://{S3_BUCKET}/a`: it changed while it was read"));
    let err = file.replace_front(10, vec![1, 2, 3]).unwrap_err();
    assert_eq!(err.fault(), &Fault::Changed);
    assert!(read(&object, &options) == vec![7; 8 << 20]);
}

#[test]
fn a_front_is_replaced_by_a_longer_or_a_shorter_one() {
    let Some(server) = server::seaweedfs() else { return };
    let (options, object) = (options(&server), location("a"));
    for len in [10, 1000, 5 << 20, (12 << 20) + 1] {
        for front in [0, 3, 5000] {
            put(&object, &options, &payload(len));
            let file = RemoteFile::open(&object, &options).unwrap();
            file.replace_front(10, vec![9; front]).unwrap();
            let expected = [vec![9; front], payload(len)[10..].to_vec()].concat();
            assert!(read(&object, &options) == expected, "{len} {front}");
        }
    }
}

#[test]
fn attack_28_what_is_dropped_leaves_nothing_and_what_exists_stays() {
    let Some(server) = server::seaweedfs() else { return };
    let (options, object) = (options(&server), location("a"));
    let mut dropped = RemoteWriter::create(&object, &options, NewFile::default()).unwrap();
    dropped.write_all(&payload(30 << 20)).unwrap();
    drop(dropped);
    assert_eq!(RemoteFile::open(&object, &options).unwrap_err().fault(), &Fault::NotFound);

    // Both find nothing; the first to publish wins.
    for len in [100, 20 << 20] {
        let object = location(&len.to_string());
        let mut writers =
            [0, 1].map(|_| RemoteWriter::create(&object, &options, NewFile::default()).unwrap());
        for (index, writer) in writers.iter_mut().enumerate() {
            writer.write_all(&vec![index as u8; len]).unwrap();
        }
        let [first, second] = writers;
        first.publish().unwrap();
        assert_eq!(second.publish().unwrap_err().fault(), &Fault::Exists);
        assert!(read(&object, &options) == vec![0; len]);
        let exists = RemoteWriter::create(&object, &options, NewFile::default()).unwrap_err();
        assert_eq!(exists.fault(), &Fault::Exists);
    }
}
