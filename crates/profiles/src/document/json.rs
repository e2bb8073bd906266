//! JSON in which no name stands twice, at any depth: `serde_json` keeps the last of two, another reader the first.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{DocumentError, quotable};

/// How deep values nest.
pub(super) const DEPTH_MAX: usize = 32;
/// Marks our own errors inside `serde_json`'s.
const DUPLICATE: &str = "duplicate name ";
const TOO_DEEP: &str = "too deep\n";

/// The value that `json` is, all of it.
pub(super) fn parse(json: &[u8]) -> Result<Value, DocumentError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = Unique { depth: 0 }.deserialize(&mut deserializer);
    value.and_then(|value| deserializer.end().map(|()| value)).map_err(|err| {
        let text = err.to_string();
        if text.starts_with(TOO_DEEP) {
            return DocumentError::TooDeep { max: DEPTH_MAX };
        }
        match text.strip_prefix(DUPLICATE).and_then(|rest| rest.split_once('\n')) {
            Some((name, _)) => DocumentError::Duplicate { name: name.to_owned() },
            None => DocumentError::Json { line: err.line(), column: err.column() },
        }
    })
}

/// What stands at a dotted path.
pub(super) fn walk<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let step = |value: &'a Value, name: &str| match value {
        Value::Object(map) => map.get(name),
        Value::Array(list) => name.parse().ok().and_then(|index: usize| list.get(index)),
        _ => None,
    };
    let found = path.split('.').filter(|name| !name.is_empty()).try_fold(value, step)?;
    // To say that something is null is to say nothing.
    (!found.is_null()).then_some(found)
}

#[derive(Clone, Copy)]
struct Unique {
    depth: usize,
}

impl Unique {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > DEPTH_MAX { Err(E::custom(TOO_DEEP)) } else { Ok(Self { depth }) }
    }
}

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(inner)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(format_args!("{DUPLICATE}{}\n", quotable(&name))));
            }
            let value = access.next_value_seed(inner)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}
