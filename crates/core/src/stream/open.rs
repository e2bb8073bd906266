use waxwing_formats::envelope::{Header, PLAINTEXT_LEN_MAX};
use zeroize::Zeroizing;

use crate::OpenError;
use crate::envelope::{LockedHeader, VerifiedHeader};
use crate::frames::{Place, TAG_LEN};

/// Opens an envelope as its bytes arrive, in pieces of any size.
///
/// ```text
/// loop {
///     match opener.step()? {
///         Step::NeedInput => opener.input(&source.read_some()?), // or opener.end()
///         Step::NeedKey(header) => { let verified = find_key(header)?; opener.unlock(verified) }
///         Step::Plaintext(frame) => sink.write_all(frame)?, // authenticated, still provisional
///         Step::Done => break,                              // only now may the sink be published
///     }
/// }
/// ```
pub struct Opener {
    state: State,
    /// Of the next frame.
    index: u64,
    input: Zeroizing<Vec<u8>>,
    /// Bytes at the front of `input` that were used already.
    used: usize,
    ended: bool,
    done: bool,
}

enum State {
    Header,
    Locked(LockedHeader),
    Body(VerifiedHeader),
}

/// What an [`Opener`] needs, or gives.
#[derive(Debug)]
pub enum Step<'a> {
    /// More input, or its end.
    NeedInput,
    /// The header that [`Opener::unlock`] wants verified.
    NeedKey(&'a LockedHeader),
    /// The plaintext of a frame: authenticated, yet a prefix until [`Step::Done`].
    Plaintext(&'a [u8]),
    /// Everything verified, the end included.
    Done,
}

impl Opener {
    /// Opens an attached envelope: the header comes first.
    pub fn attached() -> Self {
        Self::new(State::Header)
    }

    /// Opens the body of an envelope whose header was kept apart.
    pub fn detached(header: VerifiedHeader) -> Self {
        Self::new(State::Body(header))
    }

    fn new(state: State) -> Self {
        Self { state, index: 0, input: Zeroizing::default(), used: 0, ended: false, done: false }
    }

    /// Adds input. At most a header or a frame and what is given at once is ever held.
    pub fn input(&mut self, bytes: &[u8]) {
        self.input.drain(..std::mem::take(&mut self.used));
        self.input.extend_from_slice(bytes);
    }

    /// Says that no more input will come.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Answers [`Step::NeedKey`].
    ///
    /// # Panics
    ///
    /// When no header is waiting for its key.
    pub fn unlock(&mut self, header: VerifiedHeader) {
        assert!(matches!(self.state, State::Locked(_)), "no header is waiting for its key");
        self.state = State::Body(header);
    }

    /// Goes one step on.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; the opener is of no further use then.
    pub fn step(&mut self) -> Result<Step<'_>, OpenError> {
        if let State::Header = self.state {
            match self.take_header()? {
                Some(header) => self.state = State::Locked(header),
                None => return Ok(Step::NeedInput),
            }
        }
        match &self.state {
            State::Header => unreachable!("it was taken above"),
            State::Locked(header) => Ok(Step::NeedKey(header)),
            State::Body(_) if self.done => Ok(Step::Done),
            State::Body(header) => {
                let full = header.frame_len().bytes() + TAG_LEN;
                let present = &mut self.input[self.used..];
                let place = Place { index: self.index, last: present.len() <= full };
                if place.last && !self.ended {
                    return Ok(Step::NeedInput);
                }
                if place.index * header.frame_len().bytes() as u64 >= PLAINTEXT_LEN_MAX {
                    return Err(OpenError::TooLong);
                }
                self.index += 1;
                if !place.last {
                    self.used += full;
                    return Ok(Step::Plaintext(header.frame_key().open(place, &mut present[..full])?));
                }
                // A final frame is empty only when it is also the first.
                let shortest = if place.index == 0 { TAG_LEN } else { TAG_LEN + 1 };
                if present.len() < shortest {
                    return Err(OpenError::Truncated);
                }
                self.used += present.len();
                self.done = true;
                let is_full = present.len() == full;
                Ok(Step::Plaintext(header.frame_key().open_last(place.index, is_full, present)?))
            }
        }
    }

    fn take_header(&mut self) -> Result<Option<LockedHeader>, OpenError> {
        let total = Header::total_len(&self.input)?;
        match total {
            Some(total) if self.input.len() >= total => {
                self.used = total;
                Ok(Some(LockedHeader::decode(&self.input[..total])?))
            }
            // Decoding what is there names what is missing.
            _ if self.ended => Ok(Some(LockedHeader::decode(&self.input)?)),
            _ => Ok(None),
        }
    }
}
