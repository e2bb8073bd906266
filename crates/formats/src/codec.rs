//! Values to bytes and back.
//!
//! Each codec obeys four laws, checked by [`laws`] in its tests: decoding what was encoded gives the value back;
//! encoding what was accepted gives the bytes back; trailing bytes are refused; every length is checked against a
//! limit before anything is allocated.

/// A value that has exactly one spelling in bytes.
pub trait Encode {
    /// Appends the value's bytes to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// The value's bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

/// What a [`Reader`] can find wrong, whatever the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset} needs {needed} bytes; {left} are left")]
pub struct Cut {
    /// The field that was being read.
    pub what: &'static str,
    /// Where the field's bytes begin.
    pub offset: usize,
    /// How many bytes the field needs.
    pub needed: usize,
    /// How many bytes there were.
    pub left: usize,
}

/// Reads fields from the front of a byte string and remembers where it is.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, offset: 0 }
    }

    /// Takes the next `len` bytes.
    pub fn bytes(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], Cut> {
        let Some((head, tail)) = self.rest.split_at_checked(len) else {
            return Err(Cut { what, offset: self.offset, needed: len, left: self.rest.len() });
        };
        self.rest = tail;
        self.offset += len;
        Ok(head)
    }

    /// Takes the next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Cut> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N, what)?);
        Ok(array)
    }

    /// Takes a byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Cut> {
        self.array(what).map(u8::from_be_bytes)
    }

    /// Takes a big-endian 16-bit integer.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, Cut> {
        self.array(what).map(u16::from_be_bytes)
    }

    /// Takes a big-endian 32-bit integer.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, Cut> {
        self.array(what).map(u32::from_be_bytes)
    }

    /// Takes a byte string behind its 16-bit length.
    pub fn bytes_u16(&mut self, what: &'static str) -> Result<&'a [u8], Cut> {
        let len = self.u16(what)?;
        self.bytes(len.into(), what)
    }

    /// How many bytes were read.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Checks of the codec laws, for the tests and fuzz targets of every format.
pub mod laws {
    use std::fmt::Debug;

    use super::Encode;

    /// Decoding what was encoded gives the value back, and any cut or addition is refused.
    ///
    /// # Panics
    ///
    /// When a law is broken.
    pub fn check_value<T: Encode + PartialEq + Debug, E: Debug>(
        value: &T,
        decode: impl Fn(&[u8]) -> Result<T, E>,
    ) {
        let bytes = value.to_bytes();
        assert_eq!(&decode(&bytes).expect("what was encoded decodes"), value);
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(decode(&longer).is_err(), "a trailing byte was accepted");
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err(), "a value cut to {cut} bytes was accepted");
        }
    }

    /// Encoding what was accepted gives the bytes back; bytes that are refused are fine.
    ///
    /// # Panics
    ///
    /// When the law is broken.
    pub fn check_bytes<T: Encode + Debug, E>(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<T, E>) {
        if let Ok(value) = decode(bytes) {
            assert_eq!(value.to_bytes(), bytes, "two spellings of {value:?}");
        }
    }
}
