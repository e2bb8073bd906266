//! What the fields of a profile must be to each other. Whatever passes here can be followed without a further question.

use std::collections::{BTreeMap, BTreeSet};

use waxwing_formats::body::BodyCipher;

use crate::ProfileError;
use crate::encoding::Encoding;
use crate::model::{
    Check, FieldSize, ITEM, Name, Number, Origin, PLAINTEXT, PartKind, Profile, Selector, Source, UNWRAPPED,
    UnwrapAlgorithm, Value, Verify,
};

/// How long what PKCS#1 v1.5 unwraps is. It must be known before: a block of another length yields a random one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnwrappedLen {
    /// Always so many bytes.
    Fixed(usize),
    /// As the content's `key_bits` say.
    Key,
}

/// Checks `profile`, and tells which of its names depend on a key.
pub(crate) fn check(profile: &Profile) -> Result<BTreeSet<Name>, ProfileError> {
    let lines = definitions(profile)?;
    selectors(profile)?;
    references(profile, &lines)?;
    unwrap(profile)?;
    content(profile, &lines)?;
    verifies(profile)?;
    repeat(profile)?;
    used(profile, &lines)?;
    Ok(keyed(profile))
}

fn refused<T>(line: usize, fault: impl Into<String>) -> Result<T, ProfileError> {
    Err(ProfileError::new(line, fault))
}

/// Where each name is defined. One place each: with two, two readers could take different ones.
fn definitions(profile: &Profile) -> Result<BTreeMap<&str, usize>, ProfileError> {
    let mut lines = BTreeMap::new();
    let bytes = profile.bytes.iter().map(|(name, source)| (name, source.line));
    let fields = profile
        .layouts
        .values()
        .flat_map(|layout| layout.fields.iter().map(|field| (&field.name, layout.line)));
    for (name, line) in bytes.chain(fields) {
        if [UNWRAPPED, PLAINTEXT, ITEM].contains(&name.as_str()) {
            return refused(line, format!("`{name}` has a meaning of its own and cannot be defined"));
        }
        if let Some(first) = lines.insert(name.as_str(), line) {
            return refused(line, format!("`{name}` is defined a second time; the first is in line {first}"));
        }
    }
    for (name, part) in &profile.parts {
        if name == ITEM {
            return refused(part.line, "no part can be called `item`: that is an entry of [repeat]");
        }
        if let Some(from) = &part.from
            && part.kind.is_unbounded()
        {
            return refused(
                part.line,
                format!("the part `{name}` cannot be read from {from}: its kind needs a file"),
            );
        }
    }
    Ok(lines)
}

/// Every selector, with the line that has it as far as that is known.
fn each_selector<'a>(profile: &'a Profile, visit: &mut dyn FnMut(&'a Selector, Option<Encoding>, usize)) {
    each_source(profile, &mut |source| {
        if let Origin::At { at, also, encoding, .. } = &source.origin {
            std::iter::once(at).chain(also).for_each(|at| visit(at, Some(*encoding), source.line));
        }
    });
    for (_, part) in &profile.parts {
        part.from.iter().for_each(|at| visit(at, None, part.line));
    }
    for expect in &profile.expects {
        visit(&expect.at, None, expect.line);
    }
    let (unwrap, content) = (&profile.unwrap, &profile.content);
    let number = content.regions.as_ref().and_then(|regions| match &regions.data_len {
        Number::At(at) => Some(at),
        Number::Fixed(_) => None,
    });
    let of_unwrap = [
        place(&unwrap.algorithm),
        unwrap.hash.as_ref().and_then(place),
        unwrap.mgf1.as_ref().and_then(place),
        unwrap.context.as_ref(),
    ];
    of_unwrap.into_iter().flatten().for_each(|at| visit(at, None, unwrap.line));
    let of_content = [place(&content.cipher), place(&content.key_bits), number];
    of_content.into_iter().flatten().for_each(|at| visit(at, None, content.line));
    if let Some(repeat) = &profile.repeat {
        visit(&repeat.over, None, repeat.line);
    }
}

fn place<T>(value: &Value<T>) -> Option<&Selector> {
    match value {
        Value::Fixed(_) => None,
        Value::Chosen(choice) => Some(&choice.at),
    }
}

