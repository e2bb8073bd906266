//! Readers and writers that split, stall and fail, as pipes, sockets and full disks do.
//!
//! Each wraps another stream and breaks one habit of well-behaved files: [`Split`] hands over a few bytes at a time,
//! [`Stall`] interrupts or would block now and then, [`FailAfter`] breaks after a number of bytes, and [`Recorder`]
//! remembers what was asked of it. They stack: `FailAfter::new(Split::by_seed(file, 7, 64), 1000, kind)`.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

use crate::seeded::Seeded;

/// A sink whose clones write into one place, so that a test can look at what it gave away.
#[derive(Debug, Clone, Default)]
pub struct SharedSink(Arc<Mutex<Vec<u8>>>);

impl SharedSink {
    /// What was written since the last call.
    ///
    /// # Panics
    ///
    /// When a writer panicked.
    #[must_use]
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().expect("writing does not panic"))
    }
}

impl Write for SharedSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("writing does not panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Moves at most a given number of bytes per call: short reads and short writes.
#[derive(Debug)]
pub struct Split<S> {
    inner: S,
    sizes: Sizes,
}

#[derive(Debug)]
enum Sizes {
    Cycle { sizes: Vec<usize>, next: usize },
    Seed { seeded: Seeded, max: usize },
}

impl<S> Split<S> {
    /// The first call moves at most `sizes[0]` bytes, the next `sizes[1]`, and so on, starting over at the end.
    ///
    /// # Panics
    ///
    /// When `sizes` is empty or holds a 0, which a reader would take for the end.
    #[must_use]
    pub fn by_sizes(inner: S, sizes: &[usize]) -> Self {
        assert!(!sizes.is_empty() && !sizes.contains(&0), "sizes are one or more, and none is 0");
        Self { inner, sizes: Sizes::Cycle { sizes: sizes.to_vec(), next: 0 } }
    }

    /// Sizes of `1..=max` drawn from `seed`.
    ///
    /// # Panics
    ///
    /// When `max` is 0.
    #[must_use]
    pub fn by_seed(inner: S, seed: u64, max: usize) -> Self {
        assert!(max > 0, "a split moves at least one byte");
        Self { inner, sizes: Sizes::Seed { seeded: Seeded::new(seed), max } }
    }

    /// The wrapped stream.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl Sizes {
    fn next(&mut self) -> usize {
        match self {
            Self::Cycle { sizes, next } => {
                let size = sizes[*next];
                *next = (*next + 1) % sizes.len();
                size
            }
            Self::Seed { seeded, max } => 1 + seeded.below(*max),
        }
    }
}

impl<R: Read> Read for Split<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.sizes.next().min(out.len());
        self.inner.read(&mut out[..len])
    }
}

impl<W: Write> Write for Split<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.sizes.next().min(bytes.len());
        self.inner.write(&bytes[..len])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Fails every `period`-th call with an error after which the caller may try again, and loses nothing.
#[derive(Debug)]
pub struct Stall<S> {
    inner: S,
    kind: io::ErrorKind,
    period: u64,
    calls: u64,
}

impl<S> Stall<S> {
    /// `kind` is [`io::ErrorKind::Interrupted`] for a signal or [`io::ErrorKind::WouldBlock`] for a stalled peer.
    ///
    /// # Panics
    ///
    /// When `period` is below 2: no call would ever succeed.
    #[must_use]
    pub fn new(inner: S, kind: io::ErrorKind, period: u64) -> Self {
        assert!(period >= 2, "with a period below 2 no call succeeds");
        Self { inner, kind, period, calls: 0 }
    }

    fn call(&mut self) -> io::Result<&mut S> {
        self.calls += 1;
        if self.calls.is_multiple_of(self.period) {
            return Err(io::Error::new(self.kind, "stalled by the test"));
        }
        Ok(&mut self.inner)
    }
}

impl<R: Read> Read for Stall<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.call()?.read(out)
    }
}

impl<W: Write> Write for Stall<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.call()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Lets a number of bytes through and then fails, for good.
///
/// [`io::ErrorKind::StorageFull`] is a full disk, [`io::ErrorKind::BrokenPipe`] a reader that left,
/// [`io::ErrorKind::ConnectionReset`] a peer that died.
#[derive(Debug)]
pub struct FailAfter<S> {
    inner: S,
    left: u64,
    kind: io::ErrorKind,
}

impl<S> FailAfter<S> {
    /// Fails with `kind` once `bytes` bytes have gone through; the call that reaches the limit is cut short.
    #[must_use]
    pub fn new(inner: S, bytes: u64, kind: io::ErrorKind) -> Self {
        Self { inner, left: bytes, kind }
    }

    /// The wrapped stream.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// How many of `wanted` bytes may still go through. Asking for none is no failure.
    fn allowed(&self, wanted: usize) -> io::Result<usize> {
        if self.left == 0 && wanted > 0 {
            return Err(io::Error::new(self.kind, "failed by the test"));
        }
        Ok(usize::try_from(self.left).map_or(wanted, |left| left.min(wanted)))
    }
}

impl<R: Read> Read for FailAfter<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.allowed(out.len())?;
        let read = self.inner.read(&mut out[..len])?;
        self.left -= read as u64;
        Ok(read)
    }
}

impl<W: Write> Write for FailAfter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.allowed(bytes.len())?;
        let written = self.inner.write(&bytes[..len])?;
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A writer that keeps what it is given, and how it was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorder {
    /// The bytes of each write, in order.
    pub writes: Vec<Vec<u8>>,
    /// How often it was flushed.
    pub flushes: usize,
}

impl Recorder {
    /// All bytes written.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.writes.concat()
    }
}

impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushes += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_reads_lose_nothing() {
        let data = Seeded::new(1).vec(1000);
        for seed in 0..20 {
            let mut read = Vec::new();
            Split::by_seed(&data[..], seed, 17).read_to_end(&mut read).unwrap();
            assert_eq!(read, data, "seed {seed}");
        }
    }

    #[test]
    fn split_writes_have_the_sizes_asked_for() {
        let mut writer = Split::by_sizes(Recorder::default(), &[1, 3]);
        writer.write_all(b"abcdefghi").unwrap();
        let recorded = writer.into_inner();
        assert_eq!(recorded.writes, [&b"a"[..], b"bcd", b"e", b"fgh", b"i"]);
        assert_eq!(recorded.bytes(), b"abcdefghi");
    }

    #[test]
    fn a_stall_costs_a_retry_and_no_byte() {
        let mut reader = Stall::new(Split::by_sizes(&b"abcd"[..], &[1]), io::ErrorKind::WouldBlock, 3);
        let mut byte = [0];
        let mut seen = Vec::new();
        let mut stalls = 0;
        loop {
            match reader.read(&mut byte) {
                Ok(0) => break,
                Ok(_) => seen.push(byte[0]),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    stalls += 1;
                }
            }
        }
        assert_eq!((seen.as_slice(), stalls), (&b"abcd"[..], 2));
    }

    #[test]
    fn a_full_disk_holds_what_fitted() {
        let mut disk = FailAfter::new(Recorder::default(), 5, io::ErrorKind::StorageFull);
        let error = disk.write_all(b"abcdefgh").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.write(b"i").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.into_inner().bytes(), b"abcde");
    }

    #[test]
    fn a_broken_source_gives_what_came_before() {
        let mut source = FailAfter::new(&b"abcdefgh"[..], 3, io::ErrorKind::ConnectionReset);
        let mut read = Vec::new();
        assert_eq!(source.read_to_end(&mut read).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(read, b"abc");
    }
}
