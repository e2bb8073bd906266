//! Inputs and outputs as the command line names them: a path, `-`, or a URL.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use clap::Args;
use waxwing_core::content::PlanError;
use waxwing_engine::{
    Error, Existing, Input, MessageError, Observer, OpenError, Output, Side, THREADS_DEFAULT_MAX, Work,
};
use waxwing_keyring::UnlockError;

use crate::exit::{Code, Failure};
use crate::remote::{self, Publication};

/// Options of every command that writes a file.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Where to write: a file, a URL such as s3://BUCKET/KEY, or `-`, standard output
    #[arg(short, long, value_name = "OUT", default_value = "-")]
    pub(crate) output: PathBuf,
    /// Replace the output if it exists
    #[arg(long)]
    pub(crate) force: bool,
}

/// Options of every command that works on whole files.
#[derive(Debug, Args)]
pub(crate) struct WorkArgs {
    /// How many threads to use between files [default: one per core, at most 8]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Have the output on the disk before it gets its name (fsync)
    #[arg(long)]
    durable: bool,
    /// Where to keep ciphertext that comes from a pipe and must be read twice
    #[arg(long, value_name = "DIR", env = "TMPDIR", default_value = "/tmp", hide_env = true)]
    spool_dir: PathBuf,
}

impl WorkArgs {
    pub(crate) fn work<'a>(&'a self, observer: &'a dyn Observer) -> Work<'a> {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Work {
            threads: self.threads.unwrap_or(cores.min(THREADS_DEFAULT_MAX)),
            spool_dir: &self.spool_dir,
            durable: self.durable,
            observer,
        }
    }
}

/// Opens an input for reading.
pub(crate) fn input(path: &Path) -> Result<Input, Failure> {
    if let Some(url) = url(path) {
        return remote::input(url);
    }
    let opened =
        if is_dash(path) { duplicate(io::stdin()).and_then(Input::from_file) } else { Input::open(path) };
    opened.map_err(|err| Failure::io(format!("cannot read {}", name(path)), err))
}

impl OutputArgs {
    /// What happens to a file of the output's name.
    pub(crate) fn existing(&self) -> Existing {
        if self.force { Existing::Replace } else { Existing::Keep }
    }

    /// Whether an output was named.
    pub(crate) fn is_given(&self) -> bool {
        !is_dash(&self.output)
    }

    /// The output, for about `len` bytes.
    pub(crate) fn open(&self, kind: Kind, len: Option<u64>) -> Result<(Output, Publication), Failure> {
        target(&self.output, self.existing(), kind, len)
    }
}

/// What an output is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Binary, and for anybody: no terminal shows it.
    Sealed,
    /// As it was before it was sealed, for its owner alone.
    Opened,
    /// Text that anybody may read.
    Text,
}

/// An output, and what is to be published when all went well: a file elsewhere does not know when it is complete.
pub(crate) fn target(
    path: &Path,
    existing: Existing,
    kind: Kind,
    len: Option<u64>,
) -> Result<(Output, Publication), Failure> {
    match url(path) {
        Some(url) => remote::output(url, existing, kind, len),
        None => Ok((output(path, existing, kind)?, Publication::default())),
    }
}

/// An output on this machine.
pub(crate) fn output(path: &Path, existing: Existing, kind: Kind) -> Result<Output, Failure> {
    if url(path).is_some() {
        let failure = Failure::new(Code::Usage, format!("{} cannot be written here", name(path)));
        return Err(failure.hint("`seal`, `open` and `convert` write one output to a URL"));
    }
    if !is_dash(path) {
        return Ok(Output::File { path: path.to_owned(), existing });
    }
    if kind == Kind::Sealed && io::stdout().is_terminal() {
        let failure = Failure::new(Code::Usage, "this is binary, and standard output is a terminal");
        return Err(failure.hint("name a file with -o, or send it through a pipe"));
    }
    let stdout =
        duplicate(io::stdout()).map_err(|err| Failure::io("cannot write to standard output", err))?;
    Ok(Output::from_file(stdout))
}

