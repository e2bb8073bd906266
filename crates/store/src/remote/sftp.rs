//! SFTP over the system's `ssh`, which knows the user's keys, agents, known hosts and jump hosts.

use std::io::SeekFrom;
use std::ops::Range;
use std::process::Stdio;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_core::future::BoxFuture;
use futures_util::future::try_join_all;
use openssh_sftp_client::error::SftpErrorKind;
use openssh_sftp_client::file::File;
use openssh_sftp_client::metadata::{MetaData, Permissions};
use openssh_sftp_client::{Error, Sftp, SftpOptions as Wire};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;
use waxwing_keyring::said;

use super::options::{STALL_MAX, limits};
use super::read::{Opened, Source};
use super::write::{Sink, hidden_name};
use super::{Fault, NewFile, SftpOptions};

/// Bytes of one request: what every server takes (draft-ietf-secsh-filexfer-02, section 3).
const REQUEST_LEN: usize = 32 << 10;
/// The most bytes of `ssh`'s own words that are read.
const SAID_LEN_MAX: u64 = 4 << 10;

/// Where a file is.
#[derive(Clone, Copy)]
pub(super) struct Host<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) host: &'a str,
    pub(super) port: Option<u16>,
}

/// A connection, and the `ssh` that holds it; killed when dropped.
struct Connection {
    sftp: Sftp,
    _ssh: Child,
}

