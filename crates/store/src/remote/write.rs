use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use tokio::time::timeout;

use super::location::Place;
use super::runtime::block_on;
use super::{Fault, Location, RemoteError, RemoteOptions, object, sftp, web};

/// The longest that taking back what was not published may take.
pub(super) const ABORT_MAX: Duration = Duration::from_secs(30);
/// How often a service is asked to remove what was not published, until it says that there is nothing, and the time
/// between: what was on its way may arrive after the first time.
pub(super) const ABORTS_MAX: u32 = 4;
pub(super) const BETWEEN_ABORTS: Duration = Duration::from_millis(300);
/// The most bytes that one call of `write` takes.
const WRITE_LEN_MAX: usize = 256 << 10;

/// What a new file elsewhere is to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewFile {
    /// Whether it may replace one of the same name.
    pub replace: bool,
    /// Whether it is for its owner alone, where a service knows permissions (SFTP): plaintext.
    pub private: bool,
    /// About how long it will be, when that is known: long files need longer parts. At most a little shorter than the file.
    pub len_hint: Option<u64>,
}

/// Something that is written elsewhere and not there yet.
pub(super) trait Sink: Send {
    /// Takes the next bytes.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), Fault>>;
    /// Gives the whole its name.
    fn publish(&mut self) -> BoxFuture<'_, Result<(), Fault>>;
    /// Removes what was written.
    fn abort(&mut self) -> BoxFuture<'_, Result<(), Fault>>;
}

/// A file elsewhere that appears under its name when it is complete, or not at all.
///
/// Dropped before [`RemoteWriter::publish`], or failed, what was written is taken back, as far as the service can be
/// reached; a process that is killed may leave an unfinished multipart upload (S3) or a hidden `.waxwing-….part`.
pub struct RemoteWriter {
    location: Location,
    /// `None` once it is published.
    sink: Option<Box<dyn Sink>>,
    failed: bool,
}

impl RemoteWriter {
    /// Begins a file at `location`. Nothing is to be seen of it yet.
    ///
    /// # Errors
    ///
    /// [`RemoteError`]; [`Fault::Exists`] when there is one that may not be replaced.
    pub fn create(location: &Location, options: &RemoteOptions, new: NewFile) -> Result<Self, RemoteError> {
        let begun = block_on(async {
            match &location.0 {
                Place::S3 { .. } | Place::Drive { .. } => object::create(&location.0, options, new).await,
                Place::Http(_) => Err(Fault::ReadOnly),
                Place::WebDav(file) => web::create(web::logged_in(file, options), new).await,
                Place::Sftp { user, host, port, path } => {
                    let host = sftp::Host { user: user.as_deref(), host, port: *port };
                    sftp::create(host, path, &options.sftp, new).await
                }
            }
        });
        match begun {
            Ok(sink) => Ok(Self { location: location.clone(), sink: Some(sink), failed: false }),
            Err(fault) => Err(fault.at(location)),
        }
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    ///
    /// [`RemoteError`]; nothing is left then, unless the service did as it was told and only its answer was lost.
    pub fn publish(mut self) -> Result<(), RemoteError> {
        let sink = self.sink.as_mut().filter(|_| !self.failed);
        let sink = sink.ok_or_else(|| failed_before().at(&self.location))?;
        block_on(sink.publish()).map_err(|fault| fault.at(&self.location))?;
        self.sink = None;
        Ok(())
    }
}

/// A name for a file until it is complete, beside the one that it will have.
pub(super) fn hidden_name() -> Result<String, Fault> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| Fault::Setup("the system gave no random bytes".to_owned()))?;
    Ok(format!(".waxwing-{}.part", hex::encode(random)))
}

fn failed_before() -> Fault {
    Fault::Service("it failed before".to_owned())
}

impl Write for RemoteWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(WRITE_LEN_MAX)];
        let sink = self.sink.as_mut().filter(|_| !self.failed);
        let written = sink
            .ok_or_else(failed_before)
            .and_then(|sink| block_on(sink.write(Bytes::copy_from_slice(bytes))));
        self.failed |= written.is_err();
        written.map_err(|fault| fault.at(&self.location))?;
        Ok(bytes.len())
    }

    /// Does nothing: what was written is under way, and [`RemoteWriter::publish`] waits for it.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for RemoteWriter {
    fn drop(&mut self) {
        if let Some(mut sink) = self.sink.take() {
            // Nothing better can be done about a service that does not answer any more.
            let _ =
                block_on(async { timeout(ABORT_MAX, sink.abort()).await.unwrap_or(Err(Fault::TimedOut)) });
        }
    }
}

impl fmt::Debug for RemoteWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteWriter").field("location", &self.location).finish_non_exhaustive()
    }
}
