//! Whether the vectors would notice: every word of every preset is changed, and some vector must mind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use waxwing_profiles::{Check, ITEM, Origin, Profile, Selector, Value, presets};

use crate::sealing::seal;
use crate::support::{Case, Expected, cases, folder, rsa_2048, sha256_hex};

/// What may stand in place of a word, by kind: each is exchanged for every other of its kind.
const KINDS: &[&[&str]] = &[
    &[
        "\"rsa-pkcs1\"",
        "\"rsa-oaep\"",
        "\"aes-kw\"",
        "\"aes-gcm\"",
        "\"aes-ecb-pkcs7\"",
        "\"kms\"",
        "\"direct\"",
    ],
    &["\"md5\"", "\"sha1\"", "\"sha256\"", "\"sha512\""],
    &["\"hmac-sha1\"", "\"hmac-sha256\"", "\"hmac-sha512\"", "\"sha256\""],
    &["\"base64\"", "\"base64url\"", "\"base64-any\"", "\"base64-nopad\"", "\"hex\"", "\"utf8\"", "\"raw\""],
    &["\"utf8-zero8\"", "\"utf8\""],
    &["\"json\"", "\"xml\"", "\"headers\"", "\"text\"", "\"raw\""],
    &[
        "\"aes-gcm\"",
        "\"aes-cbc-pkcs7\"",
        "\"aes-cbc-pkcs7-block32\"",
        "\"aes-cbc-iso10126\"",
        "\"aes-cfb128-pkcs7\"",
        "\"aes-ctr\"",
        "\"aes-cbc-hmac\"",
    ],
    &["\"xor\"", "\"concat\""],
    &["\"sha256\"", "\"concat\""],
    &["128", "256"],
    &["12", "16"],
];

/// One change of a preset's text: what it is, and the text after it.
struct Mutant {
    what: String,
    text: String,
}

