//! Everything logged at the finest level while downloads succeed and fail, by us and by what we build on. Alone in its
//! process, since loggers are global.

use std::fmt::Write as _;

use waxwing_store::{
    Downloader, PresignedUrl, UrlPolicy,
    download::{DownloadLimits, Reach, Spool},
};
use waxwing_testkit::logs;

use support::{Answer, Peer, answer, downloader, limits};

mod support;

#[tokio::test]
async fn attack_15_no_log_or_error_holds_a_url() {
    logs::capture();
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(|| logs::Capture).init();

    let refused = "http://10.1.2.3/data/canary-name?signature=canary-secret".to_owned();
    let allowed = "/data/canary-name?X-Amz-Security-Token=canary-token&signature=canary-secret";
    let limits = DownloadLimits { attempts_max: 2, total: std::time::Duration::from_secs(2), ..limits() };
    let mut printed = String::new();
    let mut failures = 0;
    for script in [
        answer("200 OK", "Content-Length: 2\r\n", b"ok"),
        answer("200 OK", "Content-Length: 9\r\n", b"cut"),
        answer("302 Found", "Location: /elsewhere?signature=canary-secret\r\nContent-Length: 0\r\n", b""),
        answer("503 X", "Content-Length: 0\r\n", b""),
        answer("not http", "", b""),
        Answer::Send(Vec::new()),
        Answer::Drip(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
    ] {
        let peer = Peer::start(vec![script]).await;
        for url in [peer.url(allowed), refused.clone()] {
            let url = PresignedUrl::new(url);
            let mut spool = Spool::new(std::env::temp_dir()).unwrap();
            match downloader(&peer, limits).download(&url, &mut spool).await {
                Ok(downloaded) => write!(printed, "{downloaded:?} {url:?}").unwrap(),
                Err(error) => {
                    failures += 1;
                    printed += &logs::printed(&error);
                }
            }
        }
    }
    // A TLS handshake that fails, and a name that does not exist.
    let peer = Peer::start(vec![Answer::Send(b"no TLS here".to_vec())]).await;
    for origin in [format!("https://localhost:{}", peer.addr.port()), "https://canary.invalid".into()] {
        let policy = UrlPolicy::default().allow(&origin, Reach::Loopback).unwrap();
        let downloader = Downloader::new(policy, limits).unwrap();
        let mut spool = Spool::new(std::env::temp_dir()).unwrap();
        let url = PresignedUrl::new(format!("{origin}{allowed}"));
        printed += &logs::printed(&downloader.download(&url, &mut spool).await.unwrap_err());
        failures += 1;
    }

    assert_eq!(failures, 6 + 7 + 2);
    let log = logs::captured();
    assert!(
        log.contains("download is interrupted") && log.contains("reqwest"),
        "both loggers are captured:\n{log}"
    );
    for canary in ["canary-name", "canary-token", "canary-secret"] {
        assert!(!printed.contains(canary), "{printed}");
        assert!(!log.contains(canary), "{log}");
    }
}
