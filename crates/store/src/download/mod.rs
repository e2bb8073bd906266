//! Downloads of URLs that strangers wrote (feature `download`).
//!
//! A job's URL is hostile input that makes this machine connect somewhere: server-side request forgery. So a
//! [`UrlPolicy`] lists the places allowed, names are resolved once per connection and every address is checked, redirects
//! are not followed, proxies of the environment are ignored, and bytes and time are capped.

use std::{fmt, io::Write as _, ops::ControlFlow, sync::Arc, time::Duration};

use reqwest::{
    Client, Response, StatusCode,
    dns::Resolve,
    header::{self, HeaderMap, HeaderName},
    redirect, retry,
};
use tokio::time::{sleep, timeout};
use tracing::debug;
use url::Url;

use self::policy::{SystemResolver, VettingResolver};
pub use self::{
    address::Reach,
    error::DownloadError,
    policy::{PolicyError, Refusal, UrlPolicy},
    spool::{IN_MEMORY_MAX, Spool},
};
use crate::{ETag, PresignedUrl};

mod address;
mod error;
mod policy;
mod spool;

/// Fetches objects into [`Spool`]s, at constant memory. Clones share their connections.
#[derive(Clone)]
pub struct Downloader {
    client: Client,
    policy: UrlPolicy,
    limits: DownloadLimits,
}

impl Downloader {
    /// A downloader under `policy` and `limits` that resolves names as the operating system does.
    ///
    /// # Errors
    ///
    /// [`DownloadError::Setup`] when TLS cannot be set up.
    pub fn new(policy: UrlPolicy, limits: DownloadLimits) -> Result<Self, DownloadError> {
        Self::with_resolver(policy, limits, Arc::new(SystemResolver))
    }

    /// The same with another resolver. Its answers are checked like any.
    ///
    /// # Errors
    ///
    /// Those of [`Downloader::new`].
    pub fn with_resolver(
        policy: UrlPolicy,
        limits: DownloadLimits,
        inner: Arc<dyn Resolve>,
    ) -> Result<Self, DownloadError> {
        let client = Client::builder()
            .user_agent(concat!("waxwing/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .referer(false)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .connect_timeout(limits.connect)
            .dns_resolver(Arc::new(VettingResolver { policy: policy.clone(), inner }))
            .build()
            .map_err(DownloadError::Setup)?;
        Ok(Self { client, policy, limits })
    }

    /// Fetches the object behind `url` into `spool`, which is emptied first. Writing to it blocks as files do: it is for threads that may
    /// wait.
    ///
    /// A lost connection is resumed with a range request that holds only for the same version (`If-Match`); an object that
    /// changed, or a server that does not do ranges, means starting over. After an error the spool's content is
    /// meaningless. The bytes are not authenticated: opening the envelope does that.
    ///
    /// # Errors
    ///
    /// [`DownloadError`]; for passing troubles, the one of the last of [`DownloadLimits::attempts_max`] attempts.
    pub async fn download(&self, url: &PresignedUrl, spool: &mut Spool) -> Result<Downloaded, DownloadError> {
        let url = self.policy.admit(url.expose()).map_err(DownloadError::Refused)?;
        let mut transfer = Transfer { downloader: self, url, spool, received: 0, version: None };
        let total = self.limits.total;
        timeout(total, transfer.run()).await.unwrap_or(Err(DownloadError::TimedOut { total }))
    }
}

impl fmt::Debug for Downloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Downloader")
            .field("policy", &self.policy)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What one download may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownloadLimits {
    /// Largest object, in bytes.
    pub bytes_max: u64,
    /// Time to establish a connection, name lookup and TLS included.
    pub connect: Duration,
    /// Longest silence: before the answer, and between two pieces of it.
    pub stall: Duration,
    /// Time for the whole download with all attempts. This is what ends a server that drips.
    pub total: Duration,
    /// How often to ask, the first time included.
    pub attempts_max: u32,
    /// Pause before the second attempt; it doubles each time. Half of each pause is random, so that many workers that
    /// failed together do not return together.
    pub backoff_first: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
}

impl Default for DownloadLimits {
    /// 64 GiB in an hour; 10 s to connect, 30 s of silence, 5 attempts with pauses from 200 ms to 5 s.
    fn default() -> Self {
        Self {
            bytes_max: 64 << 30,
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            total: Duration::from_secs(3600),
            attempts_max: 5,
            backoff_first: Duration::from_millis(200),
            backoff_max: Duration::from_secs(5),
        }
    }
}

impl DownloadLimits {
    /// How long to wait after `failed` failed attempts.
    pub(crate) fn pause(&self, failed: u32) -> Duration {
        let mut random = [0];
        // Without randomness the pause is only less polite.
        let _ = aws_lc_rs::rand::fill(&mut random);
        self.backoff(failed, random[0])
    }

    /// Pause after `failed` failed attempts; `random` is uniform.
    fn backoff(&self, failed: u32, random: u8) -> Duration {
        let doubled = self
            .backoff_first
            .saturating_mul(1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX));
        let half = doubled.min(self.backoff_max) / 2;
        half + half * u32::from(random) / u32::from(u8::MAX)
    }
}

/// What was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// Length of the object, in bytes.
    pub len: u64,
    /// Its version, if the server told.
    pub etag: Option<ETag>,
    /// How many requests it took.
    pub attempts: u32,
}

