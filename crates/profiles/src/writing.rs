//! How messages of a profile are written: the profile read backwards, where it says enough for that.

use std::collections::{BTreeMap, BTreeSet};

use waxwing_formats::body::BodyCipher;
use waxwing_formats::scheme::Digest;

use crate::encoding::Encoding;
use crate::lint::each_source;
use crate::model::{
    Check, Choice, FieldSize, Layout, Name, Origin, PartKind, Profile, Selector, Slice, Source, UNWRAPPED,
    UnwrapAlgorithm, Value,
};

/// Bytes of a key that a key service makes.
const SERVICE_KEY_LEN: usize = 32;

/// Everything that a writer decides before it draws a key.
#[derive(Debug, Clone)]
pub struct Writing {
    /// How the key is wrapped.
    pub algorithm: UnwrapAlgorithm,
    /// OAEP's digest.
    pub hash: Option<Digest>,
    /// OAEP's mask digest.
    pub mgf1: Option<Digest>,
    /// The cipher.
    pub cipher: BodyCipher,
    /// Bytes of the content key.
    pub key_len: usize,
    /// The words that the message must hold, by place.
    pub words: BTreeMap<Selector, String>,
    /// Places that get random bytes, unless the template holds something there: how they are written, and how many.
    pub random: Vec<(Selector, Encoding, usize)>,
    /// What is wrapped, piece by piece.
    pub blob: Vec<BlobPiece>,
    /// Where the ciphertext goes, and what stands around it there.
    pub body: Composition,
    /// Bytes of the IV, where the writer draws it.
    pub iv_len: Option<usize>,
}

/// A piece of what is wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobPiece {
    /// Random bytes: the key, and an IV where one travels with it.
    Random(usize),
    /// The length of the next piece, big-endian in so many bytes.
    LengthOfNext(usize),
    /// The bytes that this name is compared with.
    Known(Name),
}

/// The place of the ciphertext.
#[derive(Debug, Clone)]
pub struct Composition {
    /// The place.
    pub at: Selector,
    /// How it is written there.
    pub encoding: Encoding,
    /// What stands there, in order: each name, and in how many bytes its length stands before it.
    pub pieces: Vec<(Name, usize)>,
}

impl Profile {
    /// How messages are written by this profile.
    ///
    /// # Errors
    ///
    /// In words, what the profile does not say or cannot express.
    pub fn writing(&self) -> Result<Writing, String> {
        if self.repeat.is_some() {
            return Err("it joins several bodies, which are opened but not written".to_owned());
        }
        if let Some((name, _)) = self.parts.iter().find(|(_, part)| part.kind == PartKind::Zip) {
            return Err(format!("its part `{name}` is an archive, which is opened but not written"));
        }
        for (name, part) in &self.parts {
            let needed = matches!(part.kind, PartKind::Xml | PartKind::Jwe);
            if needed && part.template.is_none() {
                return Err(format!("its part `{name}` has no `template` to fill in"));
            }
        }
        let mut words = self.chosen_words()?;
        let unwrap = &self.unwrap;
        let algorithm = written(&unwrap.algorithm, &words)?;
        if algorithm == UnwrapAlgorithm::Kms && unwrap.context.is_some() {
            return Err("its key service has a context, which is opened but not written yet".to_owned());
        }
        let oaep = algorithm == UnwrapAlgorithm::RsaOaep;
        let digest = |value: &Option<Value<Digest>>| match value {
            Some(value) if oaep => written(value, &words).map(Some),
            _ => Ok(None),
        };
        let (hash, mgf1) = (digest(&unwrap.hash)?, digest(&unwrap.mgf1)?);
        let cipher = written(&self.content.cipher, &words)?;
        let key_len = self.written_key_len(written(&self.content.key_bits, &words)?)?;
        let body = self.composition()?;
        for expect in &self.expects {
            let word = words.entry(expect.at.clone()).or_insert_with(|| expect.is[0].clone());
            if !expect.is.contains(word) {
                return Err(format!(
                    "it writes `{word}` at {}, which its [[expect]] does not take",
                    expect.at
                ));
            }
        }
        for verify in &self.verifies {
            if let Origin::Of(name) = &verify.equals.origin
                && self.base(name).is_some()
            {
                return Err(format!(
                    "`{}` is compared with `{name}`: a writer needs its place there, `equals = {{ at = … }}`",
                    verify.over
                ));
            }
        }
        let produced = self.produced(&body);
        let blob = if algorithm == UnwrapAlgorithm::Direct { Vec::new() } else { self.blob(key_len)? };
        if algorithm == UnwrapAlgorithm::Kms && blob != [BlobPiece::Random(SERVICE_KEY_LEN)] {
            return Err(format!(
                "a key service makes keys of {SERVICE_KEY_LEN} bytes and nothing beside them"
            ));
        }
        Ok(Writing {
            algorithm,
            hash,
            mgf1,
            cipher,
            key_len,
            random: self.random_places(&words, &produced, cipher)?,
            blob,
            iv_len: self.drawn_iv_len(&body, cipher)?,
            body,
            words,
        })
    }

