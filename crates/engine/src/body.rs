//! Bodies: ciphertexts of any length under one key, read twice where that proves something.
//!
//! The first reading verifies, with what comes out thrown away; the second releases. Between the two a file may be
//! exchanged, so that each piece of the second reading is compared with the first's, or everything verifies once more
//! before a file gets its name.

mod bytes;
mod fingerprint;
mod piece;
mod plaintext;
mod positional;
mod read;

use std::io;

pub(crate) use bytes::{Bytes, READ_WHOLE_MAX};
pub(crate) use fingerprint::Fingerprints;
pub(crate) use piece::{Buffer, PIECE_LEN, Pieces};
pub(crate) use plaintext::{CheckKind, FrameRule, Plaintext, PlaintextCheck, Running};
pub(crate) use read::{Body, Prints, Shape};

use crate::io::Sink;
use crate::{Error, Work};

/// Decrypts `bodies`, one behind the other, into `sink`. `totals` are compared with everything joined.
///
/// With `verified_first`, everything is verified before anything is decrypted for anybody; a stream is always given
/// verified bytes alone, and a file gets its name when all is done. Tells how many bytes of content there were.
///
/// # Errors
///
/// "Not authentic" for whatever is wrong with the bodies; [`Error::InputChanged`] for what changed between two readings.
pub(crate) fn release(
    bodies: &[Body],
    totals: &[PlaintextCheck],
    sink: Sink,
    verified_first: bool,
    work: &Work<'_>,
) -> Result<u64, Error> {
    let is_stream = matches!(sink, Sink::Stream(_));
    let verified_first = verified_first || is_stream;
    let len: u64 = bodies.iter().map(|body| body.ciphertext.len()).sum();
    work.observer.total(len * (1 + u64::from(verified_first)));
    let positional = match bodies {
        [body] if totals.is_empty() && verified_first && !is_stream => body.positional(),
        _ => None,
    };
    let mut prints = Vec::new();
    if is_stream || positional.is_some() {
        prints = bodies.iter().map(|_| Fingerprints::new()).collect::<Result<_, _>>()?;
    }
    if verified_first {
        let mut nowhere = io::sink();
        let mut all = Plaintext::new(&mut nowhere, None, totals);
        for (index, body) in bodies.iter().enumerate() {
            let prints = prints.get_mut(index).map_or(Prints::Ignore, Prints::Learn);
            match totals {
                [] if body.proves_itself() => body.verify(prints, work)?,
                _ => body.decrypt(&mut all, prints, work)?,
            }
        }
        all.finish()?;
    }
    let decrypt = |sink: &mut (dyn io::Write + Send)| {
        let mut all = Plaintext::new(sink, None, totals);
        for (index, body) in bodies.iter().enumerate() {
            body.decrypt(&mut all, prints.get(index).map_or(Prints::Ignore, Prints::Compare), work)?;
        }
        Ok::<_, Error>(all.finish()?)
    };
    match sink {
        Sink::Stream(mut sink) => decrypt(&mut sink),
        Sink::File(target) => {
            target.preallocate(len).map_err(Error::output)?;
            let len = match positional {
                Some(verified) => verified.decrypt(&prints[0], target.file(), work)?,
                None => decrypt(&mut target.file())?,
            };
            target.publish(work.durable).map_err(Error::output)?;
            Ok(len)
        }
    }
}
