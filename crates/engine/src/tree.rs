//! Whole folders: every file of one tree, sealed or opened into another of the same shape.
//!
//! Small files are worked on side by side, one thread each; a large one gets all threads. What an earlier run finished is
//! left alone after a check, so that the same call goes on where the last one stopped: the output's length and its
//! time of modification, which is set to that of the input, must be what a run would give. A sealed file must besides be
//! for the same recipients, in the same suite and context.

mod walk;

use std::fs::{self, File, Metadata};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::thread;

use rustix::fs::OFlags;
use waxwing_core::Random;
use waxwing_core::envelope::SealOptions;
use waxwing_core::frames::BodyShape;
use waxwing_formats::envelope::{Context, Header};
use waxwing_keyring::Keyring;

pub use self::walk::{Found, Walk};
use crate::header::read_attached_header;
use crate::io::{PendingFile, Privacy, Sink};
use crate::open::open_into;
use crate::seal::seal_into;
use crate::{Error, Existing, Input, Observer, Work};

/// What the name of a sealed file has behind that of its plaintext.
pub const SEALED_SUFFIX: &str = "wax";

/// A file of this length gets all threads, and no second such file is worked on meanwhile.
const LARGE_LEN: u64 = 8 << 20;

/// What became of one entry of a tree.
#[derive(Debug)]
pub enum Fate {
    /// It was sealed or opened.
    Done {
        /// Bytes of plaintext.
        plaintext_len: u64,
    },
    /// An earlier run did it.
    UpToDate,
    /// It was left out, which is no failure.
    LeftOut(LeftOut),
    /// It failed; the others go on.
    Failed(Error),
}

/// Why an entry was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// A symbolic link. None is followed.
    Link,
    /// A pipe, a socket or a device.
    Special,
    /// When opening: its name does not end in [`SEALED_SUFFIX`].
    NotSealed,
}

/// What became of a tree, in numbers of files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TreeSummary {
    /// Sealed or opened now.
    pub done: u64,
    /// Their bytes of plaintext.
    pub plaintext_len: u64,
    /// Done by an earlier run.
    pub up_to_date: u64,
    /// Links, special files and, when opening, files that are not sealed.
    pub left_out: u64,
    /// Failed.
    pub failed: u64,
}

/// A tree and where its mirror image goes.
#[derive(Debug, Clone, Copy)]
pub struct Tree<'a> {
    /// The folder with what is to be sealed or opened.
    pub input: &'a Path,
    /// The folder for what comes of it; made if it is not there.
    pub output: &'a Path,
    /// What happens to files in the output that an earlier run did not make from the same input. To replace is to do all
    /// of them again.
    pub existing: Existing,
}

/// Told about each entry with its path below the input, from any thread.
pub type Report<'a> = &'a (dyn Fn(&Path, Fate) + Sync);

/// Seals every file of a tree. Each becomes a file of the same name with [`SEALED_SUFFIX`] behind it.
///
/// # Errors
///
/// What ends the whole run: [`Error::Stopped`], a full disk, no random bytes, an input or output folder that cannot be used.
/// What fails for one file is reported and counted.
pub fn seal_tree(
    tree: Tree<'_>,
    recipients: &Keyring,
    options: &SealOptions,
    random: &dyn Random,
    work: &Work<'_>,
    report: Report<'_>,
) -> Result<TreeSummary, Error> {
    let sealing = Sealing { recipients, options };
    tree.mirror(work, report, |path, lanes| {
        let (file, source) = open_regular(&tree.input.join(path))?;
        let mut name = tree.output.join(path).into_os_string();
        name.push(".");
        name.push(SEALED_SUFFIX);
        let target = Target { path: name.into(), source: &source, existing: tree.existing };
        if target.is_up_to_date(|path, len| sealing.gave(path, len, source.len()))? {
            work.observer.advance(source.len());
            return Ok(Fate::UpToDate);
        }
        let output = target.create(Privacy::Umask)?;
        let input = Input::File { file, len: source.len() };
        let sealed = lanes.work(source.len(), |work| {
            seal_into(input, output, None, recipients, options.clone(), random, work)
        })?;
        Ok(Fate::Done { plaintext_len: sealed.plaintext_len })
    })
}