/// Reads a whole file of at most `limit` bytes.
pub(crate) fn read_small(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    if let Some(url) = url(path) {
        return remote::read_small(url, limit);
    }
    let limited = |file: File| file.take(limit as u64 + 1).read_to_end(&mut bytes);
    let opened = if is_dash(path) { duplicate(io::stdin()) } else { File::open(path) };
    opened.and_then(limited).map_err(|err| Failure::io(format!("cannot read {}", name(path)), err))?;
    Ok(bytes)
}

/// How a message names an input or output.
pub(crate) fn name(path: &Path) -> String {
    match url(path) {
        _ if is_dash(path) => "standard input".to_owned(),
        Some(url) => format!("`{}`", remote::name(url)),
        None => format!("`{}`", path.display().to_string().escape_debug()),
    }
}

/// The URL that stands where a path could.
pub(crate) fn url(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| waxwing_store::url_scheme(text).is_some())
}

pub(crate) fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A file without the standard library's buffer in between.
fn duplicate(stream: impl AsFd) -> io::Result<File> {
    stream.as_fd().try_clone_to_owned().map(|fd: OwnedFd| File::from(fd))
}

/// What a failure of the engine means to the user, with `what` in front: "cannot open `x`".
pub(crate) fn failure(what: String, err: Error) -> Failure {
    match err {
        Error::Io { side: Side::Output, ref source } if source.kind() == io::ErrorKind::BrokenPipe => {
            Failure::io(what, io::ErrorKind::BrokenPipe.into())
        }
        Error::Io { side: Side::Output, ref source } if source.kind() == io::ErrorKind::StorageFull => {
            Failure::new(Code::Failed, what)
                .because(err)
                .hint("nothing was left behind; make room and try again")
        }
        Error::OutputExists => Failure::new(Code::Failed, what)
            .because(err)
            .hint("choose another name, or replace it with --force"),
        err => {
            let (code, hint) = meaning(&err);
            let failure = Failure::new(code, what).because(err);
            match hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        }
    }
}

fn meaning(err: &Error) -> (Code, Option<&'static str>) {
    match err {
        Error::Open(OpenError::Truncated) => {
            (Code::Truncated, Some("fetch or copy the file again; what came out so far is not all of it"))
        }
        Error::Open(OpenError::NotAuthentic(_)) => (
            Code::NotAuthentic,
            Some(
                "it was changed or damaged on its way, or made for another passphrase or another key under the same name",
            ),
        ),
        Error::Open(OpenError::ContextMismatch { .. }) => {
            (Code::NotAuthentic, Some("`waxwing inspect` shows the context it was sealed with"))
        }
        Error::Open(OpenError::Header(_)) => (Code::Failed, None),
        Error::Unlock(UnlockError::Unavailable(_)) | Error::Wrap(_) => (Code::NoUsableKey, None),
        Error::Busy => (Code::Failed, Some("wait until it is done, and try again")),
        Error::Unlock(_) => (
            Code::NoUsableKey,
            Some("give one of these keys with -k, or ask the sender to seal it for yours"),
        ),
        Error::Plan(PlanError::Legacy { .. }) => {
            (Code::Refused, Some("if the partner knows nothing better, consent with --legacy"))
        }
        Error::Plan(PlanError::NoScheme) => {
            (Code::Usage, Some("ask the sender, and say it with --wrap and --cipher"))
        }
        Error::Plan(_) => (Code::Failed, None),
        Error::Message(MessageError::Legacy { .. }) => {
            (Code::Refused, Some("if the partner knows nothing better, consent with --legacy"))
        }
        Error::Message(MessageError::NoKey { .. } | MessageError::NoSecret { .. }) => {
            (Code::NoUsableKey, Some("give a key with -k, a secret with --secret NAME=FILE"))
        }
        Error::Message(MessageError::Mismatch { .. }) => {
            (Code::NotAuthentic, Some("fetch or copy the files again"))
        }
        Error::Message(MessageError::Wrapped(_)) => {
            (Code::NoUsableKey, Some("it was wrapped for a key of another size, or cut on its way"))
        }
        Error::RecordKey(_) => (Code::NoUsableKey, None),
        Error::DigestMismatch | Error::NoRoomForTag { .. } => {
            (Code::NotAuthentic, Some("fetch or copy the file again"))
        }
        _ => (Code::Failed, None),
    }
}
