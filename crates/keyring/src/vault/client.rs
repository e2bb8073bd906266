//! One call to transit over HTTP: where it goes, how long it may take, how often it is made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, Response, redirect, retry};
use serde::Serialize;
use tokio::time::{sleep, timeout};
use url::{Host, Url};
use zeroize::Zeroizing;

use super::answer::{Answer, Sent, judge};
use super::{TransitKey, VaultOptions, VaultSetupError};
use crate::{ServiceError, runtime, said};

/// How often a call is made, the first time included, while it fails for what may pass.
const ATTEMPTS_MAX: u32 = 3;
/// The pause before the second attempt; it doubles each time.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// The longest answer that is read, in bytes. One with an RSA-4096 ciphertext has 1100.
const ANSWER_LEN_MAX: usize = 16 << 10;
/// The longest request beside its context and ciphertext, in bytes: a data key, and the names of the fields.
const REQUEST_FRAME_LEN: usize = 256;

/// A Vault or OpenBao server and the token for it. Clones share their connections.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    client: Client,
    /// Ends with `/v1/`.
    base: Url,
    token: Zeroizing<String>,
    time_max: Duration,
}

impl Vault {
    /// A client for the server that `options` say. Connects to nothing yet.
    ///
    /// Redirects are not followed and proxies of the environment are ignored: the token goes to the address alone.
    ///
    /// # Errors
    ///
    /// [`VaultSetupError`].
    pub fn new(options: VaultOptions) -> Result<Self, VaultSetupError> {
        let base = base(&options.address)?;
        if base.scheme() == "http" && !options.danger_plain_http && !is_loopback(&base) {
            return Err(VaultSetupError::PlainHttp { host: base.host_str().unwrap_or_default().to_owned() });
        }
        let mut builder = Client::builder()
            .user_agent(concat!("waxwing/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers(&options)?)
            .no_proxy()
            .referer(false)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .connect_timeout(options.connect_time_max);
        if let Some(pem) = &options.ca_pem {
            let trusted = Certificate::from_pem_bundle(pem).map_err(VaultSetupError::Ca)?;
            if trusted.is_empty() {
                return Err(VaultSetupError::NoCertificate);
            }
            builder = builder.tls_certs_only(trusted);
        }
        let client = builder.build().map_err(VaultSetupError::Client)?;
        let VaultOptions { token, call_time_max, .. } = options;
        Ok(Self(Arc::new(Inner { client, base, token, time_max: call_time_max })))
    }

    pub(super) async fn call(
        &self,
        operation: Operation,
        key: &TransitKey,
        request: Request<'_>,
    ) -> Result<Answer, ServiceError> {
        let call =
            Call { vault: self.0.clone(), url: operation.url(&self.0.base, key), body: request.to_body() };
        runtime::run(call.make()).await
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Vault").field(&self.0.base.as_str()).finish()
    }
}

/// What transit is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Datakey,
    Encrypt,
    Decrypt,
    Rewrap,
}

impl Operation {
    fn path(self) -> &'static [&'static str] {
        match self {
            Self::Datakey => &["datakey", "plaintext"],
            Self::Encrypt => &["encrypt"],
            Self::Decrypt => &["decrypt"],
            Self::Rewrap => &["rewrap"],
        }
    }

    fn url(self, base: &Url, key: &TransitKey) -> Url {
        let (mount, name) = key.parts();
        let mut url = base.clone();
        let mut path = url.path_segments_mut().expect("an address of http has a path");
        // Each part is one segment whatever it holds: `?`, `#` and `%` are escaped.
        path.pop_if_empty().extend(mount.split('/')).extend(self.path()).push(name);
        drop(path);
        url
    }
}

/// The fields of a request. Empty ones are not sent.
#[derive(Default, Serialize)]
pub(super) struct Request<'a> {
    /// Base64.
    pub(super) context: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bits: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ciphertext: Option<&'a str>,
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) plaintext: Option<&'a str>,
}

