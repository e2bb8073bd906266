use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use futures_core::future::BoxFuture;
use tokio::task::JoinHandle;

use super::location::Place;
use super::runtime::{block_on, runtime};
use super::web::WholeBody;
use super::{Fault, Location, RemoteError, RemoteOptions, object, sftp, web};

/// Bytes that are asked for at once when all of a file is read.
const PIECE_LEN: u64 = 2 << 20;
/// Pieces that are on their way while another one is used.
const PIECES_AHEAD_MAX: usize = 2;

/// One version of a file that can be read in parts.
pub(super) trait Source: Send + Sync {
    /// Reads exactly `range`, which is not empty and lies in the file.
    fn read(&self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, Fault>>;

    /// Puts `front` in the place of the first `old_len` bytes.
    fn replace_front(&self, _old_len: u64, _front: Bytes) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async { Err(Fault::NoCopies) })
    }
}

/// How a service gives a file.
pub(super) enum Opened {
    /// In parts.
    Ranged { source: Arc<dyn Source>, len: u64 },
    /// Only all of it, from the beginning.
    Whole(WholeBody),
}

/// One version of a file elsewhere.
pub struct RemoteFile {
    location: Location,
    opened: Opened,
}

impl RemoteFile {
    /// Looks at what lies at `location` now, and holds on to that version. This is one small request.
    ///
    /// # Errors
    ///
    /// [`RemoteError`].
    pub fn open(location: &Location, options: &RemoteOptions) -> Result<Self, RemoteError> {
        let opened = block_on(async {
            match &location.0 {
                Place::S3 { .. } | Place::Drive { .. } => object::open(&location.0, options).await,
                Place::Http(page) => web::open(page.clone()).await,
                Place::WebDav(file) => web::open(web::logged_in(file, options)).await,
                Place::Sftp { user, host, port, path } => {
                    sftp::open(sftp::Host { user: user.as_deref(), host, port: *port }, path, &options.sftp)
                        .await
                }
            }
        });
        match opened {
            Ok(opened) => Ok(Self { location: location.clone(), opened }),
            Err(fault) => Err(fault.at(location)),
        }
    }

    /// How long it is, in bytes. A web server may not tell.
    pub fn known_len(&self) -> Option<u64> {
        match &self.opened {
            Opened::Ranged { len, .. } => Some(*len),
            Opened::Whole(body) => body.len(),
        }
    }

    /// How long it is, in bytes, if parts of it can be read.
    ///
    /// # Errors
    ///
    /// [`Fault::NoRanges`].
    pub fn size(&self) -> Result<u64, RemoteError> {
        Ok(self.ranged()?.1)
    }

    /// Fills `bytes` with what lies at `offset`, with one request.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] when it ends before; else a [`RemoteError`].
    pub fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let (source, len) = self.ranged()?;
        let end = offset.checked_add(bytes.len() as u64).filter(|end| *end <= len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        if !bytes.is_empty() {
            let read = block_on(source.read(offset..end)).map_err(|fault| fault.at(&self.location))?;
            bytes.copy_from_slice(&read);
        }
        Ok(())
    }

    /// Puts `front` in the place of the first `old_len` bytes. The rest stays as it is, and is copied where it lies: of a
    /// long file, a few MiB are moved at the most. The new file takes the old one's name at once, if that is still the
    /// version that was opened. S3 alone can do that; content type and the user's metadata stay, tags do not.
    ///
    /// # Errors
    ///
    /// [`RemoteError`]; the file is as it was then, unless only the service's answer was lost.
    pub fn replace_front(&self, old_len: u64, front: Vec<u8>) -> Result<(), RemoteError> {
        let (source, len) = self.ranged()?;
        let replaced = match old_len <= len {
            true => block_on(source.replace_front(old_len, front.into())),
            false => Err(Fault::Length { received: len, expected: old_len }),
        };
        replaced.map_err(|fault| fault.at(&self.location))
    }

    /// All of it from the beginning, with a few pieces read ahead.
    pub fn into_reader(self) -> RemoteReader {
        let rest = match &self.opened {
            Opened::Ranged { len, .. } => 0..*len,
            Opened::Whole(_) => 0..0,
        };
        RemoteReader { file: self, rest, ahead: VecDeque::new(), piece: Bytes::new() }
    }

    fn ranged(&self) -> Result<(&Arc<dyn Source>, u64), RemoteError> {
        match &self.opened {
            Opened::Ranged { source, len } => Ok((source, *len)),
            Opened::Whole(_) => Err(Fault::NoRanges.at(&self.location)),
        }
    }
}

impl fmt::Debug for RemoteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteFile").field("location", &self.location).finish_non_exhaustive()
    }
}

/// A file elsewhere, read from its beginning to its end.
pub struct RemoteReader {
    file: RemoteFile,
    /// What nobody asked for yet.
    rest: Range<u64>,
    /// Pieces on their way, in order.
    ahead: VecDeque<JoinHandle<Result<Bytes, Fault>>>,
    piece: Bytes,
}

impl RemoteReader {
    /// The next bytes; none at the end.
    fn next(&mut self) -> Result<Bytes, Fault> {
        let (source, rest) = match &mut self.file.opened {
            Opened::Whole(body) => return block_on(body.next()),
            Opened::Ranged { source, .. } => (source, &mut self.rest),
        };
        while self.ahead.len() <= PIECES_AHEAD_MAX && !rest.is_empty() {
            let range = rest.start..rest.end.min(rest.start + PIECE_LEN);
            rest.start = range.end;
            let source = source.clone();
            self.ahead.push_back(runtime()?.spawn(async move { source.read(range).await }));
        }
        match self.ahead.pop_front() {
            None => Ok(Bytes::new()),
            Some(piece) => block_on(async { piece.await.map_err(|err| Fault::Service(err.to_string()))? }),
        }
    }
}

impl Read for RemoteReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.piece.is_empty() {
            self.piece = self.next().map_err(|fault| fault.at(&self.file.location))?;
        }
        let len = out.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut out[..len]);
        Ok(len)
    }
}

impl Drop for RemoteReader {
    fn drop(&mut self) {
        self.ahead.iter().for_each(JoinHandle::abort);
    }
}

impl fmt::Debug for RemoteReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteReader").field("file", &self.file).finish_non_exhaustive()
    }
}
