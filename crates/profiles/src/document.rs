//! Documents that strangers send: limits before allocation, one meaning or none.
//!
//! A [`Document`] is parsed whole and asked for places. A place that two readers could understand in two ways is refused:
//! a JSON name that stands twice, two XML elements where one is wanted, two headers of one name.

mod json;
mod writer;
mod xml;
pub mod zip;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

pub use self::writer::DocumentWriter;
use self::xml::Xml;
use crate::encoding::Encoding;

/// The longest document.
pub const DOCUMENT_LEN_MAX: usize = 64 << 20;
/// The most headers of one message.
const HEADERS_MAX: usize = 1000;

/// How a document is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// JSON (RFC 8259), no name twice.
    Json,
    /// XML without a DOCTYPE.
    Xml,
    /// A JSON object of texts, or lines of `Name: value`.
    Headers,
    /// One text.
    Text,
    /// A JWE in its compact form (RFC 7516, section 7.1).
    Jwe,
}

/// A document that was read.
#[derive(Debug)]
pub struct Document(Tree);

#[derive(Debug)]
enum Tree {
    Json(Value),
    Xml(Xml),
    /// By lower-case name.
    Headers(BTreeMap<String, String>),
    Text(String),
    Jwe {
        header: Value,
        segments: [String; 5],
    },
}

impl Document {
    /// Reads all of `bytes`. A byte order mark in front is skipped.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn parse(kind: DocumentKind, bytes: &[u8]) -> Result<Self, DocumentError> {
        if bytes.len() > DOCUMENT_LEN_MAX {
            return Err(DocumentError::TooLong { len: bytes.len() });
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text =
            || std::str::from_utf8(bytes).map_err(|err| DocumentError::NotUtf8 { at: err.valid_up_to() });
        Ok(Self(match kind {
            DocumentKind::Json => Tree::Json(json::parse(bytes)?),
            DocumentKind::Xml => Tree::Xml(Xml::parse(text()?)?),
            DocumentKind::Headers => Tree::Headers(headers(text()?)?),
            DocumentKind::Text => Tree::Text(text()?.trim_ascii().to_owned()),
            DocumentKind::Jwe => jwe(text()?.trim_ascii())?,
        }))
    }

    /// What stands at `path`, or `None` when nothing does.
    ///
    /// | kind | path |
    /// |---|---|
    /// | JSON | names joined by dots; digits index a list |
    /// | XML | local names `A/B` from the root; `//A/B` from any A; `@name` at the end |
    /// | headers | a name, in any case |
    /// | text | empty |
    /// | JWE | `encrypted_key`, `iv`, `ciphertext`, `tag`, `aad`, `header.NAME` |
    ///
    /// # Errors
    ///
    /// [`DocumentError::Ambiguous`].
    pub fn select(&self, path: &str) -> Result<Option<Selected<'_>>, DocumentError> {
        Ok(match &self.0 {
            Tree::Json(value) => json::walk(value, path).map(Selected::Json),
            Tree::Xml(xml) => xml.select(None, path)?,
            Tree::Headers(headers) => {
                headers.get(&path.to_ascii_lowercase()).map(|text| Selected::Text(text))
            }
            Tree::Text(text) => path.is_empty().then_some(Selected::Text(text)),
            Tree::Jwe { header, segments } => match path.strip_prefix("header.") {
                Some(path) => json::walk(header, path).map(Selected::Json),
                None => {
                    let names = ["aad", "encrypted_key", "iv", "ciphertext", "tag"];
                    let found = names.iter().position(|name| *name == path);
                    found.map(|at| Selected::Text(&segments[at]))
                }
            },
        })
    }

    /// The first text of a JSON document that is as `wanted` says, and its path.
    pub(crate) fn find_text(&self, wanted: impl Fn(&str) -> bool) -> Option<(String, &str)> {
        let Tree::Json(root) = &self.0 else { return None };
        let mut open = vec![(String::new(), root)];
        let below = |path: &str, name: &str| match path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        while let Some((path, value)) = open.pop() {
            match value {
                Value::String(text) if wanted(text) => return Some((path, text)),
                Value::Array(list) => open.extend(
                    list.iter().enumerate().map(|(at, value)| (below(&path, &at.to_string()), value)),
                ),
                Value::Object(map) => {
                    open.extend(map.iter().map(|(name, value)| (below(&path, name), value)));
                }
                _ => {}
            }
        }
        None
    }

    /// The entries of a list: of a JSON array, or every XML element that `path` leads to.
    ///
    /// # Errors
    ///
    /// [`DocumentError::NotList`].
    pub fn items(&self, path: &str) -> Result<Vec<Selected<'_>>, DocumentError> {
        let not_list = || DocumentError::NotList { path: path.to_owned() };
        match &self.0 {
            Tree::Json(value) => {
                let list = json::walk(value, path).and_then(Value::as_array).ok_or_else(not_list)?;
                Ok(list.iter().map(Selected::Json).collect())
            }
            Tree::Xml(xml) => Ok(xml.every(path)),
            _ => Err(not_list()),
        }
    }
}

