//! `pkcs11:` URIs (RFC 7512): which key, on which token, behind which module.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The longest URI, in bytes.
pub const PKCS11_URI_LEN_MAX: usize = 4096;

/// A `pkcs11:` URI: what a token and its key must match, and where the module and the PIN are.
///
/// It is parsed strictly: what is not understood is refused rather than ignored, for an attribute left out makes more keys
/// match. Characters that RFC 7512, section 2.3 does not allow as they are, are percent-encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pkcs11Uri {
    /// In the order of [`Name::ALL`]. Values are what is left after percent-decoding.
    values: [Option<Vec<u8>>; Name::ALL.len()],
}

impl Pkcs11Uri {
    /// The kind of object, if it is named.
    pub(super) fn object_type(&self) -> Option<&str> {
        self.text(Name::Type)
    }

    /// CKA_ID.
    pub(super) fn id(&self) -> Option<&[u8]> {
        self.bytes(Name::Id)
    }

    /// The slot's number.
    pub(super) fn slot_id(&self) -> Option<u64> {
        self.text(Name::SlotId).map(|number| number.parse().expect("the parser took it for a number"))
    }

    /// The file that is the module, or the folder in which [`module_name`](Self::module_name) lies.
    pub(super) fn module_path(&self) -> Option<PathBuf> {
        self.text(Name::ModulePath).map(PathBuf::from)
    }

    /// The module's file name without `lib` and `.so`.
    pub(super) fn module_name(&self) -> Option<&str> {
        self.text(Name::ModuleName)
    }

    /// The file that holds the PIN.
    pub(super) fn pin_source(&self) -> Option<PathBuf> {
        self.text(Name::PinSource).map(|source| PathBuf::from(file_of(source).expect("the parser took it")))
    }

    /// The value of an attribute that is text.
    pub(super) fn text(&self, name: Name) -> Option<&str> {
        self.bytes(name).map(|bytes| std::str::from_utf8(bytes).expect("the parser took it for text"))
    }

    fn bytes(&self, name: Name) -> Option<&[u8]> {
        self.values[name as usize].as_deref()
    }
}

impl FromStr for Pkcs11Uri {
    type Err = Pkcs11UriError;

    fn from_str(uri: &str) -> Result<Self, Pkcs11UriError> {
        if uri.len() > PKCS11_URI_LEN_MAX {
            return Err(Pkcs11UriError::TooLong { len: uri.len() });
        }
        let rest = match uri.split_at_checked(SCHEME.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest,
            _ => return Err(Pkcs11UriError::Scheme),
        };
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let mut parsed = Self::default();
        if !path.is_empty() {
            path.split(';').try_for_each(|attribute| parsed.take(attribute, Part::Path))?;
        }
        if let Some(query) = query {
            query.split('&').try_for_each(|attribute| parsed.take(attribute, Part::Query))?;
        }
        Ok(parsed)
    }
}

impl Pkcs11Uri {
    fn take(&mut self, attribute: &str, part: Part) -> Result<(), Pkcs11UriError> {
        let (spelt, value) = attribute.split_once('=').ok_or(Pkcs11UriError::NoValue { part })?;
        if spelt == PIN_VALUE {
            return Err(Pkcs11UriError::PinValue);
        }
        let name = Name::ALL.into_iter().find(|name| name.as_str() == spelt && name.part() == part);
        let name = name.ok_or_else(|| Pkcs11UriError::Unknown { name: crate::said(spelt), part })?;
        let slot = &mut self.values[name as usize];
        if slot.is_some() {
            return Err(Pkcs11UriError::Twice { name });
        }
        *slot = Some(name.judge(percent_decode(name, value)?)?);
        Ok(())
    }
}

/// The one spelling that is written: attributes in a fixed order, everything percent-encoded that is not unreserved.
impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        for (part, first, next) in [(Part::Path, "", ";"), (Part::Query, "?", "&")] {
            let given = Name::ALL.into_iter().filter(|name| name.part() == part);
            let given = given.filter_map(|name| Some((name, self.bytes(name)?)));
            for (n, (name, value)) in given.enumerate() {
                write!(f, "{}{}=", if n == 0 { first } else { next }, name.as_str())?;
                for &byte in value {
                    match byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
                        true => write!(f, "{}", char::from(byte))?,
                        false => write!(f, "%{byte:02X}")?,
                    }
                }
            }
        }
        Ok(())
    }
}