    /// The word at each place from which something is chosen.
    fn chosen_words(&self) -> Result<BTreeMap<Selector, String>, String> {
        /// What the choices at one place agree on.
        #[derive(Default)]
        struct Place {
            write: Option<String>,
            only: Option<String>,
            optional: bool,
        }
        fn add<T>(places: &mut BTreeMap<Selector, Place>, value: Option<&Value<T>>) {
            let Some(Value::Chosen(Choice { at, map, or, write })) = value else { return };
            let place = places.entry(at.clone()).or_default();
            place.write = place.write.take().or_else(|| write.clone());
            place.only =
                if let [(word, _)] = map.as_slice() { Some(word.clone()) } else { place.only.take() };
            place.optional = or.is_some();
        }
        let mut places = BTreeMap::new();
        add(&mut places, Some(&self.unwrap.algorithm));
        add(&mut places, self.unwrap.hash.as_ref());
        add(&mut places, self.unwrap.mgf1.as_ref());
        add(&mut places, Some(&self.content.cipher));
        add(&mut places, Some(&self.content.key_bits));
        let mut words = BTreeMap::new();
        for (at, place) in places {
            match place.write.or(place.only) {
                Some(word) => {
                    words.insert(at, word);
                }
                None if place.optional => {}
                None => return Err(format!("it does not say which word a writer puts at {at} (`write`)")),
            }
        }
        Ok(words)
    }

    fn written_key_len(&self, bits: Vec<usize>) -> Result<usize, String> {
        let key = self.bytes.get("key");
        let lens = key.map_or(&[][..], |key| key.lens.as_slice());
        let write = key.and_then(|key| key.write);
        let fits =
            |len: &usize| write.is_none_or(|write| write == *len) && (lens.is_empty() || lens.contains(len));
        bits.iter()
            .map(|bits| bits / 8)
            .filter(fits)
            .max()
            .ok_or_else(|| "`key` and `key_bits` do not fit".to_owned())
    }

