//! Web servers: HTTP to read, WebDAV to write too.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_core::future::BoxFuture;
use futures_util::stream;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use url::Url;

use super::location::Web;
use super::options::{client, limits};
use super::read::{Opened, Source};
use super::runtime::runtime;
use super::write::{ABORTS_MAX, BETWEEN_ABORTS, Sink, hidden_name};
use super::{Fault, NewFile, RemoteOptions};

/// Pieces of a file that wait to be sent: the engine's are at most 256 KiB.
const PIECES_WAITING_MAX: usize = 16;
const DESTINATION: HeaderName = HeaderName::from_static("destination");
const OVERWRITE: HeaderName = HeaderName::from_static("overwrite");

/// A WebDAV file with the login of its URL, or of the options.
pub(super) fn logged_in(file: &Web, options: &RemoteOptions) -> Web {
    Web { url: file.url.clone(), login: file.login.clone().or_else(|| options.webdav_login.clone()) }
}

pub(super) async fn open(page: Web) -> Result<Opened, Fault> {
    let server = Server { client: client(true)?, web: page };
    // A range of one byte tells length, version and whether ranges work; HEAD would not on a pre-signed URL.
    let response = retried(|| answered(server.request(Method::GET).header(header::RANGE, "bytes=0-0")));
    let response = response.await?;
    let version = Version::of(response.headers());
    match response.status() {
        StatusCode::PARTIAL_CONTENT => {
            let told = ContentRange::of(response.headers()).filter(|range| range.start == 0);
            let len = told.ok_or_else(|| senseless("a part without its place"))?.total;
            Ok(Opened::Ranged { source: Arc::new(WebSource { server, version, len }), len })
        }
        // What is empty has no first byte.
        StatusCode::RANGE_NOT_SATISFIABLE if empty(response.headers()) => {
            Ok(Opened::Ranged { source: Arc::new(WebSource { server, version, len: 0 }), len: 0 })
        }
        StatusCode::OK => {
            let len = response.content_length();
            Ok(Opened::Whole(WholeBody { response, len, received: 0 }))
        }
        status => Err(refused(status)),
    }
}

struct Server {
    client: Client,
    web: Web,
}

impl Server {
    fn request(&self, method: Method) -> RequestBuilder {
        self.request_to(method, self.web.url.clone())
    }

    fn request_to(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.client.request(method, url).header(header::ACCEPT_ENCODING, "identity");
        match &self.web.login {
            Some(login) => request.basic_auth(&login.user, Some(login.password.as_str())),
            None => request,
        }
    }
}

/// The answer, unless it says that the same request may succeed later.
fn answered<'a>(request: RequestBuilder) -> BoxFuture<'a, Result<Response, Fault>> {
    Box::pin(async {
        let response = request.send().await?;
        match response.status() {
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(refused(status))
            }
            _ => Ok(response),
        }
    })
}

fn refused(status: StatusCode) -> Fault {
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::CONFLICT => Fault::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Fault::Denied(status.to_string())
        }
        StatusCode::INSUFFICIENT_STORAGE => Fault::Service("it has no room left (507)".to_owned()),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Fault::NotReady(status.to_string())
        }
        status => Fault::Service(format!("it answered {status}")),
    }
}

fn senseless(what: &str) -> Fault {
    Fault::Service(format!("it gave {what}"))
}

/// Asks again after passing troubles, as often as the limits say.
async fn retried<'a, T>(mut attempt: impl FnMut() -> BoxFuture<'a, Result<T, Fault>>) -> Result<T, Fault> {
    let limits = limits();
    let mut attempts = 1;
    loop {
        match attempt().await {
            Err(fault) if fault.is_passing() && attempts < limits.attempts_max => {
                sleep(limits.pause(attempts)).await;
                attempts += 1;
            }
            done => return done,
        }
    }
}

/// What tells two versions apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    etag: Option<HeaderValue>,
    modified: Option<HeaderValue>,
}

impl Version {
    fn of(headers: &HeaderMap) -> Self {
        let get = |name| headers.get(name).cloned();
        Self { etag: get(header::ETAG), modified: get(header::LAST_MODIFIED) }
    }

