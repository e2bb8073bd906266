//! Follows a profile's definitions: what each of its names is in one message.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;

use waxwing_core::derive;
use waxwing_core::hash::{HashAlgorithm, Hasher, MacAlgorithm};
use waxwing_formats::scheme::Digest;
use waxwing_profiles::document::Selected;
use waxwing_profiles::{
    Choice, Encoding, Field, FieldSize, Function, Hash, Layout, Number, Origin, PartKind, Profile, Selector,
    Source, UNWRAPPED, Value,
};
use zeroize::Zeroizing;

use super::error::MessageError;
use super::keys::Secrets;
use super::message::{Message, printable};
use crate::Error;
use crate::body::{Bytes, READ_WHOLE_MAX};

/// One body of a message: the message itself, and the entry of its list that the body belongs to.
pub(super) struct Evaluation<'a> {
    pub(super) profile: &'a Profile,
    message: &'a Message<'a>,
    secrets: &'a Secrets,
    item: Option<Selected<'a>>,
    index: u64,
    known: RefCell<BTreeMap<String, Bytes>>,
    /// What a writer decided to put at places of the message.
    assigned: RefCell<BTreeMap<Selector, String>>,
    body: Option<String>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(profile: &'a Profile, message: &'a Message<'a>, secrets: &'a Secrets) -> Self {
        Self {
            profile,
            message,
            secrets,
            item: None,
            index: 0,
            known: RefCell::default(),
            assigned: RefCell::default(),
            body: None,
        }
    }

    /// The same message, about which nothing is known yet.
    pub(super) fn again(&self) -> Self {
        Self::new(self.profile, self.message, self.secrets)
    }

    /// The same for an entry of the list, whose file is called `body`.
    pub(super) fn of_item(&self, item: Selected<'a>, index: u64, body: String) -> Self {
        Self { item: Some(item), index, body: Some(body), ..self.again() }
    }

    /// Tells what a name is: a writer decided it.
    pub(super) fn give(&self, name: &str, bytes: Bytes) {
        self.known.borrow_mut().insert(name.to_owned(), bytes);
    }

    /// Tells what a writer put at a place.
    pub(super) fn assign(&self, at: &Selector, text: String) {
        self.assigned.borrow_mut().insert(at.clone(), text);
    }

    /// Tells what was unwrapped: from now on everything that depends on it can be asked for.
    pub(super) fn give_unwrapped(&self, bytes: Zeroizing<Vec<u8>>) {
        self.give(UNWRAPPED, Bytes::secret(bytes));
    }

    /// The bytes of this name.
    pub(super) fn bytes(&self, name: &str) -> Result<Bytes, Error> {
        if let Some(known) = self.known.borrow().get(name) {
            return Ok(known.clone());
        }
        if let Some(source) = self.profile.bytes.get(name) {
            let bytes = self.source(source, name)?;
            self.known.borrow_mut().insert(name.to_owned(), bytes.clone());
            return Ok(bytes);
        }
        let (whole, layout) = self.profile.layout_of(name).expect("a checked profile defines every name");
        let fields = cut(whole, &self.bytes(whole)?, layout)?;
        let mut known = self.known.borrow_mut();
        known.extend(fields);
        Ok(known.get(name).expect("the layout has the name").clone())
    }

    /// All bytes of this name, which are few.
    pub(super) fn whole(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        whole(name, &self.bytes(name)?)
    }

    /// All bytes of `source`, which are few.
    pub(super) fn source_whole(&self, source: &Source, what: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        whole(what, &self.source(source, what)?)
    }

    pub(super) fn source(&self, source: &Source, what: &str) -> Result<Bytes, Error> {
        let mut bytes = self.origin(source, what)?;
        let len = bytes.len();
        if let Some(slice) = source.slice {
            let too_short =
                || MessageError::TooShort { what: named(source, what), len, field: what.to_owned() };
            bytes = bytes.slice(slice).ok_or_else(too_short)?;
        }
        let len = bytes.len();
        if !source.lens.is_empty() && !source.lens.iter().any(|&known| known as u64 == len) {
            let expected = list(&source.lens);
            return Err(MessageError::Length { what: named(source, what), len, expected }.into());
        }
        Ok(bytes)
    }

    fn origin(&self, source: &Source, what: &str) -> Result<Bytes, Error> {
        Ok(match &source.origin {
            Origin::Of(name) => self.bytes(name)?,
            Origin::Bytes(bytes) => Bytes::held(bytes.clone()),
            Origin::Index => Bytes::held(self.index.to_be_bytes().to_vec()),
            Origin::Secret { name, encoding } => self.secrets.bytes(name, *encoding)?,
            Origin::At { at, also, encoding, or } => {
                self.at(self.spelling(at, also)?, *encoding, or.as_deref(), what)?
            }
            Origin::Computed(function, args) => {
                let args =
                    args.iter().map(|arg| self.source_whole(arg, what)).collect::<Result<Vec<_>, _>>()?;
                Bytes::secret(compute(*function, &args, what)?)
            }
        })
    }

    /// The one place of several that the message has; the first when it has none.
    fn spelling<'b>(&self, at: &'b Selector, also: &'b [Selector]) -> Result<&'b Selector, Error> {
        let mut found = None;
        for place in std::iter::once(at).chain(also).filter(|_| !also.is_empty()) {
            if self.message.select(self.item, place)?.is_some()
                && let Some(first) = found.replace(place)
            {
                let (first, second) = (first.clone(), place.clone());
                return Err(MessageError::TwoSpellings { first, second }.into());
            }
        }
        Ok(found.unwrap_or(at))
    }

    fn at(&self, at: &Selector, encoding: Encoding, or: Option<&Source>, what: &str) -> Result<Bytes, Error> {
        let malformed = |source| MessageError::Encoding { what: format!("`{at}`"), source };
        if let Some(text) = self.assigned.borrow().get(at) {
            return Ok(Bytes::held(encoding.decode(text).map_err(malformed)?));
        }
        if let Some(kind @ (PartKind::Raw | PartKind::Zip)) =
            self.profile.part(&at.part).map(|part| part.kind)
        {
            let is_body = self.profile.repeat.as_ref().is_some_and(|repeat| repeat.body == at.part);
            return match self.body.as_ref().filter(|_| is_body) {
                Some(file) => self.message.body(file),
                None => self.message.unbounded(at, kind),
            };
        }
        // An empty content is one, where its tag proves that it is.
        let empty = or.is_some()
            || (what == "ct"
                && self.profile.content.cipher.possible().all(|cipher| cipher.is_authenticated()));
        let Some(text) = self.message.text(self.item, at, empty)? else {
            let absent = || MessageError::Absent { at: at.clone() };
            return self.source(or.ok_or_else(absent)?, what);
        };
        Ok(Bytes::held(encoding.decode(&text).map_err(malformed)?))
    }

    /// What the template of a message to be written holds at a place.
    pub(super) fn template_text(&self, at: &Selector) -> Result<Option<String>, Error> {
        let text = self.message.text(None, at, true)?;
        Ok(text.filter(|text| !text.is_empty()).map(std::borrow::Cow::into_owned))
    }

    /// What the message says at a place that must be there.
    pub(super) fn text(&self, at: &Selector) -> Result<String, Error> {
        let text = self.message.text(self.item, at, false)?;
        Ok(text.ok_or_else(|| MessageError::Absent { at: at.clone() })?.into_owned())
    }

    /// What a value is, in this message.
    pub(super) fn value<T: Clone>(&self, value: &Value<T>) -> Result<T, Error> {
        match value {
            Value::Fixed(value) => Ok(value.clone()),
            Value::Chosen(choice) => self.chosen(choice),
        }
    }

    fn chosen<T: Clone>(&self, choice: &Choice<T>) -> Result<T, Error> {
        let at = &choice.at;
        let Some(text) = self.message.text(self.item, at, false)? else {
            let absent = || MessageError::Absent { at: at.clone() };
            return Ok(choice.or.clone().ok_or_else(absent)?);
        };
        let listed = choice.map.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone());
        let words: Vec<&str> = choice.map.iter().map(|(word, _)| word.as_str()).collect();
        Ok(listed.ok_or_else(|| not_listed(at, &text, &words))?)
    }

    /// What a number is, in this message: at least 1.
    pub(super) fn number(&self, number: &Number, max: u64) -> Result<u64, Error> {
        match number {
            Number::Fixed(number) => Ok(*number),
            Number::At(at) => {
                let number = self.text(at)?.parse().ok().filter(|number| (1..=max).contains(number));
                Ok(number.ok_or_else(|| MessageError::Number { at: at.clone(), max })?)
            }
        }
    }

    /// Compares what the message must say.
    pub(super) fn expect(&self) -> Result<(), Error> {
        for expect in &self.profile.expects {
            let text = self.text(&expect.at)?;
            if !expect.is.contains(&text) {
                let words: Vec<&str> = expect.is.iter().map(String::as_str).collect();
                return Err(not_listed(&expect.at, &text, &words).into());
            }
        }
        Ok(())
    }
}