/// Every source, those inside others included.
pub(crate) fn each_source<'a>(profile: &'a Profile, visit: &mut dyn FnMut(&'a Source)) {
    let unwrap = &profile.unwrap;
    let totals = profile.repeat.iter().flat_map(|repeat| &repeat.totals);
    let compared = profile.verifies.iter().chain(totals).flat_map(|verify| {
        let key = match &verify.check {
            Check::Hmac { key, .. } => Some(key),
            _ => None,
        };
        std::iter::once(&verify.equals).chain(key)
    });
    let others = [&unwrap.label, &unwrap.kek, &unwrap.aad, &profile.content.aad];
    let trailer = profile.frame.as_ref().and_then(|frame| frame.trailer.as_ref());
    let all = profile.bytes.values().chain(compared).chain(others.into_iter().flatten()).chain(trailer);
    for source in all {
        nested(source, visit);
    }
}

fn nested<'a>(source: &'a Source, visit: &mut dyn FnMut(&'a Source)) {
    visit(source);
    match &source.origin {
        Origin::At { or: Some(or), .. } => nested(or, visit),
        Origin::Computed(_, args) => args.iter().for_each(|arg| nested(arg, visit)),
        _ => {}
    }
}

fn selectors(profile: &Profile) -> Result<(), ProfileError> {
    let mut found = Ok(());
    each_selector(profile, &mut |at, encoding, line| {
        if found.is_ok() {
            found = selector(profile, at, encoding, line);
        }
    });
    found?;
    // A part is read from another; going up from any of them must end.
    for (name, part) in &profile.parts {
        let mut above = part.from.as_ref();
        for _ in 0..=profile.parts.len() {
            above = above.and_then(|from| profile.part(&from.part)).and_then(|part| part.from.as_ref());
        }
        if above.is_some() {
            return refused(part.line, format!("the part `{name}` is read from itself, in a circle"));
        }
    }
    Ok(())
}

fn selector(
    profile: &Profile,
    at: &Selector,
    encoding: Option<Encoding>,
    line: usize,
) -> Result<(), ProfileError> {
    if at.part == ITEM {
        return match profile.repeat {
            Some(_) => Ok(()),
            None => refused(line, format!("`{at}`: there are no items without [repeat]")),
        };
    }
    let Some(part) = profile.part(&at.part) else {
        return refused(line, format!("`{at}`: [parts] has no `{}`", at.part));
    };
    match (part.kind, encoding) {
        (PartKind::Raw, Some(Encoding::Raw)) if at.path.is_empty() => Ok(()),
        (PartKind::Zip, Some(Encoding::Raw)) if !at.path.is_empty() => Ok(()),
        (PartKind::Raw, _) => {
            refused(line, format!("`{at}`: a raw part has no places inside, and its `enc` is raw"))
        }
        (PartKind::Zip, _) => {
            refused(line, format!("`{at}`: a member of an archive has a name, and its `enc` is raw"))
        }
        (PartKind::Text, _) if !at.path.is_empty() => {
            refused(line, format!("`{at}`: a text has no places inside"))
        }
        (PartKind::Text, _) => Ok(()),
        _ if at.path.is_empty() => refused(line, format!("`{at}`: say which place in the part")),
        _ => Ok(()),
    }
}

/// What `source` is made of.
fn names_in(source: &Source) -> Vec<&str> {
    let mut names = Vec::new();
    nested(source, &mut |source| {
        if let Origin::Of(name) = &source.origin {
            names.push(name.as_str());
        }
    });
    names
}

/// What the value of `name` is made of.
fn made_of<'a>(profile: &'a Profile, name: &str) -> Vec<&'a str> {
    if name == UNWRAPPED {
        let unwrap = &profile.unwrap;
        let wrapped = (!is_direct(profile)).then_some("wrapped");
        let sources = [&unwrap.label, &unwrap.kek, &unwrap.aad].into_iter().flatten();
        return sources.flat_map(names_in).chain(wrapped).collect();
    }
    if let Some(source) = profile.bytes.get(name) {
        return names_in(source);
    }
    profile.layout_of(name).map(|(whole, _)| whole).into_iter().collect()
}