fn mutants(text: &str) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    let with = |at: usize, line: &str| {
        let mut changed: Vec<&str> = lines.clone();
        changed[at] = line;
        changed.join("\n")
    };
    for (at, line) in lines.iter().enumerate() {
        let code = line.split(" # ").next().unwrap_or(line);
        let told = ["profile", "id", "title", "evidence", "page", "order", "peer", "remark", "template"];
        if told.iter().any(|field| code.trim_start().starts_with(field)) && !code.contains("= {")
            || code.starts_with('<')
        {
            continue;
        }
        let mut add = |what: String, changed: String| {
            if changed != *line {
                mutants
                    .push(Mutant { what: format!("{what} in `{}`", line.trim()), text: with(at, &changed) });
            }
        };
        // What only writers read is not opened differently.
        let read: String =
            ["write = ", "template = "].iter().fold(code.to_owned(), |code, field| match code.find(field) {
                Some(start) => {
                    let rest = &code[start + field.len()..];
                    let end = match rest.chars().next() {
                        Some(quote @ ('"' | '\'')) => rest[1..].find(quote).map_or(rest.len(), |end| end + 2),
                        _ => rest.find([',', ' ']).unwrap_or(rest.len()),
                    };
                    format!("{}{}", &code[..start], " ".repeat(0))
                        + &"\u{1}".repeat(field.len() + end)
                        + &rest[end..]
                }
                None => code,
            });
        for kind in KINDS {
            for (from, to) in
                kind.iter().flat_map(|from| kind.iter().map(move |to| (from, to))).filter(|(a, b)| a != b)
            {
                for (start, _) in read.match_indices(from) {
                    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
                    if digit(from.chars().next())
                        && (digit(read[..start].chars().last())
                            || digit(read[start + from.len()..].chars().next()))
                    {
                        continue;
                    }
                    add(
                        format!("{from} to {to}"),
                        format!("{}{to}{}", &line[..start], &line[start + from.len()..]),
                    );
                }
            }
        }
        // Slices, one byte on.
        if let Some(start) = read.find("slice = \"") {
            let bounds = &read[start + 9..start + 9 + read[start + 9..].find('"').unwrap()];
            let (a, b) = bounds.split_once("..").unwrap();
            let shifted = |bound: &str| bound.parse::<i32>().map(|n| (n + 1).to_string()).unwrap_or_default();
            add(
                "a slice's start".to_owned(),
                line.replace(
                    bounds,
                    &format!("{}..{b}", if a.is_empty() { "1".to_owned() } else { shifted(a) }),
                ),
            );
            if !b.is_empty() {
                add("a slice's end".to_owned(), line.replace(bounds, &format!("{a}..{}", shifted(b))));
            }
        }
        // Places, spelt differently.
        for (start, _) in read
            .match_indices("at = \"")
            .chain(read.match_indices("from = \""))
            .chain(read.match_indices("over  = \""))
        {
            let from = start + read[start..].find('"').unwrap() + 1;
            let to = from + read[from..].find('"').unwrap();
            if line[from..to].contains(':') && !line[from..to].ends_with(':') {
                add("a place".to_owned(), format!("{}x{}", &line[..to], &line[to..]));
            }
        }
        if let Some(start) = read.find("also = [") {
            for place in line[start + 8..start + line[start..].find(']').unwrap()].split(", ") {
                add(
                    format!("another place than {place}"),
                    line.replacen(place, &place.replacen(':', ":x", 1), 1),
                );
            }
        }
        // Bytes, turned.
        if let Some(start) = read.find("hex = \"").filter(|start| !read[start + 7..].starts_with('"')) {
            let at = start + 8;
            let other = if &line[at..=at] == "f" { "e" } else { "f" };
            add("a byte".to_owned(), format!("{}{other}{}", &line[..at], &line[at + 1..]));
        }
        if let Some(start) = read.find("text = \"") {
            add("a text".to_owned(), format!("{}x{}", &line[..start + 8], &line[start + 8..]));
        }
        // Entries of a map, taken out or spelt differently.
        if let Some(start) = read.find("map = { ") {
            let inside = &line[start + 8..];
            let entries: Vec<&str> = inside[..inside.find(" }").unwrap()].split(", ").collect();
            for entry in entries {
                add(
                    format!("without {entry}"),
                    line.replacen(&format!("{entry}, "), "", 1).replacen(&format!(", {entry}"), "", 1),
                );
                add(
                    format!("another word than {entry}"),
                    line.replacen(entry, &entry.replacen('"', "\"x", 1), 1),
                );
            }
        }
        if let Some(start) = read.find("or = ") {
            let rest = &read[start..];
            let end = if rest.starts_with("or = {") {
                rest.find('}').unwrap() + 1
            } else {
                rest.find([',', '}']).unwrap()
            };
            add(
                "without `or`".to_owned(),
                format!("{}{}", &line[..start], line[start + end..].trim_start_matches(',')),
            );
        }
        for (field, value) in [
            ("is = \"", "is = \"x"),
            ("skip = 16", "skip = 15"),
            ("iter = 4000", "iter = 4001"),
            ("order = \"", "order = \"x"),
            ("name  = \"", "name  = \"x"),
            ("secret = \"", "secret = \"x"),
            ("of = \"", "of = \"x"),
        ] {
            add(field.to_owned(), line.replacen(field, value, 1));
        }
        if let Some(list) = read.find("is = [") {
            for word in line[list + 6..line.rfind(']').unwrap()].split(", ") {
                add(
                    format!("without {word}"),
                    line.replacen(&format!("{word}, "), "", 1).replacen(&format!(", {word}"), "", 1),
                );
            }
        }
        if let Some(list) = read.find("nonce_is = [") {
            for word in line[list + 12..line.rfind(']').unwrap()].split(", ") {
                add(
                    format!("without {word}"),
                    line.replacen(&format!("{word}, "), "", 1).replacen(&format!(", {word}"), "", 1),
                );
            }
        }
        // Whole lines and blocks.
        let optional = ["mgf1", "label", "aad", "order", "trailer"];
        if optional.iter().any(|field| code.trim_start().starts_with(field) && !code.contains("at:")) {
            add("the line".to_owned(), String::new());
        }
        if code.starts_with("[[") || code == "[frame]" {
            let end = lines[at + 1..]
                .iter()
                .position(|line| line.starts_with('['))
                .map_or(lines.len(), |len| at + 1 + len);
            let kept: Vec<&str> = lines[..at].iter().chain(&lines[end..]).copied().collect();
            mutants
                .push(Mutant { what: format!("the block {code} of line {}", at + 1), text: kept.join("\n") });
        }
    }
    mutants
}

const PLAINTEXT: &[u8] = b"forty bytes: two blocks and a half of it";