    /// The byte string in the message that `name` is cut from, if it is cut from one: its name and its place.
    fn base<'a>(&'a self, name: &'a str) -> Option<(&'a str, &'a Selector, Encoding)> {
        let mut name = name;
        // A checked profile has no circles.
        loop {
            if let Some((whole, _)) = self.layout_of(name) {
                name = whole;
                continue;
            }
            match &self.bytes.get(name)?.origin {
                Origin::Of(whole) => name = whole,
                Origin::At { at, encoding, .. } => return Some((name, at, *encoding)),
                _ => return None,
            }
        }
    }

    fn composition(&self) -> Result<Composition, String> {
        let (whole, at, encoding) = self.base("ct").ok_or("its ciphertext is not a place in the message")?;
        let pieces = match self.layouts.get(whole) {
            Some(layout) => layout_pieces(layout),
            None if whole == "ct" => vec![("ct".to_owned(), 0)],
            None => self.slices_of(whole),
        };
        if pieces.iter().filter(|(name, _)| name == "ct").count() != 1 {
            return Err("its ciphertext is cut out more than once".to_owned());
        }
        Ok(Composition { at: at.clone(), encoding, pieces })
    }

    /// The names that are slices of `whole`, in order.
    fn slices_of(&self, whole: &str) -> Vec<(Name, usize)> {
        let slice = |(name, source): (&Name, &Source)| match &source.origin {
            Origin::Of(of) if of == whole => {
                let start = source.slice.map_or(0, |slice| slice.start);
                Some(((start < 0, start), name.clone()))
            }
            _ => None,
        };
        let mut slices: Vec<_> = self.bytes.iter().filter_map(slice).collect();
        slices.sort();
        slices.into_iter().map(|(_, name)| (name, 0)).collect()
    }

    /// Places that are filled with what sealing makes: ciphertext, tag, IV, wrapped key and whatever is compared.
    fn produced(&self, body: &Composition) -> BTreeSet<Selector> {
        let mut places: BTreeSet<Selector> = BTreeSet::from([body.at.clone()]);
        places.extend(["tag", "iv", "wrapped"].iter().filter_map(|name| Some(self.base(name)?.1.clone())));
        for verify in &self.verifies {
            if let Origin::At { at, .. } = &verify.equals.origin {
                places.insert(at.clone());
            }
        }
        places.extend(self.jwe_aad().cloned());
        places
    }

    /// The place of a JWE's AAD, where the profile authenticates it: its header, as it is sent.
    pub fn jwe_aad(&self) -> Option<&Selector> {
        let mut found = None;
        each_source(self, &mut |source| {
            if let Origin::At { at, .. } = &source.origin
                && at.path == "aad"
                && self.part(&at.part).is_some_and(|part| part.kind == PartKind::Jwe)
            {
                found = Some(at);
            }
        });
        found
    }

    fn random_places(
        &self,
        words: &BTreeMap<Selector, String>,
        produced: &BTreeSet<Selector>,
        cipher: BodyCipher,
    ) -> Result<Vec<(Selector, Encoding, usize)>, String> {
        let mut places: Vec<(Selector, Encoding, usize)> = Vec::new();
        let mut unknown = None;
        each_source(self, &mut |source| {
            let Origin::At { at, encoding, or: None, .. } = &source.origin else { return };
            if words.contains_key(at) || produced.contains(at) || places.iter().any(|(known, ..)| known == at)
            {
                return;
            }
            // An IV that is computed from a place has the length of that place.
            let iv_len = cipher.iv_lens().last().copied();
            let len =
                source.write.or(source.lens.first().copied()).or(iv_len.filter(|_| source.slice.is_none()));
            match len {
                Some(len) => places.push((at.clone(), *encoding, len)),
                None => unknown = Some(at.clone()),
            }
        });
        match unknown {
            Some(at) => Err(format!("it does not say how many bytes a writer puts at {at} (`len`)")),
            None => Ok(places),
        }
    }

    fn drawn_iv_len(&self, body: &Composition, cipher: BodyCipher) -> Result<Option<usize>, String> {
        let Some((base, at, _)) = self.base("iv") else { return Ok(None) };
        let drawn = base == "iv" || *at == body.at;
        if !drawn {
            return Err("its IV is cut from something that is not written".to_owned());
        }
        let source = self.bytes.get("iv");
        let fixed = source.and_then(|source| source.slice.and_then(Slice::fixed_len));
        let field = self.layout_of("iv").and_then(|(_, layout)| {
            layout.fields.iter().find(|field| field.name == "iv").and_then(|field| match field.size {
                FieldSize::Fixed(len) => Some(len),
                _ => None,
            })
        });
        let stated = source.and_then(|source| {
            source.write.or(match source.lens[..] {
                [len] => Some(len),
                _ => None,
            })
        });
        let only = match source.map(|source| source.lens.as_slice()) {
            None | Some([]) => cipher.iv_lens().first().copied(),
            Some(_) => None,
        };
        stated
            .or(fixed)
            .or(field)
            .or(only)
            .map(Some)
            .ok_or_else(|| "it does not say how long a written IV is (`write`)".to_owned())
    }

    /// What is wrapped.
    fn blob(&self, key_len: usize) -> Result<Vec<BlobPiece>, String> {
        let known = |name: &str| {
            self.verifies.iter().any(|verify| matches!(verify.check, Check::Bytes) && verify.over == name)
        };
        if let Some(layout) = self.layouts.get(UNWRAPPED) {
            let mut pieces = Vec::new();
            for field in &layout.fields {
                if let FieldSize::Prefixed(width) = field.size {
                    pieces.push(BlobPiece::LengthOfNext(width));
                }
                pieces.push(match field.size {
                    _ if known(&field.name) => BlobPiece::Known(field.name.clone()),
                    FieldSize::Fixed(len) => BlobPiece::Random(len),
                    _ if field.name == "key" => BlobPiece::Random(key_len),
                    _ => return Err(format!("it does not say how long a written `{}` is", field.name)),
                });
            }
            return Ok(pieces);
        }
        let mut whole = None;
        let mut slices = Vec::new();
        for (name, source) in &self.bytes {
            match (&source.origin, source.slice) {
                (Origin::Of(of), None) if of == UNWRAPPED => whole = Some(source),
                (Origin::Of(of), Some(slice)) if of == UNWRAPPED => slices.push((slice, name, source)),
                _ => {}
            }
        }
        if let Some(source) = whole {
            let len = source.write.or(match source.lens[..] {
                [len] => Some(len),
                _ => None,
            });
            return Ok(vec![BlobPiece::Random(len.unwrap_or(key_len))]);
        }
        slices.sort_by_key(|(slice, ..)| slice.start);
        let (mut pieces, mut at) = (Vec::new(), 0);
        for (slice, name, source) in slices {
            let len = slice.fixed_len().or(source.lens.first().copied());
            let (Some(len), true) = (len, slice.start == at) else {
                return Err("what is wrapped is not cut without gaps into pieces of known lengths".to_owned());
            };
            at += i32::try_from(len).map_err(|_| "what is wrapped is too long".to_owned())?;
            pieces.push(if known(name) { BlobPiece::Known(name.clone()) } else { BlobPiece::Random(len) });
        }
        if pieces.is_empty() { Err("nothing says what is wrapped".to_owned()) } else { Ok(pieces) }
    }
}

fn layout_pieces(layout: &Layout) -> Vec<(Name, usize)> {
    let width = |size| match size {
        FieldSize::Prefixed(width) => width,
        _ => 0,
    };
    layout.fields.iter().map(|field| (field.name.clone(), width(field.size))).collect()
}

/// What a value is in a message that holds these words.
fn written<T: Clone>(value: &Value<T>, words: &BTreeMap<Selector, String>) -> Result<T, String> {
    match value {
        Value::Fixed(value) => Ok(value.clone()),
        Value::Chosen(choice) => match words.get(&choice.at) {
            Some(word) => {
                let found =
                    choice.map.iter().find(|(known, _)| known == word).map(|(_, value)| value.clone());
                found.ok_or_else(|| {
                    format!("it writes `{word}` at {}, which not every `map` of it lists", choice.at)
                })
            }
            None => choice
                .or
                .clone()
                .ok_or_else(|| format!("it does not say what a writer puts at {}", choice.at)),
        },
    }
}
