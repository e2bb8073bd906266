//! Files that appear whole and once: staged beside their target under a name nobody reads, then published.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::Path,
};

use tempfile::NamedTempFile;

/// How much a publication survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// File and directory are synced before the call returns: published means published after a power cut, too.
    #[default]
    Synced,
    /// The kernel writes when it likes. A crash of the process loses nothing; a crash of the machine may lose, or leave empty,
    /// what was published in its last seconds.
    Cached,
}

/// What became of a staged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the target may have been there already"]
pub enum Publication {
    /// It is the target now.
    Published,
    /// Somebody else published first. The target is theirs, untouched; the staged file is gone.
    AlreadyThere,
}

/// Makes an empty file in `dir`: new (`O_EXCL`), mode 0600, removed when dropped, invisible to readers by its name.
///
/// The file stays locked while its handle lives, so that [`sweep`] tells a dead process's leftovers from work in progress.
///
/// # Errors
///
/// What the file system says; nothing is left behind.
pub fn stage(dir: &Path) -> io::Result<NamedTempFile> {
    for _ in 0..STAGE_ATTEMPTS_MAX {
        let staged = tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempfile_in(dir)?;
        match staged.as_file().lock() {
            // A file system without locks: sweep cannot lock there either, and removes nothing.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(staged),
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        // A sweep may have removed the file between its creation and its lock.
        if staged.path().try_exists()? {
            return Ok(staged);
        }
    }
    Err(io::Error::other("a sweep of the same directory kept removing the new file"))
}

/// Gives `staged` the name `target`, if that name is free: of any number of callers exactly one publishes.
///
/// `target` lies on the same file system. It appears with its whole content, in one step; an existing target, be it a
/// symbolic link, is neither followed nor replaced.
///
/// # Errors
///
/// What the file system says. The target is then absent or, when only the last sync failed, present and whole.
pub fn publish_once(staged: NamedTempFile, target: &Path, durability: Durability) -> io::Result<Publication> {
    if durability == Durability::Synced {
        staged.as_file().sync_all()?;
    }
    match staged.persist_noclobber(target) {
        Ok(_published) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            return Ok(Publication::AlreadyThere);
        }
        Err(error) => return Err(error.error),
    }
    if durability == Durability::Synced {
        sync_dir(target.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(Publication::Published)
}

/// Removes from `dir` what [`stage`] left there when its process was killed; returns how many files.
///
/// Files of living processes are locked and stay. Other files, and subdirectories, are not touched.
///
/// # Errors
///
/// What the file system says while listing; a file that vanishes meanwhile is not an error.
pub fn sweep(dir: &Path) -> io::Result<u64> {
    let mut removed = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with(PREFIX)
            && name.ends_with(SUFFIX)
            && entry.file_type()?.is_file()
            && remove_if_abandoned(&entry.path())?
        {
            removed += 1;
        }
    }
    Ok(removed)
}

pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)?.sync_all()
}

fn remove_if_abandoned(path: &Path) -> io::Result<bool> {
    let absent_is_fine =
        |error: io::Error| if error.kind() == io::ErrorKind::NotFound { Ok(false) } else { Err(error) };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return absent_is_fine(error),
    };
    match file.try_lock() {
        Ok(()) => fs::remove_file(path).map(|()| true).or_else(absent_is_fine),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

const PREFIX: &str = ".waxwing-";
const SUFFIX: &str = ".partial";
const STAGE_ATTEMPTS_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn publishes_once_and_leaves_no_second_file() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.csv");
        for (content, expected) in [("first", Publication::Published), ("second", Publication::AlreadyThere)]
        {
            let mut staged = stage(dir.path()).unwrap();
            staged.write_all(content.as_bytes()).unwrap();
            assert_eq!(publish_once(staged, &target, Durability::Synced).unwrap(), expected);
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "first");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(dir.path()), ["out.csv"]);
    }

    #[test]
    fn attack_28_a_link_in_the_targets_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, target) = (dir.path().join("victim"), dir.path().join("out"));
        std::os::unix::fs::symlink(&victim, &target).unwrap();
        let staged = stage(dir.path()).unwrap();
        assert_eq!(publish_once(staged, &target, Durability::Cached).unwrap(), Publication::AlreadyThere);
        assert!(!victim.exists());
    }

    #[test]
    fn attack_28_a_dropped_stage_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut staged = stage(dir.path()).unwrap();
        staged.write_all(b"plaintext, not yet authentic").unwrap();
        assert_eq!(staged.as_file().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(staged);
        assert_eq!(names(dir.path()), [""; 0]);
    }

    #[test]
    fn attack_28_sweep_takes_the_dead_and_leaves_the_living() {
        let dir = tempfile::tempdir().unwrap();
        let living = stage(dir.path()).unwrap();
        // What `kill -9` leaves: the file without its lock.
        let (handle, path) = stage(dir.path()).unwrap().keep().unwrap();
        drop(handle);
        fs::write(dir.path().join(".waxwing-notes"), "the operator's own").unwrap();

        assert_eq!(sweep(dir.path()).unwrap(), 1);
        assert!(!path.exists());
        assert!(living.path().exists());
        assert!(dir.path().join(".waxwing-notes").exists());
    }

    #[test]
    fn of_many_publishers_one_wins() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let winners: Vec<usize> = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..16)
                .map(|n| {
                    let (dir, target) = (dir.path(), &target);
                    scope.spawn(move || {
                        let mut staged = stage(dir).unwrap();
                        write!(staged, "{n}").unwrap();
                        (n, publish_once(staged, target, Durability::Cached).unwrap())
                    })
                })
                .collect();
            runs.into_iter()
                .map(|run| run.join().unwrap())
                .filter(|(_, p)| *p == Publication::Published)
                .map(|(n, _)| n)
                .collect()
        });
        assert_eq!(winners.len(), 1);
        assert_eq!(fs::read_to_string(&target).unwrap(), winners[0].to_string());
    }
}
