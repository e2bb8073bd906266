//! Reads a profile: TOML to [`Profile`], every field known, every name and number in its range.

pub(crate) mod table;

use std::collections::{BTreeMap, BTreeSet};

use waxwing_formats::body::BodyCipher;
use waxwing_formats::scheme::Digest;

use self::table::{Item, Root, Table};
use crate::encoding::Encoding;
use crate::model::{
    Check, Choice, Content, Expect, Field, FieldSize, Frame, Function, Hash, Layout, Name, NonceCounter,
    Number, Origin, Part, PartKind, Profile, Regions, Repeat, Selector, Slice, Source, Unwrap,
    UnwrapAlgorithm, Value, Verify,
};
use crate::{ProfileError, lint};

/// The most bytes of a profile.
pub const PROFILE_LEN_MAX: usize = 64 << 10;
/// The most byte strings, fields and parts that a profile defines.
pub const NAMES_MAX: usize = 128;
/// The longest name.
pub const NAME_LEN_MAX: usize = 48;
/// The longest byte string that is read or computed whole.
pub const BYTES_LEN_MAX: usize = 64 << 20;
/// The most rounds of PBKDF2.
pub const PBKDF2_ITERATIONS_MAX: u64 = 10_000_000;
/// The most bytes that are derived at once.
pub const DERIVED_LEN_MAX: u64 = 1024;
/// The most plaintext in a region: what one GCM message may have.
pub const REGION_LEN_MAX: u64 = (1 << 36) - 32;
/// The place of a profile that names none: behind those that do.
const ORDER_LAST: u32 = 10_000;
/// How deep sources nest inside each other.
const NESTED_MAX: usize = 8;
/// The digests of HKDF and PBKDF2, by their words.
const DERIVING: [(&str, Digest); 4] = [
    ("sha1", Digest::Sha1),
    ("sha256", Digest::Sha256),
    ("sha384", Digest::Sha384),
    ("sha512", Digest::Sha512),
];
/// The digests of OAEP, by their words.
const DIGESTS: [(&str, Digest); 5] = [
    ("sha1", Digest::Sha1),
    ("sha224", Digest::Sha224),
    ("sha256", Digest::Sha256),
    ("sha384", Digest::Sha384),
    ("sha512", Digest::Sha512),
];
/// The digests of HMAC, by the kinds of `[[verify]]`.
const HMACS: [(&str, Digest); 4] = [
    ("hmac-sha1", Digest::Sha1),
    ("hmac-sha256", Digest::Sha256),
    ("hmac-sha384", Digest::Sha384),
    ("hmac-sha512", Digest::Sha512),
];

impl Profile {
    /// Reads and checks a profile.
    ///
    /// # Errors
    ///
    /// [`ProfileError`], which names the line.
    pub fn parse(toml: &str) -> Result<Self, ProfileError> {
        let root = Root::parse(toml, "the profile")?;
        let mut profile = profile(root.table())?;
        profile.keyed = lint::check(&profile)?;
        Ok(profile)
    }
}

fn profile(mut root: Table<'_>) -> Result<Profile, ProfileError> {
    let version = root.required("profile")?;
    if version.str()? != "1" {
        return Err(version.error("is not \"1\", the only version there is"));
    }
    let id = root.required("id")?;
    let parts = parts(root.required("parts")?.table()?)?;
    let bytes = byte_strings(root.required("bytes")?.table()?)?;
    let layouts = match root.optional("layout") {
        Some(item) => layouts(item.table()?)?,
        None => BTreeMap::new(),
    };
    let profile = Profile {
        id: name(id.str()?, id)?,
        title: root.required("title")?.string()?,
        page: root.optional("page").map(|page| name(page.str()?, page)).transpose()?,
        evidence: texts(root.optional("evidence"))?,
        peer: peer(root.optional("peer"))?,
        order: match root.optional("order") {
            Some(item) => u32::try_from(item.number(ORDER_LAST.into())?).expect("small"),
            None => ORDER_LAST,
        },
        remark: root.optional("remark").map(Item::string).transpose()?,
        parts,
        bytes,
        layouts,
        unwrap: unwrap(root.required("unwrap")?.table()?)?,
        content: content(root.required("content")?.table()?)?,
        frame: root.optional("frame").map(|item| frame(item.table()?)).transpose()?,
        expects: tables(root.optional("expect"), expect)?,
        verifies: tables(root.optional("verify"), verify)?,
        repeat: root.optional("repeat").map(|item| repeat(item.table()?)).transpose()?,
        keyed: BTreeSet::new(),
    };
    root.finish()?;
    Ok(profile)
}