    /// The tag, if it may guard a request: weak ones must not (RFC 9110, section 13.1.1).
    fn strong_etag(&self) -> Option<&HeaderValue> {
        self.etag.as_ref().filter(|tag| tag.as_bytes().starts_with(b"\""))
    }
}

/// `Content-Range: bytes START-END/TOTAL`.
#[derive(Debug, PartialEq, Eq)]
struct ContentRange {
    start: u64,
    end: u64,
    total: u64,
}

impl ContentRange {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
        let (range, total) = text.split_once('/')?;
        let (start, last) = range.split_once('-')?;
        let end = last.parse::<u64>().ok()?.checked_add(1)?;
        Some(Self { start: start.parse().ok()?, end, total: total.parse().ok()? })
    }
}

fn empty(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_RANGE).is_some_and(|range| range == "bytes */0")
}

struct WebSource {
    server: Server,
    version: Version,
    len: u64,
}

impl WebSource {
    async fn attempt(&self, range: Range<u64>) -> Result<Bytes, Fault> {
        let mut request = self.server.request(Method::GET);
        request = request.header(header::RANGE, format!("bytes={}-{}", range.start, range.end - 1));
        if let Some(etag) = self.version.strong_etag() {
            request = request.header(header::IF_MATCH, etag);
        }
        let mut response = answered(request).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            // It was there a moment ago, as long as it said, and in parts.
            StatusCode::PRECONDITION_FAILED
            | StatusCode::RANGE_NOT_SATISFIABLE
            | StatusCode::NOT_FOUND
            | StatusCode::OK => return Err(Fault::Changed),
            status => return Err(refused(status)),
        }
        let told =
            ContentRange::of(response.headers()).ok_or_else(|| senseless("a part without its place"))?;
        if Version::of(response.headers()) != self.version || told.total != self.len {
            return Err(Fault::Changed);
        }
        if (told.start, told.end) != (range.start, range.end) {
            return Err(senseless("another part than it was asked for"));
        }
        let expected = range.end - range.start;
        let mut bytes = BytesMut::new();
        while let Some(piece) = response.chunk().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > expected {
                break;
            }
        }
        match bytes.len() as u64 {
            received if received == expected => Ok(bytes.freeze()),
            received => Err(Fault::Length { received, expected }),
        }
    }
}

impl Source for WebSource {
    fn read(&self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, Fault>> {
        Box::pin(retried(move || Box::pin(self.attempt(range.clone()))))
    }
}

/// The one answer of a server that gives no parts.
pub(super) struct WholeBody {
    response: Response,
    len: Option<u64>,
    received: u64,
}

impl WholeBody {
    pub(super) fn len(&self) -> Option<u64> {
        self.len
    }

    /// The next bytes; none at the end.
    pub(super) async fn next(&mut self) -> Result<Bytes, Fault> {
        let piece = self.response.chunk().await?.unwrap_or_default();
        self.received += piece.len() as u64;
        match self.len {
            Some(expected) if piece.is_empty() && self.received != expected => {
                Err(Fault::Length { received: self.received, expected })
            }
            _ => Ok(piece),
        }
    }
}

pub(super) async fn create(file: Web, new: NewFile) -> Result<Box<dyn Sink>, Fault> {
    let server = Server { client: client(false)?, web: file };
    if !new.replace {
        let found = retried(|| answered(server.request(Method::HEAD))).await?;
        match found.status() {
            StatusCode::NOT_FOUND => {}
            status if status.is_success() => return Err(Fault::Exists),
            status => return Err(refused(status)),
        }
    }
    let mut part = server.web.url.clone();
    part.path_segments_mut()
        .map_err(|()| Fault::Setup("its URL has no path".to_owned()))?
        .pop()
        .push(&hidden_name()?);
    part.set_query(None);
    let (pieces, mut waiting) = mpsc::channel::<io::Result<Bytes>>(PIECES_WAITING_MAX);
    let body = reqwest::Body::wrap_stream(stream::poll_fn(move |task| waiting.poll_recv(task)));
    let request = server.request_to(Method::PUT, part.clone()).body(body);
    let upload = runtime()?.spawn(async move {
        match request.send().await?.status() {
            status if status.is_success() => Ok(()),
            status => Err(refused(status)),
        }
    });
    Ok(Box::new(Put {
        server,
        part,
        replace: new.replace,
        pieces: Some(pieces),
        upload: Some(upload),
        sent: 0,
    }))
}

/// A file that is on its way to a hidden name beside its own.
struct Put {
    server: Server,
    part: Url,
    replace: bool,
    /// `None` when all was sent.
    pieces: Option<mpsc::Sender<io::Result<Bytes>>>,
    /// `None` when it was answered.
    upload: Option<JoinHandle<Result<(), Fault>>>,
    sent: u64,
}

impl Put {
    async fn answer(&mut self) -> Result<(), Fault> {
        match self.upload.take() {
            Some(upload) => upload.await.unwrap_or_else(|err| Err(Fault::Service(err.to_string()))),
            None => Ok(()),
        }
    }

