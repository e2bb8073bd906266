use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
    pin::Pin,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use tokio::io::AsyncRead;

use crate::{ObjectName, PresignError, PresignedUrl};

/// A place for objects: put once, then read as often as you like.
///
/// Objects are immutable. A name that was deleted may be used again; its [`ETag`] then differs, which is how a reader that
/// resumes notices. Six methods are all; retries, limits and injected faults are wrappers that implement this trait.
pub trait ObjectStore: fmt::Debug + Send + Sync {
    /// Stores `upload` as `name` if that name is free. The object appears whole; of concurrent puts exactly one wins.
    ///
    /// # Errors
    ///
    /// [`StoreError::Upload`] when the upload cannot be read, [`StoreError::Io`] when the store fails. Nothing is stored.
    fn put<'a>(&'a self, name: &'a ObjectName, upload: Upload) -> BoxFuture<'a, Result<Put, StoreError>>;

    /// Opens the whole object.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::Io`].
    fn get<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<Object, StoreError>>;

    /// Opens the bytes `range` of the object, provided that it still is version `if_match`.
    ///
    /// # Errors
    ///
    /// Those of [`ObjectStore::get`]; [`StoreError::Changed`] when `if_match` is another version's, and
    /// [`StoreError::Range`] when `range` is empty or reaches past the end.
    fn get_range<'a>(
        &'a self,
        name: &'a ObjectName,
        range: Range<u64>,
        if_match: Option<&'a ETag>,
    ) -> BoxFuture<'a, Result<Object, StoreError>>;

    /// Describes the object without its bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::Io`].
    fn head<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<ObjectMeta, StoreError>>;

    /// Removes the object. One that is absent already is no error, so a repeated delete is harmless.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), StoreError>>;

    /// A URL with which anybody can GET the object from `now` for `ttl`. Whether the object exists is not checked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Presign`] when `ttl` is out of bounds or the store cannot sign.
    fn presign_get<'a>(
        &'a self,
        name: &'a ObjectName,
        ttl: Duration,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<PresignedUrl, StoreError>>;
}

/// What to put. A store may read it twice (to retry, to send parts in parallel), hence no one-way stream.
#[derive(Debug, Clone)]
pub struct Upload(UploadSource);

/// Where an upload's bytes are.
#[derive(Debug, Clone)]
pub enum UploadSource {
    /// In a finished local file.
    File(PathBuf),
    /// In memory.
    Bytes(Bytes),
}

impl Upload {
    /// The content of a finished local file; it is streamed, at constant memory.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(UploadSource::File(path.into()))
    }

    /// Bytes in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self(UploadSource::Bytes(bytes.into()))
    }

    /// Where its bytes are, for the store that reads them.
    pub fn source(&self) -> &UploadSource {
        &self.0
    }
}

/// What became of a put.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the name may have been taken"]
pub enum Put {
    /// The upload is the object now.
    Stored(ObjectMeta),
    /// The name was taken. The object there is untouched, and need not equal the upload.
    AlreadyThere,
}

/// An object's length and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Length of the whole object, in bytes.
    pub len: u64,
    /// Its version.
    pub etag: ETag,
}

/// The bytes of an object, or of a range of it.
pub type ObjectBody = Pin<Box<dyn AsyncRead + Send>>;

/// An opened object.
pub struct Object {
    /// The whole object's length and version, even when a range was asked for.
    pub meta: ObjectMeta,
    /// Which bytes `body` yields.
    pub range: Range<u64>,
    /// Yields exactly `range`; ends early only with an error or if somebody cut the file in place.
    pub body: ObjectBody,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("meta", &self.meta).field("range", &self.range).finish_non_exhaustive()
    }
}

/// A strong entity tag (RFC 9110, section 8.8.3): two objects with the same tag have the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(String);

impl ETag {
    /// Longest tag that is accepted, quotes included, in bytes.
    pub const LEN_MAX: usize = 256;

    /// Reads the text of an `ETag` header, quotes included. Weak tags (`W/"…"`) and malformed ones are `None`: neither
    /// can guard a resumed download.
    pub fn parse(text: &str) -> Option<Self> {
        let opaque = text.strip_prefix('"')?.strip_suffix('"')?;
        let clean = opaque.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x7e));
        (clean && text.len() <= Self::LEN_MAX).then(|| Self(text.to_owned()))
    }

    /// The tag as a header spells it, quotes included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_hex(hex: &str) -> Self {
        Self(format!("\"{hex}\""))
    }
}

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum StoreError {
    #[error("there is no object `{name}`")]
    NotFound { name: ObjectName },
    #[error("object `{name}` is no longer the version that was asked for")]
    Changed { name: ObjectName },
    #[error("bytes {start}..{end} do not lie in object `{name}` of {len} bytes")]
    Range { name: ObjectName, start: u64, end: u64, len: u64 },
    #[error("cannot read `{}` to store it", path.display())]
    Upload { path: PathBuf, source: io::Error },
    #[error("cannot {action} object `{name}`")]
    Io { action: &'static str, name: ObjectName, source: io::Error },
    #[error("cannot {action} the object directory `{}`", path.display())]
    Root { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot pre-sign a URL")]
    Presign(#[source] PresignError),
}

impl StoreError {
    pub(crate) fn root(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Root { action, path: path.to_owned(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strong_clean_tags_are_tags() {
        for good in ["\"\"", "\"abc-2\"", "\"d41d8cd98f00b204e9800998ecf8427e\""] {
            assert_eq!(ETag::parse(good).unwrap().as_str(), good);
        }
        let long = format!("\"{}\"", "x".repeat(ETag::LEN_MAX));
        for bad in ["", "\"", "abc", "W/\"abc\"", "\"a\"b\"", "\"a b\"", "\"a\r\nX: y\"", &long] {
            assert_eq!(ETag::parse(bad), None, "{bad:?}");
        }
    }
}
