//! A pipe from a source through a transformation into a sink: one thread reads and transforms, another writes.

use std::io::{Read, Write};
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use crate::batch::Batch;
use crate::io::{fill, write_all};
use crate::{Error, Work};

/// Batches in existence at once: one being read ahead, one transformed, the others on their way out.
const BATCHES: usize = 4;

/// How batches are laid out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Bytes of a slot.
    pub(crate) slot_len: usize,
    /// Bytes of a slot that are read.
    pub(crate) read_part: usize,
    /// Bytes of a slot that are written.
    pub(crate) write_part: usize,
}

/// Reads `source` to its end. `transform` gets each batch with the number of bytes read into it and whether it is the
/// last; it says how many bytes are to be written. There is always a last batch, if an empty one.
pub(crate) fn pump(
    source: &mut dyn Read,
    sink: &mut (dyn Write + Send),
    layout: Layout,
    work: &Work<'_>,
    mut transform: impl FnMut(&mut Batch, usize, bool) -> Result<usize, Error>,
) -> Result<(), Error> {
    let slots = Batch::slots_for(layout.slot_len);
    let capacity = slots * layout.read_part;
    thread::scope(|scope| {
        let (ready, outgoing) = sync_channel::<(Batch, usize)>(BATCHES);
        let (done, free) = channel::<Batch>();
        for _ in 0..BATCHES {
            done.send(Batch::new(layout.slot_len, slots)).expect("the receiver is right here");
        }
        let writer = scope.spawn(move || {
            for (batch, total) in outgoing {
                write_all(sink, &mut batch.parts(layout.write_part, total))?;
                // The reader may be gone: then nobody needs the buffer.
                let _ = done.send(batch);
            }
            sink.flush()
        });
        // `None`: the writer failed, and says why when it is joined.
        let mut read = || -> Result<Option<(Batch, usize)>, Error> {
            let Ok(mut batch) = free.recv() else { return Ok(None) };
            let len = fill(source, &mut batch.parts_mut(layout.read_part, capacity)).map_err(Error::input)?;
            Ok(Some((batch, len)))
        };
        let mut forward = || {
            let mut current = read()?;
            while let Some((mut batch, len)) = current {
                if work.observer.stopped() {
                    return Err(Error::Stopped);
                }
                let next = if len == capacity { read()? } else { None };
                let next = next.filter(|(_, len)| *len > 0);
                let total = transform(&mut batch, len, next.is_none())?;
                work.observer.advance(len as u64);
                if ready.send((batch, total)).is_err() {
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
