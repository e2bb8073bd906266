//! The object server as clients see it, over real sockets.

use waxwing_store::{
    Downloader, ObjectName, ObjectStore as _, PresignedUrl, Put, SignedMethod, Upload, UrlPolicy,
    download::{DownloadLimits, Reach, Spool},
};

use support::{Answer, Server, name};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

mod support;

const DIGITS: &[u8] = b"0123456789";

async fn with_digits() -> (Server, String, String) {
    let server = Server::start().await;
    let etag = server.put(&name(1), DIGITS).await.etag.as_str().to_owned();
    let target = server.target(SignedMethod::Get, &name(1));
    (server, target, etag)
}

#[tokio::test]
async fn a_signed_get_has_the_whole_object() {
    let (server, target, etag) = with_digits().await;
    let answer = server.ask("GET", &target, "").await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, DIGITS));
    for (header, expected) in [
        ("content-length", "10"),
        ("etag", etag.as_str()),
        ("content-type", "application/octet-stream"),
        ("cache-control", "no-store"),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(header), Some(expected), "{header}");
    }
    assert_eq!(answer.header("x-request-id").unwrap().len(), 16);
}

#[tokio::test]
async fn a_signed_head_has_the_same_headers_and_no_body() {
    let (server, target, _) = with_digits().await;
    let get = server.ask("GET", &target, "").await;
    let head = server.ask("HEAD", &server.target(SignedMethod::Head, &name(1)), "Range: bytes=0-1\r\n").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for header in ["content-length", "etag", "content-type", "accept-ranges"] {
        assert_eq!(head.header(header), get.header(header), "{header}");
    }
}

#[tokio::test]
async fn a_url_expires() {
    let (server, target, _) = with_digits().await;
    server.advance(1799);
    assert_eq!(server.ask("GET", &target, "").await.status, 200);
    server.advance(1);
    assert_eq!(server.ask("GET", &target, "").await.status, 403);
}

#[tokio::test]
async fn whoever_has_no_valid_url_learns_nothing() {
    let (server, target, _) = with_digits().await;
    let (path, query) = target.split_once('?').unwrap();
    let absent = format!("/{}", name(9));
    let baseline = server.ask("GET", &absent, "").await;
    assert_eq!(baseline.status, 403);
    assert_eq!(
        baseline.body,
        format!("forbidden {}\n", baseline.header("x-request-id").unwrap()).into_bytes()
    );
    let expires: u64 = query["expires=".len()..query.find('&').unwrap()].parse().unwrap();
    let expired = {
        let early = server.target(SignedMethod::Get, &name(1));
        server.advance(1800);
        early
    };
    for tampered in [
        path.to_owned(),
        format!("{path}?"),
        format!("{absent}?{query}"),
        target.replace(&format!("={expires}&"), &format!("={}&", expires + 3600)),
        format!("{path}?expires={expires}&signature={}", "0".repeat(64)),
        format!("{path}?expires={expires}&signature="),
        format!("{target}&x=1"),
        format!("{target}0"),
        expired,
        server.target(SignedMethod::Head, &name(1)),
        // Other spellings of a name, and ways out of the root.
        server.target(SignedMethod::Get, &name(1)).replace("/data/A", "/data/%41"),
        format!("/data/%2e%2e/%2e%2e/etc/passwd?{query}"),
        format!("/data/../../etc/passwd?{query}"),
        format!("/data/..%2f..%2fetc%2fpasswd?{query}"),
        format!("/data/.staging/x?{query}"),
        format!("/data//x?{query}"),
        format!("/data/{}?{query}", "x".repeat(2000)),
    ] {
        let answer = server.ask("GET", &tampered, "Range: bytes=99-\r\nIf-Match: \"x\"\r\n").await;
        assert_eq!(answer.without_ids(), baseline.without_ids(), "{tampered}");
    }
    // The control: the clock has moved, the server has not broken.
    assert_eq!(server.ask("GET", &server.target(SignedMethod::Get, &name(1)), "").await.status, 200);
}

