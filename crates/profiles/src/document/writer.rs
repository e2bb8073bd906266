//! Documents to send: values put into a template.

use serde_json::{Map, Value};

use super::{DocumentError, DocumentKind, xml};
use crate::encoding::Encoding;

/// Builds a document by putting texts to the places where [`Document::select`](super::Document::select) finds them.
pub struct DocumentWriter(Draft);

enum Draft {
    Json(Value),
    /// The template, and what goes where in it.
    Xml {
        template: String,
        edits: Vec<(std::ops::Range<usize>, String)>,
    },
    Text(String),
    Jwe {
        header: Value,
        segments: [String; 5],
    },
}

impl DocumentWriter {
    /// Begins with `template`: JSON, XML, or a JWE's protected header as JSON. JSON and headers can do without.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]: the template is none, or is missing where it is needed.
    pub fn new(kind: DocumentKind, template: Option<&str>) -> Result<Self, DocumentError> {
        let json =
            || template.map_or(Ok(Value::Object(Map::new())), |text| super::json::parse(text.as_bytes()));
        Ok(Self(match kind {
            DocumentKind::Json | DocumentKind::Headers => Draft::Json(json()?),
            DocumentKind::Jwe => Draft::Jwe { header: json()?, segments: Default::default() },
            DocumentKind::Text => Draft::Text(String::new()),
            DocumentKind::Xml => {
                let template = template.ok_or(DocumentError::NotWritable { path: String::new() })?.to_owned();
                xml::parse(&template)?;
                Draft::Xml { template, edits: Vec::new() }
            }
        }))
    }

    /// Puts `text` to `path`; `number` where the template's kind tells numbers from texts and a number is meant.
    ///
    /// # Errors
    ///
    /// [`DocumentError::NotWritable`] where the template has no such place, or something else there.
    pub fn set(&mut self, path: &str, text: &str, number: bool) -> Result<(), DocumentError> {
        let refused = || DocumentError::NotWritable { path: path.to_owned() };
        match &mut self.0 {
            Draft::Json(value) => set_json(value, path, json_value(text, number)).ok_or_else(refused),
            Draft::Text(whole) => {
                whole.clear();
                whole.push_str(text);
                Ok(())
            }
            Draft::Jwe { header, segments } => {
                if let Some(path) = path.strip_prefix("header.") {
                    return set_json(header, path, json_value(text, number)).ok_or_else(refused);
                }
                let names = ["", "encrypted_key", "iv", "ciphertext", "tag"];
                let at =
                    names.iter().position(|name| *name == path).filter(|&at| at > 0).ok_or_else(refused)?;
                text.clone_into(&mut segments[at]);
                Ok(())
            }
            Draft::Xml { template, edits } => {
                let edit = xml::edit(template, path, text)?.ok_or_else(refused)?;
                edits.retain(|(range, _)| *range != edit.0);
                edits.push(edit);
                Ok(())
            }
        }
    }

    /// What a JWE authenticates: its header as it is sent. Nothing may be put into the header afterwards.
    pub fn jwe_aad(&self) -> Option<String> {
        match &self.0 {
            Draft::Jwe { header, .. } => Encoding::Base64Url.encode(header.to_string().as_bytes()).ok(),
            _ => None,
        }
    }

    /// The document.
    pub fn finish(self) -> String {
        match self.0 {
            Draft::Json(value) => value.to_string(),
            Draft::Text(text) => text,
            Draft::Jwe { header, mut segments } => {
                let header = Encoding::Base64Url.encode(header.to_string().as_bytes());
                segments[0] = header.expect("base64 can write all bytes");
                segments.join(".")
            }
            Draft::Xml { template, mut edits } => {
                edits.sort_by_key(|(range, _)| range.start);
                let (mut out, mut from) = (String::with_capacity(template.len()), 0);
                for (range, text) in edits {
                    out.push_str(&template[from..range.start]);
                    out.push_str(&text);
                    from = range.end;
                }
                out.push_str(&template[from..]);
                out
            }
        }
    }
}

fn json_value(text: &str, number: bool) -> Value {
    match text.parse::<u64>() {
        Ok(digits) if number => digits.into(),
        _ => text.into(),
    }
}

/// Puts `new` to a dotted path, making what is missing on the way. `None` where something else is in the way.
fn set_json(value: &mut Value, path: &str, new: Value) -> Option<()> {
    /// A template's list is filled in order; a path that leaves a gap is a mistake.
    const LIST_LEN_MAX: usize = 1000;
    let mut place = value;
    for name in path.split('.').filter(|name| !name.is_empty()) {
        if place.is_null() {
            *place = if name.bytes().all(|byte| byte.is_ascii_digit()) {
                Value::Array(Vec::new())
            } else {
                Value::Object(Map::new())
            };
        }
        place = match place {
            Value::Object(map) => map.entry(name).or_insert(Value::Null),
            Value::Array(list) => {
                let index: usize =
                    name.parse().ok().filter(|&index| index <= list.len() && index < LIST_LEN_MAX)?;
                if index == list.len() {
                    list.push(Value::Null);
                }
                list.get_mut(index)?
            }
            _ => return None,
        };
    }
    if place.is_object() || place.is_array() {
        return None;
    }
    // Where the template has a number, a number is meant.
    *place = match (&*place, new) {
        (Value::Number(_), Value::String(text)) => json_value(&text, true),
        (_, new) => new,
    };
    Some(())
}