fn is_direct(profile: &Profile) -> bool {
    matches!(profile.unwrap.algorithm, Value::Fixed(UnwrapAlgorithm::Direct))
}

fn references(profile: &Profile, lines: &BTreeMap<&str, usize>) -> Result<(), ProfileError> {
    let mut unknown = None;
    each_source(profile, &mut |source| {
        if let Origin::Of(name) = &source.origin
            && name != UNWRAPPED
            && !lines.contains_key(name.as_str())
        {
            unknown.get_or_insert((source.line, name));
        }
    });
    if let Some((line, name)) = unknown {
        return refused(line, format!("`{name}` is not defined"));
    }
    for (whole, layout) in &profile.layouts {
        if whole != UNWRAPPED && !lines.contains_key(whole.as_str()) {
            return refused(layout.line, format!("`{whole}` is cut, but not defined"));
        }
    }
    for (&name, &line) in lines {
        let (mut seen, mut open) = (BTreeSet::new(), made_of(profile, name));
        while let Some(next) = open.pop() {
            if next == name {
                return refused(line, format!("`{name}` is made of itself, in a circle"));
            }
            if seen.insert(next) {
                open.extend(made_of(profile, next));
            }
        }
    }
    Ok(())
}

/// The names that depend on a key or another secret.
fn keyed(profile: &Profile) -> BTreeSet<Name> {
    let secret = |name: &str| {
        let mut found = false;
        if let Some(source) = profile.bytes.get(name) {
            nested(source, &mut |source| found |= matches!(source.origin, Origin::Secret { .. }));
        }
        found
    };
    let names = profile
        .bytes
        .keys()
        .chain(profile.layouts.values().flat_map(|layout| layout.fields.iter().map(|field| &field.name)));
    let depends = |name: &Name| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![name.as_str()]);
        while let Some(next) = open.pop() {
            if next == UNWRAPPED || secret(next) {
                return true;
            }
            if seen.insert(next) {
                open.extend(made_of(profile, next));
            }
        }
        false
    };
    names.filter(|name| depends(name)).cloned().chain([UNWRAPPED.to_owned(), PLAINTEXT.to_owned()]).collect()
}

fn unwrap(profile: &Profile) -> Result<(), ProfileError> {
    let unwrap = &profile.unwrap;
    let any =
        |test: fn(UnwrapAlgorithm) -> bool| unwrap.algorithm.possible().any(|&algorithm| test(algorithm));
    let rules = [
        ("hash", unwrap.hash.is_some(), any(|a| a == UnwrapAlgorithm::RsaOaep), true, "rsa-oaep"),
        ("mgf1", unwrap.mgf1.is_some(), any(|a| a == UnwrapAlgorithm::RsaOaep), false, "rsa-oaep"),
        ("label", unwrap.label.is_some(), any(|a| a == UnwrapAlgorithm::RsaOaep), false, "rsa-oaep"),
        (
            "kek",
            unwrap.kek.is_some(),
            any(UnwrapAlgorithm::is_aes),
            true,
            "aes-kw, aes-gcm and aes-ecb-pkcs7",
        ),
        ("aad", unwrap.aad.is_some(), any(|a| a == UnwrapAlgorithm::AesGcm), false, "aes-gcm"),
        ("context", unwrap.context.is_some(), any(|a| a == UnwrapAlgorithm::Kms), false, "kms"),
    ];
    let line = unwrap.label.as_ref().or(unwrap.kek.as_ref()).map_or(unwrap.line, |source| source.line);
    for (field, given, meaningful, needed, algorithms) in rules {
        if given && !meaningful {
            return refused(
                line,
                format!("[unwrap] has `{field}`, which means something to {algorithms} alone"),
            );
        }
        if needed && meaningful && !given {
            return refused(line, format!("[unwrap] has no `{field}`, which {algorithms} needs"));
        }
    }
    let direct = any(|a| a == UnwrapAlgorithm::Direct);
    if direct && !is_direct(profile) {
        return refused(line, "[unwrap] lets the message choose `direct`: then it could bring its own key");
    }
    if any(|a| a == UnwrapAlgorithm::RsaPkcs1) && profile.unwrapped_len().is_none() {
        let fault = "rsa-pkcs1 needs one length of what is unwrapped: give `key`, or what it is cut from, `{ of = \"unwrapped\", len = N }` \
                     with one N, or a key of no stated length whose `key_bits` are chosen one by one";
        return refused(profile.bytes.get("key").map_or(unwrap.line, |key| key.line), fault);
    }
    Ok(())
}