/// Messages that the vectors lack: each word that a message may choose, each length, each value that is compared.
fn derived(profile: &Profile, dir: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    if profile.writing().is_err() {
        return cases;
    }
    for (number, writer) in writers(profile).into_iter().enumerate() {
        let folder = dir.join(format!("{}-{number}", profile.id));
        fs::create_dir(&folder).unwrap();
        seal(&writer, PLAINTEXT, &folder, &rsa_2048());
        let case = Case::made(profile, "written", &folder, Expected::Opens { sha256: sha256_hex(PLAINTEXT) });
        assert!(case.holds(profile), "{} {number}: {:?}", profile.id, case.open(profile).err());
        cases.push(case);
    }
    // A blob that names another algorithm or version than the message does.
    for (index, _) in
        profile.verifies.iter().enumerate().filter(|(_, verify)| matches!(verify.check, Check::Bytes))
    {
        let writer = profile.changed(|profile| {
            profile.verifies[index].equals.origin = Origin::Bytes(b"99999999".to_vec());
        });
        let folder = dir.join(format!("{}-blob", profile.id));
        fs::create_dir(&folder).unwrap();
        seal(&writer.unwrap(), PLAINTEXT, &folder, &rsa_2048());
        cases.push(Case::made(profile, "another blob", &folder, Expected::Rejected));
    }
    cases
}

/// A message that opens, each time with one value falsified that the profile compares.
fn falsified(profile: &Profile, case: &Case, dir: &Path) -> Vec<Case> {
    let totals = profile.repeat.iter().flat_map(|repeat| &repeat.totals);
    let compared = profile.verifies.iter().chain(totals).filter_map(|verify| match &verify.equals.origin {
        Origin::At { at, .. } => Some(at),
        _ => None,
    });
    let mut cases = Vec::new();
    for at in profile.expects.iter().map(|expect| &expect.at).chain(compared) {
        let folder = dir.join(format!("falsified-{}-{}", case.id.replace('/', "-"), cases.len()));
        fs::create_dir(&folder).unwrap();
        let changed = case.copied(&folder, Expected::Rejected);
        if falsify(profile, at, &changed) {
            assert!(changed.holds(profile), "{}: {at} is not compared", case.id);
            cases.push(changed);
        }
    }
    cases
}

/// What an XML template may do without.
const DIGEST: &str = "DigestMethod";

/// The profile, and the same with everything else that its messages may say.
fn writers(profile: &Profile) -> Vec<Profile> {
    fn words<T>(value: Option<&Value<T>>) -> Vec<(Selector, Option<String>)> {
        let Some(Value::Chosen(choice)) = value else { return Vec::new() };
        let mut words: Vec<_> =
            choice.map.iter().map(|(word, _)| (choice.at.clone(), Some(word.clone()))).collect();
        // An XML template holds the place: it cannot be left out.
        words.extend(
            choice
                .or
                .as_ref()
                .filter(|_| !choice.at.path.starts_with("//") || choice.at.path.contains(DIGEST))
                .map(|_| (choice.at.clone(), None)),
        );
        words
    }
    fn choose<T>(value: Option<&mut Value<T>>, at: &Selector, word: Option<&String>) {
        if let Some(Value::Chosen(choice)) =
            value.filter(|value| matches!(value, Value::Chosen(choice) if choice.at == *at))
        {
            choice.write = word.filter(|word| choice.map.iter().any(|(known, _)| known == *word)).cloned();
        }
    }
    let mut writers = vec![profile.clone()];
    let (unwrap, content) = (&profile.unwrap, &profile.content);
    let all = [
        words(Some(&unwrap.algorithm)),
        words(unwrap.hash.as_ref()),
        words(unwrap.mgf1.as_ref()),
        words(Some(&content.cipher)),
    ];
    for (at, word) in all.into_iter().flatten() {
        let changed = profile.changed(|profile| {
            choose(Some(&mut profile.unwrap.algorithm), &at, word.as_ref());
            choose(profile.unwrap.hash.as_mut(), &at, word.as_ref());
            choose(profile.unwrap.mgf1.as_mut(), &at, word.as_ref());
            choose(Some(&mut profile.content.cipher), &at, word.as_ref());
            choose(Some(&mut profile.content.key_bits), &at, word.as_ref());
            if word.is_none() && at.path.contains(DIGEST) {
                let template = profile.parts[0].1.template.as_mut().unwrap();
                *template = template.replace("<ds:DigestMethod Algorithm=\"\"/>", "");
            }
            if at.path.contains("MGF/") {
                let template = profile.parts[0].1.template.as_mut().unwrap();
                *template = template.replace("<ds:DigestMethod", "<MGF Algorithm=\"\"/><ds:DigestMethod");
            }
            if word.as_deref().is_some_and(|word| word.contains("CBC")) {
                // Its IV is a block.
                profile.bytes.get_mut("iv").unwrap().write = Some(16);
            }
        });
        writers.extend(changed.ok().filter(|changed| changed.writing().is_ok()));
    }
    if profile.unwrap.label.is_some() {
        let changed = profile.changed(|profile| {
            let template = profile.parts[0].1.template.as_mut().unwrap();
            *template =
                template.replace("<ds:DigestMethod", "<OAEPparams>bGFiZWw=</OAEPparams><ds:DigestMethod");
        });
        writers.push(changed.unwrap());
    }
    for (name, source) in &profile.bytes {
        let Origin::At { also, .. } = &source.origin else { continue };
        for place in also {
            let changed = profile.changed(|profile| {
                if let Origin::At { at, also, .. } = &mut profile.bytes.get_mut(name).unwrap().origin {
                    (*at, *also) = (place.clone(), Vec::new());
                }
            });
            writers.extend(changed.ok().filter(|changed| changed.writing().is_ok()));
        }
    }
    for name in ["key", "iv"] {
        for len in profile.bytes.get(name).map(|source| source.lens.clone()).unwrap_or_default() {
            let changed = profile.changed(|profile| profile.bytes.get_mut(name).unwrap().write = Some(len));
            writers.extend(changed.ok().filter(|changed| changed.writing().is_ok()));
        }
    }
    writers
}

