//! A pipe from a source through a transformation into a sink: one thread reads and transforms, another writes.

use std::io::{self, Read, Write};
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use crate::{Error, Work};

/// Buffers in existence at once: one being read ahead, one transformed, the others on their way out.
const BUFFERS: usize = 4;

/// What travels through the pipe.
pub(crate) trait Buffer: Send {
    /// Reads until the buffer is full or the source ends, and says how many bytes came.
    fn fill(&mut self, source: &mut dyn Read) -> io::Result<usize>;

    /// How many bytes [`Buffer::fill`] takes at most.
    fn capacity(&self) -> usize;

    /// Writes the `len` bytes that the transformation left to be written.
    fn drain(&self, sink: &mut dyn Write, len: usize) -> io::Result<()>;
}

/// Reads `source` to its end. `transform` gets each buffer with the number of bytes read into it and whether it is the
/// last; it says how many bytes are to be written. There is always a last buffer, if an empty one.
pub(crate) fn pump<B: Buffer>(
    source: &mut dyn Read,
    sink: &mut (dyn Write + Send),
    work: &Work<'_>,
    new_buffer: impl Fn() -> B,
    mut transform: impl FnMut(&mut B, usize, bool) -> Result<usize, Error>,
) -> Result<(), Error> {
    thread::scope(|scope| {
        let (ready, outgoing) = sync_channel::<(B, usize)>(BUFFERS);
        let (done, free) = channel::<B>();
        for _ in 0..BUFFERS {
            done.send(new_buffer()).expect("the receiver is right here");
        }
        let writer = scope.spawn(move || {
            for (buffer, len) in outgoing {
                buffer.drain(sink, len)?;
                // The reader may be gone: then nobody needs the buffer.
                let _ = done.send(buffer);
            }
            sink.flush()
        });
        // `None`: the writer failed, and says why when it is joined.
        let mut read = || -> Result<Option<(B, usize)>, Error> {
            let Ok(mut buffer) = free.recv() else { return Ok(None) };
            let len = buffer.fill(source).map_err(Error::input)?;
            Ok(Some((buffer, len)))
        };
        let mut forward = || {
            let mut current = read()?;
            while let Some((mut buffer, len)) = current {
                if work.observer.stopped() {
                    return Err(Error::Stopped);
                }
                // Whether this is the last is known only when nothing comes after it.
                let next = if len == buffer.capacity() { read()? } else { None };
                let next = next.filter(|(_, len)| *len > 0);
                let total = transform(&mut buffer, len, next.is_none())?;
                work.observer.advance(len as u64);
                if ready.send((buffer, total)).is_err() {
                    break;
                }
                current = next;
            }
            Ok(())
        };
        let forwarded = forward();
        drop(ready);
        let written = writer.join().expect("writing does not panic").map_err(Error::output);
        forwarded.and(written)
    })
}
