//! Folders for the data, in memory and on disk.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{Error, Result, at_root, capture};

/// A folder that Linux keeps in memory.
pub(super) const MEMORY_FOLDER: &str = "/dev/shm";

/// A folder for data, removed at the end.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
    /// The file system: tmpfs, ext2/ext3, xfs.
    pub(super) file_system: String,
}

impl Place {
    /// Makes a folder below `parent`, which must have `needed` bytes of room.
    pub(super) fn new(parent: &Path, needed: u64) -> Result<Self> {
        fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
        let free = free_in(parent)?;
        if free < needed {
            let text = format!("{} has {free} bytes free; the benchmark needs {needed}", parent.display());
            return Err(Error::Usage(text));
        }
        let folder = parent.join("waxwing-bench");
        if folder.exists() {
            // Not removed here: another benchmark may be running, which would disturb both.
            let text = format!("another benchmark runs, or was interrupted and left {}", folder.display());
            return Err(Error::Usage(format!("{text}; if none runs, remove that folder")));
        }
        let said = capture(at_root("stat").args(["--file-system", "--format=%T"]).arg(parent))?;
        fs::create_dir(&folder).map_err(Error::file("create", &folder))?;
        Ok(Self { folder, file_system: said.trim().to_owned() })
    }

    pub(super) fn is_in_memory(&self) -> bool {
        ["tmpfs", "ramfs"].contains(&self.file_system.as_str())
    }

    /// A path below the folder.
    pub(super) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Free bytes where `folder` lies.
pub(super) fn free_in(folder: &Path) -> Result<u64> {
    let said = capture(at_root("df").args(["--output=avail", "-B1"]).arg(folder))?;
    let free = said.lines().nth(1).and_then(|line| line.trim().parse().ok());
    free.ok_or_else(|| Error::Unexpected { command: "df".into(), what: said })
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_place_is_taken_once_and_vanishes() {
        let parent = std::env::temp_dir().join(format!("waxwing-place-{}", std::process::id()));
        let place = Place::new(&parent, 1).unwrap();
        let taken = Place::new(&parent, 1).unwrap_err().to_string();
        assert!(taken.contains("another benchmark"), "{taken}");
        assert!(!place.file_system.is_empty());
        drop(place);
        assert!(Place::new(&parent, u64::MAX).unwrap_err().to_string().contains("bytes free"));
        Place::new(&parent, 1).unwrap();
        fs::remove_dir(&parent).unwrap();
    }
}
