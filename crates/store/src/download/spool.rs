use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::path::PathBuf;

/// The longest object that is kept in memory, in bytes. Making a file costs more than fetching so little.
pub const IN_MEMORY_MAX: u64 = 1 << 20;

/// Where a download goes: memory if it is known to be small, else a file without a name.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    file: File,
    on_disk: bool,
}

impl Spool {
    /// A spool whose file, if there must be one, is in `dir`.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn new(dir: PathBuf) -> io::Result<Self> {
        let file = rustix::fs::memfd_create("waxwing-spool", rustix::fs::MemfdFlags::CLOEXEC)?;
        Ok(Self { dir, file: file.into(), on_disk: false })
    }

    /// What was downloaded, from its beginning.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn into_file(mut self) -> io::Result<File> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok(self.file)
    }

    /// Empties it, for an object of this length if that is known.
    pub(super) fn begin(&mut self, len: Option<u64>) -> io::Result<&mut File> {
        if !self.on_disk && len.is_none_or(|len| len > IN_MEMORY_MAX) {
            self.file = tempfile::tempfile_in(&self.dir)?;
            self.on_disk = true;
        }
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        Ok(&mut self.file)
    }

    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn what_is_small_stays_in_memory_and_what_is_not_or_unknown_goes_to_disk() {
        let dir = tempfile::tempdir().unwrap();
        for (len, on_disk) in
            [(Some(0), false), (Some(IN_MEMORY_MAX), false), (Some(IN_MEMORY_MAX + 1), true), (None, true)]
        {
            let mut spool = Spool::new(dir.path().to_owned()).unwrap();
            spool.begin(Some(9)).unwrap().write_all(b"cut short").unwrap();
            spool.begin(len).unwrap().write_all(b"whole").unwrap();
            assert_eq!(spool.on_disk, on_disk, "{len:?}");
            let mut text = String::new();
            spool.into_file().unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "whole");
        }
        assert!(std::fs::read_dir(&dir).unwrap().next().is_none(), "its files have no names");
        let nowhere = dir.path().join("absent");
        assert!(Spool::new(nowhere).unwrap().begin(None).is_err());
    }
}
