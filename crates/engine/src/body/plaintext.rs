//! What becomes of decrypted bytes on their way out: their frame is taken off, and they are compared with what the message
//! says of them.

use std::io::{self, Write};

use aws_lc_rs::constant_time;
use waxwing_core::NotAuthentic;
use waxwing_core::hash::{HashAlgorithm, Hasher, Mac, MacAlgorithm};
use zeroize::Zeroizing;

/// Bytes of the length in a frame.
const FRAME_LENGTH_LEN: usize = 4;

/// What stands around the content inside the plaintext: bytes without meaning, the content's length, the content, a
/// trailer.
pub(crate) struct FrameRule {
    pub(crate) skip: usize,
    pub(crate) trailer: Zeroizing<Vec<u8>>,
}

/// What the plaintext must be.
pub(crate) struct PlaintextCheck {
    pub(crate) kind: CheckKind,
    pub(crate) expected: Zeroizing<Vec<u8>>,
    /// How many bytes of a digest count.
    pub(crate) truncate: Option<usize>,
}

/// What is compared.
pub(crate) enum CheckKind {
    /// The length, as decimal text.
    Size,
    Hash(HashAlgorithm),
    Mac(MacAlgorithm, Zeroizing<Vec<u8>>),
}

impl PlaintextCheck {
    pub(crate) fn start(&self) -> Running<'_> {
        let digest = match &self.kind {
            CheckKind::Size => Digest::None,
            CheckKind::Hash(algorithm) => Digest::Hash(Hasher::new(*algorithm)),
            CheckKind::Mac(algorithm, key) => Digest::Mac(Box::new(Mac::new(*algorithm, key))),
        };
        Running { check: self, digest, len: 0 }
    }
}

/// A comparison whose bytes are still coming.
pub(crate) struct Running<'a> {
    check: &'a PlaintextCheck,
    digest: Digest,
    len: u64,
}

enum Digest {
    None,
    Hash(Hasher),
    Mac(Box<Mac>),
}

impl Running<'_> {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        match &mut self.digest {
            Digest::None => {}
            Digest::Hash(hasher) => hasher.update(bytes),
            Digest::Mac(mac) => mac.update(bytes),
        }
    }

    /// What a writer says of the bytes.
    pub(crate) fn value(self) -> Zeroizing<Vec<u8>> {
        let mut made = match self.digest {
            Digest::None => Zeroizing::new(self.len.to_string().into_bytes()),
            Digest::Hash(hasher) => hasher.finish(),
            Digest::Mac(mac) => mac.finish(),
        };
        let counted = self.check.truncate.unwrap_or(made.len());
        made.truncate(counted);
        made
    }

    pub(crate) fn finish(self) -> Result<(), NotAuthentic> {
        let check = self.check;
        constant_time::verify_slices_are_equal(&self.value(), &check.expected).map_err(|_| NotAuthentic)
    }
}

/// Passes on what belongs to the content, and knows at the end whether all was well. It fails no sooner: whoever feeds it
/// must not learn where something was wrong.
pub(crate) struct Plaintext<'a> {
    sink: &'a mut (dyn Write + Send),
    frame: Option<FrameState<'a>>,
    checks: Vec<Running<'a>>,
    len: u64,
}

impl<'a> Plaintext<'a> {
    pub(crate) fn new(
        sink: &'a mut (dyn Write + Send),
        frame: Option<&'a FrameRule>,
        checks: &'a [PlaintextCheck],
    ) -> Self {
        let checks = checks.iter().map(PlaintextCheck::start).collect();
        Self { sink, frame: frame.map(FrameState::new), checks, len: 0 }
    }

    /// How many bytes of content there were.
    pub(crate) fn finish(self) -> Result<u64, NotAuthentic> {
        let framed = self.frame.map_or(Ok(()), FrameState::finish);
        self.checks.into_iter().map(Running::finish).fold(framed, Result::and)?;
        Ok(self.len)
    }
}

impl Write for Plaintext<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let content = match &mut self.frame {
            None => bytes,
            Some(frame) => frame.content(bytes),
        };
        for check in &mut self.checks {
            check.update(content);
        }
        self.sink.write_all(content)?;
        self.len += content.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// Where in its frame the plaintext is.
struct FrameState<'a> {
    rule: &'a FrameRule,
    skip: usize,
    length: Vec<u8>,
    content: u64,
    /// What came behind the content, up to one byte too many.
    behind: Zeroizing<Vec<u8>>,
}

impl<'a> FrameState<'a> {
    fn new(rule: &'a FrameRule) -> Self {
        let behind = Zeroizing::new(Vec::with_capacity(rule.trailer.len() + 1));
        Self { rule, skip: rule.skip, length: Vec::new(), content: 0, behind }
    }

    /// What of `bytes` is content.
    fn content<'b>(&mut self, mut bytes: &'b [u8]) -> &'b [u8] {
        let mut take = |len: usize| {
            let (front, rest) = bytes.split_at(len.min(bytes.len()));
            bytes = rest;
            front
        };
        self.skip -= take(self.skip).len();
        if self.length.len() < FRAME_LENGTH_LEN {
            self.length.extend_from_slice(take(FRAME_LENGTH_LEN - self.length.len()));
            if let Ok(length) = self.length.as_slice().try_into() {
                self.content = u64::from(u32::from_be_bytes(length));
            }
        }
        let content = take(usize::try_from(self.content).unwrap_or(usize::MAX));
        self.content -= content.len() as u64;
        let room = self.rule.trailer.len() + 1 - self.behind.len();
        self.behind.extend_from_slice(take(room));
        content
    }

    fn finish(self) -> Result<(), NotAuthentic> {
        let whole = self.skip == 0 && self.length.len() == FRAME_LENGTH_LEN && self.content == 0;
        let trailer = constant_time::verify_slices_are_equal(&self.behind, &self.rule.trailer);
        if whole { trailer.map_err(|_| NotAuthentic) } else { Err(NotAuthentic) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unframe(framed: &[u8], split: usize) -> Result<Vec<u8>, NotAuthentic> {
        let rule = FrameRule { skip: 3, trailer: Zeroizing::new(b"end".to_vec()) };
        let mut sink = Vec::new();
        let mut plaintext = Plaintext::new(&mut sink, Some(&rule), &[]);
        for piece in framed.chunks(split) {
            plaintext.write_all(piece).unwrap();
        }
        plaintext.finish().map(|_| sink)
    }

    #[test]
    fn a_frame_comes_off_however_it_arrives() {
        for split in 1..12 {
            assert_eq!(unframe(b"xyz\0\0\0\x02hiend", split), Ok(b"hi".to_vec()), "{split}");
            for bad in [
                &b""[..],
                b"xyz\0\0\0",
                b"xyz\0\0\0\x02h",
                b"xyz\0\0\0\x02hi",
                b"xyz\0\0\0\x02hienD",
                b"xyz\0\0\0\x02hien",
                b"xyz\0\0\0\x02hiend!",
                b"xyz\xff\0\0\x02hiend",
            ] {
                assert_eq!(unframe(bad, split), Err(NotAuthentic), "{bad:?}");
            }
        }
    }
}