impl Request<'_> {
    /// JSON, wiped after use. It is written into room enough: a buffer that grows leaves copies.
    fn to_body(&self) -> Bytes {
        let len = self.context.len() + self.ciphertext.map_or(0, str::len) + REQUEST_FRAME_LEN;
        let mut body = Zeroizing::new(Vec::with_capacity(len));
        serde_json::to_writer(&mut *body, self).expect("text and numbers are JSON");
        Bytes::from_owner(body)
    }
}

struct Call {
    vault: Arc<Inner>,
    url: Url,
    body: Bytes,
}

impl Call {
    /// Makes it until it succeeds or fails for good.
    async fn make(self) -> Result<Answer, ServiceError> {
        let time_max = self.vault.time_max;
        let mut last = None;
        let made = timeout(time_max, async {
            for attempt in 1..=ATTEMPTS_MAX {
                match self.attempt().await {
                    Err(err) if err.is_transient() && attempt < ATTEMPTS_MAX => last = Some(err),
                    answer => return answer,
                }
                sleep(PAUSE_FIRST * (1 << (attempt - 1))).await;
            }
            unreachable!("the last attempt returns")
        })
        .await;
        made.unwrap_or_else(|_| {
            let silence =
                || ServiceError::Unreachable(format!("no answer within {} s", time_max.as_secs_f64()));
            Err(last.unwrap_or_else(silence))
        })
    }

    async fn attempt(&self) -> Result<Answer, ServiceError> {
        let request = self.vault.client.post(self.url.clone()).body(self.body.clone());
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let body = match read(&mut response).await {
            // The status says enough.
            Err(_) if status != 200 => None,
            body => body?,
        };
        // Behind `/v1/`.
        let path = self.url.path().get(self.vault.base.path().len()..).unwrap_or_default();
        judge(
            status,
            body.as_ref().map(|body| body.as_slice()),
            &Sent { path, token: &self.vault.token, body: &self.body },
        )
    }
}

/// All of the body, or `None` when it is longer than [`ANSWER_LEN_MAX`].
async fn read(response: &mut Response) -> Result<Option<Zeroizing<Vec<u8>>>, ServiceError> {
    // Room for all that is read: a buffer that grows leaves copies.
    let mut body = Zeroizing::new(Vec::with_capacity(ANSWER_LEN_MAX));
    while let Some(piece) = response.chunk().await.map_err(unreachable)? {
        if body.len() + piece.len() > ANSWER_LEN_MAX {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body))
}

/// The causes of a failure below HTTP, without the address.
fn unreachable(error: reqwest::Error) -> ServiceError {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    ServiceError::Unreachable(said(&text))
}

/// The address with `/v1/` behind it.
fn base(address: &str) -> Result<Url, VaultSetupError> {
    let mut url = Url::parse(address).map_err(|_| VaultSetupError::Address("is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(VaultSetupError::Address("is not of http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(VaultSetupError::Address("has a user name or a password in it"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(VaultSetupError::Address("has a query or a fragment"));
    }
    url.path_segments_mut().expect("an address of http has a path").pop_if_empty().extend(["v1", ""]);
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        // RFC 6761, section 6.3.
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn headers(options: &VaultOptions) -> Result<HeaderMap, VaultSetupError> {
    let mut headers = HeaderMap::new();
    // Agents and proxies of Vault may insist on it, against requests that a browser was talked into.
    headers.insert("x-vault-request", HeaderValue::from_static("true"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if options.token.is_empty() {
        return Err(VaultSetupError::Token);
    }
    let mut token = HeaderValue::from_str(&options.token).map_err(|_| VaultSetupError::Token)?;
    token.set_sensitive(true);
    headers.insert("x-vault-token", token);
    if let Some(namespace) = &options.namespace {
        let namespace = HeaderValue::from_str(namespace).map_err(|_| VaultSetupError::Namespace)?;
        headers.insert("x-vault-namespace", namespace);
    }
    Ok(headers)
}
