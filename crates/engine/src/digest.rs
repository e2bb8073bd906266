use std::io::{self, Write};

use aws_lc_rs::digest::{Context, SHA256};

/// Passes bytes on and hashes them on their way.
pub(crate) struct Sha256Writer<W> {
    sink: W,
    context: Context,
}

impl<W: Write> Sha256Writer<W> {
    pub(crate) fn new(sink: W) -> Self {
        Self { sink, context: Context::new(&SHA256) }
    }

    /// The SHA-256 of everything that was written.
    pub(crate) fn finish(self) -> [u8; 32] {
        self.context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
    }
}

impl<W: Write> Write for Sha256Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.context.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