#[tokio::test]
async fn the_method_is_bound() {
    let (server, target, _) = with_digits().await;
    assert_eq!(server.ask("HEAD", &target, "").await.status, 403);
    assert_eq!(server.ask("GET", &server.target(SignedMethod::Head, &name(1)), "").await.status, 403);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        let answer = server.ask(method, &target, "Content-Length: 0\r\n").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    assert_eq!(server.ask("GET", &target, "").await.status, 200);
}

#[tokio::test]
async fn an_unknown_object_is_404_to_the_holder_of_its_url() {
    let server = Server::start().await;
    for (method, sent) in [(SignedMethod::Get, "GET"), (SignedMethod::Head, "HEAD")] {
        assert_eq!(server.ask(sent, &server.target(method, &name(1)), "").await.status, 404);
    }
    let outside = ObjectName::parse("other/x").unwrap();
    assert_eq!(server.ask("GET", &server.target(SignedMethod::Get, &outside), "").await.status, 404);
}

#[tokio::test]
async fn ranges() {
    let (server, target, etag) = with_digits().await;
    for (range, status, content_range, body) in [
        ("bytes=0-0", 206, Some("bytes 0-0/10"), "0"),
        ("bytes=3-5", 206, Some("bytes 3-5/10"), "345"),
        ("bytes=7-", 206, Some("bytes 7-9/10"), "789"),
        ("bytes=-2", 206, Some("bytes 8-9/10"), "89"),
        ("bytes=0-99", 206, Some("bytes 0-9/10"), "0123456789"),
        ("bytes=0-1,4-5", 200, None, "0123456789"),
        ("bytes=5-3", 200, None, "0123456789"),
    ] {
        let answer = server.ask("GET", &target, &format!("Range: {range}\r\n")).await;
        assert_eq!((answer.status, answer.header("content-range")), (status, content_range), "{range}");
        assert_eq!(
            (answer.body.as_slice(), answer.header("etag")),
            (body.as_bytes(), Some(etag.as_str())),
            "{range}"
        );
    }
    for range in ["bytes=10-", "bytes=-0"] {
        let answer = server.ask("GET", &target, &format!("Range: {range}\r\n")).await;
        assert_eq!((answer.status, answer.header("content-range")), (416, Some("bytes */10")), "{range}");
        assert!(answer.body.starts_with(b"range-not-satisfiable "));
    }
}

#[tokio::test]
async fn conditions() {
    let (server, target, etag) = with_digits().await;
    for (headers, status) in [
        (format!("If-Match: {etag}\r\n"), 200),
        ("If-Match: \"other\"\r\n".into(), 412),
        (format!("If-None-Match: {etag}\r\n"), 304),
        (format!("Range: bytes=1-2\r\nIf-Range: {etag}\r\n"), 206),
        ("Range: bytes=1-2\r\nIf-Range: \"other\"\r\n".into(), 200),
    ] {
        assert_eq!(server.ask("GET", &target, &headers).await.status, status, "{headers}");
    }
}

#[tokio::test]
async fn a_replaced_object_no_longer_matches() {
    let (server, target, etag) = with_digits().await;
    server.store.delete(&name(1)).await.unwrap();
    assert_eq!(server.ask("GET", &target, "").await.status, 404);
    // Clocks of file systems tick in milliseconds.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    server.put(&name(1), b"9876543210").await;
    let resume = format!("Range: bytes=4-\r\nIf-Match: {etag}\r\n");
    assert_eq!(server.ask("GET", &target, &resume).await.status, 412);
}

#[tokio::test]
async fn leftovers_of_killed_uploads_are_not_served() {
    let (server, _, _) = with_digits().await;
    let leftover = server.dir.path().join(".staging").join(".waxwing-dead.partial");
    std::fs::write(&leftover, "half").unwrap();
    std::fs::write(server.dir.path().join("data").join(".hidden"), "half").unwrap();
    for path in
        ["/.staging/.waxwing-dead.partial", "/data/../.staging/.waxwing-dead.partial", "/data/.hidden"]
    {
        assert!(matches!(server.ask("GET", path, "").await.status, 403 | 404), "{path}");
    }
    assert_eq!(server.store.sweep().unwrap(), 1);
    assert!(!leftover.exists());
}

