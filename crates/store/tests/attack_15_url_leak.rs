//! Everything logged at the finest level while downloads succeed and fail, by us and by what we build on. Alone in its
//! process, since loggers are global.

use std::{
    error::Error,
    fmt::Write as _,
    io,
    sync::{Arc, Mutex, OnceLock},
};

use waxwing_store::{
    Downloader, PresignedUrl, UrlPolicy,
    download::{DownloadLimits, Reach},
};

use support::{Answer, Peer, answer, downloader, limits};

mod support;

static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();

struct Capture;

impl Capture {
    fn append(bytes: &[u8]) {
        LOG.get_or_init(Arc::default).lock().unwrap().extend_from_slice(bytes);
    }
}

impl io::Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::append(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl log::Log for Capture {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        Self::append(format!("{} {}\n", record.target(), record.args()).as_bytes());
    }

    fn flush(&self) {}
}

/// The error as people see it: the chain, and the debug form.
fn print(error: &dyn Error) -> String {
    let mut text = format!("{error:?}");
    let mut cause = Some(error);
    while let Some(error) = cause {
        write!(text, "\n{error}").unwrap();
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn attack_15_no_log_or_error_holds_a_url() {
    log::set_logger(&Capture).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(|| Capture).init();

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
            let mut file = tokio::fs::File::from_std(tempfile::tempfile().unwrap());
            match downloader(&peer, limits).download(&url, &mut file).await {
                Ok(downloaded) => write!(printed, "{downloaded:?} {url:?}").unwrap(),
                Err(error) => {
                    failures += 1;
                    printed += &print(&error);
                }
            }
        }
    }
    // A TLS handshake that fails, and a name that does not exist.
    let peer = Peer::start(vec![Answer::Send(b"no TLS here".to_vec())]).await;
    for origin in [format!("https://localhost:{}", peer.addr.port()), "https://canary.invalid".into()] {
        let policy = UrlPolicy::default().allow(&origin, Reach::Loopback).unwrap();
        let downloader = Downloader::new(policy, limits).unwrap();
        let mut file = tokio::fs::File::from_std(tempfile::tempfile().unwrap());
        let url = PresignedUrl::new(format!("{origin}{allowed}"));
        printed += &print(&downloader.download(&url, &mut file).await.unwrap_err());
        failures += 1;
    }

    assert_eq!(failures, 6 + 7 + 2);
    let log = String::from_utf8(LOG.get().unwrap().lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("download is interrupted") && log.contains("reqwest"),
        "both loggers are captured:\n{log}"
    );
    for canary in ["canary-name", "canary-token", "canary-secret"] {
        assert!(!printed.contains(canary), "{printed}");
        assert!(!log.contains(canary), "{log}");
    }
}
