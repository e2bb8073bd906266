use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{Context, SHA256};
use tempfile::NamedTempFile;
use waxwing_core::content::Legacy;
use waxwing_engine::{Error, Input, Observer, Output, RecordOptions, Side, Work, open_record};
use waxwing_formats::record::Record;
use waxwing_formats::scheme::Scheme;
use waxwing_keyring::RecordKeys;
use waxwing_store::stage;

use super::Attempt;
use crate::{FailureClass, RetryCause};

/// Everything that opening a job's ciphertext needs.
pub(super) struct Opening {
    pub(super) record: (Record, Option<Scheme>),
    pub(super) keys: RecordKeys,
    pub(super) legacy: Legacy,
}

/// Plaintext that has verified and that nobody reads yet.
pub(super) struct Opened {
    pub(super) staged: NamedTempFile,
    pub(super) plaintext_len: u64,
    pub(super) sha256: [u8; 32],
    /// Whether the content proved itself, or a digest in the record at least its ciphertext.
    pub(super) proven: bool,
}

impl Opening {
    pub(super) fn run(
        self,
        mut ciphertext: File,
        output_dir: &Path,
        lost: &AtomicBool,
    ) -> Result<Opened, Error> {
        let at_output = |source| Error::Io { side: Side::Output, source };
        let (record, stated) = self.record;
        ciphertext.seek(SeekFrom::Start(0)).map_err(|source| Error::Io { side: Side::Input, source })?;
        let input = Input::from_file(ciphertext).map_err(|source| Error::Io { side: Side::Input, source })?;
        let staged = stage(output_dir).map_err(at_output)?;
        let digest = Arc::new(Mutex::new(Context::new(&SHA256)));
        let sink = Hashed { file: staged.reopen().map_err(at_output)?, digest: digest.clone() };
        let observer = WhileLeased(lost);
        let work = Work { spool_dir: output_dir, observer: &observer, ..Work::default() };
        let options = RecordOptions { stated, legacy: self.legacy };
        let opened = open_record(&record, input, Output::Stream(Box::new(sink)), &self.keys, options, &work)?;
        let digest = digest.lock().expect("nobody panics while holding it").clone().finish();
        Ok(Opened {
            staged,
            plaintext_len: opened.plaintext_len,
            sha256: digest.as_ref().try_into().expect("SHA-256 gives 32 bytes"),
            proven: opened.is_authenticated() || record.ciphertext_sha256.is_some(),
        })
    }
}

/// What strangers may learn of a failure: from [`Error::Open`] on, a key was used.
pub(super) fn class_of(err: &Error) -> Attempt {
    match err {
        Error::Stopped => Attempt::LeaseLost,
        Error::Plan(_) | Error::RecordKey(_) => Attempt::Failed(FailureClass::Policy),
        Error::Io { .. } | Error::InputChanged | Error::Random(_) => Attempt::Retry(RetryCause::Worker),
        _ => Attempt::Failed(FailureClass::Rejected),
    }
}

/// Stops the work when the lease is lost.
struct WhileLeased<'a>(&'a AtomicBool);

impl Observer for WhileLeased<'_> {
    fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Writes plaintext and hashes it on its way.
struct Hashed {
    file: File,
    digest: Arc<Mutex<Context>>,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.lock().expect("nobody panics while holding it").update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
