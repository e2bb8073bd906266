//! The servers start, answer on the port they were given, and are gone when dropped.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use waxwing_testkit::server::{self, Server};

#[test]
fn openbao_answers_and_ends() {
    check(server::openbao(), "GET /v1/sys/health HTTP/1.0", "HTTP/1.0 200");
}

#[test]
fn moto_answers_and_ends() {
    check(server::moto(), "GET /moto-api/data.json HTTP/1.0", "HTTP/1.1 200");
}

#[test]
fn seaweedfs_answers_and_ends() {
    check(server::seaweedfs(), "GET /inbox HTTP/1.0", "HTTP/1.0 403");
}

#[test]
fn rclone_s3_answers_and_ends() {
    check(server::rclone_s3(), "GET /inbox HTTP/1.0", "HTTP/1.0 4"); // who is not known is refused, in one way or another
}

#[test]
fn localstack_answers_and_ends() {
    check(server::localstack("kms"), "GET /_localstack/health HTTP/1.0", "HTTP/1.0 200");
}

fn check(server: Option<Server>, request: &str, expected: &str) {
    let Some(mut server) = server else { return };
    for _ in 0..2 {
        let answer = ask(&server, request);
        assert!(answer.starts_with(expected), "{answer}\n{}", server.log());
        server.restart();
    }
    let (address, dir) = (server.address(), server.dir().to_owned());
    drop(server);
    assert!(TcpStream::connect(address).is_err(), "it still listens");
    assert!(!dir.exists());
}

fn ask(server: &Server, request: &str) -> String {
    let mut connection = TcpStream::connect(server.address()).unwrap();
    write!(connection, "{request}\r\nHost: {}\r\n\r\n", server.address()).unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
