//! S3 and the drives, through OpenDAL.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_core::future::BoxFuture;
use opendal::layers::{RetryEvent, RetryLayer, TimeoutLayer};
use opendal::options::{ReadOptions, WriteOptions};
use opendal::services::{Dropbox, Gdrive, Onedrive, S3};
use opendal::{Builder, ErrorKind, HttpTransporter, Metadata, OperationContext, Operator, Reader, Writer};
use opendal_http_transport_reqwest::ReqwestTransport;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use super::location::{Drive, Place};
use super::options::{STALL_MAX, client, limits};
use super::read::{Opened, Source};
use super::write::{ABORT_MAX, ABORTS_MAX, BETWEEN_ABORTS, Sink};
use super::{Fault, NewFile, RemoteOptions, S3Credentials};

/// What S3 demands of every part but the last.
const LIMIT_PART_LEN_MIN: u64 = 5 << 20;
/// The shortest part of a multipart upload here: 10,000 of these are 58 GiB.
const PART_LEN_MIN: u64 = 6 << 20;
/// The most parts that an upload has (S3: 10,000), a few kept back because a length hint is "about".
const PARTS_MAX: u64 = 10_000;
const PARTS_PLANNED_MAX: u64 = 9_900;
/// The longest part that is copied at once, within the store. S3 allows 5 GiB.
const COPIED_LEN_MAX: u64 = 1 << 30;
/// Parts that are sent at once, while one more waits and one is being filled. With more of them, some would be on their way
/// when an upload is aborted, and arrive after it.
const PARTS_IN_FLIGHT_MAX: usize = 1;

pub(super) async fn open(place: &Place, options: &RemoteOptions) -> Result<Opened, Fault> {
    let (operator, path) = operator(place, options)?;
    let found = operator.stat(path).await?;
    if !found.is_file() {
        return Err(Fault::NotFound);
    }
    let version = Version::of(&found);
    let if_match = version.etag.clone().filter(|_| operator.info().capability().read_with_if_match);
    let pinned = if_match.is_some();
    let mut reader = operator.reader_with(path);
    if let Some(etag) = if_match {
        reader = reader.if_match(&etag);
    }
    let reader = reader.await?;
    let (len, copies) = (version.len, matches!(place, Place::S3 { .. }));
    let source = ObjectSource { operator, path: path.to_owned(), reader, version, pinned, copies };
    Ok(Opened::Ranged { source: Arc::new(source), len })
}

pub(super) async fn create(
    place: &Place,
    options: &RemoteOptions,
    new: NewFile,
) -> Result<Box<dyn Sink>, Fault> {
    let (operator, path) = operator(place, options)?;
    if !new.replace {
        match operator.stat(path).await {
            Ok(_) => return Err(Fault::Exists),
            // Who may write need not be allowed to look: S3 denies that rather than say that there is nothing.
            Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {}
            Err(err) => return Err(err.into()),
        }
    }
    match place {
        Place::Drive { drive, .. } => {
            let (path, limit) = (path.to_owned(), drive.len_max());
            Ok(Box::new(OneRequest { operator, path, limit, bytes: BytesMut::new() }))
        }
        _ => {
            let writer =
                operator.writer_with(path).concurrent(PARTS_IN_FLIGHT_MAX).if_not_exists(!new.replace);
            Ok(Box::new(Multipart {
                writer: writer.await?,
                part: BytesMut::new(),
                part_len: part_len(new.len_hint),
                parts: 0,
                exists_means: if new.replace { Fault::Changed } else { Fault::Exists },
            }))
        }
    }
}

/// Parts as short as fit: memory is a few of them.
fn part_len(len_hint: Option<u64>) -> u64 {
    let needed = len_hint.unwrap_or(0).div_ceil(PARTS_PLANNED_MAX);
    needed.next_multiple_of(1 << 20).max(PART_LEN_MIN)
}

fn operator<'a>(place: &'a Place, options: &RemoteOptions) -> Result<(Operator, &'a str), Fault> {
    let token = |token: &Option<Zeroizing<String>>, drive: Drive| {
        let missing = || Fault::Setup(format!("there is no access token for {}", drive.scheme()));
        token.clone().ok_or_else(missing)
    };
    match place {
        Place::S3 { bucket, key } => Ok((s3(bucket, options)?, key)),
        Place::Drive { drive: drive @ Drive::Google, path } => {
            Ok((built(Gdrive::default().access_token(&token(&options.gdrive_token, *drive)?))?, path))
        }
        Place::Drive { drive: drive @ Drive::Microsoft, path } => {
            Ok((built(Onedrive::default().access_token(&token(&options.onedrive_token, *drive)?))?, path))
        }
        Place::Drive { drive: drive @ Drive::Dropbox, path } => {
            Ok((built(Dropbox::default().access_token(&token(&options.dropbox_token, *drive)?))?, path))
        }
        Place::Http(_) | Place::WebDav(_) | Place::Sftp { .. } => unreachable!("they are read elsewhere"),
    }
}

