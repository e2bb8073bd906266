use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustix::fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;

use super::pipe::widen_pipe;

/// How often another name is tried when one is taken.
const NAME_TRIES_MAX: u32 = 1000;

/// Shorter files are not worth the calls.
const PREALLOCATED_LEN_MIN: u64 = 1 << 20;
/// What Linux calls tmpfs by (`linux/magic.h`).
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

/// Where bytes go.
pub enum Output {
    /// A file that appears under its name when it is complete, or not at all.
    File {
        /// Its name.
        path: PathBuf,
        /// What happens when the name is taken.
        existing: Existing,
    },
    /// Anything that is written once, from beginning to end. What was written stays written.
    Stream(Box<dyn Write + Send>),
}

/// What happens to a file that has the output's name already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the work fails.
    #[default]
    Keep,
    /// It is replaced in one step, at the very end.
    Replace,
}

/// Who may read an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privacy {
    /// Its owner alone (0600): plaintext and keys.
    Owner,
    /// Whoever the umask lets: ciphertext.
    Umask,
}

impl Privacy {
    fn mode(self) -> Mode {
        match self {
            Self::Owner => Mode::RUSR | Mode::WUSR,
            Self::Umask => Mode::from_raw_mode(0o666),
        }
    }
}

/// An [`Output`] that was opened.
pub(crate) enum Sink {
    File(PendingFile),
    Stream(Box<dyn Write + Send>),
}

impl Output {
    /// The file at `path`, which must not exist yet.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File { path: path.into(), existing: Existing::Keep }
    }

    /// A file that is open already, such as standard output, written from where it stands.
    pub fn from_file(file: File) -> Self {
        widen_pipe(&file);
        Self::Stream(Box::new(file))
    }

    /// Opens it; a pipe or a device under the path becomes a stream.
    pub(crate) fn open(self, privacy: Privacy) -> io::Result<Sink> {
        match self {
            Self::Stream(stream) => Ok(Sink::Stream(stream)),
            Self::File { path, existing } => match fs::metadata(&path) {
                Ok(found) if found.is_dir() => Err(ErrorKind::IsADirectory.into()),
                Ok(found) if !found.is_file() => {
                    Self::from_file(File::options().write(true).open(&path)?).open(privacy)
                }
                Ok(_) if existing == Existing::Keep => Err(ErrorKind::AlreadyExists.into()),
                _ => PendingFile::create(path, existing, privacy).map(Sink::File),
            },
        }
    }
}

/// A file that has no name yet. Dropped before [`PendingFile::publish`], nothing of it is left.
///
/// Where the file system can, it never has a name before it is complete, so that even a killed process leaves nothing;
/// elsewhere it has a hidden one beside the target.
pub(crate) struct PendingFile {
    file: File,
    target: PathBuf,
    existing: Existing,
    hidden: Option<PathBuf>,
    modified: Option<SystemTime>,
}

impl PendingFile {
    pub(crate) fn create(target: PathBuf, existing: Existing, privacy: Privacy) -> io::Result<Self> {
        let dir = parent(&target);
        match open_nameless(dir, privacy) {
            Ok(file) => Ok(Self { file, target, existing, hidden: None, modified: None }),
            Err(err) if lacks_nameless_files(&err) => {
                let (hidden, file) = unused_name(dir, |name| {
                    let mut options = File::options();
                    options.read(true).write(true).create_new(true).mode(privacy.mode().as_raw_mode());
                    options.open(name)
                })?;
                Ok(Self { file, target, existing, hidden: Some(hidden), modified: None })
            }
            Err(err) => Err(err),
        }
    }

    /// Has the file say that it was last modified then, rather than when it was written.
    pub(crate) fn modified(mut self, at: SystemTime) -> Self {
        self.modified = Some(at);
        self
    }