fn not_listed(at: &Selector, found: &str, listed: &[&str]) -> MessageError {
    MessageError::NotListed { at: at.clone(), found: printable(found), listed: list(listed) }
}

/// What a source is called in a message: its place, or the name it defines.
fn named(source: &Source, what: &str) -> String {
    match &source.origin {
        Origin::At { at, .. } => format!("`{at}`"),
        _ => format!("`{what}`"),
    }
}

fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(" or ")
}

fn whole(what: &str, bytes: &Bytes) -> Result<Zeroizing<Vec<u8>>, Error> {
    let too_long = || MessageError::Length {
        what: format!("`{what}`"),
        len: bytes.len(),
        expected: format!("at most {READ_WHOLE_MAX}"),
    };
    Ok(bytes.whole()?.ok_or_else(too_long)?)
}

/// Cuts a byte string into the fields of its layout.
fn cut(whole_name: &str, whole: &Bytes, layout: &Layout) -> Result<Vec<(String, Bytes)>, Error> {
    let too_short = |field: &Field| MessageError::TooShort {
        what: format!("`{whole_name}`"),
        len: whole.len(),
        field: field.name.clone(),
    };
    let rest = layout.fields.iter().position(|field| field.size == FieldSize::Rest);
    let (front, behind) = layout.fields.split_at(rest.map_or(layout.fields.len(), |rest| rest + 1));
    let (mut start, mut end) = (0, whole.len());
    let mut cut = Vec::with_capacity(layout.fields.len());
    for field in behind.iter().rev() {
        let FieldSize::Fixed(len) = field.size else {
            unreachable!("a checked layout has fixed fields behind its rest")
        };
        let from = end.checked_sub(len as u64).ok_or_else(|| too_short(field))?;
        cut.push((field.name.clone(), whole.range(from..end)));
        end = from;
    }
    for field in front {
        let len = match field.size {
            FieldSize::Fixed(len) => len as u64,
            FieldSize::Rest => end.checked_sub(start).ok_or_else(|| too_short(field))?,
            FieldSize::Prefixed(width) => {
                let value = start + width as u64;
                if value > end {
                    return Err(too_short(field).into());
                }
                let digits = whole.range(start..value).whole()?.expect("a length is short");
                start = value;
                let len = digits.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
                if len == 0 || len > end - start {
                    let left = end - start;
                    return Err(MessageError::FieldLength { field: field.name.clone(), len, left }.into());
                }
                len
            }
        };
        let next = start.checked_add(len).filter(|&next| next <= end).ok_or_else(|| too_short(field))?;
        cut.push((field.name.clone(), whole.range(start..next)));
        start = next;
    }
    if start < end {
        return Err(MessageError::LeftOver { what: format!("`{whole_name}`"), left: end - start }.into());
    }
    Ok(cut)
}