/// One place of a document.
#[derive(Debug, Clone, Copy)]
pub enum Selected<'a> {
    /// A JSON value.
    Json(&'a Value),
    /// A text.
    Text(&'a str),
    /// An XML element.
    #[doc(hidden)]
    Element(Element<'a>),
}

/// An element of an XML document.
#[derive(Debug, Clone, Copy)]
pub struct Element<'a> {
    xml: &'a Xml,
    at: usize,
}

impl<'a> Selected<'a> {
    /// The text that stands here: a JSON text or whole number, an XML element's own text. `None` for anything else.
    pub fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text.into()),
            Self::Json(Value::String(text)) => Some(text.into()),
            Self::Json(Value::Number(number)) if number.is_i64() || number.is_u64() => {
                Some(number.to_string().into())
            }
            Self::Json(_) => None,
            Self::Element(Element { xml, at }) => xml.text(at).map(Cow::Borrowed),
        }
    }

    /// What stands at `path` inside. An XML path begins with the element's own name.
    ///
    /// # Errors
    ///
    /// As [`Document::select`].
    pub fn select(self, path: &str) -> Result<Option<Self>, DocumentError> {
        match self {
            Self::Json(value) => Ok(json::walk(value, path).map(Selected::Json)),
            Self::Text(_) => Ok(None),
            Self::Element(Element { xml, at }) => xml.select(Some(at), path),
        }
    }
}

fn headers(text: &str) -> Result<BTreeMap<String, String>, DocumentError> {
    let mut headers = BTreeMap::new();
    let mut add = |name: &str, value: String| {
        if headers.len() >= HEADERS_MAX {
            return Err(DocumentError::TooMany { what: "headers", max: HEADERS_MAX });
        }
        match headers.insert(name.to_ascii_lowercase(), value) {
            Some(_) => Err(DocumentError::Duplicate { name: quotable(name) }),
            None => Ok(()),
        }
    };
    if text.trim_ascii_start().starts_with('{') {
        let Value::Object(map) = json::parse(text.as_bytes())? else {
            unreachable!("it begins with a brace")
        };
        for (name, value) in map {
            let Value::String(value) = value else {
                return Err(DocumentError::NotText { path: quotable(&name) });
            };
            add(&name, value)?;
        }
    } else {
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_ascii().is_empty()) {
            let header =
                line.split_once(':').filter(|(name, _)| !name.is_empty() && name.trim_ascii() == *name);
            let (name, value) = header.ok_or(DocumentError::Header { line: index + 1 })?;
            add(name, value.trim_ascii().to_owned())?;
        }
    }
    Ok(headers)
}

fn jwe(text: &str) -> Result<Tree, DocumentError> {
    let count = text.split('.').count();
    let mut parts = text.split('.').map(str::to_owned);
    let segments: [String; 5] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    if count != segments.len() {
        return Err(DocumentError::Jwe { count });
    }
    let header = Encoding::Base64Url.decode(&segments[0]).map_err(|_| DocumentError::JweHeader)?;
    let header = json::parse(&header)?;
    if header.is_object() { Ok(Tree::Jwe { header, segments }) } else { Err(DocumentError::JweHeader) }
}

/// Why a document is refused. It quotes names, shortened and printable, and no values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// Longer than is read.
    #[error("it is {len} bytes long; the limit is {DOCUMENT_LEN_MAX}")]
    TooLong {
        /// What it is.
        len: usize,
    },
    /// No UTF-8.
    #[error("byte {at} is not UTF-8")]
    NotUtf8 {
        /// Counted from 0.
        at: usize,
    },
    /// No JSON.
    #[error("it is not JSON: line {line}, column {column}")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// No XML.
    #[error("it is not XML: line {line}, column {column}")]
    Xml {
        /// Counted from 1.
        line: u32,
        /// Counted from 1.
        column: u32,
    },
    /// XML that brings definitions of its own.
    #[error("it has a DOCTYPE, which is refused: it can define entities and name files")]
    Doctype,
    /// Values inside values, without end.
    #[error("it nests deeper than {max} levels")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// More of something than is read.
    #[error("it has more than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A name that stands twice.
    #[error("`{name}` stands twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// More than one element where one is wanted.
    #[error("`{path}` leads to {count} elements, and nobody could say which is meant")]
    Ambiguous {
        /// The path.
        path: String,
        /// How many.
        count: usize,
    },
    /// Something that is no text.
    #[error("`{path}` is no text")]
    NotText {
        /// The path.
        path: String,
    },
    /// A text without a character.
    #[error("`{path}` is empty")]
    Empty {
        /// The path.
        path: String,
    },
    /// Something that is no list.
    #[error("`{path}` is no list")]
    NotList {
        /// The path.
        path: String,
    },
    /// A line that is no header.
    #[error("line {line} is not `Name: value`")]
    Header {
        /// Counted from 1.
        line: usize,
    },
    /// Not a JWE in its compact form.
    #[error("it has {count} segments; a JWE has 5")]
    Jwe {
        /// What it has.
        count: usize,
    },
    /// A JWE whose header is none.
    #[error("its protected header is not a JSON object in base64url")]
    JweHeader,
    /// An archive that is none, or that contradicts itself.
    #[error("it is not a ZIP archive, or a damaged one")]
    Zip,
    /// Members that match, but not one.
    #[error("{count} members of the archive are called `{glob}`; it must be one")]
    Members {
        /// The pattern.
        glob: String,
        /// How many.
        count: usize,
    },
    /// A member that is not read.
    #[error("the member `{name}` of the archive is {why}")]
    Member {
        /// Its name, printable.
        name: String,
        /// What is the matter with it.
        why: &'static str,
    },
    /// What is written at a path does not fit what is there.
    #[error("nothing can be written at `{path}`")]
    NotWritable {
        /// The path.
        path: String,
    },
}

/// A foreign name as a message may quote it: short, and without control characters.
fn quotable(text: &str) -> String {
    const QUOTED_CHARS_MAX: usize = 40;
    text.chars().take(QUOTED_CHARS_MAX).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests;
