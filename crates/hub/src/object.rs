//! `GET` and `HEAD` of one object.

use std::{error::Error, ops::Range};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use tokio_util::io::ReaderStream;
use tracing::{debug, info, warn};
use waxwing_store::{Object, ObjectMeta, ObjectName, SignedMethod, StoreError};

use crate::{
    Hub,
    conditions::{Selection, select},
};

/// Answers whatever is asked below `/data/`.
pub(crate) async fn object(State(hub): State<Hub>, request: Request) -> Response {
    let id = RequestId::random();
    let (name, outcome) = match authorize(&hub, &request) {
        Ok((method, name)) => {
            let outcome = answer(&hub, method, &name, request.headers()).await;
            (Some(name), outcome)
        }
        Err(refusal) => (None, Err(refusal)),
    };
    let name = name.as_ref().map_or("-", ObjectName::as_str);
    let mut response = outcome.unwrap_or_else(|failure| failure.respond(&id, name));
    let bytes =
        response.headers().get(header::CONTENT_LENGTH).and_then(|len| len.to_str().ok()).unwrap_or("0");
    debug!(request = id.as_str(), object = name, status = response.status().as_u16(), bytes, "answered");
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// Everything that has to be true before the store is asked anything: strangers cannot tell what exists.
fn authorize(hub: &Hub, request: &Request) -> Result<(SignedMethod, ObjectName), Failure> {
    let method = match *request.method() {
        Method::GET => SignedMethod::Get,
        Method::HEAD => SignedMethod::Head,
        _ => return Err(Failure::Method),
    };
    // The path as it was sent: names have no escapes, so that each object has one URL.
    let path = request.uri().path().strip_prefix('/').unwrap_or_default();
    let name = ObjectName::parse(path).map_err(|error| Failure::forbidden(&error))?;
    let query = request.uri().query().unwrap_or_default();
    hub.key.verify(method, &name, query, (hub.clock)()).map_err(|rejected| Failure::forbidden(&rejected))?;
    Ok((method, name))
}

async fn answer(
    hub: &Hub,
    method: SignedMethod,
    name: &ObjectName,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let meta = hub.store.head(name).await.map_err(Failure::from_store)?;
    match (select(method == SignedMethod::Get, headers, &meta), method) {
        (Selection::PreconditionFailed, _) => Err(Failure::Precondition),
        (Selection::RangeNotSatisfiable, _) => Err(Failure::Range { len: meta.len }),
        (Selection::NotModified, _) => Ok(describe(StatusCode::NOT_MODIFIED, &meta, Body::empty())),
        (_, SignedMethod::Head) => Ok(with_len(describe(StatusCode::OK, &meta, Body::empty()), meta.len)),
        (Selection::Whole, SignedMethod::Get) => {
            let object = hub.store.get(name).await.map_err(Failure::from_store)?;
            Ok(stream(StatusCode::OK, object))
        }
        (Selection::Part(range), SignedMethod::Get) => {
            let content_range = content_range(&range, meta.len);
            let object =
                hub.store.get_range(name, range, Some(&meta.etag)).await.map_err(Failure::from_store)?;
            let mut response = stream(StatusCode::PARTIAL_CONTENT, object);
            response.headers_mut().insert(header::CONTENT_RANGE, content_range);
            Ok(response)
        }
    }
}

/// What went wrong, as the log knows it. Towards strangers it is a status and one word.
enum Failure {
    Forbidden { reason: String },
    Method,
    NotFound,
    Precondition,
    Range { len: u64 },
    Unavailable { error: StoreError },
}

impl Failure {
    fn forbidden(reason: &dyn Error) -> Self {
        Self::Forbidden { reason: reason.to_string() }
    }

    fn from_store(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::NotFound,
            // Replaced between two looks at it: the next request will see one version.
            error => Self::Unavailable { error },
        }
    }

    fn respond(self, id: &RequestId, name: &str) -> Response {
        let request = id.as_str();
        let (status, code) = match &self {
            Self::Forbidden { reason } => {
                info!(request, reason, "refused");
                (StatusCode::FORBIDDEN, "forbidden")
            }
            Self::Unavailable { error } => {
                warn!(request, object = name, %error, source = error.source(), "the store failed");
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found"),
            Self::Precondition => (StatusCode::PRECONDITION_FAILED, "precondition-failed"),
            Self::Range { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "range-not-satisfiable"),
        };
        let mut response = Response::new(Body::from(format!("{code} {request}\n")));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        match self {
            Self::Method => drop(headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"))),
            Self::Range { len } => {
                drop(headers.insert(header::CONTENT_RANGE, ascii(format!("bytes */{len}"))))
            }
            _ => {}
        }
        response
    }
}

/// Joins what a requester saw with what the log says.
struct RequestId(String);

impl RequestId {
    fn random() -> Self {
        let mut random = [0; 8];
        // An id is a convenience: a generator that fails here makes it useless, and nothing worse.
        let _ = aws_lc_rs::rand::fill(&mut random);
        Self(hex::encode(random))
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

fn stream(status: StatusCode, object: Object) -> Response {
    let len = object.range.end.saturating_sub(object.range.start);
    let body = Body::from_stream(ReaderStream::with_capacity(object.body, PIECE_LEN));
    with_len(describe(status, &object.meta, body), len)
}

fn describe(status: StatusCode, meta: &ObjectMeta, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::ETAG, ascii(meta.etag.as_str().to_owned()));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    response
}

fn with_len(mut response: Response, len: u64) -> Response {
    response.headers_mut().insert(header::CONTENT_LENGTH, len.into());
    response
}

fn content_range(range: &Range<u64>, len: u64) -> HeaderValue {
    ascii(format!("bytes {}-{}/{len}", range.start, range.end.saturating_sub(1)))
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("numbers and entity tags are visible ASCII")
}

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// Bytes that one answer holds in memory at a time.
const PIECE_LEN: usize = 128 << 10;
