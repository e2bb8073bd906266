//! Outputs that are written at once: headers, records, keys.

use std::io::{IoSlice, Write as _};

use crate::io::{Output, Privacy, Sink, write_all_at};
use crate::{Error, Work};

/// Writes what anybody may read. A file appears whole or not at all.
///
/// # Errors
///
/// [`Error::Io`], [`Error::OutputExists`].
pub fn write(output: Output, bytes: &[u8], work: &Work<'_>) -> Result<(), Error> {
    write_sink(output.open(Privacy::Umask).map_err(Error::output)?, bytes, work)
}

/// Writes what only its owner may read (mode 0600). A file appears whole or not at all.
///
/// # Errors
///
/// [`Error::Io`], [`Error::OutputExists`].
pub fn write_secret(output: Output, bytes: &[u8], work: &Work<'_>) -> Result<(), Error> {
    write_sink(output.open(Privacy::Owner).map_err(Error::output)?, bytes, work)
}

pub(crate) fn write_sink(sink: Sink, bytes: &[u8], work: &Work<'_>) -> Result<(), Error> {
    let written = match sink {
        Sink::File(target) => write_all_at(target.file(), 0, &mut [IoSlice::new(bytes)])
            .and_then(|()| target.publish(work.durable)),
        Sink::Stream(mut sink) => sink.write_all(bytes).and_then(|()| sink.flush()),
    };
    written.map_err(Error::output)
}
