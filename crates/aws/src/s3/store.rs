use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::presigning::PresigningConfig;
use bytes::Bytes;
use futures_core::future::BoxFuture;
use tokio::task::{JoinSet, spawn_blocking};
use waxwing_store::{
    ETag, Object, ObjectMeta, ObjectName, ObjectStore, PresignError, PresignedUrl, Put, StoreError, Upload,
    UploadSource,
};

use super::bucket::{Bucket, etag, missing};
use super::fault::Fault;
use super::upload::{Kind, Made, NewObject, PART_LEN, PARTS_MAX};
use super::{Encryption, S3Error, S3Options};
use crate::quiet::quiet;
use crate::runtime::{self, Broken};

/// The largest object, in bytes: as many parts of [`PART_LEN`] as an upload may have, 78 GiB.
pub const OBJECT_LEN_MAX: u64 = PARTS_MAX * PART_LEN as u64;
/// Parts of one object that are on their way at once, each held in memory.
const PARTS_AT_ONCE: usize = 4;
/// The longest that a URL may be good for, by the API reference ("Authenticating Requests: Using Query Parameters").
const TTL_MAX: Duration = Duration::from_secs(7 * 86400);

/// Ciphertexts as objects of a bucket. Memory: at most four parts of [`PART_LEN`] for each object that is being put.
#[derive(Debug, Clone)]
pub struct S3Store {
    bucket: Bucket,
}

impl S3Store {
    /// A store in a bucket. Nobody is asked yet.
    ///
    /// # Errors
    ///
    /// [`S3Error::Name`].
    pub fn new(options: S3Options) -> Result<Self, S3Error> {
        Bucket::new(options).map(|bucket| Self { bucket })
    }

    /// When the credentials end that sign URLs, if they end: a URL ends with them, whatever its own time.
    ///
    /// # Errors
    ///
    /// [`S3Error`]: none can be had.
    pub async fn credentials_expire_at(&self) -> Result<Option<SystemTime>, S3Error> {
        let bucket = self.bucket.clone();
        runtime::run(async move { bucket.credentials_expire_at().await }).await
    }
}

impl ObjectStore for S3Store {
    fn put<'a>(&'a self, name: &'a ObjectName, upload: Upload) -> BoxFuture<'a, Result<Put, StoreError>> {
        let (bucket, owned) = (self.bucket.clone(), name.clone());
        let call = async move {
            let name = owned;
            let failed = |err| failed("put", &name, err);
            let key = bucket.key(&name.to_string()).map_err(failed)?;
            let kind = Kind { content_type: None, encryption: Encryption::Bucket };
            let object = NewObject::new(&bucket, key, &kind).map_err(failed)?;
            let source = Source::open(upload)?;
            let len = source.len();
            let made = match len {
                len if len > OBJECT_LEN_MAX => Err(S3Error::TooLarge(OBJECT_LEN_MAX)),
                len if len <= PART_LEN as u64 => object.put(source.read(0..len).await?).await,
                _ => return Ok(put_in_parts(object, source, &name).await?.into_put(len)),
            };
            Ok::<_, StoreError>(made.map_err(failed)?.into_put(len))
        };
        Box::pin(run("put", name, call))
    }

    fn get<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<Object, StoreError>> {
        let (bucket, owned) = (self.bucket.clone(), name.clone());
        let call = async move {
            let name = owned;
            let failed = |err| failed("get", &name, err);
            let key = bucket.key(&name.to_string()).map_err(failed)?;
            let call = bucket.client().await.map_err(failed)?.get_object().bucket(bucket.name()).key(key);
            let found = quiet(call.send()).await.map_err(|err| failed(Fault::new(err).error))?;
            let len = found.content_length().and_then(|len| u64::try_from(len).ok());
            let len = len.ok_or_else(|| failed(missing("Content-Length")))?;
            object(found, 0..len, len).map_err(failed)
        };
        Box::pin(run("get", name, call))
    }