#[tokio::test]
async fn of_concurrent_puts_one_is_served() {
    let server = Server::start().await;
    let puts: Vec<_> = (0..8_u8)
        .map(|n| {
            let store = server.store.clone();
            tokio::spawn(
                async move { (n, store.put(&name(1), Upload::bytes(vec![n; 100_000])).await.unwrap()) },
            )
        })
        .collect();
    let mut winners = Vec::new();
    for put in puts {
        if let (n, Put::Stored(_)) = put.await.unwrap() {
            winners.push(n);
        }
    }
    assert_eq!(winners.len(), 1);
    let answer = server.ask("GET", &server.target(SignedMethod::Get, &name(1)), "").await;
    assert_eq!(answer.body, vec![winners[0]; 100_000]);
}

#[tokio::test]
async fn health_needs_no_signature() {
    let server = Server::start().await;
    let answer = server.ask("GET", "/healthz", "").await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok\n".as_slice()));
    assert_eq!(server.ask("GET", "/", "").await.status, 404);
}

/// Forwards to `upstream`, but cuts the n-th connection's answer after `cuts[n]` bytes; later ones pass whole.
async fn cutting_proxy(upstream: std::net::SocketAddr, cuts: Vec<u64>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut cuts = cuts.into_iter();
        while let Ok((client, _)) = listener.accept().await {
            let cut = cuts.next().unwrap_or(u64::MAX);
            tokio::spawn(async move {
                let (mut from_client, mut to_client) = client.into_split();
                let (from_server, mut to_server) = TcpStream::connect(upstream).await.unwrap().into_split();
                let asking =
                    tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
                let _ = tokio::io::copy(&mut from_server.take(cut), &mut to_client).await;
                let _ = to_client.shutdown().await;
                asking.abort();
            });
        }
    });
    addr
}

#[tokio::test]
async fn a_download_survives_cut_connections() {
    let server = Server::start().await;
    let content: Vec<u8> = (0..2_000_000_u32).map(|n| (n % 251) as u8).collect();
    let meta = server.put(&name(1), &content).await;
    let proxy = cutting_proxy(server.addr, vec![0, 100, 700_000, 900_000]).await;
    let policy = UrlPolicy::default().allow(&format!("http://{proxy}"), Reach::Loopback).unwrap();
    let limits =
        DownloadLimits { backoff_first: std::time::Duration::from_millis(1), ..DownloadLimits::default() };
    let downloader = Downloader::new(policy, limits).unwrap();
    // The signature covers the path, not the origin: a proxy in between is nobody's problem.
    let url = server.url(SignedMethod::Get, &name(1)).replace(&server.addr.to_string(), &proxy.to_string());

    let mut spool = Spool::new(server.dir.path().to_owned()).unwrap();
    let downloaded = downloader.download(&PresignedUrl::new(url), &mut spool).await.unwrap();
    assert_eq!((downloaded.len, downloaded.attempts, downloaded.etag), (meta.len, 5, Some(meta.etag)));
    let mut found = Vec::new();
    std::io::Read::read_to_end(&mut spool.into_file().unwrap(), &mut found).unwrap();
    assert!(found == content);
}

#[tokio::test]
async fn connections_are_kept_alive() {
    let (server, target, _) = with_digits().await;
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut socket = server.send(&request).await;
    for _ in 0..2 {
        let mut seen = Vec::new();
        while !seen.ends_with(DIGITS) {
            seen.push(socket.read_u8().await.unwrap());
        }
        assert_eq!(Answer::parse(&seen).status, 200);
        socket.write_all(request.as_bytes()).await.unwrap();
    }
}
