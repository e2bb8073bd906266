//! From one opening into one sealing, in memory: the plaintext is on no disk.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::Error;
use crate::io::{Input, Output};

/// Pieces on their way at once.
const PIECES_MAX: usize = 4;
/// Bytes of a piece at the most.
const PIECE_LEN_MAX: usize = 128 << 10;

/// Opens with `open` and seals what comes out with `seal`, both at once. What is sealed ends well only if the opening
/// did: one that fails, at whatever byte, fails the sealing too, and nothing of it appears.
///
/// # Errors
///
/// The opening's, else the sealing's.
pub fn relay(
    open: impl FnOnce(Output) -> Result<(), Error> + Send,
    seal: impl FnOnce(Input) -> Result<(), Error>,
) -> Result<(), Error> {
    let (sender, receiver) = sync_channel(PIECES_MAX);
    thread::scope(|scope| {
        let end = sender.clone();
        let opening = scope.spawn(move || {
            let opened = open(Output::Stream(Box::new(Front(sender))));
            if opened.is_ok() {
                // Nobody there: the sealing failed, and says why.
                let _ = end.send(Message::End);
            }
            opened
        });
        let sealed = seal(Input::Stream(Box::new(Back { receiver, piece: Vec::new(), at: 0, ended: false })));
        let opened = opening.join().expect("opening does not panic");
        match (opened, sealed) {
            // That the other end was gone is a consequence of the other's failure.
            (Err(Error::Io { source, .. }), Err(sealed)) if source.kind() == io::ErrorKind::BrokenPipe => {
                Err(sealed)
            }
            (opened, sealed) => opened.and(sealed),
        }
    })
}

enum Message {
    Piece(Vec<u8>),
    /// Everything was opened, and was authentic.
    End,
}

struct Front(SyncSender<Message>);

impl Write for Front {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(PIECE_LEN_MAX)];
        self.0.send(Message::Piece(piece.to_vec())).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Back {
    receiver: Receiver<Message>,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Read for Back {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() && !self.ended {
            zeroize::Zeroize::zeroize(&mut self.piece);
            self.at = 0;
            match self.receiver.recv() {
                Ok(Message::Piece(piece)) => self.piece = piece,
                Ok(Message::End) => self.ended = true,
                Err(_) => return Err(io::Error::other("the opening failed before its end")),
            }
        }
        let len = out.len().min(self.piece.len() - self.at);
        out[..len].copy_from_slice(&self.piece[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use waxwing_core::NotAuthentic;

    use super::*;

    #[test]
    fn what_fails_on_one_side_fails_on_both() {
        let long = vec![7; 3 * PIECE_LEN_MAX + 5];
        let write = |output: Output| match output {
            Output::Stream(mut stream) => stream.write_all(&long).map_err(Error::output),
            Output::File { .. } => unreachable!("a relay has streams"),
        };
        let read = |input: Input| {
            let mut all = Vec::new();
            input.into_stream().read_to_end(&mut all).map_err(Error::input)?;
            assert_eq!(all, long, "nothing but everything is taken for the end");
            Ok(())
        };
        relay(write, read).unwrap();
        let failed = relay(|output| write(output).and(Err(NotAuthentic.into())), read).unwrap_err();
        assert!(matches!(failed, Error::Open(_)), "{failed}");
        let failed = relay(write, |_| Err(Error::Stopped)).unwrap_err();
        assert!(matches!(failed, Error::Stopped), "{failed}");
    }
}