    /// Asks for the room that `len` bytes need, without changing the file's length: writing is quicker then, and a disk that
    /// cannot hold it is full now rather than in an hour. Best effort but for that. Memory file systems are not asked: they would
    /// fill the room with zeros first.
    pub(crate) fn preallocate(&self, len: u64) -> io::Result<()> {
        let in_memory = || rustix::fs::fstatfs(&self.file).is_ok_and(|found| found.f_type == TMPFS_MAGIC);
        if len < PREALLOCATED_LEN_MIN || in_memory() {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, len) {
            Err(err @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => Err(err.into()),
            _ => Ok(()),
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the complete file its name. With `durable`, it is on the disk first, and its name right after.
    pub(crate) fn publish(mut self, durable: bool) -> io::Result<()> {
        if let Some(at) = self.modified {
            self.file.set_modified(at)?;
        }
        if durable {
            self.file.sync_all()?;
        }
        match self.existing {
            Existing::Keep => {
                self.link(&self.target)?;
                self.remove_hidden();
            }
            Existing::Replace => {
                if self.hidden.is_none() {
                    let (name, ()) = unused_name(parent(&self.target), |name| self.link(name))?;
                    self.hidden = Some(name);
                }
                let hidden = self.hidden.as_deref().unwrap_or(&self.target);
                fs::rename(hidden, &self.target)?;
                self.hidden = None;
            }
        }
        if durable {
            File::open(parent(&self.target))?.sync_all()?;
        }
        Ok(())
    }

    /// Gives the file one more name; fails when the name is taken.
    fn link(&self, name: &Path) -> io::Result<()> {
        match &self.hidden {
            Some(hidden) => fs::hard_link(hidden, name),
            None => match rustix::fs::linkat(&self.file, c"", CWD, name, AtFlags::EMPTY_PATH) {
                // Older kernels let only root do it so.
                Err(Errno::NOENT | Errno::INVAL | Errno::PERM) => {
                    let fd = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                    Ok(rustix::fs::linkat(CWD, fd, CWD, name, AtFlags::SYMLINK_FOLLOW)?)
                }
                linked => Ok(linked?),
            },
        }
    }

    fn remove_hidden(&mut self) {
        if let Some(hidden) = self.hidden.take() {
            // Nothing better can be done about a name that does not go away.
            let _ = fs::remove_file(hidden);
        }
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        self.remove_hidden();
    }
}

/// A file below `dir` that its owner alone may read and that never gets a name.
pub(crate) fn anonymous_file(dir: &Path) -> io::Result<File> {
    match open_nameless(dir, Privacy::Owner) {
        Err(err) if lacks_nameless_files(&err) => {
            let (name, file) = unused_name(dir, |name| {
                File::options().read(true).write(true).create_new(true).mode(0o600).open(name)
            })?;
            fs::remove_file(name)?;
            Ok(file)
        }
        opened => opened,
    }
}

fn open_nameless(dir: &Path, privacy: Privacy) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(dir, flags, privacy.mode())?))
}

/// Whether the error says that this file system or kernel has no nameless files.
fn lacks_nameless_files(err: &io::Error) -> bool {
    let errno = Errno::from_io_error(err);
    matches!(errno, Some(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS))
}

/// Tries hidden names in `dir` until `make` finds one that is not taken.
fn unused_name<T>(dir: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(PathBuf, T)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    for _ in 0..NAME_TRIES_MAX {
        let n = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = dir.join(format!(".waxwing-{}-{n}.part", std::process::id()));
        match make(&name) {
            Err(err) if err.kind() == ErrorKind::AlreadyExists => {}
            made => return Ok((name, made?)),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn pending(path: &Path, existing: Existing) -> PendingFile {
        let mut pending = PendingFile::create(path.into(), existing, Privacy::Owner).unwrap();
        pending.file.write_all(b"new").unwrap();
        pending
    }

    /// As on a file system without nameless files.
    fn named(path: &Path, existing: Existing) -> PendingFile {
        let hidden = parent(path).join(".waxwing-test.part");
        fs::write(&hidden, b"new").unwrap();
        let file = File::open(&hidden).unwrap();
        PendingFile { file, target: path.into(), existing, hidden: Some(hidden), modified: None }
    }

    #[test]
    fn attack_28_a_file_appears_whole_or_not_at_all() {
        for make in [pending, named] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("out");
            drop(make(&path, Existing::Keep));
            assert!(names(dir.path()).is_empty(), "dropped: nothing is left");
            make(&path, Existing::Keep).publish(true).unwrap();
            assert_eq!(names(dir.path()), ["out"]);
            assert_eq!(fs::read(&path).unwrap(), b"new");
        }
    }

    #[test]
    fn a_taken_name_is_kept_or_replaced_as_told() {
        for make in [pending, named] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("out");
            fs::write(&path, b"old").unwrap();
            let kept = make(&path, Existing::Keep).publish(false).unwrap_err();
            assert_eq!(kept.kind(), ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&path).unwrap(), b"old");
            make(&path, Existing::Replace).publish(false).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
            assert_eq!(names(dir.path()), ["out"]);
        }
    }

    #[test]
    fn attack_28_a_link_under_the_target_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, path) = (dir.path().join("victim"), dir.path().join("out"));
        fs::write(&victim, b"precious").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        pending(&path, Existing::Replace).publish(false).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
    }

    #[test]
    fn room_that_was_asked_for_is_no_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let pending = pending(&path, Existing::Keep);
        pending.preallocate(2 * PREALLOCATED_LEN_MIN).unwrap();
        pending.publish(false).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn plaintext_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        pending(&path, Existing::Keep).publish(false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