async fn connect(host: Host<'_>, options: &SftpOptions) -> Result<Connection, Fault> {
    let mut command = Command::new(options.program.as_deref().unwrap_or("ssh".as_ref()));
    let seconds = limits().connect.as_secs();
    // Nobody is asked for a password: there may be no terminal. A silent server is given up.
    command.args(["-oBatchMode=yes", "-oServerAliveInterval=10", "-oServerAliveCountMax=3"]);
    command.args(["-oForwardAgent=no", "-oForwardX11=no", "-oClearAllForwardings=yes"]);
    command.arg(format!("-oConnectTimeout={seconds}"));
    if let Some(config) = &options.config {
        command.arg("-F").arg(config);
    }
    if let Some(port) = host.port {
        command.args(["-p", &port.to_string()]);
    }
    if let Some(user) = host.user {
        command.args(["-l", user]);
    }
    command.args(["-s", "--", host.host, "sftp"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut ssh = command.spawn().map_err(|err| Fault::Setup(format!("`ssh` cannot be started: {err}")))?;
    let (stdin, stdout) = (ssh.stdin.take(), ssh.stdout.take());
    let (stdin, stdout) = stdin.zip(stdout).expect("both were asked for");
    let greeted = timeout(2 * limits().connect, Sftp::new(stdin, stdout, Wire::new())).await;
    match greeted {
        Ok(Ok(sftp)) => Ok(Connection { sftp, _ssh: ssh }),
        Ok(Err(_)) => Err(refused(ssh.stderr.take()).await),
        Err(_) => Err(Fault::TimedOut),
    }
}

/// What `ssh` said about why there is no connection.
async fn refused(stderr: Option<ChildStderr>) -> Fault {
    let mut text = Vec::new();
    if let Some(stderr) = stderr {
        // What cannot be read says nothing.
        let _ = timeout(limits().connect, stderr.take(SAID_LEN_MAX).read_to_end(&mut text)).await;
    }
    let text = said(&String::from_utf8_lossy(&text));
    let denied = ["Permission denied", "Host key verification failed", "Too many authentication failures"];
    match denied.iter().any(|words| text.contains(words)) {
        true => Fault::Denied(text),
        false => Fault::Unreachable(text),
    }
}

/// An answer, in time.
async fn within<T>(request: impl Future<Output = Result<T, Error>>) -> Result<T, Fault> {
    Ok(timeout(STALL_MAX, request).await.map_err(|_| Fault::TimedOut)??)
}

pub(super) async fn open(host: Host<'_>, path: &str, options: &SftpOptions) -> Result<Opened, Fault> {
    let connection = connect(host, options).await?;
    let mut file = within(connection.sftp.open(path)).await?;
    let version = within(file.metadata()).await?;
    if version.file_type().is_some_and(|kind| kind.is_dir()) {
        return Err(Fault::NotFound);
    }
    let len =
        version.len().ok_or_else(|| Fault::Service("it does not tell how long the file is".to_owned()))?;
    let source = SftpSource { file, version: Version::of(&version), _connection: connection };
    Ok(Opened::Ranged { source: Arc::new(source), len })
}

/// What tells that a file was written to: times are in seconds.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    len: Option<u64>,
    modified: Option<u32>,
}

impl Version {
    fn of(found: &MetaData) -> Self {
        Self { len: found.len(), modified: found.modified().map(|at| at.into_raw()) }
    }
}

/// An open file: one that gets its name later is another.
struct SftpSource {
    file: File,
    version: Version,
    _connection: Connection,
}

impl Source for SftpSource {
    fn read(&self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, Fault>> {
        Box::pin(async move {
            // A piece is at most a few MiB.
            let mut bytes = BytesMut::zeroed((range.end - range.start) as usize);
            let requests = bytes.chunks_mut(REQUEST_LEN).enumerate().map(|(index, chunk)| {
                read_chunk(self.file.clone(), range.start + (index * REQUEST_LEN) as u64, chunk)
            });
            try_join_all(requests).await?;
            match Version::of(&within(self.file.clone().metadata()).await?) == self.version {
                true => Ok(bytes.freeze()),
                false => Err(Fault::Changed),
            }
        })
    }
}

async fn read_chunk(mut file: File, offset: u64, chunk: &mut [u8]) -> Result<(), Fault> {
    let mut filled = 0;
    while filled < chunk.len() {
        seek(&mut file, offset + filled as u64).await?;
        // At most a request.
        let wanted = (chunk.len() - filled) as u32;
        // It was longer a moment ago.
        let read = within(file.read(wanted, BytesMut::new())).await?.filter(|read| !read.is_empty());
        let read = read.ok_or(Fault::Changed)?;
        let len = read.len().min(chunk.len() - filled);
        chunk[filled..filled + len].copy_from_slice(&read[..len]);
        filled += len;
    }
    Ok(())
}

/// Sets where the next request goes; nothing is sent.
async fn seek(file: &mut File, offset: u64) -> Result<(), Fault> {
    let sought = file.seek(SeekFrom::Start(offset)).await;
    sought.map(|_| ()).map_err(|err| Fault::Service(err.to_string()))
}

pub(super) async fn create(
    host: Host<'_>,
    path: &str,
    options: &SftpOptions,
    new: NewFile,
) -> Result<Box<dyn Sink>, Fault> {
    let connection = connect(host, options).await?;
    if !new.replace {
        match within(connection.sftp.fs().symlink_metadata(path)).await {
            Err(Fault::NotFound) => {}
            Ok(_) => return Err(Fault::Exists),
            Err(fault) => return Err(fault),
        }
    }
    let part = match path.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{}", hidden_name()?),
        None => hidden_name()?,
    };
    let mut open = connection.sftp.options();
    let file = within(open.write(true).create_new(true).open(&part)).await?;
    let mut sink = Upload { connection, file: Some(file), path: path.to_owned(), part, new };
    if let Err(fault) = sink.protect().await {
        // The first failure is the one to tell.
        let _ = sink.abort().await;
        return Err(fault);
    }
    Ok(Box::new(sink))
}

/// A file that is written under a hidden name beside its own.
struct Upload {
    connection: Connection,
    /// `None` once it is closed. One request waits for its answer before the next is sent: some servers (rclone) take
    /// requests in order alone, and a file must be closed before it is renamed.
    file: Option<File>,
    path: String,
    part: String,
    new: NewFile,
}

impl Upload {
    async fn protect(&mut self) -> Result<(), Fault> {
        if let Some(file) = self.file.as_mut().filter(|_| self.new.private) {
            let mut owner = Permissions::new();
            owner.set_read_by_owner(true).set_write_by_owner(true);
            within(file.set_permissions(owner)).await?;
        }
        Ok(())
    }

    /// Without a name that is taken being replaced: a link fails then, whoever was quicker.
    async fn link(&self) -> Result<(), Fault> {
        let mut fs = self.connection.sftp.fs();
        if self.connection.sftp.support_hardlink() {
            return match timeout(STALL_MAX, fs.hard_link(&self.part, &self.path)).await {
                Ok(Ok(())) => within(fs.remove_file(&self.part)).await,
                // Protocol 3 has no word for "exists".
                Ok(Err(Error::SftpError(SftpErrorKind::Failure, _))) => Err(Fault::Exists),
                // Promised and not kept, as by rclone.
                Ok(Err(Error::SftpError(SftpErrorKind::OpUnsupported, _))) => self.look_and_rename().await,
                Ok(Err(err)) => Err(err.into()),
                Err(_) => Err(Fault::TimedOut),
            };
        }
        self.look_and_rename().await
    }

    /// The same where there are no links; whoever takes the name between the two steps is replaced.
    async fn look_and_rename(&self) -> Result<(), Fault> {
        let mut fs = self.connection.sftp.fs();
        match within(fs.symlink_metadata(&self.path)).await {
            Err(Fault::NotFound) => within(fs.rename(&self.part, &self.path)).await,
            Ok(_) => Err(Fault::Exists),
            Err(fault) => Err(fault),
        }
    }
}

impl Sink for Upload {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let file = self.file.as_mut().ok_or_else(|| Fault::Service("it is closed already".to_owned()))?;
            within(file.write_all(&bytes)).await
        })
    }

    fn publish(&mut self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            if let Some(mut file) = self.file.take() {
                if self.connection.sftp.support_fsync() {
                    within(file.sync_all()).await?;
                }
                within(file.close()).await?;
            }
            match self.new.replace {
                true => within(self.connection.sftp.fs().rename(&self.part, &self.path)).await,
                false => self.link().await,
            }
        })
    }

    fn abort(&mut self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            if let Some(file) = self.file.take() {
                // It is removed in any case.
                let _ = within(file.close()).await;
            }
            match within(self.connection.sftp.fs().remove_file(&self.part)).await {
                Err(Fault::NotFound) => Ok(()),
                removed => removed,
            }
        })
    }
}