fn s3(bucket: &str, options: &RemoteOptions) -> Result<Operator, Fault> {
    let mut builder = S3::default().bucket(bucket);
    match (&options.s3_endpoint, &options.s3_region) {
        (Some(endpoint), region) => {
            builder = builder.endpoint(endpoint).region(region.as_deref().unwrap_or("us-east-1"));
        }
        (None, Some(region)) => {
            // An endpoint that is given is not looked for in the environment.
            builder = builder.endpoint("https://s3.amazonaws.com").region(region);
            if !bucket.contains('.') {
                builder = builder.enable_virtual_host_style();
            }
        }
        (None, None) => return Err(Fault::Setup("no region was given for S3 (AWS_REGION)".to_owned())),
    }
    match &options.s3_credentials {
        S3Credentials::Chain => {}
        S3Credentials::Key { id, secret, session_token } => {
            builder = builder.disable_config_load().disable_ec2_metadata();
            builder = builder.access_key_id(id).secret_access_key(secret);
            if let Some(token) = session_token {
                builder = builder.session_token(token);
            }
        }
    }
    built(builder)
}

fn built(builder: impl Builder) -> Result<Operator, Fault> {
    let limits = limits();
    let retries = RetryLayer::new()
        .with_jitter()
        .with_max_times(limits.attempts_max as usize - 1)
        .with_min_delay(limits.backoff_first)
        .with_max_delay(limits.backoff_max)
        // Retries are no news: the last error is told.
        .with_notify(|_: RetryEvent<'_>| {});
    let timeouts = TimeoutLayer::new().with_timeout(STALL_MAX).with_io_timeout(2 * STALL_MAX);
    let transport = HttpTransporter::new(ReqwestTransport::new(client(true)?));
    let operator =
        Operator::new(builder)?.with_context(OperationContext::new().with_http_transport(transport));
    Ok(operator.layer(timeouts).layer(retries))
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    len: u64,
    etag: Option<String>,
    modified: Option<String>,
}

impl Version {
    fn of(found: &Metadata) -> Self {
        Self {
            len: found.content_length(),
            etag: found.etag().map(str::to_owned),
            modified: found.last_modified().map(|at| at.to_string()),
        }
    }
}

struct ObjectSource {
    operator: Operator,
    path: String,
    reader: Reader,
    version: Version,
    /// Whether every request names the version; else it is compared after each.
    pinned: bool,
    /// Whether the service copies parts of what it has.
    copies: bool,
}

impl Source for ObjectSource {
    fn read(&self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, Fault>> {
        Box::pin(async move {
            let expected = range.end - range.start;
            let bytes = match self.reader.read(range).await {
                Ok(buffer) => buffer.to_bytes(),
                // It was there a moment ago, and longer.
                Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::RangeNotSatisfied) => {
                    return Err(Fault::Changed);
                }
                Err(err) => return Err(err.into()),
            };
            if !self.pinned && Version::of(&self.operator.stat(&self.path).await?) != self.version {
                return Err(Fault::Changed);
            }
            match bytes.len() as u64 {
                received if received == expected => Ok(bytes),
                received => Err(Fault::Length { received, expected }),
            }
        })
    }

    fn replace_front(&self, old_len: u64, front: Bytes) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let etag = self.version.etag.as_deref().filter(|_| self.pinned && self.copies);
            let etag = etag.ok_or(Fault::NoCopies)?;
            let found = self.operator.stat(&self.path).await?;
            if Version::of(&found) != self.version {
                return Err(Fault::Changed);
            }
            let mut options = WriteOptions {
                concurrent: PARTS_IN_FLIGHT_MAX,
                if_match: Some(etag.to_owned()),
                ..Default::default()
            };
            options.content_type = found.content_type().map(str::to_owned);
            options.content_disposition = found.content_disposition().map(str::to_owned);
            options.cache_control = found.cache_control().map(str::to_owned);
            options.user_metadata = found.user_metadata().map(|pairs| {
                pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
            });
            let mut writer = self.operator.writer_options(&self.path, options).await?;
            let expected = match self.replace(&mut writer, old_len, front, etag).await {
                Ok(len) => len,
                Err(fault) => {
                    // The first failure is the one to tell.
                    let _ = timeout(ABORT_MAX, abort(&mut writer)).await;
                    return Err(fault);
                }
            };
            match self.operator.stat(&self.path).await?.content_length() {
                received if received == expected => Ok(()),
                received => Err(Fault::Length { received, expected }),
            }
        })
    }
}

