//! Downloads from servers that answer well, badly and with intent, over real sockets.

use std::{
    io::Read as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use waxwing_store::{
    Downloader, PresignedUrl, UrlPolicy,
    download::{DownloadError, DownloadLimits, Downloaded, Reach, Refusal, Spool},
};

use support::{Answer, Peer, answer, downloader, limits};

mod support;

/// Downloads into a fresh spool; returns what came of it and the content.
async fn fetch(downloader: &Downloader, url: &str) -> (Result<Downloaded, DownloadError>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(dir.path().to_owned()).unwrap();
    let result = downloader.download(&PresignedUrl::new(url), &mut spool).await;
    let mut content = Vec::new();
    spool.into_file().unwrap().read_to_end(&mut content).unwrap();
    (result, content)
}

async fn fetch_from(peer: &Peer) -> (Result<Downloaded, DownloadError>, Vec<u8>) {
    fetch(&downloader(peer, limits()), &peer.url("/data/x?signature=canary")).await
}

fn whole(etag: &str, declared: usize, sent: &[u8]) -> Answer {
    answer("200 OK", &format!("ETag: {etag}\r\nContent-Length: {declared}\r\n"), sent)
}

fn rest(etag: &str, range: &str, declared: usize, sent: &[u8]) -> Answer {
    let headers = format!("ETag: {etag}\r\nContent-Range: bytes {range}\r\nContent-Length: {declared}\r\n");
    answer("206 Partial Content", &headers, sent)
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn a_good_answer_is_the_file() {
    let peer = Peer::start(vec![whole("\"v1\"", 5, b"hello")]).await;
    let (result, content) = fetch_from(&peer).await;
    let downloaded = result.unwrap();
    assert_eq!((downloaded.len, downloaded.attempts, content.as_slice()), (5, 1, b"hello".as_slice()));
    assert_eq!(downloaded.etag.unwrap().as_str(), "\"v1\"");
    assert!(peer.requests()[0].starts_with("GET /data/x?signature=canary HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_cut_connection_resumes_the_same_version() {
    let peer = Peer::start(vec![
        whole("\"v1\"", 10, b"0123"),
        rest("\"v1\"", "4-9/10", 6, b"45"),
        answer("503 Slow Down", "Content-Length: 0\r\n", b""),
        rest("\"v1\"", "6-9/10", 4, b"6789"),
    ])
    .await;
    let (result, content) = fetch_from(&peer).await;
    assert_eq!((result.unwrap().attempts, content.as_slice()), (4, b"0123456789".as_slice()));
    let requests = peer.requests();
    let asked: Vec<_> = requests.iter().map(|r| (header(r, "range"), header(r, "if-match"))).collect();
    let v1 = Some("\"v1\"");
    let six = (Some("bytes=6-"), v1);
    assert_eq!(asked, [(None, None), (Some("bytes=4-"), v1), six, six]);
}

#[tokio::test]
async fn a_changed_object_starts_over() {
    for notice in [
        answer("412 Precondition Failed", "Content-Length: 0\r\n", b""),
        answer("416 Range Not Satisfiable", "Content-Length: 0\r\n", b""),
        // Stores that ignore If-Match.
        rest("\"v2\"", "4-9/10", 6, b"WRONG!"),
        answer("206 Partial Content", "Content-Range: bytes 4-9/10\r\nContent-Length: 6\r\n", b"WRONG!"),
        // Stores that answer another range than asked.
        rest("\"v1\"", "3-9/10", 7, b"WRONG!!"),
        rest("\"v1\"", "4-8/10", 5, b"WRONG"),
        rest("\"v1\"", "4-9/11", 6, b"WRONG!"),
    ] {
        let peer = Peer::start(vec![whole("\"v1\"", 10, b"0123"), notice, whole("\"v2\"", 3, b"new")]).await;
        let (result, content) = fetch_from(&peer).await;
        assert_eq!((result.unwrap().attempts, content.as_slice()), (3, b"new".as_slice()));
        assert_eq!(header(&peer.requests()[2], "range"), None);
    }
}

#[tokio::test]
async fn a_server_without_ranges_starts_over_at_once() {
    let peer = Peer::start(vec![whole("\"v1\"", 10, b"012345"), whole("\"v1\"", 10, b"0123456789")]).await;
    let (result, content) = fetch_from(&peer).await;
    assert_eq!((result.unwrap().attempts, content.as_slice()), (2, b"0123456789".as_slice()));
}

#[tokio::test]
async fn without_a_strong_tag_nothing_is_resumed() {
    for etag in ["W/\"v1\"", "v1"] {
        let peer = Peer::start(vec![whole(etag, 4, b"01"), whole(etag, 4, b"0123")]).await;
        let (result, content) = fetch_from(&peer).await;
        assert_eq!((result.unwrap().attempts, content.as_slice()), (2, b"0123".as_slice()));
        assert_eq!(header(&peer.requests()[1], "range"), None);
    }
}

#[tokio::test]
async fn only_429_and_5xx_are_asked_again() {
    for (status, retryable) in [
        (204, false),
        (206, false),
        (301, false),
        (400, false),
        (401, false),
        (403, false),
        (404, false),
        (410, false),
        (412, false),
        (429, true),
        (500, true),
        (502, true),
        (503, true),
        (504, true),
    ] {
        let peer = Peer::start(vec![answer(&format!("{status} X"), "Content-Length: 0\r\n", b"")]).await;
        let (result, content) = fetch_from(&peer).await;
        let error = result.unwrap_err();
        assert_eq!(error.to_string(), format!("Download failed: {status}"));
        assert_eq!(error.is_retryable(), retryable, "{status}");
        assert_eq!(peer.requests().len(), if retryable { 4 } else { 1 }, "{status}");
        assert!(content.is_empty());
    }
}

#[tokio::test]
async fn a_server_that_always_cuts_is_given_up() {
    let peer = Peer::start(vec![whole("\"v1\"", 10, b""), whole("\"v1\"", 10, b"01")]).await;
    let (result, _) = fetch_from(&peer).await;
    let error = result.unwrap_err();
    assert!(matches!(error, DownloadError::Cut { .. }) && error.is_retryable(), "{error:?}");
    assert_eq!(peer.requests().len(), 4);
}

#[tokio::test]
async fn nobody_listening_is_retryable() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let policy = UrlPolicy::default().allow(&format!("http://{free}"), Reach::Loopback).unwrap();
    let (result, _) = fetch(&Downloader::new(policy, limits()).unwrap(), &format!("http://{free}/x")).await;
    let error = result.unwrap_err();
    assert!(matches!(error, DownloadError::Connect(_)) && error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn attack_14_redirects_are_not_followed() {
    let canary = Peer::canary().await;
    for status in ["301 X", "302 X", "303 X", "307 X", "308 X"] {
        for target in [canary.url("/"), "http://169.254.169.254/latest/meta-data/".into()] {
            let redirect = answer(status, &format!("Location: {target}\r\nContent-Length: 0\r\n"), b"");
            let (result, _) = fetch_from(&Peer::start(vec![redirect]).await).await;
            assert_eq!(result.unwrap_err().to_string(), format!("Download failed: {}", &status[..3]));
        }
    }
    assert_eq!(canary.requests(), [""; 0]);
}

#[tokio::test]
async fn attack_14_spellings_of_forbidden_addresses_connect_nowhere() {
    let canary = Peer::canary().await;
    let allowed = Peer::canary().await;
    let downloader = downloader(&allowed, limits());
    let port = canary.addr.port();
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "0",
        "0.0.0.0",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[::]",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "169.254.169.254",
        "2852039166",
    ] {
        let (result, _) = fetch(&downloader, &format!("http://{host}:{port}/x")).await;
        let error = result.unwrap_err();
        assert!(matches!(error, DownloadError::Refused(_)) && !error.is_retryable(), "{host}: {error:?}");
    }
    assert_eq!(canary.requests(), [""; 0]);
    // The control: the canary does notice who connects.
    tokio::net::TcpStream::connect(canary.addr).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), async {
        while canary.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .unwrap();
}

/// A DNS server whose n-th answer is the n-th list; the last repeats.
struct FickleDns {
    answers: Vec<Vec<SocketAddr>>,
    asked: AtomicUsize,
}

impl Resolve for FickleDns {
    fn resolve(&self, _: Name) -> Resolving {
        let nth = self.asked.fetch_add(1, Ordering::SeqCst).min(self.answers.len() - 1);
        let addresses = self.answers[nth].clone();
        Box::pin(std::future::ready(Ok(Box::new(addresses.into_iter()) as Addrs)))
    }
}

fn dns(answers: &[&[&str]]) -> Arc<FickleDns> {
    let parse = |list: &&[&str]| list.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect();
    Arc::new(FickleDns { answers: answers.iter().map(parse).collect(), asked: AtomicUsize::new(0) })
}

#[tokio::test]
async fn attack_14_a_name_with_one_forbidden_address_connects_nowhere() {
    let canary = Peer::canary().await;
    let origin = format!("https://files.example:{}/", canary.addr.port());
    for addresses in [
        &["127.0.0.1"][..],
        &["93.184.216.34", "127.0.0.1"],
        &["127.0.0.1", "93.184.216.34"],
        &["::ffff:127.0.0.1"],
        &["169.254.169.254"],
        &["10.0.0.1"],
    ] {
        let dns = dns(&[addresses]);
        let policy = UrlPolicy::default().allow(&origin, Reach::Public).unwrap();
        let downloader = Downloader::with_resolver(policy, limits(), dns.clone()).unwrap();
        let (result, _) = fetch(&downloader, &format!("{origin}x")).await;
        assert!(matches!(result, Err(DownloadError::Refused(Refusal::Address))), "{addresses:?}: {result:?}");
        assert_eq!(dns.asked.load(Ordering::SeqCst), 1, "a refusal is final");
    }
    assert_eq!(canary.requests(), [""; 0]);
}

#[tokio::test]
async fn attack_14_a_name_that_is_rebound_between_attempts_is_refused() {
    let peer = Peer::start(vec![whole("\"v1\"", 10, b"0123"), whole("\"v1\"", 10, b"0123456789")]).await;
    let origin = format!("http://files.example:{}/", peer.addr.port());
    let dns = dns(&[&["127.0.0.1"], &["169.254.169.254"]]);
    let policy = UrlPolicy::default().allow(&origin, Reach::Loopback).unwrap();
    let downloader = Downloader::with_resolver(policy, limits(), dns.clone()).unwrap();
    let (result, _) = fetch(&downloader, &format!("{origin}x")).await;
    assert!(matches!(result, Err(DownloadError::Refused(Refusal::Address))), "{result:?}");
    // One lookup for one connection: nothing resolves again between check and use.
    assert_eq!((dns.asked.load(Ordering::SeqCst), peer.requests().len()), (2, 1));
}

#[tokio::test]
async fn attack_14_a_dripping_server_is_left_in_time() {
    for drip in [
        Answer::Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_vec()),
        Answer::Drip(b"HTTP/1.1 200 OK\r\nX: ".to_vec()),
    ] {
        let peer = Peer::start(vec![drip]).await;
        let limits = DownloadLimits { total: Duration::from_millis(300), ..limits() };
        let started = Instant::now();
        let (result, _) = fetch(&downloader(&peer, limits), &peer.url("/x")).await;
        assert!(matches!(result, Err(DownloadError::TimedOut { .. })), "{result:?}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn attack_14_a_silent_server_is_left_in_time() {
    for silence in
        [Answer::Stall(Vec::new()), Answer::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n0".to_vec())]
    {
        let peer = Peer::start(vec![silence]).await;
        let limits = DownloadLimits { stall: Duration::from_millis(100), attempts_max: 2, ..limits() };
        let (result, _) = fetch(&downloader(&peer, limits), &peer.url("/x")).await;
        assert!(matches!(result, Err(DownloadError::Stalled { .. })), "{result:?}");
        assert_eq!(peer.requests().len(), 2);
    }
}

#[tokio::test]
async fn attack_14_an_endless_body_is_capped() {
    let limits = DownloadLimits { bytes_max: 100_000, ..limits() };
    let flood = |head: &str| Answer::Flood(head.as_bytes().to_vec());
    for (endless, kept_max) in [
        (flood("HTTP/1.1 200 OK\r\n\r\n"), 100_000),
        (flood("HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n"), 0),
        (flood("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n"), 0),
    ] {
        let peer = Peer::start(vec![endless]).await;
        let (result, content) = fetch(&downloader(&peer, limits), &peer.url("/x")).await;
        let error = result.unwrap_err();
        assert!(
            matches!(error, DownloadError::TooLarge { bytes_max: 100_000 }) && !error.is_retryable(),
            "{error:?}"
        );
        assert!(content.len() <= kept_max, "{} bytes were kept", content.len());
        assert_eq!(peer.requests().len(), 1);
    }
}

#[tokio::test]
async fn attack_14_a_flood_of_headers_ends() {
    let peer = Peer::start(vec![Answer::Flood(b"HTTP/1.1 200 OK\r\nX: ".to_vec())]).await;
    let limits = DownloadLimits { attempts_max: 1, ..limits() };
    let (result, _) = fetch(&downloader(&peer, limits), &peer.url("/x")).await;
    assert!(matches!(result, Err(DownloadError::Cut { received: 0, .. })), "{result:?}");
}
