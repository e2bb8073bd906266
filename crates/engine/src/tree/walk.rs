//! A walk through a folder that follows no links.

use std::fs::{self, ReadDir};
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;

/// How deep folders may nest: each level of the walk keeps a descriptor open.
pub(super) const DEPTH_MAX: usize = 128;

/// Something in the tree, by its path below the root.
#[derive(Debug)]
pub enum Found {
    /// A folder, whose contents come next.
    Folder(PathBuf),
    /// A regular file.
    File(PathBuf),
    /// A symbolic link, which is not followed.
    Link(PathBuf),
    /// A pipe, a socket, a device.
    Special(PathBuf),
    /// A folder that cannot be read, or not to its end.
    Failed(PathBuf, Error),
}

/// Finds everything below a root, depth first, in the order in which the file system tells it.
#[derive(Debug)]
pub struct Walk {
    root: PathBuf,
    folders: Vec<(PathBuf, ReadDir)>,
}

impl Walk {
    /// Begins at `root`, which may be reached through a link.
    ///
    /// # Errors
    ///
    /// The system's, where the root cannot be listed.
    pub fn new(root: &Path) -> io::Result<Self> {
        Ok(Self { root: root.to_owned(), folders: vec![(PathBuf::new(), fs::read_dir(root)?)] })
    }

    /// Leaves out the rest of the folder that was found last.
    pub(super) fn skip_folder(&mut self) {
        self.folders.pop();
    }

    fn folder(&mut self, path: PathBuf) -> Found {
        if self.folders.len() == DEPTH_MAX {
            let text = format!("folders nest more than {DEPTH_MAX} deep");
            return Found::Failed(path, Error::input(io::Error::other(text)));
        }
        match fs::read_dir(self.root.join(&path)) {
            Ok(entries) => {
                self.folders.push((path.clone(), entries));
                Found::Folder(path)
            }
            Err(err) => Found::Failed(path, Error::input(err)),
        }
    }
}

impl Iterator for Walk {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let (folder, entries) = self.folders.last_mut()?;
            let found = match entries.next() {
                None => {
                    self.folders.pop();
                    continue;
                }
                Some(entry) => {
                    entry.and_then(|entry| Ok((entry.file_type()?, folder.join(entry.file_name()))))
                }
            };
            return Some(match found {
                Ok((kind, path)) if kind.is_dir() => self.folder(path),
                Ok((kind, path)) if kind.is_file() => Found::File(path),
                Ok((kind, path)) if kind.is_symlink() => Found::Link(path),
                Ok((_, path)) => Found::Special(path),
                Err(err) => {
                    let path = folder.clone();
                    // What cannot be listed now will not be listed by asking again.
                    self.folders.pop();
                    Found::Failed(path, Error::input(err))
                }
            });
        }
    }
}
