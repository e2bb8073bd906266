//! Reads and writes of several buffers at once that finish what they begin. Empty buffers at the front are dropped first: a
//! call that moves no bytes would be taken for the end.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};

/// Buffers that one call takes at most (POSIX lets a system have as few as 16; Linux has 1024).
const VECTORS_MAX: usize = 64;

/// Fills `parts` from `source` as far as it goes, and says how many bytes came.
pub(crate) fn fill(source: &mut dyn Read, mut parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let mut filled = 0;
    IoSliceMut::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        let now = parts.len().min(VECTORS_MAX);
        match source.read_vectored(&mut parts[..now]) {
            Ok(0) => break,
            Ok(read) => {
                filled += read;
                IoSliceMut::advance_slices(&mut parts, read);
            }
            Err(err) if err.kind() == ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(filled)
}

/// Writes all of `parts` to `sink`.
pub(crate) fn write_all(sink: &mut dyn Write, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        let now = parts.len().min(VECTORS_MAX);
        match sink.write_vectored(&parts[..now]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut parts, written),
            Err(err) if err.kind() == ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(())
}

/// Fills `parts` from `file` at `offset`; [`ErrorKind::UnexpectedEof`] when the file ends before.
pub(crate) fn read_exact_at(
    file: &File,
    mut offset: u64,
    mut parts: &mut [IoSliceMut<'_>],
) -> io::Result<()> {
    IoSliceMut::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        let now = parts.len().min(VECTORS_MAX);
        match rustix::io::preadv(file, &mut parts[..now], offset) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                offset += read as u64;
                IoSliceMut::advance_slices(&mut parts, read);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(err) => return Err(err.into()),
        }
    }
    Ok(())
}

/// Writes all of `parts` to `file` at `offset`.
pub(crate) fn write_all_at(file: &File, mut offset: u64, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        let now = parts.len().min(VECTORS_MAX);
        match rustix::io::pwritev(file, &parts[..now], offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut parts, written);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(err) => return Err(err.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_are_no_end() {
        let file = tempfile::tempfile().unwrap();
        write_all(&mut &file, &mut [IoSlice::new(b"")]).unwrap();
        write_all_at(&file, 0, &mut [IoSlice::new(b""), IoSlice::new(b"abc")]).unwrap();
        let mut back = [0; 3];
        read_exact_at(&file, 0, &mut [IoSliceMut::new(&mut []), IoSliceMut::new(&mut back)]).unwrap();
        assert_eq!(&back, b"abc");
        assert_eq!(fill(&mut &file, &mut [IoSliceMut::new(&mut [])]).unwrap(), 0);
        let cut = read_exact_at(&file, 1, &mut [IoSliceMut::new(&mut back)]).unwrap_err();
        assert_eq!(cut.kind(), ErrorKind::UnexpectedEof);
    }
}