fn texts(item: Option<Item<'_>>) -> Result<Vec<String>, ProfileError> {
    item.map_or(Ok(Vec::new()), |item| item.array()?.into_iter().map(Item::string).collect())
}

/// `peer = "who"`, or `peer = false` for nobody.
fn peer(item: Option<Item<'_>>) -> Result<Option<String>, ProfileError> {
    match item {
        None => Ok(None),
        Some(item) if item.is_false() => Ok(None),
        Some(item) => item.string().map(Some),
    }
}

fn tables<'a, T>(
    item: Option<Item<'a>>,
    read: impl Fn(Table<'a>) -> Result<T, ProfileError>,
) -> Result<Vec<T>, ProfileError> {
    let Some(item) = item else { return Ok(Vec::new()) };
    item.array()?.into_iter().map(|item| read(item.table()?)).collect()
}

/// A name of lower-case letters, digits, `-`, `_` and `.`, a letter or a digit first.
fn name(text: &str, item: Item<'_>) -> Result<Name, ProfileError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if !first || text.len() > NAME_LEN_MAX || !text.chars().all(fits) {
        return Err(item.error(format_args!(
            "is `{}`; a name has 1 to {NAME_LEN_MAX} lower-case letters, digits, `-`, `_` and `.`, and does not begin with a sign",
            text.escape_debug()
        )));
    }
    Ok(text.to_owned())
}

fn counted<T>(table: &Table<'_>, entries: &[T]) -> Result<(), ProfileError> {
    if entries.len() > NAMES_MAX {
        return Err(
            table.error(format!("there are {} entries here; the limit is {NAMES_MAX}", entries.len()))
        );
    }
    Ok(())
}

fn parts(table: Table<'_>) -> Result<Vec<(Name, Part)>, ProfileError> {
    let entries = table.entries();
    counted(&table, &entries)?;
    entries
        .into_iter()
        .map(|(part, line, item)| {
            let mut fields = item.table()?;
            let read = Part {
                kind: fields.required("kind")?.word(&PartKind::ALL)?,
                from: fields.optional("from").map(selector).transpose()?,
                template: fields.optional("template").map(Item::string).transpose()?,
                line,
            };
            fields.finish()?;
            Ok((name(part, item)?, read))
        })
        .collect()
}

fn byte_strings(table: Table<'_>) -> Result<BTreeMap<Name, Source>, ProfileError> {
    let entries = table.entries();
    counted(&table, &entries)?;
    entries.into_iter().map(|(word, _, item)| Ok((name(word, item)?, source(item, 0)?))).collect()
}

fn layouts(table: Table<'_>) -> Result<BTreeMap<Name, Layout>, ProfileError> {
    let entries = table.entries();
    counted(&table, &entries)?;
    entries.into_iter().map(|(word, _, item)| Ok((name(word, item)?, layout(item)?))).collect()
}