/// Changes the value at a place of a message, wherever the file holds it. `false` when it cannot be told.
fn falsify(profile: &Profile, at: &Selector, case: &Case) -> bool {
    let mut outer = match &profile.repeat {
        Some(repeat) if at.part == ITEM => &repeat.over,
        _ => at,
    };
    while let Some(from) = &profile.part(&outer.part).unwrap().from {
        outer = from;
    }
    let path = &case.files[&outer.part];
    let Ok(text) = fs::read_to_string(path) else { return false };
    // The last name of the path is the field's; its value follows, after what documents put in between.
    let field = at.path.rsplit(['.', '/']).next().unwrap().trim_start_matches('@');
    let spelt = [
        format!("\"{field}\""),
        format!("\\\"{field}\\\""),
        format!("{field}=\""),
        format!("{field}>"),
        format!("<{field} "),
    ];
    let Some((start, spelt)) = spelt.iter().find_map(|spelt| Some((text.find(spelt.as_str())?, spelt)))
    else {
        return false;
    };
    let behind = start + spelt.len();
    let behind = if spelt.starts_with('<') { behind + text[behind..].find('>').unwrap() } else { behind };
    let Some(value) = text[behind..].find(|c: char| c.is_ascii_alphanumeric()) else { return false };
    let mut changed = text.into_bytes();
    let byte = &mut changed[behind + value];
    *byte = if *byte == b'1' { b'2' } else { b'1' };
    fs::write(path, changed).unwrap();
    true
}

/// Changes that let more through than before, or the same, so that no message can tell: a part of the change, why.
const WIDER: &[(&str, &str)] = &[
    ("\"base64\" to \"base64-any\"", "takes all that base64 is; encoding.rs tests what base64 refuses"),
    ("\"base64\" to \"base64-nopad\"", "takes all that base64 is; encoding.rs tests what base64 refuses"),
    ("\"base64-nopad\" to \"base64-any\"", "takes all that base64-nopad is"),
    ("\"base64url\" to \"base64-any\"", "takes all that base64url is"),
    ("\"base64\" to \"base64url\"", "reads alike where a value happens to have neither + nor /"),
    ("\"base64-any\" to ", "reads alike where a value happens to have neither + nor / nor padding"),
    ("\"base64-nopad\" to ", "reads alike where a value happens to have neither + nor / nor padding"),
    (
        "\"aes-cbc-pkcs7\" to \"aes-cbc-iso10126\"",
        "takes all that PKCS#7 padding is; padding.rs tests what that refuses",
    ),
    ("\"json\" to \"headers\"", "an object of texts reads alike as both"),
    ("\"headers\" to \"json\"", "an object of texts reads alike as both"),
    ("\"utf8\" to \"raw\"", "text is its own bytes either way"),
    ("\"raw\" to \"utf8\"", "text is its own bytes either way"),
];