fn compute(function: Function, args: &[Zeroizing<Vec<u8>>], what: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    Ok(match (function, args) {
        (Function::Hash(hash), args) => digest(hash, args),
        (Function::Concat, args) => Zeroizing::new(args.iter().flat_map(|arg| arg.iter().copied()).collect()),
        (Function::Not, [arg]) => Zeroizing::new(arg.iter().map(|byte| !byte).collect()),
        (Function::Xor, [a, b]) if a.len() == b.len() => {
            Zeroizing::new(a.iter().zip(b.iter()).map(|(a, b)| a ^ b).collect())
        }
        (Function::Xor, [a, b]) => {
            let (what, expected) = (format!("`{what}`'s second argument"), a.len().to_string());
            return Err(MessageError::Length { what, len: b.len() as u64, expected }.into());
        }
        (Function::Hkdf { hash, out }, [key, salt, info]) => {
            derive::hkdf(mac_algorithm(hash), key, salt, info, out)
                .expect("a checked profile keeps to the limits")
        }
        (Function::Pbkdf2 { hash, iterations, out }, [passphrase, salt]) => {
            derive::pbkdf2(mac_algorithm(hash), passphrase, salt, iterations, out)
                .expect("a checked profile keeps to the limits")
        }
        (Function::OdkIv, [instance, key, index]) => odk_iv(instance, key, index),
        _ => unreachable!("a checked profile has as many arguments as its functions take"),
    })
}

