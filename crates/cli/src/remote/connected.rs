//! URLs through the connectors of `waxwing-store`.

use std::env;
use std::io::{self, Read as _, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use waxwing_engine::{
    Error, Existing, HeaderKind, Input, Opened, Output, ReadAt, Work, open_range_at, read_detached_header,
    read_header_at, rewrap_header,
};
use waxwing_formats::envelope::Context;
use waxwing_keyring::{Change, Keyring, Rewrapped};
use waxwing_store::remote::{
    Fault, Location, Login, NewFile, RemoteError, RemoteFile, RemoteOptions, RemoteWriter, S3Credentials,
    SftpOptions,
};
use zeroize::Zeroizing;

use crate::exit::{Code, Failure, Outcome};
use crate::files::{self, Kind};

/// Opens a URL to read all of it from its beginning.
pub(crate) fn input(url: &str) -> Result<Input, Failure> {
    Ok(Input::Stream(Box::new(file(url)?.into_reader())))
}

/// Reads a small file of at most `limit` bytes and one more.
pub(crate) fn read_small(url: &str, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = file(url)?.into_reader().take(limit as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|err| Failure::io("cannot read", err))?;
    Ok(bytes)
}

/// Begins a file at a URL. It appears there when the [`Publication`] is published.
pub(crate) fn output(
    url: &str,
    existing: Existing,
    kind: Kind,
    len: Option<u64>,
) -> Result<(Output, Publication), Failure> {
    let new =
        NewFile { replace: existing == Existing::Replace, private: kind == Kind::Opened, len_hint: len };
    let writer = RemoteWriter::create(&location(url)?, &options()?, new)
        .map_err(|err| failure("cannot write", err))?;
    let pending = Arc::new(Mutex::new(Some(writer)));
    take_back_when_stopped(pending.clone());
    Ok((Output::Stream(Box::new(Pending(pending.clone()))), Publication(Some(pending))))
}

/// `open --range` of a URL.
pub(crate) fn open_range(
    url: &str,
    header: Option<Input>,
    range: Range<u64>,
    output: Output,
    keyring: &Keyring,
    required: &Context,
    work: &Work<'_>,
) -> Result<Opened, Failure> {
    let what = || format!("cannot open `{}`", name(url));
    open_range_at(Parts(file(url)?), header, range, output, keyring, required, work).map_err(
        |err| match err {
            // The engine asked how long it is first of all.
            Error::Io { source, .. } if source.kind() == io::ErrorKind::Unsupported => {
                Failure::new(Code::Failed, what()).because(source).hint("open it without --range")
            }
            err => files::failure(what(), err),
        },
    )
}

/// Gives an envelope or a header in a store other recipients; its body stays where it is.
pub(crate) fn rewrap(
    url: &str,
    kind: HeaderKind,
    keyring: &Keyring,
    change: &Change,
) -> Result<Rewrapped, Failure> {
    let failed = |err| files::failure(format!("cannot change `{}`", name(url)), err);
    let parts = Parts(file(url)?);
    let (locked, header_len) = match kind {
        HeaderKind::Attached => read_header_at(&parts).map_err(failed)?,
        HeaderKind::Detached => {
            let header = read_detached_header(input(url)?).map_err(failed)?;
            (header, parts.size().map_err(|err| Failure::io("cannot read", err))?)
        }
    };
    let rewrapped = rewrap_header(&locked, keyring, change).map_err(failed)?;
    let replaced = parts.0.replace_front(header_len, rewrapped.header.clone());
    replaced.map_err(|err| failure("cannot change", err))?;
    Ok(rewrapped)
}

/// How messages name a URL: without user, password and query.
pub(crate) fn name(url: &str) -> String {
    match Location::parse(url) {
        Ok(Some(location)) => location.to_string(),
        _ => format!("{}://…", waxwing_store::url_scheme(url).unwrap_or_default()),
    }
}

fn file(url: &str) -> Result<RemoteFile, Failure> {
    RemoteFile::open(&location(url)?, &options()?).map_err(|err| failure("cannot read", err))
}

fn location(url: &str) -> Result<Location, Failure> {
    match Location::parse(url) {
        Ok(Some(location)) => Ok(location),
        Ok(None) => unreachable!("it has a scheme"),
        Err(err) => {
            let failure = Failure::new(Code::Usage, format!("`{}` cannot be used", name(url))).because(err);
            Err(failure
                .hint("docs/manual/files-anywhere.md has all kinds; a path that looks so needs ./ in front"))
        }
    }
}

fn failure(what: &str, err: RemoteError) -> Failure {
    let (code, hint) = match err.fault() {
        Fault::NotFound => (Code::NotFound, None),
        Fault::Exists => (Code::Failed, Some("choose another name, or replace it with --force")),
        Fault::Denied(_) => {
            (Code::Failed, Some("docs/manual/files-anywhere.md tells where credentials are looked for"))
        }
        Fault::ReadOnly => (Code::Usage, Some("webdav:// and webdavs:// URLs can be written")),
        Fault::Setup(_) => {
            (Code::Usage, Some("docs/manual/files-anywhere.md tells what each kind of URL needs"))
        }
        _ => (Code::Failed, None),
    };
    let failure = Failure::new(code, what).because(err);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What the environment says about files elsewhere.
fn options() -> Result<RemoteOptions, Failure> {
    let secret = |name| variable(name).map(|text| text.map(Zeroizing::new));
    let s3_credentials = match (variable("AWS_ACCESS_KEY_ID")?, secret("AWS_SECRET_ACCESS_KEY")?) {
        (Some(id), Some(secret_key)) => {
            S3Credentials::Key { id, secret: secret_key, session_token: secret("AWS_SESSION_TOKEN")? }
        }
        _ => S3Credentials::Chain,
    };
    let webdav_login = match (variable("WAXWING_WEBDAV_USER")?, secret("WAXWING_WEBDAV_PASSWORD")?) {
        (Some(user), password) => Some(Login { user, password: password.unwrap_or_default() }),
        (None, _) => None,
    };
    Ok(RemoteOptions {
        s3_endpoint: first_of(["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])?,
        s3_region: first_of(["AWS_REGION", "AWS_DEFAULT_REGION"])?,
        s3_credentials,
        webdav_login,
        sftp: SftpOptions { program: None, config: env::var_os("WAXWING_SSH_CONFIG").map(Into::into) },
        gdrive_token: secret("WAXWING_GDRIVE_TOKEN")?,
        onedrive_token: secret("WAXWING_ONEDRIVE_TOKEN")?,
        dropbox_token: secret("WAXWING_DROPBOX_TOKEN")?,
    })
}

fn first_of(names: [&str; 2]) -> Result<Option<String>, Failure> {
    for name in names {
        if let Some(text) = variable(name)? {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// An environment variable that is not empty.
fn variable(name: &str) -> Result<Option<String>, Failure> {
    match env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => {
            Err(Failure::new(Code::Usage, format!("the variable {name} is not UTF-8")))
        }
    }
}

/// A file elsewhere as the engine reads ranges: one request for each read.
struct Parts(RemoteFile);

impl ReadAt for Parts {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.size()?)
    }
}

type Shared = Arc<Mutex<Option<RemoteWriter>>>;

/// A file elsewhere on its way through the engine, which drops it at its end, good or bad.
struct Pending(Shared);

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(writer) => writer.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Has a thread wait for Ctrl-C or SIGTERM, to take back what was written before the process ends.
fn take_back_when_stopped(pending: Shared) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let stopped = runtime.and_then(|runtime| runtime.block_on(stop_signal()));
        // Without a way to wait for signals they end the process as they always did.
        if let Ok(code) = stopped {
            // Held to the end: whoever writes waits, rather than fail for the lack of a writer.
            let mut writer = pending.lock().unwrap_or_else(PoisonError::into_inner);
            drop(writer.take());
            std::process::exit(code);
        }
    });
}

/// Waits for a signal that asks to stop; says which, as shells count.
async fn stop_signal() -> io::Result<i32> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok(130),
        _ = terminate.recv() => Ok(143),
    }
}

/// What is to appear elsewhere when all went well. Dropped, it takes back what was written.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Publication(Option<Shared>);

impl Publication {
    pub(crate) fn publish(mut self) -> Outcome {
        match self.take() {
            Some(writer) => writer.publish().map_err(|err| failure("cannot write", err)),
            None => Ok(()),
        }
    }

    fn take(&mut self) -> Option<RemoteWriter> {
        self.0.take()?.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        // The thread that waits for signals shares the writer, which would otherwise outlive everybody else.
        drop(self.take());
    }
}