    /// Some servers take an upload of unknown length for an empty one.
    async fn check_len(&self) -> Result<(), Fault> {
        let found = retried(|| answered(self.server.request_to(Method::HEAD, self.part.clone()))).await?;
        if !found.status().is_success() {
            return Err(refused(found.status()));
        }
        let told =
            found.headers().get(header::CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse().ok());
        match told {
            Some(received) if received != self.sent => Err(Fault::Length { received, expected: self.sent }),
            _ => Ok(()),
        }
    }

    async fn rename(&self) -> Result<(), Fault> {
        let method = Method::from_bytes(b"MOVE").expect("it is a token");
        let request = self.server.request_to(method, self.part.clone());
        let request = request.header(DESTINATION, self.server.web.url.as_str());
        // Not asked twice: the answer to a second one would be that there is nothing to move.
        match request.header(OVERWRITE, if self.replace { "T" } else { "F" }).send().await?.status() {
            StatusCode::PRECONDITION_FAILED => Err(Fault::Exists),
            status if status.is_success() => Ok(()),
            status => Err(refused(status)),
        }
    }
}

impl Sink for Put {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let len = bytes.len() as u64;
            let sent = match &self.pieces {
                Some(pieces) => pieces.send(Ok(bytes)).await.is_ok(),
                None => false,
            };
            if !sent {
                // Answered before the end: the reason is in the answer.
                self.answer().await?;
                return Err(senseless("an answer before it had all bytes"));
            }
            self.sent += len;
            Ok(())
        })
    }

    fn publish(&mut self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            self.pieces = None;
            self.answer().await?;
            self.check_len().await?;
            self.rename().await
        })
    }

    fn abort(&mut self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            // The request is ended well, hidden name and all: what is cut off is still being written by some servers
            // (rclone) when they are asked to remove it.
            self.pieces = None;
            if let Some(mut upload) = self.upload.take()
                && timeout(limits().connect, &mut upload).await.is_err()
            {
                upload.abort();
            }
            // Again even when there is nothing: rclone writes on for a moment after it has answered.
            for _ in 0..ABORTS_MAX {
                let asked = || answered(self.server.request_to(Method::DELETE, self.part.clone()));
                match retried(asked).await?.status() {
                    StatusCode::NOT_FOUND => sleep(BETWEEN_ABORTS).await,
                    status if status.is_success() => sleep(BETWEEN_ABORTS).await,
                    status => return Err(refused(status)),
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_say_where_they_belong() {
        let of = |text: &'static str| {
            let headers = [(header::CONTENT_RANGE, HeaderValue::from_static(text))].into_iter().collect();
            ContentRange::of(&headers)
        };
        assert_eq!(of("bytes 5-9/20"), Some(ContentRange { start: 5, end: 10, total: 20 }));
        for bad in ["bytes 5-9/*", "bytes */20", "5-9/20", "bytes 5-18446744073709551615/20", "bytes a-b/c"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn weak_tags_guard_nothing_but_are_compared() {
        let version =
            |tag: &'static str| Version { etag: Some(HeaderValue::from_static(tag)), modified: None };
        assert!(version("\"a\"").strong_etag().is_some());
        assert!(version("W/\"a\"").strong_etag().is_none());
        assert_ne!(version("W/\"a\""), version("W/\"b\""));
    }
}
