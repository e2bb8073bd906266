//! Reads and writes of several buffers at once that finish what they begin.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};

/// Buffers that one call takes at most (POSIX lets a system have as few as 16; Linux has 1024).
const VECTORS_MAX: usize = 64;

/// Fills `parts` from `source` as far as it goes, and says how many bytes came.
pub(crate) fn fill(source: &mut dyn Read, mut parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let mut filled = 0;
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