impl Profile {
    /// How long what is unwrapped must be, where the profile tells.
    pub fn unwrapped_len(&self) -> Option<UnwrappedLen> {
        let whole = |source: &&Source| {
            matches!(&source.origin, Origin::Of(name) if name == UNWRAPPED) && source.slice.is_none()
        };
        let mut wholes = self.bytes.values().filter(whole);
        let (source, None) = (wholes.next()?, wholes.next()) else { return None };
        let one_each = self.content.key_bits.possible().all(|bits| bits.len() == 1);
        match source.lens[..] {
            [len] => Some(UnwrappedLen::Fixed(len)),
            [] if one_each && self.bytes.get("key").is_some_and(|key| std::ptr::eq(key, source)) => {
                Some(UnwrappedLen::Key)
            }
            _ => None,
        }
    }

    /// The length of a byte string, where the profile tells it.
    fn fixed_len(&self, name: &str) -> Option<usize> {
        if let Some(source) = self.bytes.get(name) {
            return match (&source.lens[..], source.slice, &source.origin) {
                ([len], _, _) => Some(*len),
                (_, Some(slice), _) => slice.fixed_len(),
                (_, None, Origin::Bytes(bytes)) => Some(bytes.len()),
                _ => None,
            };
        }
        let field = self.layout_of(name)?.1.fields.iter().find(|field| field.name == name)?;
        match field.size {
            FieldSize::Fixed(len) => Some(len),
            _ => None,
        }
    }
}

fn content(profile: &Profile, lines: &BTreeMap<&str, usize>) -> Result<(), ProfileError> {
    let content = &profile.content;
    let line = |name: &str| lines.get(name).copied().unwrap_or(content.line);
    let has = |name: &str| lines.contains_key(name);
    let must = |name: &str, needed: bool, why: &str| match (has(name), needed) {
        (false, true) => refused(content.line, format!("no `{name}` is defined, which {why} needs")),
        (true, false) => refused(line(name), format!("`{name}` is defined, but {why} has none")),
        _ => Ok(()),
    };
    must("key", true, "every profile")?;
    must("ct", true, "every profile")?;
    must("wrapped", !is_direct(profile), if is_direct(profile) { "`direct`" } else { "unwrapping" })?;
    let ciphers: Vec<BodyCipher> = content.cipher.possible().copied().collect();
    let all = |test: fn(BodyCipher) -> bool| ciphers.iter().all(|&cipher| test(cipher));
    if content.regions.is_some() {
        if !all(|cipher| cipher == BodyCipher::Gcm) {
            return refused(content.line, "regions are aes-gcm, and nothing else");
        }
        must("iv", false, "a content of regions")?;
        must("tag", false, "a content of regions")?;
    } else {
        let ivs = ciphers.iter().filter(|cipher| cipher.iv_lens() != [0]).count();
        let tags = ciphers.iter().filter(|cipher| cipher.is_authenticated()).count();
        if (tags > 0 && tags < ciphers.len()) || (ivs > 0 && ivs < ciphers.len()) {
            return refused(
                content.line,
                "the message chooses between ciphers with and without a tag or an IV: it could choose the weaker one",
            );
        }
        must("iv", ivs > 0, "the cipher")?;
        must("tag", tags > 0, "the cipher")?;
    }
    if content.aad.is_some() && !all(BodyCipher::is_authenticated) {
        return refused(
            content.line,
            "[content] has `aad`, which aes-gcm and aes-cbc-hmac alone authenticate",
        );
    }
    let tag_len = profile.fixed_len("tag");
    if let Some(len) = tag_len.filter(|_| all(|cipher| cipher == BodyCipher::Gcm)).filter(|&len| len != 16) {
        return refused(line("tag"), format!("`tag` is {len} bytes long; a tag has 16, always"));
    }
    if let Some(len) = profile.fixed_len("iv")
        && let Some(cipher) = ciphers.iter().find(|cipher| !cipher.iv_lens().contains(&len))
    {
        let fault = format!("`iv` is {len} bytes long; {cipher} takes {:?}", cipher.iv_lens());
        return refused(line("iv"), fault);
    }
    for bits in content.key_bits.possible().flatten() {
        if !ciphers.iter().any(|cipher| cipher.key_lens().map(|len| len * 8).contains(bits)) {
            return refused(content.line, format!("`key_bits` has {bits}, which is no key of the cipher"));
        }
    }
    Ok(())
}

