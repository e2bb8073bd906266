use std::collections::BTreeMap;

use super::HeaderError;
use crate::codec::{Encode, Reader};

/// The most bytes that all entries may take together, length prefixes included.
pub const CONTEXT_LEN_MAX: usize = 32 << 10;

/// The encryption context: named values, public but authenticated. Keys are unique and kept in byte order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    entries: BTreeMap<String, String>,
}

impl Context {
    /// A context of these entries.
    ///
    /// # Errors
    ///
    /// The entry that is empty-keyed, there twice or no text without U+0000; the limit that all of them break.
    pub fn new<K: Into<String>, V: Into<String>>(
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, HeaderError> {
        let mut context = Self::default();
        let mut len = 0;
        for (index, (key, value)) in entries.into_iter().enumerate() {
            let (key, value) = (key.into(), value.into());
            len += 2 + key.len() + 2 + value.len();
            if len > CONTEXT_LEN_MAX {
                return Err(HeaderError::ContextTooLong { len });
            }
            if key.is_empty() {
                return Err(HeaderError::ContextEmptyKey { index });
            }
            if key.contains('\0') || value.contains('\0') {
                return Err(HeaderError::ContextText { index });
            }
            if context.entries.insert(key, value).is_some() {
                return Err(HeaderError::ContextOrder { index });
            }
        }
        Ok(context)
    }

    /// Decodes entries, each rule in the order that the specification gives ("Order of a reader").
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, HeaderError> {
        let count = r.u16("context count")?;
        let start = r.offset();
        let mut entries = BTreeMap::<String, String>::new();
        for index in 0..count.into() {
            let key = bytes(r, "context key", start)?;
            if key.is_empty() {
                return Err(HeaderError::ContextEmptyKey { index });
            }
            let key = text(key, index)?;
            if entries.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(HeaderError::ContextOrder { index });
            }
            let value = text(bytes(r, "context value", start)?, index)?;
            entries.insert(key, value);
        }
        Ok(Self { entries })
    }

    /// The value under `key`.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(String::as_str)
    }

    /// All entries in byte order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first of `required`'s keys that is absent here or has another value.
    pub fn first_mismatch<'a>(&self, required: &'a Self) -> Option<&'a str> {
        required.iter().find(|(key, value)| self.value(key) != Some(value)).map(|(key, _)| key)
    }
}

impl Encode for Context {
    fn encode(&self, out: &mut Vec<u8>) {
        // No cast cuts: CONTEXT_LEN_MAX holds for all entries together, and none is shorter than four bytes.
        out.extend((self.entries.len() as u16).to_be_bytes());
        for text in self.entries.iter().flat_map(|(key, value)| [key, value]) {
            out.extend((text.len() as u16).to_be_bytes());
            out.extend(text.as_bytes());
        }
    }
}

/// The next text's bytes, unless with them the entries since `start` are too long.
fn bytes<'a>(r: &mut Reader<'a>, what: &'static str, start: usize) -> Result<&'a [u8], HeaderError> {
    let claimed = usize::from(r.u16(what)?);
    let len = r.offset() - start + claimed;
    if len > CONTEXT_LEN_MAX {
        return Err(HeaderError::ContextTooLong { len });
    }
    Ok(r.bytes(claimed, what)?)
}

fn text(bytes: &[u8], index: usize) -> Result<String, HeaderError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(HeaderError::ContextText { index }),
    }
}
