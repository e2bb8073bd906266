//! Many files in one command: side by side, and not twice.

use std::fs::Metadata;
use std::io::BufRead as _;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use waxwing_core::hash::{HashAlgorithm, Hasher};
use waxwing_delivery::JobId;
use waxwing_engine::{Found, Walk, Work};

use super::{Args, Provider};
use crate::exit::{Code, Failure, Outcome};
use crate::files;
use crate::home::ledger_failed;
use crate::places::random_16;
use crate::progress::Progress;

/// The most files of one run.
const FILES_MAX: usize = 1_000_000;

/// What one run delivers.
pub(super) struct Batch {
    files: Vec<PathBuf>,
    /// Its name, where a file is delivered once under it.
    name: Option<String>,
    left_out: u64,
}

impl Batch {
    /// Finds every file that was named, in the folders that were named too.
    pub(super) fn find(args: &Args) -> Result<Self, Failure> {
        let mut batch = Self { files: Vec::new(), name: args.batch.clone(), left_out: 0 };
        let mut named = args.inputs.clone();
        if let Some(list) = &args.list {
            named.extend(read_list(list)?);
            batch.name.get_or_insert_default();
        }
        for path in named {
            if crate::tree::is_folder(&path) {
                batch.name.get_or_insert_default();
                batch.folder(&path)?;
            } else {
                batch.file(path)?;
            }
        }
        Ok(batch)
    }

    pub(super) fn is_one_file(&self) -> bool {
        self.files.len() == 1
    }

    fn file(&mut self, path: PathBuf) -> Outcome {
        if self.files.len() >= FILES_MAX {
            return Err(Failure::new(
                Code::Usage,
                format!("more than {FILES_MAX} files are too many for one run"),
            ));
        }
        self.files.push(path);
        Ok(())
    }

    fn folder(&mut self, root: &Path) -> Outcome {
        let failed = |path: &Path| format!("cannot read {}", files::name(path));
        for found in Walk::new(root).map_err(|err| Failure::io(failed(root), err))? {
            match found {
                Found::Folder(_) => {}
                Found::File(path) => self.file(root.join(path))?,
                Found::Link(path) | Found::Special(path) => {
                    eprintln!("note: {} is no file, and was left out", files::name(&root.join(path)));
                    self.left_out += 1;
                }
                Found::Failed(path, err) => return Err(files::failure(failed(&root.join(path)), err)),
            }
        }
        Ok(())
    }

    /// Delivers all of it.
    pub(super) fn deliver(&self, provider: &Provider<'_>, quiet: bool) -> Outcome {
        let runtime = crate::commands::runtime()?;
        let progress = Progress::new("delivering", quiet);
        let mut work = Work { durable: false, ..provider.args.work.work(&progress) };
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let jobs = provider.args.jobs.unwrap_or(cores).get().min(self.files.len()).max(1);
        if jobs > 1 {
            work.threads = NonZeroUsize::MIN;
            if progress.is_visible() {
                let len = |path: &PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
                progress.set_total(self.files.iter().map(len).sum());
            }
        }
        let work = work;
        if self.name.is_none() && self.is_one_file() {
            return runtime.block_on(provider.deliver(&self.files[0], random_job_id()?, &work));
        }
        let (next, done, before) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let failures = Mutex::new(Vec::new());
        let deliver_next = || {
            while let Some(path) = self.files.get(next.fetch_add(1, Ordering::Relaxed)) {
                match self.deliver_once(provider, path, &work, &runtime) {
                    Ok(true) => done.fetch_add(1, Ordering::Relaxed),
                    Ok(false) => before.fetch_add(1, Ordering::Relaxed),
                    Err(failure) => {
                        progress.say(&failure.to_string());
                        failures.lock().expect("nobody panics while holding it").push(failure.code);
                        continue;
                    }
                };
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(deliver_next);
            }
        });
        drop(progress);
        let failures = failures.into_inner().expect("nobody panicked");
        if !quiet {
            eprintln!("{}", sum_up(done.into_inner(), before.into_inner(), self.left_out, failures.len()));
        }
        let Some(&code) = failures.first() else { return Ok(()) };
        let code = if failures.iter().all(|other| *other == code) { code } else { Code::Failed };
        let what = format!("{} of {} files were not delivered", failures.len(), self.files.len());
        let failure = Failure::new(code, what);
        Err(match self.name {
            Some(_) => {
                failure.hint("run it again when that is mended: what was delivered is not delivered twice")
            }
            None => failure,
        })
    }

    /// Delivers a file; says whether it was not delivered before.
    fn deliver_once(
        &self,
        provider: &Provider<'_>,
        path: &Path,
        work: &Work<'_>,
        runtime: &tokio::runtime::Runtime,
    ) -> Result<bool, Failure> {
        let id = match &self.name {
            None => random_job_id()?,
            Some(batch) => {
                let metadata = path.metadata();
                let metadata =
                    metadata.map_err(|err| Failure::io(format!("cannot read {}", files::name(path)), err))?;
                let id = job_id(batch, provider.args.to.as_str(), path, &metadata);
                if provider.ledger.job(&id).map_err(ledger_failed)?.is_some() {
                    work.observer.advance(metadata.len());
                    return Ok(false);
                }
                id
            }
        };
        runtime.block_on(provider.deliver(path, id, work)).map(|()| true)
    }
}

/// The job of a file in a batch: the same for the same file, and another's when the file has changed.
fn job_id(batch: &str, agent: &str, path: &Path, file: &Metadata) -> JobId {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    hasher.update(b"waxwing batch 1");
    let (len, secs, nanos) =
        (file.len().to_be_bytes(), file.mtime().to_be_bytes(), file.mtime_nsec().to_be_bytes());
    for part in [batch.as_bytes(), agent.as_bytes(), path.as_os_str().as_bytes(), &len, &secs, &nanos] {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest = hasher.finish();
    JobId::from_random(digest[..16].try_into().expect("SHA-256 gives 32 bytes"))
}

fn random_job_id() -> Result<JobId, Failure> {
    random_16().map(JobId::from_random)
}

fn read_list(list: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |err| Failure::io(format!("cannot read the list {}", files::name(list)), err);
    let lines: Box<dyn std::io::BufRead> = if files::is_dash(list) {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::io::BufReader::new(std::fs::File::open(list).map_err(failed)?))
    };
    let mut paths = Vec::new();
    for line in lines.lines().take(FILES_MAX + 1) {
        let line = line.map_err(failed)?;
        if !line.is_empty() {
            paths.push(line.into());
        }
    }
    Ok(paths)
}

fn sum_up(done: u64, before: u64, left_out: u64, failed: usize) -> String {
    let mut text = format!("delivered {done} files");
    let others = [(before, "were delivered before"), (left_out, "left out"), (failed as u64, "failed")];
    for (count, what) in others {
        if count > 0 {
            text += &format!("; {count} {what}");
        }
    }
    text
}
