use crate::Profile;

/// A profile in which everything is right.
const GOOD: &str = r#"profile = "1"
id = "good"
title = "Good"

[parts]
msg = { kind = "json" }
body = { kind = "raw" }

[bytes]
wrapped = { at = "msg:key", enc = "base64" }
key = { of = "unwrapped", len = 32 }
whole = { at = "body:", enc = "raw" }

[layout]
whole = "12:iv *:ct 16:tag"

[unwrap]
alg = "rsa-oaep"
hash = "sha256"

[content]
cipher = "aes-gcm"
key_bits = 256
"#;

/// What is changed, into what, and what is said of it.
const WRONG: &[(&str, &str, &str)] = &[
    // The file.
    ("[parts]", "[parts", "line 5: this is not TOML"),
    ("profile = \"1\"", "profile = \"2\"", "line 1: `profile` is not \"1\""),
    ("id = \"good\"", "id = \"Good one\"", "line 2: `id` is `Good one`; a name has"),
    ("title = \"Good\"\n", "", "line 1: [the profile] has no `title`"),
    ("title = \"Good\"", "title = 7", "line 3: `title` must be a text"),
    (
        "title = \"Good\"",
        "title = \"Good\"\ntilte = \"x\"",
        "line 4: unknown field `tilte` in [the profile]; known are",
    ),
    (
        "hash = \"sha256\"",
        "hash = \"sha256\"\nhsah = \"sha1\"",
        "line 20: unknown field `hsah` in [unwrap]; known are",
    ),
    ("kind = \"json\" }", "kind = \"json\", form = \"x\" }", "unknown field `form`"),
    ("enc = \"base64\" }", "enc = \"base64\", lne = 3 }", "unknown field `lne`"),
    ("hash = \"sha256\"", "hash = \"sha257\"", "line 19: `hash` is `sha257`; known are sha1, sha224"),
    // Names.
    (
        "key = { of",
        "iv = { hex = \"00\" }\nkey = { of",
        "`iv` is defined a second time; the first is in line 11",
    ),
    (
        "key = { of",
        "unwrapped = { hex = \"00\" }\nkey = { of",
        "line 11: `unwrapped` has a meaning of its own",
    ),
    ("key = { of", "more = { hex = \"00\" }\nkey = { of", "line 11: `more` is used by nothing"),
    ("of = \"unwrapped\"", "of = \"unrwapped\"", "line 11: `unrwapped` is not defined"),
    (
        "whole = { at = \"body:\", enc = \"raw\" }",
        "whole = { of = \"ct\" }",
        "is made of itself, in a circle",
    ),
    (
        "key = { of = \"unwrapped\", len = 32 }",
        "key = { fn = \"sha256\", args = [\"unwrapped\"] }\nwhole2 = \"whole3\"\nwhole3 = \"whole2\"",
        "is made of itself, in a circle",
    ),
    ("whole = \"12:iv", "wohle = \"12:iv", "line 15: `wohle` is cut, but not defined"),
    // Parts and places.
    ("msg:key", "mgs:key", "line 10: `mgs:key`: [parts] has no `mgs`"),
    ("msg:key", "msg", "line 10: `at` is not `part:path`"),
    ("msg:key", "msg:", "`msg:`: say which place in the part"),
    ("msg:key", "item:key", "there are no items without [repeat]"),
    ("at = \"body:\", enc = \"raw\"", "at = \"body:x\", enc = \"raw\"", "a raw part has no places inside"),
    (
        "at = \"body:\", enc = \"raw\"",
        "at = \"body:\", enc = \"hex\"",
        "a raw part has no places inside, and its `enc` is raw",
    ),
    (
        "msg = { kind = \"json\" }",
        "msg = { kind = \"json\", from = \"inner:x\" }\ninner = { kind = \"json\", from = \"msg:y\" }",
        "is read from itself, in a circle",
    ),
    (
        "msg = { kind = \"json\" }",
        "msg = { kind = \"json\" }\nmore = { kind = \"json\" }",
        "the part `more` is used by nothing",
    ),
    // Byte strings.
    (
        "at = \"msg:key\", enc",
        "at = \"msg:key\", hex = \"00\", enc",
        "has both `at` and `hex`: its bytes have one origin",
    ),
    ("of = \"unwrapped\", len", "len", "says nowhere where its bytes come from"),
    ("len = 32", "len = 32, slice = \"5..2\"", "`slice` ends before it begins"),
    ("len = 32", "len = 32, slice = \"5-7\"", "`slice` is not `A..B`"),
    (
        "of = \"unwrapped\", len = 32",
        "fn = \"sha265\", args = [\"unwrapped\"]",
        "`fn` is `sha265`; known are",
    ),
    (
        "of = \"unwrapped\", len = 32",
        "fn = \"xor\", args = [\"unwrapped\"]",
        "`args` has the wrong number of entries",
    ),
    (
        "of = \"unwrapped\", len = 32",
        "fn = \"pbkdf2\", hash = \"sha256\", iter = 99000000, out = 32, args = [\"unwrapped\", \"wrapped\"]",
        "`iter` must be a number from 0 to 10000000",
    ),
    ("12:iv *:ct 16:tag", "12:iv *:ct *:tag", "a field behind `*` that is not of a fixed size"),
    ("12:iv *:ct 16:tag", "12:iv *:ct u8:tag", "a field behind `*` that is not of a fixed size"),
    ("12:iv *:ct 16:tag", "twelve:iv *:ct 16:tag", "a field of the size `twelve`"),
    // The key.
    ("hash = \"sha256\"\n", "", "[unwrap] has no `hash`, which rsa-oaep needs"),
    (
        "alg = \"rsa-oaep\"\nhash = \"sha256\"",
        "alg = \"rsa-pkcs1\"\nlabel = { text = \"x\" }",
        "line 19: [unwrap] has `label`, which means something to rsa-oaep alone",
    ),
    (
        "alg = \"rsa-oaep\"\nhash = \"sha256\"",
        "alg = \"rsa-pkcs1\"\nhash = \"sha256\"",
        "[unwrap] has `hash`, which means something to rsa-oaep alone",
    ),
    ("alg = \"rsa-oaep\"\nhash = \"sha256\"", "alg = \"aes-kw\"", "[unwrap] has no `kek`"),
    (
        "alg = \"rsa-oaep\"\nhash = \"sha256\"",
        "alg = \"direct\"",
        "`wrapped` is defined, but `direct` has none",
    ),
    (
        "alg = \"rsa-oaep\"",
        "alg = { at = \"msg:alg\", map = { \"R\" = \"rsa-oaep\", \"D\" = \"direct\" } }",
        "lets the message choose `direct`",
    ),
    ("alg = \"rsa-oaep\"", "alg = { at = \"msg:alg\", map = {} }", "`map` lists no word"),
    (
        "alg = \"rsa-oaep\"",
        "alg = { at = \"msg:alg\", write = \"X\", map = { \"R\" = \"rsa-oaep\" } }",
        "writes `X`, which its `map` does not list",
    ),
    // The content.
    ("wrapped = { at", "wrapepd = { at", "no `wrapped` is defined, which unwrapping needs"),
    ("12:iv *:ct 16:tag", "*:ct 16:tag", "no `iv` is defined, which the cipher needs"),
    ("12:iv *:ct 16:tag", "12:iv *:ct", "no `tag` is defined, which the cipher needs"),
    ("12:iv *:ct 16:tag", "13:iv *:ct 16:tag", "`iv` is 13 bytes long; aes-gcm takes [12, 16]"),
    ("cipher = \"aes-gcm\"", "cipher = \"aes-ctr\"", "`tag` is defined, but the cipher has none"),
    ("key_bits = 256", "key_bits = 257", "`key_bits` has 257, which is no key of the cipher"),
    (
        "cipher = \"aes-gcm\"",
        "cipher = { at = \"msg:c\", map = { \"G\" = \"aes-gcm\", \"C\" = \"aes-cbc-pkcs7\" } }",
        "it could choose the weaker one",
    ),
    (
        "key_bits = 256",
        "key_bits = 256\nregions = { data_len = 0, nonce = 12, tag = 16, nonce_is = \"be-0\" }",
        "`data_len` is 0; a region holds something",
    ),
    (
        "key_bits = 256",
        "key_bits = 256\nregions = { data_len = 64, nonce = 12, tag = 16, nonce_is = \"be-0\" }",
        "`iv` is defined, but a content of regions has none",
    ),
    // Comparisons.
    (
        "key_bits = 256",
        "key_bits = 256\n[[verify]]\nkind = \"sha256\"\nover = \"tc\"\nequals = { at = \"msg:d\", enc = \"hex\" }",
        "`tc` is not defined",
    ),
    (
        "key_bits = 256",
        "key_bits = 256\n[[verify]]\nkind = \"crc32\"\nover = \"ct\"\nequals = { at = \"msg:d\", enc = \"hex\" }",
        "`kind` is none of bytes, size, md5",
    ),
    (
        "key_bits = 256",
        "key_bits = 256\n[[verify]]\nkind = \"hmac-sha256\"\nover = \"ct\"\nequals = { at = \"msg:d\", enc = \"hex\" }",
        "an HMAC needs a `key`",
    ),
    (
        "key_bits = 256",
        "key_bits = 256\n[[verify]]\nkind = \"sha256\"\nkey = \"key\"\nover = \"ct\"\nequals = { at = \"msg:d\", enc = \"hex\" }",
        "`key` means nothing: only an HMAC has a key",
    ),
    (
        "key_bits = 256",
        "key_bits = 256\n[[verify]]\nkind = \"sha256\"\nover = \"ct\"\nwhen = \"after\"\nequals = { at = \"msg:d\", enc = \"hex\" }",
        "`when` does not fit",
    ),
    ("key_bits = 256", "key_bits = 256\n[frame]\nlength = \"u16be\"", "`length` must be `u32be`"),
    (
        "key_bits = 256",
        "key_bits = 256\n[repeat]\nover = \"msg:list\"\nname = \"n\"\nbody = \"msg\"",
        "which must be a raw part",
    ),
];

