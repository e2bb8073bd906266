//! What strangers can take from the server, how it ends, and what its log says.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use support::{Answer, Server, name};
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};
use tracing::instrument::WithSubscriber as _;
use waxwing_hub::HubLimits;
use waxwing_store::SignedMethod;

mod support;

const LARGE_LEN: usize = 32 << 20;

fn quick() -> HubLimits {
    HubLimits { head: Duration::from_millis(200), stall: Duration::from_millis(300), ..HubLimits::default() }
}

/// Reads until the server closes; fails if it does not.
async fn until_closed(socket: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read =
        timeout(Duration::from_secs(10), socket.read_to_end(&mut bytes)).await.expect("the server closes");
    if let Err(error) = read {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    bytes
}

#[tokio::test]
async fn a_head_that_does_not_arrive_ends_the_connection() {
    let server = Server::with_limits(quick()).await;
    for head in ["", "GET /healthz HTTP/1.1\r\nHost: x\r\nX: "] {
        let answer = until_closed(&mut server.send(head).await).await;
        assert!(answer.is_empty() || Answer::parse(&answer).status == 408);
    }
    // Kept alive, but not for ever.
    let answer = until_closed(&mut server.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await).await;
    assert_eq!(Answer::parse(&answer).status, 200);
}

#[tokio::test]
async fn a_long_head_is_refused() {
    let server = Server::start().await;
    let limit = HubLimits::default().head_len_max;
    let with_header = |len| format!("X: {}\r\n", "x".repeat(len));
    assert_eq!(server.ask("GET", "/healthz", &with_header(limit / 2)).await.status, 200);
    assert_eq!(server.ask("GET", "/healthz", &with_header(limit)).await.status, 431);
}

#[tokio::test]
async fn a_peer_that_stops_reading_is_dropped() {
    let server = Server::with_limits(quick()).await;
    server.put(&name(1), &vec![7; LARGE_LEN]).await;
    let target = server.target(SignedMethod::Get, &name(1));
    let mut socket = server.send(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let answer = until_closed(&mut socket).await;
    assert!(answer.len() < LARGE_LEN, "{} bytes: the answer was not cut", answer.len());
    assert_eq!(Answer::parse(&answer).header("content-length"), Some(LARGE_LEN.to_string().as_str()));
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let limits = HubLimits { connections_max: 2, head: Duration::from_secs(60), ..HubLimits::default() };
    let server = Server::with_limits(limits).await;
    let first = server.send("GET /heal").await;
    let _second = server.send("GET /heal").await;
    let mut third = server.send("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let early = timeout(Duration::from_millis(200), third.read_u8()).await;
    assert!(early.is_err(), "a third connection was served: {early:?}");
    drop(first);
    let answer = until_closed(&mut third).await;
    assert_eq!(Answer::parse(&answer).status, 200);
}

#[tokio::test]
async fn shutdown_lets_answers_end_and_accepts_no_more() {
    let mut server = Server::start().await;
    server.put(&name(1), &vec![7; LARGE_LEN]).await;
    let target = server.target(SignedMethod::Get, &name(1));
    let mut busy = server.send(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    let mut idle = server.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let first = busy.read_u8().await.unwrap();
    while idle.read_u8().await.unwrap() != b'k' {}

    server.begin_shutdown();
    until_closed(&mut idle).await;
    assert!(TcpStream::connect(server.addr).await.is_err(), "still listening");
    let mut answer = vec![first];
    answer.extend(until_closed(&mut busy).await);
    assert_eq!(Answer::parse(&answer).body.len(), LARGE_LEN);
    server.served().await;
}

#[tokio::test]
async fn shutdown_cuts_what_does_not_end() {
    let mut server =
        Server::with_limits(HubLimits { drain: Duration::from_millis(100), ..HubLimits::default() }).await;
    server.put(&name(1), &vec![7; LARGE_LEN]).await;
    let target = server.target(SignedMethod::Get, &name(1));
    let mut busy = server.send(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    busy.read_u8().await.unwrap();
    server.begin_shutdown();
    server.served().await;
    assert!(until_closed(&mut busy).await.len() < LARGE_LEN);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn attack_15_the_log_has_ids_names_and_sizes_but_no_query() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // One thread, whose subscriber this is: the server's tasks log here, too.
    let _guard = tracing::subscriber::set_default(subscriber);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (good, bad, signature) = runtime.block_on(
        async {
            let server = Server::start().await;
            server.put(&name(1), b"0123456789").await;
            let target = server.target(SignedMethod::Get, &name(1));
            let good = server.ask("GET", &target, "").await;
            let bad =
                server.ask("GET", &format!("{target}canary"), "Authorization: canary\r\nX: canary\r\n").await;
            server.ask("GET", &format!("/data/x?canary={target}"), "").await;
            server.ask("GET", "/data/c%61nary-\u{1b}[31m?canary", "").await;
            let signature = target.rsplit_once('=').unwrap().1.to_owned();
            (good, bad, signature)
        }
        .with_current_subscriber(),
    );

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let line_of = |answer: &Answer, word: &str| {
        let id = answer.header("x-request-id").unwrap();
        log.lines().find(|line| line.contains(id) && line.contains(word)).map(str::to_owned)
    };
    let line = line_of(&good, "answered").expect(&log);
    assert!(line.contains(name(1).as_str()) && line.contains("200") && line.contains("10"), "{line}");
    assert!(line_of(&bad, "refused").expect(&log).contains("the query is not that of a pre-signed URL"));
    for secret in [signature.as_str(), "canary", "expires="] {
        assert!(!log.contains(secret), "{secret}:\n{log}");
    }
}