/// The digest of all `parts`, joined.
fn digest(hash: Hash, parts: &[Zeroizing<Vec<u8>>]) -> Zeroizing<Vec<u8>> {
    let mut hasher = Hasher::new(hash_algorithm(hash));
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finish()
}

pub(super) fn hash_algorithm(hash: Hash) -> HashAlgorithm {
    match hash {
        Hash::Md5 => HashAlgorithm::Md5,
        Hash::Sha1 => HashAlgorithm::Sha1,
        Hash::Sha256 => HashAlgorithm::Sha256,
        Hash::Sha384 => HashAlgorithm::Sha384,
        Hash::Sha512 => HashAlgorithm::Sha512,
    }
}

pub(super) fn mac_algorithm(hash: Digest) -> MacAlgorithm {
    match hash {
        Digest::Sha1 => MacAlgorithm::HmacSha1,
        Digest::Sha256 => MacAlgorithm::HmacSha256,
        Digest::Sha384 => MacAlgorithm::HmacSha384,
        Digest::Sha512 => MacAlgorithm::HmacSha512,
        Digest::Sha224 => unreachable!("a checked profile derives nothing with SHA-224"),
    }
}

/// ODK's IVs: the MD5 of instance and key, whose bytes are counted up in turn, once for each file so far and this one.
fn odk_iv(instance: &[u8], key: &[u8], index: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut hasher = Hasher::new(HashAlgorithm::Md5);
    hasher.update(instance);
    hasher.update(key);
    let mut iv = hasher.finish();
    let index = index.iter().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
    // Sixteen steps count every byte up once, so that the whole rounds need no loop.
    let (rounds, steps) = (index.wrapping_add(1) / 16, index.wrapping_add(1) % 16);
    for (at, byte) in iv.iter_mut().enumerate() {
        let more = u64::from((at as u64) < steps);
        *byte = byte.wrapping_add((rounds.wrapping_add(more) & 0xff) as u8);
    }
    iv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odk_ivs_walk_over_the_bytes() {
        let seed = odk_iv(b"i", b"k", &u64::MAX.to_be_bytes());
        let mut walked = seed.to_vec();
        for index in 0..40u64 {
            let at = (index % 16) as usize;
            walked[at] = walked[at].wrapping_add(1);
            assert_eq!(*odk_iv(b"i", b"k", &index.to_be_bytes()), walked, "{index}");
        }
    }

    fn layout(text: &str) -> Layout {
        let profile = format!(
            "profile = \"1\"\nid = \"x\"\ntitle = \"x\"\n[parts]\nb = {{ kind = \"raw\" }}\n[bytes]\nw = {{ at = \"b:\", enc = \"raw\" }}\nkey = {{ secret = \"k\" }}\n[layout]\nw = \"{text}\"\n[unwrap]\nalg = \"direct\"\n[content]\ncipher = \"aes-gcm\"\nkey_bits = 256\n"
        );
        Profile::parse(&profile).unwrap().layouts["w"].clone()
    }

    #[test]
    fn layouts_cut_from_both_ends_and_leave_nothing() {
        let cut = |text: &str, bytes: &[u8]| {
            let fields = cut("w", &Bytes::held(bytes.to_vec()), &layout(text)).ok()?;
            Some(
                fields
                    .into_iter()
                    .map(|(name, bytes)| (name, bytes.whole().unwrap().unwrap().to_vec()))
                    .collect::<BTreeMap<_, _>>(),
            )
        };
        let long: Vec<u8> = (0..50).collect();
        let fields = cut("u8:x 12:iv *:ct 16:tag", &[&[2], &long[..]].concat()).unwrap();
        assert_eq!(fields["x"], [0, 1]);
        assert_eq!(fields["iv"], long[2..14]);
        assert_eq!(fields["ct"], long[14..34]);
        assert_eq!(fields["tag"], long[34..]);
        assert!(cut("12:iv *:ct 16:tag", &long[..28]).unwrap()["ct"].is_empty());
        assert!(cut("12:iv *:ct 16:tag", &long[..27]).is_none(), "too short");
        assert!(cut("u8:x 12:iv *:ct 16:tag", &[0; 60]).is_none(), "a length of 0");
        assert!(cut("u8:x 12:iv *:ct 16:tag", &[255; 60]).is_none(), "a length past the end");
        assert!(cut("12:iv 16:ct 16:tag", &long).is_none(), "bytes left over");
    }
}