fn verifies(profile: &Profile) -> Result<(), ProfileError> {
    let known = |verify: &Verify| {
        let over = verify.over.as_str();
        [PLAINTEXT, UNWRAPPED].contains(&over)
            || profile.bytes.contains_key(over)
            || profile.layout_of(over).is_some()
    };
    for verify in &profile.verifies {
        if !known(verify) {
            return refused(verify.line, format!("`{}` is not defined", verify.over));
        }
        if verify.is_after() && matches!(verify.check, Check::Bytes) {
            return refused(verify.line, "`bytes` over `plaintext` compares a whole content; use a digest");
        }
        if verify.truncate.is_some() && matches!(verify.check, Check::Bytes | Check::Size) {
            return refused(verify.line, "`truncate` shortens a digest; there is none here");
        }
    }
    Ok(())
}

fn repeat(profile: &Profile) -> Result<(), ProfileError> {
    let Some(repeat) = &profile.repeat else { return Ok(()) };
    let body = profile.part(&repeat.body);
    if body.is_none_or(|part| part.kind != PartKind::Raw) {
        return refused(
            repeat.line,
            format!("[repeat] puts its files into `{}`, which must be a raw part", repeat.body),
        );
    }
    let list = profile.part(&repeat.over.part).map(|part| part.kind);
    if !matches!(list, Some(PartKind::Json | PartKind::Xml)) {
        return refused(repeat.line, "[repeat] goes through a list in a json or an xml part");
    }
    match repeat.totals.iter().find(|total| !total.is_after()) {
        Some(total) => refused(total.line, "[[repeat.total]] is over `plaintext`: everything joined"),
        None => Ok(()),
    }
}

/// Refuses what means nothing: it was meant to mean something.
fn used(profile: &Profile, lines: &BTreeMap<&str, usize>) -> Result<(), ProfileError> {
    let mut open: Vec<&str> = ["key", "ct", "iv", "tag", UNWRAPPED].into_iter().collect();
    let unwrap = &profile.unwrap;
    let totals = profile.repeat.iter().flat_map(|repeat| &repeat.totals);
    for verify in profile.verifies.iter().chain(totals) {
        open.push(&verify.over);
        open.extend(names_in(&verify.equals));
        if let Check::Hmac { key, .. } = &verify.check {
            open.extend(names_in(key));
        }
    }
    let trailer = profile.frame.as_ref().and_then(|frame| frame.trailer.as_ref());
    let others = [
        unwrap.label.as_ref(),
        unwrap.kek.as_ref(),
        unwrap.aad.as_ref(),
        profile.content.aad.as_ref(),
        trailer,
    ];
    open.extend(others.into_iter().flatten().flat_map(names_in));
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        if seen.insert(name) {
            open.extend(made_of(profile, name));
        }
    }
    // A field of a layout holds its place even when nobody asks for it.
    let unused = lines.iter().find(|(name, _)| profile.bytes.contains_key(**name) && !seen.contains(**name));
    if let Some((name, &line)) = unused {
        return refused(line, format!("`{name}` is used by nothing"));
    }
    let mut parts = BTreeSet::new();
    each_selector(profile, &mut |at, _, _| {
        parts.insert(at.part.as_str());
    });
    match profile.parts.iter().find(|(name, _)| !parts.contains(name.as_str())) {
        Some((name, part)) => refused(part.line, format!("the part `{name}` is used by nothing")),
        None => Ok(()),
    }
}
