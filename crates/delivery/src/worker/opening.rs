use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::{Map, Value};
use tokio::sync::watch;
use waxwing_core::content::Legacy;
use waxwing_engine::{
    Error, Input, Observer, Output, Parts, ProfileKeys, RecordOptions, Secrets, Side, Work, open_message,
    open_record,
};
use waxwing_formats::record::Record;
use waxwing_formats::scheme::Scheme;
use waxwing_keyring::RecordKeys;
use waxwing_profiles::{PartKind, Profile};

use super::{Attempt, Outputs, Staged};
use crate::{FailureClass, RetryCause};

/// How a job's ciphertext is opened.
pub(super) enum Recipe {
    /// By a record of our own scheme.
    Record { record: Record, stated: Option<Scheme> },
    /// By the profile of a partner's scheme, of which the job's fields may be a part.
    Message { profile: &'static Profile, fields: Map<String, Value>, key_id: Option<[u8; 32]> },
}

/// Everything that opening a job's ciphertext needs.
pub(super) struct Opening {
    pub(super) recipe: Recipe,
    pub(super) keys: RecordKeys,
    pub(super) secrets: Arc<Secrets>,
    pub(super) legacy: Legacy,
    pub(super) outputs: Arc<dyn Outputs>,
    /// What the output is called.
    pub(super) name: String,
    pub(super) spool_dir: PathBuf,
}

/// Plaintext that has verified and that nobody reads yet.
pub(super) struct Opened {
    pub(super) staged: Box<dyn Staged>,
    pub(super) name: String,
    pub(super) plaintext_len: u64,
    pub(super) sha256: [u8; 32],
}

impl Opening {
    /// `ciphertext` is at its beginning.
    pub(super) fn run(self, ciphertext: File, stop: &watch::Receiver<bool>) -> Result<Opened, Error> {
        let input = Input::from_file(ciphertext).map_err(|source| Error::Io { side: Side::Input, source })?;
        let at_output = |source| Error::Io { side: Side::Output, source };
        let staged = self.outputs.stage(&self.name).map_err(at_output)?;
        let sink = Arc::new(Mutex::new(Hashed { staged, digest: Context::new(&SHA256), len: 0 }));
        let observer = Until(stop);
        let work = Work { spool_dir: &self.spool_dir, observer: &observer, ..Work::default() };
        let output = Output::Stream(Box::new(Shared(Arc::clone(&sink))));
        match self.recipe {
            Recipe::Record { record, stated } => {
                let options = RecordOptions { stated, legacy: self.legacy };
                open_record(&record, input, output, &self.keys, options, &work)?;
            }
            Recipe::Message { profile, fields, key_id } => {
                let rsa = profile.unwrap.algorithm.possible().any(|algorithm| algorithm.is_rsa());
                let rsa = match rsa {
                    true => Some(Arc::clone(self.keys.choose(key_id).map_err(Error::RecordKey)?)),
                    false => None,
                };
                let keys = ProfileKeys { rsa, secrets: self.secrets, service: None };
                open_message(profile, parts(profile, fields, input), output, &keys, self.legacy, &work)?;
            }
        }
        let sink = Arc::into_inner(sink).expect("the engine has dropped its end");
        let Hashed { staged, digest, len } = sink.into_inner().expect("nobody panicked while holding it");
        let sha256 = digest.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes");
        Ok(Opened { staged, name: self.name, plaintext_len: len, sha256 })
    }
}

/// What was downloaded is the message's one file, or its ciphertext, whose document the job's fields are then.
fn parts(profile: &Profile, fields: Map<String, Value>, downloaded: Input) -> Parts {
    let mut parts = Parts::default();
    let files: Vec<(&str, PartKind)> = profile.files().map(|(name, part)| (name, part.kind)).collect();
    let document = files.iter().find(|(_, kind)| *kind == PartKind::Json).filter(|_| files.len() > 1);
    if let Some((document, _)) = document {
        let json = Value::Object(fields).to_string().into_bytes();
        parts.insert(*document, Input::Stream(Box::new(io::Cursor::new(json))));
    }
    let body = files.iter().find(|(name, _)| document.is_none_or(|(document, _)| document != name));
    if let Some((body, _)) = body {
        parts.insert(*body, downloaded);
    }
    parts
}

/// What strangers may learn of a failure: from [`Error::Open`] on, a key was used.
pub(super) fn class_of(err: &Error) -> Attempt {
    match err {
        Error::Stopped => Attempt::Stopped,
        Error::Plan(_) | Error::RecordKey(_) | Error::Message(_) => Attempt::Failed(FailureClass::Policy),
        Error::Io { .. } | Error::InputChanged | Error::Random(_) => Attempt::Retry(RetryCause::Worker),
        _ => Attempt::Failed(FailureClass::Rejected),
    }
}

/// Stops the work when the lease is lost.
struct Until<'a>(&'a watch::Receiver<bool>);

impl Observer for Until<'_> {
    fn stopped(&self) -> bool {
        *self.0.borrow()
    }
}

/// Hashes and counts plaintext on its way to where nobody reads it yet.
struct Hashed {
    staged: Box<dyn Staged>,
    digest: Context,
    len: u64,
}

/// The engine's end of it.
struct Shared(Arc<Mutex<Hashed>>);

impl Shared {
    fn hashed(&self) -> MutexGuard<'_, Hashed> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut hashed = self.hashed();
        let written = hashed.staged.write(bytes)?;
        hashed.digest.update(&bytes[..written]);
        hashed.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hashed().staged.flush()
    }
}