/// `u16be:wrapped 12:iv *:ct 16:tag`
fn layout(item: Item<'_>) -> Result<Layout, ProfileError> {
    let mut fields = Vec::new();
    for word in item.str()?.split_ascii_whitespace() {
        let (size, word) = word
            .split_once(':')
            .ok_or_else(|| item.error(format_args!("has the field `{word}`, which is not SIZE:NAME")))?;
        let size = match size {
            "u8" => FieldSize::Prefixed(1),
            "u16be" => FieldSize::Prefixed(2),
            "u32be" => FieldSize::Prefixed(4),
            "*" => FieldSize::Rest,
            digits => match digits.parse() {
                Ok(len @ 1..=BYTES_LEN_MAX) => FieldSize::Fixed(len),
                _ => {
                    return Err(item.error(format_args!(
                        "has a field of the size `{size}`; a size is a number, u8, u16be, u32be or *"
                    )));
                }
            },
        };
        fields.push(Field { name: name(word, item)?, size });
    }
    let rest = fields.iter().position(|field| field.size == FieldSize::Rest);
    let behind = rest.map_or(&[][..], |rest| &fields[rest + 1..]);
    if behind.iter().any(|field| !matches!(field.size, FieldSize::Fixed(_))) {
        return Err(item.error("has a field behind `*` that is not of a fixed size: nobody could find it"));
    }
    if fields.is_empty() {
        return Err(item.error("has no field"));
    }
    Ok(Layout { fields, line: item.line() })
}

/// `part:path`
fn selector(item: Item<'_>) -> Result<Selector, ProfileError> {
    let text = item.str()?;
    let (part, path) =
        text.split_once(':').ok_or_else(|| item.error("is not `part:path`; the root's path is empty"))?;
    Ok(Selector { part: name(part, item)?, path: path.to_owned() })
}

fn source(item: Item<'_>, depth: usize) -> Result<Source, ProfileError> {
    if depth > NESTED_MAX {
        return Err(item.error("nests too deeply"));
    }
    let line = item.line();
    if let Some(word) = item.as_str() {
        let origin = Origin::Of(name(word, item)?);
        return Ok(Source { origin, slice: None, lens: Vec::new(), write: None, line });
    }
    let mut table = item.table()?;
    let source = Source {
        origin: origin(item, &mut table, depth)?,
        slice: table.optional("slice").map(slice).transpose()?,
        lens: lens(table.optional("len"))?,
        write: match table.optional("write") {
            Some(item) => Some(usize::try_from(item.number(BYTES_LEN_MAX as u64)?).expect("small")),
            None => None,
        },
        line,
    };
    if let Some(len) = source.write.filter(|len| !source.lens.contains(len)) {
        return Err(item.error(format_args!("writes {len} bytes, which its `len` does not list")));
    }
    table.finish()?;
    Ok(source)
}

fn origin(item: Item<'_>, table: &mut Table<'_>, depth: usize) -> Result<Origin, ProfileError> {
    let fields = ["at", "of", "hex", "text", "secret", "fn", "index"];
    let mut given = fields.into_iter().filter_map(|field| Some((field, table.optional(field)?)));
    let (field, value) =
        given.next().ok_or_else(|| item.error("says nowhere where its bytes come from (at, of, hex, …)"))?;
    if let Some((second, _)) = given.next() {
        return Err(item.error(format_args!("has both `{field}` and `{second}`: its bytes have one origin")));
    }
    drop(given);
    Ok(match field {
        "at" => Origin::At {
            at: selector(value)?,
            also: match table.optional("also") {
                Some(item) => item.one_or_more()?.into_iter().map(selector).collect::<Result<_, _>>()?,
                None => Vec::new(),
            },
            encoding: encoding(table.required("enc")?)?,
            or: table.optional("or").map(|or| source(or, depth + 1).map(Box::new)).transpose()?,
        },
        "of" => Origin::Of(name(value.str()?, value)?),
        "hex" => {
            let bytes = hex::decode(value.str()?).map_err(|_| value.error("is not hexadecimal"))?;
            Origin::Bytes(bytes)
        }
        "text" => Origin::Bytes(value.str()?.as_bytes().to_vec()),
        "secret" => Origin::Secret {
            name: name(value.str()?, value)?,
            encoding: table.optional("enc").map_or(Ok(Encoding::Utf8), encoding)?,
        },
        "fn" => {
            let function = function(value, table)?;
            let args = table.required("args")?;
            let sources: Vec<Source> =
                args.array()?.into_iter().map(|arg| source(arg, depth + 1)).collect::<Result<_, _>>()?;
            let fits = match function {
                Function::Hash(_) | Function::Concat => !sources.is_empty(),
                Function::Not => sources.len() == 1,
                Function::Xor | Function::Pbkdf2 { .. } => sources.len() == 2,
                Function::Hkdf { .. } | Function::OdkIv => sources.len() == 3,
            };
            if !fits {
                return Err(args.error("has the wrong number of entries for this function"));
            }
            Origin::Computed(function, sources)
        }
        _ => Origin::Index,
    })
}