/// One download in progress.
struct Transfer<'a> {
    downloader: &'a Downloader,
    url: Url,
    spool: &'a mut Spool,
    /// Bytes in the spool, all of the same version.
    received: u64,
    /// That version; without one nothing can be resumed.
    version: Option<Version>,
}

struct Version {
    etag: ETag,
    len: u64,
}

impl Transfer<'_> {
    async fn run(&mut self) -> Result<Downloaded, DownloadError> {
        let limits = self.downloader.limits;
        let mut attempts = 1;
        loop {
            match self.attempt().await {
                Ok(etag) => return Ok(Downloaded { len: self.received, etag, attempts }),
                Err(error) if error.is_passing() && attempts < limits.attempts_max => {
                    debug!(attempts, received = self.received, %error, "download is interrupted");
                    sleep(limits.pause(attempts)).await;
                    attempts += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One request and its answer; returns the version once the object is complete.
    async fn attempt(&mut self) -> Result<Option<ETag>, DownloadError> {
        let mut response = self.request().await?;
        let end = match self.accept(&response)? {
            ControlFlow::Continue(end) => end,
            ControlFlow::Break(error) => {
                self.version = None;
                return Err(error);
            }
        };
        while let Some(piece) = self.within_stall(response.chunk()).await? {
            self.received = self.received.saturating_add(piece.len() as u64);
            self.refuse_beyond_max(self.received)?;
            self.spool.file().write_all(&piece).map_err(DownloadError::Write)?;
        }
        match end {
            Some(end) if end != self.received => {
                Err(DownloadError::Cut { received: self.received, source: None })
            }
            _ => Ok(etag(response.headers())),
        }
    }

    async fn request(&self) -> Result<Response, DownloadError> {
        let mut request = self.downloader.client.get(self.url.clone());
        if let Some(version) = self.resumable() {
            request = request
                .header(header::RANGE, format!("bytes={}-", self.received))
                .header(header::IF_MATCH, version.etag.as_str());
        }
        self.within_stall(request.send()).await
    }

    /// Judges status and headers, and readies the spool for the body. Continues with the object's length, if it is known;
    /// breaks with the reason why the next attempt has to start over.
    fn accept(
        &mut self,
        response: &Response,
    ) -> Result<ControlFlow<DownloadError, Option<u64>>, DownloadError> {
        let resumed = self
            .resumable()
            .map(|version| (version.len, is_rest(response.headers(), self.received, version)));
        match (response.status(), resumed) {
            (StatusCode::OK, _) => {
                let len = response.content_length();
                self.refuse_beyond_max(len.unwrap_or(0))?;
                self.start_over(response)?;
                Ok(ControlFlow::Continue(len))
            }
            (StatusCode::PARTIAL_CONTENT, Some((len, true))) => Ok(ControlFlow::Continue(Some(len))),
            (
                StatusCode::PARTIAL_CONTENT
                | StatusCode::PRECONDITION_FAILED
                | StatusCode::RANGE_NOT_SATISFIABLE,
                Some(_),
            ) => Ok(ControlFlow::Break(DownloadError::Changed)),
            (status, _) => Err(DownloadError::Status(status.as_u16())),
        }
    }

    fn start_over(&mut self, response: &Response) -> Result<(), DownloadError> {
        self.spool.begin(response.content_length()).map_err(DownloadError::Write)?;
        self.received = 0;
        self.version =
            etag(response.headers()).zip(response.content_length()).map(|(etag, len)| Version { etag, len });
        Ok(())
    }

    fn resumable(&self) -> Option<&Version> {
        self.version.as_ref().filter(|version| (1..version.len).contains(&self.received))
    }

    fn refuse_beyond_max(&self, len: u64) -> Result<(), DownloadError> {
        let bytes_max = self.downloader.limits.bytes_max;
        if len > bytes_max { Err(DownloadError::TooLarge { bytes_max }) } else { Ok(()) }
    }

    async fn within_stall<T>(
        &self,
        answer: impl Future<Output = Result<T, reqwest::Error>>,
    ) -> Result<T, DownloadError> {
        let stall = self.downloader.limits.stall;
        match timeout(stall, answer).await {
            Ok(answer) => answer.map_err(|error| DownloadError::from_transport(error, self.received)),
            Err(_) => Err(DownloadError::Stalled { stall }),
        }
    }
}

/// Whether a 206 brings all that is missing of `version` after `received` bytes. Not every store heeds `If-Match`, so the
/// tag must be repeated.
fn is_rest(headers: &HeaderMap, received: u64, version: &Version) -> bool {
    let rest = format!("bytes {received}-{}/{}", version.len.saturating_sub(1), version.len);
    text(headers, header::CONTENT_RANGE) == Some(rest.as_str())
        && etag(headers).as_ref() == Some(&version.etag)
}

fn etag(headers: &HeaderMap) -> Option<ETag> {
    text(headers, header::ETAG).and_then(ETag::parse)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit_and_are_half_random() {
        let limits = DownloadLimits::default();
        let pauses =
            |random| [1, 2, 3, 5, 6, 40, u32::MAX].map(|failed| limits.backoff(failed, random).as_millis());
        assert_eq!(pauses(255), [200, 400, 800, 3200, 5000, 5000, 5000]);
        assert_eq!(pauses(0), [100, 200, 400, 1600, 2500, 2500, 2500]);
    }
}