#[test]
fn the_control_is_a_profile() {
    Profile::parse(GOOD).unwrap();
}

#[test]
fn everything_that_could_be_understood_in_two_ways_is_refused_with_its_line() {
    let mut wrong = Vec::new();
    for (from, to, expected) in WRONG {
        assert!(GOOD.contains(from), "{from}");
        let said = match Profile::parse(&GOOD.replacen(from, to, 1)) {
            Ok(_) => "it is a profile".to_owned(),
            Err(err) => err.to_string(),
        };
        let is_placed = !said.starts_with("line 1:") || expected.starts_with("line 1:");
        if !said.contains(expected) || !is_placed {
            wrong.push(format!("{to:?}: {said}\n    not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), WRONG.len(), wrong.join("\n"));
}

/// A tag of 4 bytes is guessed in an hour, and some readers take it.
#[test]
fn attack_10_tags_shorter_than_16_bytes_are_refused_always() {
    for (from, to, expected) in [
        ("12:iv *:ct 16:tag", "12:iv *:ct 12:tag", "`tag` is 12 bytes long; a tag has 16, always"),
        ("key_bits = 256", "key_bits = 256\ntag_len = 12", "`tag_len` is 12; a tag has 16 bytes, always"),
        (
            "key_bits = 256",
            "key_bits = 256\nregions = { data_len = 64, nonce = 12, tag = 4, nonce_is = \"be-0\" }",
            "`tag` is 4; a region's tag has 16 bytes, always",
        ),
        (
            "key_bits = 256",
            "key_bits = 256\n[[verify]]\nkind = \"sha256\"\nover = \"ct\"\ntruncate = 8\nequals = { at = \"msg:d\", enc = \"hex\" }",
            "`truncate` is 8; fewer than 16 bytes prove too little",
        ),
    ] {
        let said = Profile::parse(&GOOD.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn attack_06_pkcs1_without_one_length_is_refused() {
    let pkcs1 = GOOD.replace("alg = \"rsa-oaep\"\nhash = \"sha256\"", "alg = \"rsa-pkcs1\"");
    Profile::parse(&pkcs1).unwrap();
    for open in ["len = [16, 32]", "slice = \"..-1\""] {
        let said = Profile::parse(&pkcs1.replace("len = 32", open)).unwrap_err().to_string();
        assert!(said.starts_with("line 11: rsa-pkcs1 needs one length of what is unwrapped"), "{said}");
    }
}

#[test]
fn a_profile_is_short() {
    let long = format!("{GOOD}{}", "# \n".repeat(super::PROFILE_LEN_MAX));
    assert!(Profile::parse(&long).unwrap_err().to_string().contains("the limit is 65536"));
    let many: String = (0..=super::NAMES_MAX).map(|n| format!("n{n} = {{ hex = \"00\" }}\n")).collect();
    let said = Profile::parse(&GOOD.replace("[bytes]\n", &format!("[bytes]\n{many}"))).unwrap_err();
    assert!(said.to_string().contains("the limit is 128"), "{said}");
}