/// Why a `pkcs11:` URI was refused. No message quotes a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Pkcs11UriError {
    /// Over [`PKCS11_URI_LEN_MAX`].
    #[error("the URI is {len} bytes long; the limit is {PKCS11_URI_LEN_MAX}")]
    TooLong {
        /// Its bytes.
        len: usize,
    },
    /// Another scheme.
    #[error("the URI does not begin with `{SCHEME}`")]
    Scheme,
    /// An attribute without `=`, or nothing between two separators.
    #[error("an attribute in {part} is not written NAME=VALUE")]
    NoValue {
        /// Where.
        part: Part,
    },
    /// An attribute that is not known, or not known there.
    #[error("there is no attribute `{name}` in {part}")]
    Unknown {
        /// Its name, made fit for a line.
        name: String,
        /// Where.
        part: Part,
    },
    /// An attribute that stands there twice.
    #[error("the attribute `{name}` is given twice")]
    Twice {
        /// Which.
        name: Name,
    },
    /// A secret where everybody sees it.
    #[error(
        "a PIN does not belong into a URI (`{PIN_VALUE}`): put it into a file and name that with \
         `pin-source=file:PATH`"
    )]
    PinValue,
    /// `%` without two hex digits.
    #[error("the attribute `{name}` has a `%` without two hex digits behind it")]
    Percent {
        /// Of which attribute.
        name: Name,
    },
    /// A character that must be percent-encoded.
    #[error("the attribute `{name}` has a character that must be percent-encoded ({})", .character.escape_default())]
    Character {
        /// Of which attribute.
        name: Name,
        /// Which.
        character: char,
    },
    /// Empty, or longer than a token can hold.
    #[error("the attribute `{name}` is {len} bytes long; it has 1 to {max}")]
    Length {
        /// Of which attribute.
        name: Name,
        /// Decoded bytes.
        len: usize,
        /// The most.
        max: usize,
    },
    /// A value that the attribute cannot have.
    #[error("the attribute `{name}` must be {wanted}")]
    Value {
        /// Of which attribute.
        name: Name,
        /// What it can be.
        wanted: &'static str,
    },
}

/// The halves of a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Before `?`, separated by `;`.
    Path,
    /// Behind `?`, separated by `&`.
    Query,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Path => "the path",
            Self::Query => "the query",
        })
    }
}

macro_rules! names {
    ($($name:ident $part:ident $spelt:literal $len_max:literal,)*) => {
        /// The attributes that are known (RFC 7512, section 2.3), but for `pin-value`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Name {
            $(#[doc = concat!("`", $spelt, "`")] $name,)*
        }

        impl Name {
            pub(super) const ALL: [Self; [$($spelt),*].len()] = [$(Self::$name),*];

            /// As it is spelt.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $spelt,)* }
            }

            fn part(self) -> Part {
                match self { $(Self::$name => Part::$part,)* }
            }

            /// The most bytes: for what a token says of itself, the length of the field in PKCS#11.
            fn len_max(self) -> usize {
                match self { $(Self::$name => $len_max,)* }
            }
        }
    };
}

names! {
    Token Path "token" 32,
    Manufacturer Path "manufacturer" 32,
    Serial Path "serial" 16,
    Model Path "model" 16,
    LibraryManufacturer Path "library-manufacturer" 32,
    LibraryDescription Path "library-description" 32,
    LibraryVersion Path "library-version" 7,
    SlotManufacturer Path "slot-manufacturer" 32,
    SlotDescription Path "slot-description" 64,
    SlotId Path "slot-id" 20,
    Object Path "object" 255,
    Type Path "type" 10,
    Id Path "id" 255,
    ModulePath Query "module-path" 1024,
    ModuleName Query "module-name" 64,
    PinSource Query "pin-source" 1024,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Name {
    /// Takes a decoded value if the attribute can have it.
    fn judge(self, value: Vec<u8>) -> Result<Vec<u8>, Pkcs11UriError> {
        let max = self.len_max();
        if value.is_empty() || value.len() > max {
            return Err(Pkcs11UriError::Length { name: self, len: value.len(), max });
        }
        if self == Self::Id {
            return Ok(value);
        }
        let text = std::str::from_utf8(&value).ok().filter(|text| !text.contains(char::is_control));
        let (wanted, good) = match self {
            Self::SlotId => ("a number", text.is_some_and(is_number::<u64>)),
            Self::LibraryVersion => ("MAJOR or MAJOR.MINOR, each 0 to 255", text.is_some_and(is_version)),
            Self::Type => {
                ("one of cert, data, private, public, secret-key", text.is_some_and(|t| TYPES.contains(&t)))
            }
            Self::ModulePath => ("an absolute path", text.is_some_and(|path| path.starts_with('/'))),
            Self::ModuleName => ("a name without folders", text.is_some_and(|name| !name.contains('/'))),
            Self::PinSource => {
                ("file:PATH with an absolute path", text.is_some_and(|source| file_of(source).is_some()))
            }
            _ => ("UTF-8 without control characters", text.is_some()),
        };
        if good { Ok(value) } else { Err(Pkcs11UriError::Value { name: self, wanted }) }
    }
}

/// Decimal digits and nothing else, not even the `+` that Rust would take.
fn is_number<T: FromStr>(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<T>().is_ok()
}

fn is_version(text: &str) -> bool {
    text.split_once('.')
        .map_or_else(|| is_number::<u8>(text), |(a, b)| is_number::<u8>(a) && is_number::<u8>(b))
}

/// The absolute path in `file:/PATH`, `file:///PATH` or `/PATH`.
fn file_of(source: &str) -> Option<&str> {
    let path = source.strip_prefix("file:").unwrap_or(source);
    let path = path.strip_prefix("//").unwrap_or(path);
    path.starts_with('/').then_some(path)
}

fn percent_decode(name: Name, value: &str) -> Result<Vec<u8>, Pkcs11UriError> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(character) = rest.next() {
        if character == '%' {
            let mut digit = || rest.next().and_then(|digit| digit.to_digit(16));
            let (Some(high), Some(low)) = (digit(), digit()) else {
                return Err(Pkcs11UriError::Percent { name });
            };
            // The cast cannot cut: two hex digits make a byte.
            decoded.push((high << 4 | low) as u8);
        } else if character.is_ascii_alphanumeric() || name.part().allowed().contains(character) {
            decoded.push(character as u8);
        } else {
            return Err(Pkcs11UriError::Character { name, character });
        }
    }
    Ok(decoded)
}