fn function(word: Item<'_>, table: &mut Table<'_>) -> Result<Function, ProfileError> {
    if let Some(&(_, hash)) = Hash::ALL.iter().find(|(known, _)| Some(*known) == word.as_str()) {
        return Ok(Function::Hash(hash));
    }
    let mut derived = |iterated: bool| {
        let hash = table.required("hash")?.word(&DERIVING)?;
        let out = table.required("out")?.number(DERIVED_LEN_MAX)?;
        let iterations = match iterated {
            true => table.required("iter")?.number(PBKDF2_ITERATIONS_MAX)?,
            false => 1,
        };
        if out == 0 || iterations == 0 {
            return Err(word.error("with no output or no round derives nothing"));
        }
        let out = usize::try_from(out).expect("the limit is small");
        Ok((hash, out, u32::try_from(iterations).expect("the limit is small")))
    };
    match word.str()? {
        "concat" => Ok(Function::Concat),
        "xor" => Ok(Function::Xor),
        "not" => Ok(Function::Not),
        "odk-iv" => Ok(Function::OdkIv),
        "hkdf" => derived(false).map(|(hash, out, _)| Function::Hkdf { hash, out }),
        "pbkdf2" => derived(true).map(|(hash, out, iterations)| Function::Pbkdf2 { hash, iterations, out }),
        other => Err(word.error(format_args!(
            "is `{}`; known are md5, sha1, sha256, sha384, sha512, concat, xor, not, hkdf, pbkdf2, odk-iv",
            other.escape_debug()
        ))),
    }
}

fn encoding(item: Item<'_>) -> Result<Encoding, ProfileError> {
    item.str()?.parse().map_err(|err| item.error(format_args!("is no encoding: {err}")))
}

/// `a..b`
fn slice(item: Item<'_>) -> Result<Slice, ProfileError> {
    let malformed =
        || item.error("is not `A..B`: two byte positions, negative from the end, either of them absent");
    let (start, end) = item.str()?.split_once("..").ok_or_else(malformed)?;
    let bound = |text: &str| match text {
        "" => Ok(None),
        digits => digits.parse::<i32>().map(Some).map_err(|_| malformed()),
    };
    let slice = Slice { start: bound(start)?.unwrap_or(0), end: bound(end)? };
    // Whatever is there is long enough for both; a fixed slice that is empty or backwards never holds anything.
    let never = match (slice.start, slice.end) {
        (start, Some(end)) => (start < 0) == (end < 0) && end <= start,
        (_, None) => false,
    };
    if never { Err(item.error("ends before it begins")) } else { Ok(slice) }
}

fn lens(item: Option<Item<'_>>) -> Result<Vec<usize>, ProfileError> {
    let Some(item) = item else { return Ok(Vec::new()) };
    let max = BYTES_LEN_MAX as u64;
    item.one_or_more()?.into_iter().map(|len| Ok(usize::try_from(len.number(max)?).expect("small"))).collect()
}