impl ObjectSource {
    /// Writes the front and what must be sent again, and has the rest copied.
    async fn replace(
        &self,
        writer: &mut Writer,
        old_len: u64,
        front: Bytes,
        etag: &str,
    ) -> Result<u64, Fault> {
        // S3 demands a length of every part but the last.
        let sent_again =
            old_len..self.version.len.min(old_len + LIMIT_PART_LEN_MIN.saturating_sub(front.len() as u64));
        let mut rest = sent_again.end..self.version.len;
        let len = front.len() as u64 + self.version.len - old_len;
        let mut first = BytesMut::from(front);
        if !sent_again.is_empty() {
            first.extend_from_slice(&self.read(sent_again).await?);
        }
        writer.write(first.freeze()).await?;
        while !rest.is_empty() {
            let piece = rest.start..rest.end.min(rest.start + COPIED_LEN_MAX);
            rest.start = piece.end;
            let options =
                ReadOptions { range: piece.into(), if_match: Some(etag.to_owned()), ..Default::default() };
            writer.copy_from_options(&self.path, options).await?;
        }
        writer.close().await?;
        Ok(len)
    }
}

struct Multipart {
    writer: Writer,
    part: BytesMut,
    part_len: u64,
    parts: u64,
    /// What it means that the object is not as it should be at the end.
    exists_means: Fault,
}

impl Multipart {
    async fn send(&mut self) -> Result<(), Fault> {
        if self.parts == PARTS_MAX {
            let why =
                "10,000 parts of the length that was chosen at the beginning: seal a file rather than a pipe";
            return Err(Fault::TooLong { limit: PARTS_MAX * self.part_len, why });
        }
        self.parts += 1;
        Ok(self.writer.write(self.part.split().freeze()).await?)
    }
}

impl Sink for Multipart {
    fn write(&mut self, mut bytes: Bytes) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            while !bytes.is_empty() {
                // At most a part.
                let room = (self.part_len - self.part.len() as u64) as usize;
                self.part.extend_from_slice(&bytes.split_to(bytes.len().min(room)));
                if self.part.len() as u64 == self.part_len {
                    self.send().await?;
                }
            }
            Ok(())
        })
    }

    fn publish(&mut self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            if !self.part.is_empty() {
                self.send().await?;
            }
            match self.writer.close().await {
                Ok(_) => Ok(()),
                Err(err) if err.kind() == ErrorKind::ConditionNotMatch => Err(self.exists_means.clone()),
                Err(err) => Err(err.into()),
            }
        })
    }

    fn abort(&mut self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(abort(&mut self.writer))
    }
}

/// Aborts an upload, and again until the store knows it no more: a part that was on its way may arrive after the first
/// abort, and stay ("it might be necessary to abort a given multipart upload multiple times", AbortMultipartUpload).
async fn abort(writer: &mut Writer) -> Result<(), Fault> {
    for _ in 0..ABORTS_MAX {
        match writer.abort().await {
            Ok(()) => sleep(BETWEEN_ABORTS).await,
            Err(err) if err.kind() == ErrorKind::NotFound => break,
            Err(err) => return Err(err.into()),
        }
    }
    Ok(())
}

impl Drive {
    /// The most that one request may write. None of them is written in parts here.
    fn len_max(self) -> u64 {
        match self {
            // "Use this upload type to transfer a small media file (5 MB or less)" (Drive API, uploads).
            Self::Google => 5_000_000,
            // Longer files need a session, which OpenDAL 0.59 does not end well when it replaces one.
            Self::Microsoft => 4 << 20,
            // Dropbox takes 150 MB; this is what memory allows.
            Self::Dropbox => 64 << 20,
        }
    }
}

struct OneRequest {
    operator: Operator,
    path: String,
    limit: u64,
    bytes: BytesMut,
}

impl Sink for OneRequest {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            if (self.bytes.len() + bytes.len()) as u64 > self.limit {
                let why = "the most that this drive takes in one request";
                return Err(Fault::TooLong { limit: self.limit, why });
            }
            self.bytes.extend_from_slice(&bytes);
            Ok(())
        })
    }

    fn publish(&mut self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            self.operator.write(&self.path, self.bytes.split().freeze()).await?;
            Ok(())
        })
    }

    fn abort(&mut self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_short_and_never_too_many() {
        assert_eq!(part_len(None), PART_LEN_MIN);
        assert_eq!(part_len(Some(1 << 30)), PART_LEN_MIN);
        for len in [80_u64 << 30, 1 << 40, 50 << 40] {
            assert!((len + (1 << 20)).div_ceil(part_len(Some(len))) <= PARTS_MAX, "{len}");
        }
    }
}
