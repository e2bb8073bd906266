//! A JSON object whose names are all different. `serde_json` keeps the last of two; a record with two is refused, since
//! another reader may keep the first.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::RecordError;

/// The longest part of a foreign name that a message quotes.
const QUOTED_CHARS_MAX: usize = 40;
/// Marks our own error inside `serde_json`'s.
const DUPLICATE: &str = "duplicate field ";

struct UniqueMap(Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = UniqueMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<UniqueMap, A::Error> {
                let mut map = Map::new();
                while let Some(name) = access.next_key::<String>()? {
                    if map.contains_key(&name) {
                        let name: String =
                            name.chars().take(QUOTED_CHARS_MAX).flat_map(char::escape_default).collect();
                        return Err(A::Error::custom(format_args!("{DUPLICATE}{name}\n")));
                    }
                    map.insert(name, access.next_value()?);
                }
                Ok(UniqueMap(map))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// The object that `json` is, all of it.
pub(super) fn object(json: &[u8]) -> Result<Map<String, Value>, RecordError> {
    serde_json::from_slice(json).map(|UniqueMap(map)| map).map_err(|err| {
        let text = err.to_string();
        match text.strip_prefix(DUPLICATE).and_then(|rest| rest.split_once('\n')) {
            Some((name, _)) => RecordError::Duplicate { name: name.to_owned() },
            None => RecordError::Json { line: err.line(), column: err.column() },
        }
    })
}
