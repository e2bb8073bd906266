//! A server that answers each connection as a script says, and remembers what it was asked.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use waxwing_store::{
    Downloader, UrlPolicy,
    download::{DownloadLimits, Reach},
};

/// What a [`Peer`] does with one connection, after it read the request's head.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Sends this and hangs up.
    Send(Vec<u8>),
    /// Sends this, then nothing, and stays connected.
    Stall(Vec<u8>),
    /// Sends this, then one byte every few milliseconds, for ever.
    Drip(Vec<u8>),
    /// Sends this, then as much as is taken, for ever.
    Flood(Vec<u8>),
}

/// `status line + headers + blank line + body`; `headers` end in `\r\n` each.
pub(crate) fn answer(status: &str, headers: &str, body: &[u8]) -> Answer {
    let mut bytes = format!("HTTP/1.1 {status}\r\n{headers}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    Answer::Send(bytes)
}

pub(crate) struct Peer {
    pub(crate) addr: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    /// Answers the n-th connection with the n-th answer; later ones with the last.
    pub(crate) async fn start(script: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            let mut script = script.into_iter().peekable();
            loop {
                let Ok((socket, _)) = listener.accept().await else { return };
                let answer = script.peek().cloned();
                if script.len() > 1 {
                    script.next();
                }
                tokio::spawn(serve(socket, answer, Arc::clone(&seen)));
            }
        });
        Self { addr, requests }
    }

    /// One that must not be reached: see [`Peer::requests`].
    pub(crate) async fn canary() -> Self {
        Self::start(vec![answer("200 OK", "Content-Length: 6\r\n", b"canary")]).await
    }

    pub(crate) fn url(&self, path_and_query: &str) -> String {
        format!("http://{}{path_and_query}", self.addr)
    }

    /// Request heads so far, one for each connection; empty for one that sent none.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(mut socket: TcpStream, answer: Option<Answer>, seen: Arc<Mutex<Vec<String>>>) {
    let slot = {
        let mut seen = seen.lock().unwrap();
        seen.push(String::new());
        seen.len() - 1
    };
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    seen.lock().unwrap()[slot] = String::from_utf8(head).unwrap();
    let Some(answer) = answer else { return };
    let (Answer::Send(bytes) | Answer::Stall(bytes) | Answer::Drip(bytes) | Answer::Flood(bytes)) = &answer;
    let _ = socket.write_all(bytes).await;
    let (piece, pause): (&[u8], _) = match answer {
        Answer::Send(_) => {
            let _ = socket.shutdown().await;
            return;
        }
        Answer::Stall(_) => (&[], Duration::from_millis(5)),
        Answer::Drip(_) => (b".", Duration::from_millis(5)),
        Answer::Flood(_) => (&[b'.'; 65536], Duration::ZERO),
    };
    while socket.write_all(piece).await.is_ok() {
        tokio::time::sleep(pause).await;
    }
}

/// Patient enough for a busy machine, quick enough for tests.
pub(crate) fn limits() -> DownloadLimits {
    DownloadLimits {
        bytes_max: 1 << 20,
        connect: Duration::from_secs(5),
        stall: Duration::from_secs(5),
        total: Duration::from_secs(30),
        attempts_max: 4,
        backoff_first: Duration::from_millis(1),
        backoff_max: Duration::from_millis(4),
    }
}

/// A downloader that may reach `peer` and nothing else.
pub(crate) fn downloader(peer: &Peer, limits: DownloadLimits) -> Downloader {
    let policy = UrlPolicy::default().allow(&peer.url("/"), Reach::Loopback).unwrap();
    Downloader::new(policy, limits).unwrap()
}