/// A fixed value, or `{ at, map, or, write }`.
fn value<T>(
    item: Item<'_>,
    read: impl Fn(Item<'_>) -> Result<T, ProfileError>,
) -> Result<Value<T>, ProfileError> {
    if !item.is_table() {
        return read(item).map(Value::Fixed);
    }
    let mut table = item.table()?;
    let words = table.required("map")?;
    let map = words.table()?.entries();
    let choice = Choice {
        at: selector(table.required("at")?)?,
        map: map
            .into_iter()
            .map(|(word, _, meaning)| Ok((word.to_owned(), read(meaning)?)))
            .collect::<Result<Vec<_>, _>>()?,
        or: table.optional("or").map(&read).transpose()?,
        write: table.optional("write").map(Item::string).transpose()?,
    };
    if choice.map.is_empty() {
        return Err(words.error("lists no word: then nothing can be chosen"));
    }
    if let Some(word) =
        choice.write.as_ref().filter(|word| choice.map.iter().all(|(known, _)| known != *word))
    {
        return Err(
            item.error(format_args!("writes `{}`, which its `map` does not list", word.escape_debug()))
        );
    }
    table.finish()?;
    Ok(Value::Chosen(choice))
}

fn unwrap(mut table: Table<'_>) -> Result<Unwrap, ProfileError> {
    let digest = |item: Item<'_>| value(item, |item| item.word(&DIGESTS));
    let unwrap = Unwrap {
        algorithm: value(table.required("alg")?, |item| item.word(&UnwrapAlgorithm::ALL))?,
        hash: table.optional("hash").map(digest).transpose()?,
        mgf1: table.optional("mgf1").map(digest).transpose()?,
        label: table.optional("label").map(|item| source(item, 0)).transpose()?,
        kek: table.optional("kek").map(|item| source(item, 0)).transpose()?,
        aad: table.optional("aad").map(|item| source(item, 0)).transpose()?,
        context: match table.optional("context") {
            Some(item) if item.is_table() => {
                let mut place = item.table()?;
                let at = selector(place.required("at")?)?;
                place.finish()?;
                Some(at)
            }
            Some(item) => Some(selector(item)?),
            None => None,
        },
        line: table.line(),
    };
    table.finish()?;
    Ok(unwrap)
}

fn content(mut table: Table<'_>) -> Result<Content, ProfileError> {
    let bits = |item: Item<'_>| {
        item.one_or_more()?
            .into_iter()
            .map(|bits| Ok(usize::try_from(bits.number(512)?).expect("small")))
            .collect::<Result<Vec<_>, _>>()
    };
    if let Some(len) = table.optional("tag_len") {
        sixteen(len, "a tag")?;
    }
    let content = Content {
        cipher: value(table.required("cipher")?, |item| {
            item.word(&BodyCipher::ALL.map(|cipher| (cipher.name(), cipher)))
        })?,
        key_bits: value(table.required("key_bits")?, bits)?,
        aad: table.optional("aad").map(|item| source(item, 0)).transpose()?,
        regions: table.optional("regions").map(|item| regions(item.table()?)).transpose()?,
        line: table.line(),
    };
    table.finish()?;
    Ok(content)
}

/// Shorter tags are refused, always: each bit less doubles a forger's luck, and some readers take four bytes.
fn sixteen(item: Item<'_>, what: &str) -> Result<(), ProfileError> {
    match item.number(u64::MAX)? {
        16 => Ok(()),
        other => Err(item.error(format_args!("is {other}; {what} has 16 bytes, always"))),
    }
}

fn regions(mut table: Table<'_>) -> Result<Regions, ProfileError> {
    let data_len = table.required("data_len")?;
    let data_len = if data_len.is_number() {
        match data_len.number(REGION_LEN_MAX)? {
            0 => return Err(data_len.error("is 0; a region holds something")),
            len => Number::Fixed(len),
        }
    } else {
        let mut place = data_len.table()?;
        let at = selector(place.required("at")?)?;
        place.finish()?;
        Number::At(at)
    };
    let nonce = table.required("nonce")?;
    if nonce.number(u64::MAX)? != 12 {
        return Err(nonce.error("must be 12: regions have nonces of 12 bytes"));
    }
    sixteen(table.required("tag")?, "a region's tag")?;
    let nonces = table.required("nonce_is")?.one_or_more()?;
    let nonces = nonces.into_iter().map(|item| item.word(&NonceCounter::ALL)).collect::<Result<_, _>>()?;
    table.finish()?;
    Ok(Regions { data_len, nonces })
}