/// Opens every file of a tree that [`seal_tree`] made: each file whose name ends in [`SEALED_SUFFIX`] becomes one without.
///
/// # Errors
///
/// As [`seal_tree`].
pub fn open_tree(
    tree: Tree<'_>,
    keyring: &Keyring,
    required: &Context,
    work: &Work<'_>,
    report: Report<'_>,
) -> Result<TreeSummary, Error> {
    tree.mirror(work, report, |path, lanes| {
        if path.extension().is_none_or(|suffix| suffix != SEALED_SUFFIX) {
            return Ok(Fate::LeftOut(LeftOut::NotSealed));
        }
        let (file, source) = open_regular(&tree.input.join(path))?;
        let mut input = Input::File { file, len: source.len() };
        let path = tree.output.join(path.with_extension(""));
        let target = Target { path, source: &source, existing: tree.existing };
        if target.is_up_to_date(|_, len| plaintext_len(&mut input) == Some(len))? {
            work.observer.advance(source.len());
            return Ok(Fate::UpToDate);
        }
        let output = target.create(Privacy::Owner)?;
        let opened =
            lanes.work(source.len(), |work| open_into(input, None, output, keyring, required, work))?;
        Ok(Fate::Done { plaintext_len: opened.plaintext_len })
    })
}

/// How many bytes the regular files of a tree have, as far as it can be read: what progress is measured by.
pub fn tree_len(root: &Path) -> u64 {
    let Ok(walk) = Walk::new(root) else { return 0 };
    walk.filter_map(|found| match found {
        Found::File(path) => Some(fs::symlink_metadata(root.join(path)).ok()?.len()),
        _ => None,
    })
    .sum()
}

impl Tree<'_> {
    /// Makes the folders of the output and calls `each` for every file of the input, from several threads.
    fn mirror(
        &self,
        work: &Work<'_>,
        report: Report<'_>,
        each: impl Fn(&Path, &Lanes<'_>) -> Result<Fate, Error> + Sync,
    ) -> Result<TreeSummary, Error> {
        let walk = Mutex::new(Walk::new(self.input).map_err(Error::input)?);
        // Before it is made, as far as it is there, and after, when every link in it is resolved.
        let there = self.output.ancestors().find(|path| path.exists());
        self.require_outside(there.unwrap_or(Path::new(".")))?;
        fs::create_dir_all(self.output).map_err(Error::output)?;
        self.require_outside(self.output)?;
        let lanes = Lanes { work, large: Mutex::new(()) };
        let summary = Mutex::new(TreeSummary::default());
        let ended = OnceLock::new();
        let run = || {
            while ended.get().is_none() {
                let Some(found) = self.find(&mut lock(&walk)) else { return };
                let (path, outcome) = match found {
                    Found::Folder(_) => continue,
                    Found::Link(path) => (path, Ok(Fate::LeftOut(LeftOut::Link))),
                    Found::Special(path) => (path, Ok(Fate::LeftOut(LeftOut::Special))),
                    Found::Failed(path, err) => (path, Err(err)),
                    Found::File(path) if work.observer.stopped() => (path, Err(Error::Stopped)),
                    Found::File(path) => {
                        let outcome = each(&path, &lanes);
                        (path, outcome)
                    }
                };
                let fate = match outcome {
                    Err(err) if err.ends_all_work() => {
                        // Only the first is told: the others have the same cause.
                        let _ = ended.set(err);
                        return;
                    }
                    outcome => outcome.unwrap_or_else(Fate::Failed),
                };
                lock(&summary).count(&fate);
                report(&path, fate);
            }
        };
        thread::scope(|scope| {
            for _ in 1..work.threads.get() {
                scope.spawn(run);
            }
            run();
        });
        match ended.into_inner() {
            Some(err) => Err(err),
            None => Ok(*lock(&summary)),
        }
    }

    /// Refuses an output in which the walk would find what it made.
    fn require_outside(&self, output: &Path) -> Result<(), Error> {
        let output = output.canonicalize().map_err(Error::output)?;
        let input = self.input.canonicalize().map_err(Error::input)?;
        if output.starts_with(input) { Err(Error::OutputInside) } else { Ok(()) }
    }

    /// The next entry. The folder for what is in it is there when it is a folder.
    fn find(&self, walk: &mut Walk) -> Option<Found> {
        let found = walk.next()?;
        let Found::Folder(path) = &found else { return Some(found) };
        match make_folder(&self.output.join(path)) {
            Ok(()) => Some(found),
            Err(err) => {
                walk.skip_folder();
                Some(Found::Failed(path.clone(), Error::output(err)))
            }
        }
    }
}

/// Makes a folder unless it is there. A link to one is none: outputs would land elsewhere.
fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
            match fs::symlink_metadata(path)?.is_dir() {
                true => Ok(()),
                false => Err(io::ErrorKind::NotADirectory.into()),
            }
        }
        made => made,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while holding it")
}