impl Part {
    /// Beside letters and digits, what stands for itself (RFC 7512, section 2.3: `pk11-pchar` and `pk11-qchar`).
    fn allowed(self) -> &'static str {
        match self {
            Self::Path => "-._~:[]@!$'()*+,=&",
            Self::Query => "-._~:[]@!$'()*+,=/?|",
        }
    }
}

const SCHEME: &str = "pkcs11:";
const PIN_VALUE: &str = "pin-value";
const TYPES: [&str; 5] = ["cert", "data", "private", "public", "secret-key"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(uri: &str) -> Result<Pkcs11Uri, Pkcs11UriError> {
        uri.parse()
    }

    #[test]
    fn reads_what_the_rfc_shows() {
        let uri = parse("pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-certificate;type=private;id=%69%95%3E%5C%F4%BD%EC%91;slot-id=327?module-path=/usr/lib/m.so&pin-source=file:/etc/token_pin").unwrap();
        assert_eq!(uri.text(Name::Token), Some("The Software PKCS#11 Softtoken"));
        assert_eq!(uri.text(Name::Manufacturer), Some("Snake Oil, Inc."));
        assert_eq!(uri.text(Name::Object), Some("my-certificate"));
        assert_eq!(uri.object_type(), Some("private"));
        assert_eq!(uri.id(), Some(&b"\x69\x95\x3e\x5c\xf4\xbd\xec\x91"[..]));
        assert_eq!(uri.slot_id(), Some(327));
        assert_eq!(uri.module_path(), Some(PathBuf::from("/usr/lib/m.so")));
        assert_eq!(uri.pin_source(), Some(PathBuf::from("/etc/token_pin")));
        assert_eq!(uri.text(Name::Serial), None);
    }

    #[test]
    fn reads_the_shortest_and_every_case_of_the_scheme() {
        assert_eq!(parse("pkcs11:"), Ok(Pkcs11Uri::default()));
        assert_eq!(parse("PKCS11:object=a"), parse("pkcs11:object=a"));
        for source in ["/pin", "file:/pin", "file:///pin"] {
            let uri = parse(&format!("pkcs11:?pin-source={source}")).unwrap();
            assert_eq!(uri.pin_source(), Some(PathBuf::from("/pin")), "{source}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_know_by_name() {
        let unknown = |name: &str, part| Err(Pkcs11UriError::Unknown { name: name.into(), part });
        assert_eq!(parse("pkcs11:tokn=a"), unknown("tokn", Part::Path));
        assert_eq!(parse("pkcs11:x-vendor=a"), unknown("x-vendor", Part::Path));
        assert_eq!(parse("pkcs11:module-path=/a"), unknown("module-path", Part::Path));
        assert_eq!(parse("pkcs11:?object=a"), unknown("object", Part::Query));
        assert_eq!(parse("pkcs11:Object=a"), unknown("Object", Part::Path));
    }

    #[test]
    fn refuses_an_attribute_given_twice() {
        assert_eq!(parse("pkcs11:id=a;id=a"), Err(Pkcs11UriError::Twice { name: Name::Id }));
        let twice = parse("pkcs11:?module-name=a&module-name=b");
        assert_eq!(twice, Err(Pkcs11UriError::Twice { name: Name::ModuleName }));
    }

    #[test]
    fn attack_16_a_pin_in_a_uri_is_refused_and_not_quoted() {
        for uri in ["pkcs11:?pin-value=1234", "pkcs11:object=a;pin-value=1234", "pkcs11:?pin-value=%zz1234"] {
            let refused = parse(uri).unwrap_err();
            assert_eq!(refused, Pkcs11UriError::PinValue, "{uri}");
            assert!(!format!("{refused} {refused:?}").contains("1234"));
        }
    }

    #[test]
    fn refuses_what_is_not_encoded() {
        let name = Name::Object;
        for uri in ["pkcs11:object=%", "pkcs11:object=%4", "pkcs11:object=%4g", "pkcs11:object=%+1"] {
            assert_eq!(parse(uri), Err(Pkcs11UriError::Percent { name }), "{uri}");
        }
        for character in [' ', '/', '"', 'é', '#', '|'] {
            let refused = parse(&format!("pkcs11:object=a{character}"));
            assert_eq!(refused, Err(Pkcs11UriError::Character { name, character }));
        }
    }

    #[test]
    fn refuses_values_that_an_attribute_cannot_have() {
        for attribute in [
            "slot-id=+1",
            "slot-id=99999999999999999999",
            "slot-id=0x1",
            "library-version=1.256",
            "library-version=1.2.3",
            "library-version=.",
            "type=key",
            "object=%FF",
            "token=a%00",
        ] {
            assert!(
                matches!(parse(&format!("pkcs11:{attribute}")), Err(Pkcs11UriError::Value { .. })),
                "{attribute}"
            );
        }
        for attribute in ["module-path=a.so", "module-name=../a", "pin-source=|cat", "pin-source=file:pin"] {
            assert!(
                matches!(parse(&format!("pkcs11:?{attribute}")), Err(Pkcs11UriError::Value { .. })),
                "{attribute}"
            );
        }
    }

    #[test]
    fn keeps_its_limits() {
        let long = |name: &str, len| parse(&format!("pkcs11:{name}={}", "a".repeat(len)));
        for (name, max) in [("token", 32), ("serial", 16), ("object", 255), ("id", 255)] {
            assert!(long(name, max).is_ok());
            assert!(matches!(long(name, max + 1), Err(Pkcs11UriError::Length { .. })), "{name}");
        }
        assert!(matches!(long("object", 0), Err(Pkcs11UriError::Length { len: 0, .. })));
        assert!(matches!(long("object", PKCS11_URI_LEN_MAX), Err(Pkcs11UriError::TooLong { .. })));
        assert_eq!(parse("pkcs12:object=a"), Err(Pkcs11UriError::Scheme));
        for uri in ["pkcs11:object", "pkcs11:object=a;", "pkcs11:;object=a"] {
            assert_eq!(parse(uri), Err(Pkcs11UriError::NoValue { part: Part::Path }), "{uri}");
        }
        for uri in ["pkcs11:?", "pkcs11:?module-name=a&"] {
            assert_eq!(parse(uri), Err(Pkcs11UriError::NoValue { part: Part::Query }), "{uri}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,80}") {
            let _ = parse(&text);
            let _ = parse(&format!("pkcs11:{text}"));
        }

        #[test]
        fn what_is_written_is_read_back(
            token in "\\PC{1,8}",
            object in "\\PC{1,60}",
            id in prop::collection::vec(any::<u8>(), 1..=255),
            slot in any::<u64>(),
            folder in "/\\PC{0,100}",
        ) {
            let mut uri = Pkcs11Uri::default();
            let slot = slot.to_string();
            for (name, value) in [
                (Name::Token, token.as_bytes()), (Name::Object, object.as_bytes()), (Name::Id, &id),
                (Name::SlotId, slot.as_bytes()), (Name::ModulePath, folder.as_bytes()),
            ] {
                uri.values[name as usize] = Some(name.judge(value.to_vec()).unwrap());
            }
            let written = uri.to_string();
            prop_assert_eq!(parse(&written), Ok(uri));
            prop_assert_eq!(parse(&written).unwrap().to_string(), written);
        }

        #[test]
        fn what_is_read_is_read_again_as_it_is_written(
            values in prop::collection::vec((0..Name::ALL.len(), "[a-z0-9%/.:=]{0,12}"), 0..6),
        ) {
            let of = |part: Part, separator: &str| {
                let given = values.iter().map(|(n, value)| (Name::ALL[*n], value)).filter(|(n, _)| n.part() == part);
                given.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(separator)
            };
            let query = of(Part::Query, "&");
            let query = if query.is_empty() { query } else { format!("?{query}") };
            if let Ok(uri) = parse(&format!("pkcs11:{}{query}", of(Part::Path, ";"))) {
                prop_assert_eq!(parse(&uri.to_string()), Ok(uri));
            }
        }
    }
}