fn frame(mut table: Table<'_>) -> Result<Frame, ProfileError> {
    const SKIPPED_MAX: u64 = 4096;
    let skip = match table.optional("skip") {
        Some(item) => usize::try_from(item.number(SKIPPED_MAX)?).expect("small"),
        None => 0,
    };
    let length = table.required("length")?;
    if length.str()? != "u32be" {
        return Err(length.error("must be `u32be`, the only length there is"));
    }
    let trailer = table.optional("trailer").map(|item| source(item, 0)).transpose()?;
    table.finish()?;
    Ok(Frame { skip, trailer })
}

fn expect(mut table: Table<'_>) -> Result<Expect, ProfileError> {
    let expect = Expect {
        at: selector(table.required("at")?)?,
        is: table.required("is")?.one_or_more()?.into_iter().map(Item::string).collect::<Result<_, _>>()?,
        line: table.line(),
    };
    table.finish()?;
    Ok(expect)
}

fn verify(mut table: Table<'_>) -> Result<Verify, ProfileError> {
    let kind = table.required("kind")?;
    let over = table.required("over")?;
    let key = table.optional("key");
    let hmac = HMACS.iter().find(|(word, _)| Some(*word) == kind.as_str());
    let check = match (hmac, key) {
        (Some(&(_, hash)), Some(key)) => Check::Hmac { hash, key: source(key, 0)? },
        (Some(_), None) => return Err(table.error("an HMAC needs a `key`")),
        (None, Some(key)) => return Err(key.error("means nothing: only an HMAC has a key")),
        (None, None) => match kind.str()? {
            "bytes" => Check::Bytes,
            "size" => Check::Size,
            _ => {
                let digests = Hash::ALL;
                let known = || {
                    let words = ["bytes", "size"].into_iter().chain(Hash::ALL.map(|(word, _)| word));
                    words.chain(HMACS.map(|(word, _)| word)).collect::<Vec<_>>().join(", ")
                };
                let found = digests.into_iter().find(|(word, _)| Some(*word) == kind.as_str());
                Check::Hash(found.ok_or_else(|| kind.error(format_args!("is none of {}", known())))?.1)
            }
        },
    };
    let truncate = match table.optional("truncate") {
        Some(item) => match item.number(64)? {
            len @ 16.. => Some(usize::try_from(len).expect("small")),
            len => return Err(item.error(format_args!("is {len}; fewer than 16 bytes prove too little"))),
        },
        None => None,
    };
    let verify = Verify {
        check,
        over: name(over.str()?, over)?,
        equals: source(table.required("equals")?, 0)?,
        truncate,
        line: table.line(),
    };
    if let Some(when) = table.optional("when") {
        let after = when.word(&[("before", false), ("after", true)])?;
        if after != verify.is_after() {
            return Err(when.error("does not fit: over `plaintext` it is \"after\", else \"before\""));
        }
    }
    table.finish()?;
    Ok(verify)
}

fn repeat(mut table: Table<'_>) -> Result<Repeat, ProfileError> {
    let body = table.required("body")?;
    let repeat = Repeat {
        over: selector(table.required("over")?)?,
        order: table.optional("order").map(Item::string).transpose()?,
        name: table.required("name")?.string()?,
        body: name(body.str()?, body)?,
        totals: tables(table.optional("total"), verify)?,
        line: table.line(),
    };
    table.finish()?;
    Ok(repeat)
}

#[cfg(test)]
mod tests;