impl TreeSummary {
    /// All files that were met.
    pub fn files(&self) -> u64 {
        self.done + self.up_to_date + self.left_out + self.failed
    }

    fn count(&mut self, fate: &Fate) {
        match fate {
            Fate::Done { plaintext_len } => {
                self.done += 1;
                self.plaintext_len += plaintext_len;
            }
            Fate::UpToDate => self.up_to_date += 1,
            Fate::LeftOut(_) => self.left_out += 1,
            Fate::Failed(_) => self.failed += 1,
        }
    }
}

/// Shares threads between small files and large ones.
struct Lanes<'a> {
    work: &'a Work<'a>,
    large: Mutex<()>,
}

impl Lanes<'_> {
    /// Does the work on a file of this length with as many threads as it deserves.
    fn work<T>(&self, len: u64, each: impl FnOnce(&Work<'_>) -> T) -> T {
        let observer = Part(self.work.observer);
        if len < LARGE_LEN {
            return each(&Work { threads: NonZeroUsize::MIN, observer: &observer, ..*self.work });
        }
        let _alone = lock(&self.large);
        each(&Work { observer: &observer, ..*self.work })
    }
}

/// Watches one file of many.
struct Part<'a>(&'a dyn Observer);

impl Observer for Part<'_> {
    fn advance(&self, bytes: u64) {
        self.0.advance(bytes);
    }

    fn stopped(&self) -> bool {
        self.0.stopped()
    }
}

/// Opens a file that a walk found, unless something else took its place meanwhile.
fn open_regular(path: &Path) -> Result<(File, Metadata), Error> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let opened = File::options().read(true).custom_flags(flags as i32).open(path);
    let (file, metadata) =
        opened.and_then(|file| file.metadata().map(|found| (file, found))).map_err(Error::input)?;
    if !metadata.is_file() {
        return Err(Error::InputChanged);
    }
    Ok((file, metadata))
}

/// Where the output of one file goes.
struct Target<'a> {
    path: PathBuf,
    source: &'a Metadata,
    existing: Existing,
}

impl Target<'_> {
    /// Whether an earlier run made it from the same input: it is as old as the input, and `same` says so of it and its length.
    ///
    /// # Errors
    ///
    /// [`Error::OutputExists`] when it is something else, and may not be replaced.
    fn is_up_to_date(&self, same: impl FnOnce(&Path, u64) -> bool) -> Result<bool, Error> {
        if self.existing == Existing::Replace {
            return Ok(false);
        }
        let found = match fs::symlink_metadata(&self.path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(false),
            found => found.map_err(Error::output)?,
        };
        let as_old = found.modified().ok() == self.source.modified().ok();
        if found.is_file() && as_old && same(&self.path, found.len()) {
            return Ok(true);
        }
        Err(Error::OutputExists)
    }

    fn create(self, privacy: Privacy) -> Result<Sink, Error> {
        let created = self.source.modified().and_then(|modified| {
            Ok(PendingFile::create(self.path, self.existing, privacy)?.modified(modified))
        });
        created.map(Sink::File).map_err(Error::output)
    }
}

/// What a run seals with: enough to tell what it would give without giving it.
struct Sealing<'a> {
    recipients: &'a Keyring,
    options: &'a SealOptions,
}

impl Sealing<'_> {
    /// Whether the file at `path` is an envelope such as this run would make of `plaintext_len` bytes. That it holds these
    /// bytes is not known without a key.
    fn gave(&self, path: &Path, len: u64, plaintext_len: u64) -> bool {
        let Ok(mut input) = Input::open(path) else { return false };
        let Ok((header, body_offset)) = read_attached_header(&mut input) else { return false };
        let Header { fixed, recipients, .. } = header.unverified();
        let SealOptions { suite, frame_len, context } = self.options;
        let shape = BodyShape::of_plaintext(*frame_len, plaintext_len);
        (fixed.suite, fixed.frame_len, &fixed.context) == (*suite, *frame_len, context)
            && shape.is_some_and(|shape| body_offset + shape.body_len() == len)
            && self.recipients.is_for(recipients)
    }
}

/// How much plaintext an envelope claims to hold.
fn plaintext_len(input: &mut Input) -> Option<u64> {
    let len = input.known_len()?;
    let (header, offset) = read_attached_header(input).ok()?;
    Some(
        BodyShape::of_body(header.unverified().fixed.frame_len, len.checked_sub(offset)?)
            .ok()?
            .plaintext_len(),
    )
}

#[cfg(test)]
mod tests;
