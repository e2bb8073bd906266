//! A hub on a free port, and a client that sends exactly the bytes it is told.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use waxwing_hub::{Hub, HubLimits, serve};
use waxwing_store::{
    DirStore, Durability, ObjectMeta, ObjectName, ObjectStore, Put, SignedMethod, SigningKey, Upload,
    UrlSigner,
};

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) store: DirStore,
    pub(crate) dir: tempfile::TempDir,
    signer: UrlSigner,
    /// Seconds since 1970 by the server's clock.
    now: Arc<AtomicU64>,
    shutdown: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with_limits(HubLimits::default()).await
    }

    pub(crate) async fn with_limits(limits: HubLimits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = DirStore::open(dir.path(), Durability::Cached).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let key = Arc::new(SigningKey::from_bytes([7; 32]));
        let signer = UrlSigner::new(&format!("http://{addr}"), Arc::clone(&key)).unwrap();
        let now = Arc::new(AtomicU64::new(1_000_000));
        let clock = {
            let now = Arc::clone(&now);
            Arc::new(move || at(now.load(Ordering::SeqCst)))
        };
        let (shutdown, stopped) = oneshot::channel();
        let hub = Hub::new(Arc::new(store.clone()), key, clock).with_limits(limits);
        let served = tokio::spawn(serve(listener, hub, async {
            let _ = stopped.await;
        }));
        Self { addr, store, dir, signer, now, shutdown: Some(shutdown), served }
    }

    pub(crate) fn advance(&self, secs: u64) {
        self.now.fetch_add(secs, Ordering::SeqCst);
    }

    pub(crate) async fn put(&self, name: &ObjectName, content: &[u8]) -> ObjectMeta {
        match self.store.put(name, Upload::bytes(content.to_vec())).await.unwrap() {
            Put::Stored(meta) => meta,
            Put::AlreadyThere => panic!("{name} is taken"),
        }
    }

    /// A URL for `method`, valid for 1800 s from now.
    pub(crate) fn url(&self, method: SignedMethod, name: &ObjectName) -> String {
        let now = at(self.now.load(Ordering::SeqCst));
        self.signer.presign(method, name, UrlSigner::TTL_DEFAULT, now).unwrap().expose().to_owned()
    }

    /// Path and query of [`Server::url`].
    pub(crate) fn target(&self, method: SignedMethod, name: &ObjectName) -> String {
        self.url(method, name).strip_prefix(&format!("http://{}", self.addr)).unwrap().to_owned()
    }

    /// Sends one request; `headers` end in `\r\n` each.
    pub(crate) async fn ask(&self, method: &str, target: &str, headers: &str) -> Answer {
        let mut socket = self
            .send(&format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"))
            .await;
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await.unwrap();
        Answer::parse(&bytes)
    }

    pub(crate) async fn send(&self, head: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.addr).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        socket
    }

    pub(crate) fn begin_shutdown(&mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
    }

    pub(crate) async fn served(self) {
        tokio::time::timeout(Duration::from_secs(10), self.served).await.expect("the server ends").unwrap();
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        Self { status: head[9..12].parse().unwrap(), head, body: bytes[end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Everything but what differs between any two answers.
    pub(crate) fn without_ids(&self) -> String {
        let id = self.header("x-request-id").unwrap_or("no id");
        let kept: Vec<_> = self.head.lines().filter(|line| !line.starts_with("date: ")).collect();
        format!("{}\n{}", kept.join("\n"), String::from_utf8_lossy(&self.body)).replace(id, "ID")
    }
}

pub(crate) fn name(n: u8) -> ObjectName {
    ObjectName::from_random([n; 12])
}

pub(crate) fn at(secs: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(secs)
}
