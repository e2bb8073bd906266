use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use tempfile::NamedTempFile;
use waxwing_store::{Durability, Publication, publish_once, stage, sweep};

use super::UNAUTHENTICATED_DIR;

/// A place for plaintext: an output appears there whole and once, or not at all.
pub trait Outputs: fmt::Debug + Send + Sync {
    /// Begins the output `name`, a relative path of one or two parts. Nobody sees it before it is published; dropped, it leaves
    /// nothing behind. May block.
    ///
    /// # Errors
    ///
    /// What the place says.
    fn stage(&self, name: &str) -> io::Result<Box<dyn Staged>>;

    /// Removes what killed workers left there, as far as it can be told from what living ones do. May block.
    ///
    /// # Errors
    ///
    /// What the place says.
    fn sweep(&self) -> io::Result<()> {
        Ok(())
    }
}

/// An output that nobody sees yet.
pub trait Staged: Write + Send {
    /// Makes it appear under its name, if that name is free: of any number of callers exactly one publishes. May block.
    ///
    /// `sha256` is the digest of all that was written; it tells an earlier attempt's output from another file.
    ///
    /// # Errors
    ///
    /// What the place says. The output is then absent, or there and whole.
    fn publish(self: Box<Self>, sha256: &[u8; 32]) -> io::Result<Published>;
}

/// What became of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the name may be taken"]
pub enum Published {
    /// It appeared now.
    Now,
    /// An earlier attempt had published the same bytes under the name.
    Before,
    /// The name belongs to something else, which is untouched.
    NameTaken,
}

/// Outputs as files of a folder.
#[derive(Debug, Clone)]
pub struct DirOutputs {
    dir: PathBuf,
}

impl DirOutputs {
    /// Makes the folder, and the one for what nothing proves, and removes what killed workers left there.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir.join(UNAUTHENTICATED_DIR))?;
        sweep(dir)?;
        // Fails here rather than in the first job.
        stage(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }
}

impl Outputs for DirOutputs {
    fn stage(&self, name: &str) -> io::Result<Box<dyn Staged>> {
        Ok(Box::new(StagedFile { file: stage(&self.dir)?, target: self.dir.join(name) }))
    }

    fn sweep(&self) -> io::Result<()> {
        sweep(&self.dir).map(drop)
    }
}

struct StagedFile {
    file: NamedTempFile,
    target: PathBuf,
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Staged for StagedFile {
    fn publish(self: Box<Self>, sha256: &[u8; 32]) -> io::Result<Published> {
        Ok(match publish_once(self.file, &self.target, Durability::Synced)? {
            Publication::Published => Published::Now,
            Publication::AlreadyThere if sha256_of(&self.target).is_ok_and(|found| found == *sha256) => {
                Published::Before
            }
            Publication::AlreadyThere => Published::NameTaken,
        })
    }
}

fn sha256_of(path: &Path) -> io::Result<[u8; 32]> {
    const BUFFER_LEN: usize = 256 << 10;
    let mut file = File::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => context.update(&buffer[..read]),
        }
    }
    Ok(context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes"))
}