    fn get_range<'a>(
        &'a self,
        name: &'a ObjectName,
        range: Range<u64>,
        if_match: Option<&'a ETag>,
    ) -> BoxFuture<'a, Result<Object, StoreError>> {
        let (bucket, owned) = (self.bucket.clone(), name.clone());
        let if_match = if_match.map(|tag| tag.as_str().to_owned());
        let call = async move {
            let name = owned;
            let failed = |err| failed("get", &name, err);
            let key = bucket.key(&name.to_string()).map_err(failed)?;
            let head = bucket.head(&key).await.map_err(failed)?;
            let head = head.ok_or_else(|| StoreError::NotFound { name: name.clone() })?;
            if if_match.as_deref().is_some_and(|tag| tag != head.meta.etag.as_str()) {
                return Err(StoreError::Changed { name: name.clone() });
            }
            let len = head.meta.len;
            if range.is_empty() || range.end > len {
                let Range { start, end } = range;
                return Err(StoreError::Range { name: name.clone(), start, end, len });
            }
            let call = bucket.client().await.map_err(failed)?.get_object().bucket(bucket.name()).key(key);
            let call = call
                .range(format!("bytes={}-{}", range.start, range.end - 1))
                .if_match(head.meta.etag.as_str());
            let found = match quiet(call.send()).await.map_err(Fault::new) {
                Ok(found) => found,
                Err(Fault { status: Some(412), .. }) => {
                    return Err(StoreError::Changed { name: name.clone() });
                }
                Err(fault) => return Err(failed(fault.error)),
            };
            // Not every store heeds either header.
            let given = format!("bytes {}-{}/{len}", range.start, range.end - 1);
            if found.content_range() != Some(given.as_str()) {
                return Err(failed(S3Error::Unexpected("another range than was asked for".to_owned())));
            }
            object(found, range, len).map_err(failed)
        };
        Box::pin(run("get", name, call))
    }

    fn head<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<ObjectMeta, StoreError>> {
        let (bucket, owned) = (self.bucket.clone(), name.clone());
        let call = async move {
            let name = owned;
            let failed = |err| failed("look at", &name, err);
            let key = bucket.key(&name.to_string()).map_err(failed)?;
            let head = bucket.head(&key).await.map_err(failed)?;
            Ok(head.ok_or_else(|| StoreError::NotFound { name: name.clone() })?.meta)
        };
        Box::pin(run("look at", name, call))
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), StoreError>> {
        let (bucket, owned) = (self.bucket.clone(), name.clone());
        let call = async move {
            let name = owned;
            let failed = |err| failed("delete", &name, err);
            let key = bucket.key(&name.to_string()).map_err(failed)?;
            bucket.delete(&key).await.map_err(failed)
        };
        Box::pin(run("delete", name, call))
    }

    fn presign_get<'a>(
        &'a self,
        name: &'a ObjectName,
        ttl: Duration,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<PresignedUrl, StoreError>> {
        let (bucket, owned) = (self.bucket.clone(), name.clone());
        let call = async move {
            let name = owned;
            if ttl.is_zero() || ttl > TTL_MAX {
                return Err(StoreError::Presign(PresignError::Ttl { ttl }));
            }
            let failed = |err| failed("sign a URL for", &name, err);
            let key = bucket.key(&name.to_string()).map_err(failed)?;
            let config = PresigningConfig::builder().start_time(now).expires_in(ttl).build();
            let config = config.map_err(|err| failed(S3Error::Unexpected(err.to_string())))?;
            let call = bucket.client().await.map_err(failed)?.get_object().bucket(bucket.name()).key(key);
            let signed = quiet(call.presigned(config)).await.map_err(|err| failed(Fault::new(err).error))?;
            Ok(PresignedUrl::new(signed.uri()))
        };
        Box::pin(run("sign a URL for", name, call))
    }
}

impl Made {
    fn into_put(self, len: u64) -> Put {
        match self {
            Self::Stored(etag) => Put::Stored(ObjectMeta { len, etag }),
            Self::Taken => Put::AlreadyThere,
        }
    }
}

/// Reads and sends parts, some at once. Given up, they leave nothing.
async fn put_in_parts(object: NewObject, source: Source, name: &ObjectName) -> Result<Made, StoreError> {
    let failed = |err| failed("put", name, err);
    let upload = object.begin().await.map_err(failed)?;
    let (mut at, mut number) = (0, 0);
    let (mut sending, mut parts) = (JoinSet::new(), Vec::new());
    let sent = async {
        loop {
            while at < source.len() && sending.len() < PARTS_AT_ONCE {
                let end = source.len().min(at + PART_LEN as u64);
                let bytes = source.read(at..end).await?;
                (at, number) = (end, number + 1);
                sending.spawn(upload.parts().send(number, bytes));
            }
            match sending.join_next().await {
                Some(Ok(part)) => parts.push(part.map_err(failed)?),
                Some(Err(err)) => return Err(failed(S3Error::Unexpected(err.to_string()))),
                None => return Ok(()),
            }
        }
    };
    match sent.await {
        Ok(()) => upload.complete(parts).await.map_err(failed),
        Err(err) => {
            sending.shutdown().await;
            upload.abort().await;
            Err(err)
        }
    }
}

fn object(found: GetObjectOutput, range: Range<u64>, len: u64) -> Result<Object, S3Error> {
    let meta = ObjectMeta { len, etag: etag(found.e_tag())? };
    Ok(Object { meta, range, body: Box::pin(found.body.into_async_read()) })
}

/// What is put, read at any place.
enum Source {
    File { file: Arc<File>, len: u64, path: PathBuf },
    Bytes(Bytes),
}

impl Source {
    fn open(upload: Upload) -> Result<Self, StoreError> {
        match upload.source() {
            UploadSource::Bytes(bytes) => Ok(Self::Bytes(bytes.clone())),
            UploadSource::File(path) => {
                let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
                let (len, file) =
                    opened.map_err(|source| StoreError::Upload { path: path.clone(), source })?;
                Ok(Self::File { file: Arc::new(file), len, path: path.clone() })
            }
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::File { len, .. } => *len,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        let Self::File { file, path, .. } = self else {
            let Self::Bytes(bytes) = self else { unreachable!("it is one or the other") };
            let within = |at| usize::try_from(at).expect("it lies in memory");
            return Ok(bytes.slice(within(range.start)..within(range.end)));
        };
        let file = Arc::clone(file);
        let read = spawn_blocking(move || {
            let mut bytes = vec![0; usize::try_from(range.end - range.start).expect("a part is short")];
            file.read_exact_at(&mut bytes, range.start).map(|()| bytes)
        });
        let read = read.await.map_err(io::Error::other).and_then(|read| read);
        read.map(Bytes::from).map_err(|source| StoreError::Upload { path: path.clone(), source })
    }
}

/// Runs a call where the SDK finds its runtime.
async fn run<T: Send + 'static>(
    action: &'static str,
    name: &ObjectName,
    call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    let ended = runtime::run(async move { Ok::<_, Broken>(call.await) }).await;
    ended.unwrap_or_else(|Broken(why)| {
        Err(StoreError::Io { action, name: name.clone(), source: io::Error::other(why) })
    })
}

fn failed(action: &'static str, name: &ObjectName, err: S3Error) -> StoreError {
    let name = name.clone();
    match err {
        S3Error::NoObject(_) => StoreError::NotFound { name },
        err => StoreError::Io { action, name, source: err.into_io() },
    }
}