/// Mutants that no vector can notice, each with its reason: the preset, a part of the change, why.
const SURVIVORS: &[(&str, &str, &str)] = &[
    (
        "azure-cse-v2",
        "the block [[expect]]",
        "the version inside the blob says the same, once the key was used; the guard says it before",
    ),
    (
        "s3ec-v2-rsa",
        "the block [[expect]]",
        "the algorithm's name inside the blob says the same, once the key was used",
    ),
    (
        "s3ec-v2-aes",
        "the block [[expect]]",
        "the algorithm's name is the AAD of the wrapped key, which says the same once the key was used",
    ),
    (
        "ksef-batch",
        "the block [[verify]]",
        "the digest of everything joined notices the same damage, once everything was decrypted",
    ),
    ("ksef-batch", "the line in `mgf1", "says what is meant without it: that it is said is the point"),
    ("ksef-iv-prefix", "the line in `mgf1", "says what is meant without it: that it is said is the point"),
    ("ksef-online", "the line in `mgf1", "says what is meant without it: that it is said is the point"),
    ("odk-submission", "the line in `mgf1", "says what is meant without it: that it is said is the point"),
];

#[test]
fn every_change_of_a_preset_is_noticed() {
    let mut by_profile: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for case in cases(&folder()) {
        by_profile.entry(case.profile.clone()).or_default().push(case);
    }
    let mut packages = cases(&folder());
    packages.retain(|case| case.profile == "ides-package");
    by_profile.entry("ides-members".to_owned()).or_default().extend(packages);
    let made = tempfile::tempdir().unwrap();
    for preset in presets() {
        let profile = &preset.profile;
        let cases = by_profile.entry(profile.id.clone()).or_default();
        cases.extend(derived(profile, made.path()));
        // One of them shows what is compared.
        let opens = cases
            .iter()
            .find(|case| case.expected != Expected::Rejected)
            .filter(|case| case.profile == profile.id);
        let falsified = opens.map(|case| falsified(profile, case, made.path())).unwrap_or_default();
        cases.extend(falsified);
    }
    let work: Mutex<Vec<(&str, Mutant)>> = Mutex::new(
        presets()
            .iter()
            .flat_map(|preset| {
                mutants(preset.text).into_iter().map(|mutant| (preset.profile.id.as_str(), mutant))
            })
            .collect(),
    );
    let (alive, count) = (Mutex::new(BTreeSet::new()), work.lock().unwrap().len());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some((id, mutant)) = work.lock().unwrap().pop() else { return };
                    let Ok(profile) = Profile::parse(&mutant.text) else { continue };
                    let cases = by_profile.get(id).map_or(&[][..], Vec::as_slice);
                    if cases.iter().all(|case| case.holds(&profile)) {
                        alive.lock().unwrap().insert(format!("{id}: {}", mutant.what));
                    }
                }
            });
        }
    });
    let alive = alive.into_inner().unwrap();
    let known = |survivor: &str| {
        WIDER.iter().any(|(part, _)| survivor.contains(part))
            || SURVIVORS
                .iter()
                .any(|(id, part, _)| survivor.starts_with(&format!("{id}:")) && survivor.contains(part))
    };
    let unknown: Vec<&String> = alive.iter().filter(|survivor| !known(survivor)).collect();
    let gone: Vec<&str> = SURVIVORS
        .iter()
        .filter(|(id, part, _)| {
            !alive.iter().any(|alive| alive.starts_with(&format!("{id}:")) && alive.contains(part))
        })
        .map(|(_, part, _)| *part)
        .collect();
    assert!(count > 1000, "{count}");
    assert!(gone.is_empty(), "these do not survive any more: {gone:?}");
    assert!(
        unknown.is_empty(),
        "{} of {count} survive without a reason:\n{}",
        unknown.len(),
        unknown.iter().map(|text| text.as_str()).collect::<Vec<_>>().join("\n")
    );
}
