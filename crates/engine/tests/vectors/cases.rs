//! The cases of docs/formats/vectors/envelope-v1, and the files they are written to.

use std::fs;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value, json};
use waxwing_testkit::keys;

use crate::kinds;
use crate::writer::{Envelope, Recipient, Wrapped, payload};

/// Plaintext bytes of a frame of 2^12.
const F: usize = 4096;
const SEALED: usize = F + 16;
const KEK: [u8; 32] = [0x4b; 32];

/// Collects cases and writes their files.
pub(crate) struct Cases<'a> {
    dir: &'a Path,
    cases: Vec<Value>,
    number: u8,
}

/// What a case states besides its files.
pub(crate) struct Claim<'a> {
    id: &'a str,
    keys: &'a [&'a str],
    expect: &'a str,
    why: &'a str,
    more: Value,
}

impl<'a> Claim<'a> {
    pub(crate) fn new(id: &'a str, expect: &'a str, why: &'a str) -> Self {
        Self { id, keys: &["kek"], expect, why, more: json!({}) }
    }

    pub(crate) fn keys(self, keys: &'a [&'a str]) -> Self {
        Self { keys, ..self }
    }

    fn more(self, more: Value) -> Self {
        Self { more, ..self }
    }
}

impl Cases<'_> {
    fn envelope(&mut self) -> Envelope {
        self.envelope_for(vec![kek()])
    }

    pub(crate) fn envelope_for(&mut self, recipients: Vec<Recipient>) -> Envelope {
        self.number += 1;
        Envelope::new(self.number, recipients)
    }

    pub(crate) fn add(&mut self, claim: Claim<'_>, bytes: &[u8]) {
        let file = format!("{}.wax", claim.id);
        fs::write(self.dir.join(&file), bytes).unwrap();
        self.list(claim, json!({ "file": file }));
    }

    fn add_detached(&mut self, claim: Claim<'_>, header: &[u8], body: &[u8]) {
        let [header_file, body_file] = ["header", "body"].map(|part| format!("{}.{part}", claim.id));
        fs::write(self.dir.join(&header_file), header).unwrap();
        fs::write(self.dir.join(&body_file), body).unwrap();
        self.list(claim, json!({ "header": header_file, "body": body_file }));
    }

    fn list(&mut self, claim: Claim<'_>, files: Value) {
        let mut case = Map::new();
        case.insert("id".into(), claim.id.into());
        case.extend(object(files));
        case.insert("keys".into(), claim.keys.into());
        case.extend(object(claim.more));
        case.insert("expect".into(), claim.expect.into());
        case.insert("why".into(), claim.why.into());
        self.cases.push(case.into());
    }

    /// A case that opens to `range` of the payload, or to all of it.
    pub(crate) fn good(&mut self, claim: Claim<'_>, envelope: &Envelope, range: Option<(u64, u64)>) {
        let (a, b) = range.unwrap_or((0, envelope.payload_len as u64));
        let plaintext = payload(a..b);
        let mut more = object(claim.more.clone());
        if range.is_some() {
            more.insert("range".into(), json!([a, b]));
        }
        more.insert("frame_len_log2".into(), envelope.log2.into());
        more.insert("plaintext_len".into(), plaintext.len().into());
        more.insert("plaintext_sha256".into(), hex(digest(&SHA256, &plaintext).as_ref()).into());
        self.add(claim.more(more.into()), &envelope.whole());
    }
}

/// Writes everything below `dir`.
pub(crate) fn write_all(dir: &Path) {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir.join("keys")).unwrap();
    let text = |name: &str, kek: [u8; 32]| format!("waxwing-aes-256 {name} {}\n", base64(&kek));
    fs::write(dir.join("keys/demo-1.kek"), text("demo/1", KEK)).unwrap();
    fs::write(dir.join("keys/demo-1-other.kek"), text("demo/1", [0x4c; 32])).unwrap();
    fs::write(dir.join("keys/rsa-2048.pem"), keys::RSA_2048_PKCS8).unwrap();
    let mut cases = Cases { dir, cases: Vec::new(), number: 0 };
    sizes_and_suites(&mut cases);
    recipients(&mut cases);
    contexts(&mut cases);
    headers(&mut cases);
    keys_that_do_not_open(&mut cases);
    bodies(&mut cases);
    detached(&mut cases);
    ranges(&mut cases);
    kinds::x_wing_cases(&mut cases);
    kinds::passphrase_cases(&mut cases);
    kinds::x_wing_edges(&mut cases);
    kinds::passphrase_edges(&mut cases);
    let kek_id = hex(b"demo/1");
    let mut manifest = json!({
        "format": "waxwing-envelope-1",
        "keys": {
            "kek": { "type": "aes-256", "file": "keys/demo-1.kek", "name": "demo/1", "key_id": kek_id },
            "other-kek": { "type": "aes-256", "file": "keys/demo-1-other.kek", "name": "demo/1", "key_id": kek_id },
            "rsa": { "type": "rsa", "file": "keys/rsa-2048.pem", "key_id": hex(&rsa_id()) },
        },
        "cases": cases.cases,
    });
    for (name, file, bytes, mut entry) in kinds::keys() {
        fs::write(dir.join(file), bytes).unwrap();
        entry["file"] = file.into();
        manifest["keys"][name] = entry;
    }
    fs::write(dir.join("manifest.json"), format!("{manifest:#}\n")).unwrap();
}

fn sizes_and_suites(cases: &mut Cases<'_>) {
    for suite in [1, 2] {
        for (name, len) in [
            ("0", 0),
            ("1", 1),
            ("f-minus-1", F - 1),
            ("f", F),
            ("f-plus-1", F + 1),
            ("2f", 2 * F),
            ("2f-plus-5", 2 * F + 5),
        ] {
            let envelope = Envelope { suite, payload_len: len, ..cases.envelope() };
            cases.good(
                Claim::new(
                    &format!("suite-{suite}-size-{name}"),
                    "plaintext",
                    "a length at or around a frame's end",
                ),
                &envelope,
                None,
            );
        }
    }
    for log2 in 13..=16 {
        let envelope = Envelope { log2, payload_len: (1 << log2) + 1, ..cases.envelope() };
        cases.good(
            Claim::new(&format!("frame-len-{log2}"), "plaintext", "another frame length, two frames"),
            &envelope,
            None,
        );
    }
    for log2 in [17, 24] {
        let envelope = Envelope { log2, ..cases.envelope() };
        cases.good(
            Claim::new(
                &format!("frame-len-{log2}-short"),
                "plaintext",
                "a long frame length and a short payload",
            ),
            &envelope,
            None,
        );
    }
}

fn recipients(cases: &mut Cases<'_>) {
    let stranger = || Recipient {
        kind: b"from-the-future".to_vec(),
        key_id: vec![1, 2],
        wrapped: Wrapped::Raw(vec![3; 5]),
    };
    let with = |change: fn(&mut Recipient), of: Recipient| {
        let mut r = of;
        change(&mut r);
        r
    };
    let rows: Vec<(&str, &[&str], Vec<Recipient>, &str)> = vec![
        ("rsa", &["rsa"], vec![rsa()], "RSA-OAEP-SHA-256"),
        ("rsa-and-kek-by-rsa", &["rsa"], vec![kek(), rsa()], "the second of two recipients opens"),
        ("rsa-and-kek-by-both", &["rsa", "kek"], vec![kek(), rsa()], "both keys are there"),
        ("unknown-kind-first", &["kek"], vec![stranger(), kek()], "an unknown kind is skipped"),
        (
            "kek-wrapped-too-short",
            &["kek"],
            vec![with(|r| r.wrapped = Wrapped::Raw(vec![0; 47]), kek()), kek()],
            "a recipient of a known kind in another form is skipped",
        ),
        (
            "rsa-key-id-too-short",
            &["rsa"],
            vec![
                with(
                    |r| {
                        r.key_id.pop();
                    },
                    rsa(),
                ),
                rsa(),
            ],
            "an RSA recipient with a key id of 31 bytes is skipped",
        ),
        (
            "rsa-wrapped-too-long",
            &["rsa"],
            vec![with(|r| r.wrapped = Wrapped::Raw(vec![1; 257]), rsa()), rsa()],
            "a wrapped key longer than the modulus is skipped",
        ),
        (
            "a-bad-candidate-first",
            &["kek"],
            vec![with(|r| r.wrapped = Wrapped::Raw(vec![7; 48]), kek()), kek()],
            "an unwrap that fails means the next candidate",
        ),
        (
            "another-dek-first",
            &["kek"],
            vec![with(|r| r.wrapped = Wrapped::Kek([9; 32]), kek()), kek()],
            "a recipient wrapped under another KEK of the name is passed over",
        ),
        (
            "sixteen-candidates",
            &["kek"],
            (0..15).map(|_| with(|r| r.wrapped = Wrapped::Raw(vec![7; 48]), kek())).chain([kek()]).collect(),
            "the sixteenth try opens",
        ),
        (
            "kind-of-64-bytes",
            &["kek"],
            vec![Recipient { kind: vec![b'k'; 64], ..stranger() }, kek()],
            "the longest kind",
        ),
    ];
    for (id, keys, recipients, why) in rows {
        let envelope = cases.envelope_for(recipients);
        cases.good(Claim::new(id, "plaintext", why).keys(keys), &envelope, None);
    }
    let many: Vec<Recipient> = (0..1023)
        .map(|_| Recipient { kind: b"x".to_vec(), key_id: vec![], wrapped: Wrapped::Raw(vec![]) })
        .chain([kek()])
        .collect();
    let envelope = cases.envelope_for(many);
    cases.good(Claim::new("recipients-1024", "plaintext", "the most recipients"), &envelope, None);
}

fn contexts(cases: &mut Cases<'_>) {
    let entries = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect::<Vec<_>>()
    };
    let two = || entries(&[("file", "q3.csv"), ("tenant", "acme")]);
    for (id, required, expect, why) in [
        (
            "context-required",
            json!({"tenant": "acme"}),
            "plaintext",
            "a required value that is there; others may be too",
        ),
        (
            "context-all-required",
            json!({"tenant": "acme", "file": "q3.csv"}),
            "plaintext",
            "all values required",
        ),
        (
            "context-other-value",
            json!({"tenant": "other"}),
            "context-mismatch",
            "a required key has another value",
        ),
        ("context-absent-key", json!({"job": "1"}), "context-mismatch", "a required key is absent"),
    ] {
        let envelope = Envelope { context: two(), ..cases.envelope() };
        let claim = Claim::new(id, expect, why).more(json!({ "context": required }));
        match expect {
            "plaintext" => cases.good(claim, &envelope, None),
            _ => cases.add(claim, &envelope.whole()),
        }
    }
    let envelope = Envelope { context: two(), ..cases.envelope() };
    cases.add(
        Claim::new(
            "context-mismatch-before-key",
            "context-mismatch",
            "the context is compared before keys are looked for",
        )
        .keys(&[])
        .more(json!({ "context": { "tenant": "other" } })),
        &envelope.whole(),
    );
    let value_len = 32768 - 5;
    for (id, len, expect, why) in [
        ("context-at-limit", value_len, "plaintext", "exactly 32 KiB of context"),
        ("context-over-limit", value_len + 1, "context-too-long", "one byte over 32 KiB of context"),
    ] {
        let envelope = Envelope { context: vec![(b"k".to_vec(), vec![b'v'; len])], ..cases.envelope() };
        match expect {
            "plaintext" => cases.good(Claim::new(id, expect, why), &envelope, None),
            _ => cases.add(Claim::new(id, expect, why), &envelope.whole()),
        }
    }
    let envelope = Envelope { context: entries(&[("é", "ü 漢"), ("ё", "")]), ..cases.envelope() };
    cases.good(
        Claim::new("context-unicode", "plaintext", "texts beyond ASCII, and an empty value"),
        &envelope,
        None,
    );
    for (id, context, expect, why) in [
        (
            "context-descending",
            entries(&[("b", ""), ("a", "")]),
            "context-not-ascending",
            "keys out of order",
        ),
        ("context-twice", entries(&[("a", "1"), ("a", "1")]), "context-not-ascending", "a key there twice"),
        ("context-empty-key", entries(&[("", "v")]), "context-empty-key", "an empty key"),
        ("context-nul-in-key", entries(&[("a\0", "v")]), "context-invalid-text", "U+0000 in a key"),
        ("context-nul-in-value", entries(&[("a", "\0")]), "context-invalid-text", "U+0000 in a value"),
        (
            "context-not-utf8",
            vec![(b"a".to_vec(), vec![0xff])],
            "context-invalid-text",
            "a value that is not UTF-8",
        ),
        (
            "context-overlong-utf8",
            vec![(b"a".to_vec(), vec![0xc0, 0xaf])],
            "context-invalid-text",
            "an overlong UTF-8 form",
        ),
        (
            "context-surrogate",
            vec![(b"a".to_vec(), vec![0xed, 0xa0, 0x80])],
            "context-invalid-text",
            "a surrogate in UTF-8",
        ),
    ] {
        let envelope = Envelope { context, ..cases.envelope() };
        cases.add(Claim::new(id, expect, why), &envelope.whole());
    }
    let envelope = Envelope { context: two(), context_count: Some(3), ..cases.envelope() };
    cases.add(
        Claim::new(
            "context-count-too-high",
            "context-empty-key",
            "a third entry is claimed: the commitment is read as its lengths",
        )
        .more(json!({})),
        &{
            // The bytes behind the entries are the commitment; the key length that is read from them is made 0.
            let mut bytes = envelope.whole();
            let at = 50 + 4 + 4 + 6 + 4 + 6 + 4;
            bytes[at..at + 2].fill(0);
            bytes
        },
    );
}

fn headers(cases: &mut Cases<'_>) {
    let mut add = |id: &str, expect: &str, why: &str, change: fn(&mut Envelope)| {
        let mut envelope = cases.envelope();
        change(&mut envelope);
        cases.add(Claim::new(id, expect, why), &envelope.whole());
    };
    add("magic", "bad-magic", "the first byte is another", |e| e.magic[0] = b'w');
    add("magic-last-byte", "bad-magic", "the seventh byte is another", |e| e.magic[6] = b'X');
    add("version-0", "unsupported-version", "version 0", |e| e.version = 0);
    add("version-2", "unsupported-version", "version 2", |e| e.version = 2);
    add("header-len-over-limit", "header-too-long", "one byte over 1 MiB", |e| {
        e.header_len = Some((1 << 20) + 1)
    });
    add("header-len-4-gib", "header-too-long", "4 GiB claimed by a small file", |e| {
        e.header_len = Some(u32::MAX)
    });
    add("header-len-past-the-end", "header-cut", "more header than there is file", |e| {
        e.header_len = Some(1 << 20)
    });
    add("header-len-zero", "header-length-mismatch", "no room for any field", |e| e.header_len = Some(0));
    add("header-len-one-short", "header-length-mismatch", "no room for the last byte of the MAC", |e| {
        e.header_len = Some(169)
    });
    add("header-len-one-long", "trailing-header-bytes", "a byte of the body within the header", |e| {
        e.header_len = Some(171)
    });
    add(
        "extra-bytes",
        "trailing-header-bytes",
        "a byte between the recipients and the MAC, and right lengths",
        |e| e.extra = vec![0],
    );
    add("suite-0", "unknown-suite", "suite 0x0000", |e| e.suite = 0);
    add("suite-3", "unknown-suite", "suite 0x0003", |e| e.suite = 3);
    add("frame-len-11", "frame-len-out-of-range", "frames of 2 KiB", |e| e.log2 = 11);
    add("frame-len-25", "frame-len-out-of-range", "frames of 32 MiB", |e| e.log2 = 25);
    add("reserved", "reserved-not-zero", "the reserved byte is 1", |e| e.reserved = 1);
    add("no-recipients", "recipient-count-out-of-range", "an empty list", |e| e.recipients.clear());
    add("recipient-count-1025", "recipient-count-out-of-range", "one more than allowed", |e| {
        e.recipient_count = Some(1025)
    });
    add(
        "recipient-count-too-high",
        "header-length-mismatch",
        "a second recipient is claimed in the last 32 bytes",
        |e| {
            e.recipient_count = Some(2);
            e.extra = [&[1, b'x', 0, 40][..], &[0; 8]].concat();
        },
    );
    add("kind-empty", "recipient-kind-invalid", "a kind without a name", |e| e.recipients[0].kind.clear());
    add("kind-of-65-bytes", "recipient-kind-invalid", "one byte too long", |e| {
        e.recipients[0].kind = vec![b'k'; 65]
    });
    add("kind-in-upper-case", "recipient-kind-invalid", "an upper-case letter", |e| {
        e.recipients[0].kind = b"AES-256".to_vec()
    });
    add("kind-with-underscore", "recipient-kind-invalid", "a character outside a-z 0-9 -", |e| {
        e.recipients[0].kind = b"aes_256".to_vec()
    });
    let whole = cases.envelope().whole();
    for len in [0, 3, 7, 8, 11, 12, 100, 181] {
        cases.add(
            Claim::new(&format!("header-cut-at-{len}"), "header-cut", "the file ends within the header"),
            &whole[..len],
        );
    }
}

fn keys_that_do_not_open(cases: &mut Cases<'_>) {
    let envelope = cases.envelope();
    cases.add(Claim::new("no-key", "no-usable-key", "the caller has no key").keys(&[]), &envelope.whole());
    cases.add(
        Claim::new("only-another-key", "no-usable-key", "wrapped for a KEK, and an RSA key is there")
            .keys(&["rsa"]),
        &envelope.whole(),
    );
    cases.add(
        Claim::new("another-kek-of-the-name", "not-authentic", "the right name and the wrong KEK")
            .keys(&["other-kek"]),
        &envelope.whole(),
    );
    let stranger =
        Recipient { kind: b"from-the-future".to_vec(), key_id: vec![1], wrapped: Wrapped::Raw(vec![2]) };
    let envelope = cases.envelope_for(vec![stranger]);
    cases.add(
        Claim::new("only-an-unknown-kind", "no-usable-key", "no recipient of a known kind"),
        &envelope.whole(),
    );
    let malformed = Recipient { wrapped: Wrapped::Raw(vec![0; 49]), ..kek() };
    let envelope = cases.envelope_for(vec![malformed]);
    cases.add(
        Claim::new("only-a-malformed-recipient", "no-usable-key", "all candidates are skipped"),
        &envelope.whole(),
    );
    let bad = || Recipient { wrapped: Wrapped::Raw(vec![7; 48]), ..kek() };
    let envelope = cases.envelope_for((0..16).map(|_| bad()).chain([kek()]).collect());
    cases.add(
        Claim::new("seventeen-candidates", "not-authentic", "the seventeenth would open and is not tried"),
        &envelope.whole(),
    );
    let envelope = Envelope { flip_commitment: true, ..cases.envelope() };
    cases
        .add(Claim::new("commitment", "not-authentic", "a flipped bit in the commitment"), &envelope.whole());
    let envelope = Envelope { flip_mac: true, ..cases.envelope() };
    cases.add(Claim::new("mac", "not-authentic", "a flipped bit in the MAC"), &envelope.whole());
    let envelope = Envelope { flip_mac: true, ..cases.envelope_for(vec![kek(), rsa()]) };
    cases.add(
        Claim::new(
            "mac-is-final",
            "not-authentic",
            "the first matching commitment decides, whatever else could be tried",
        )
        .keys(&["kek", "rsa"]),
        &envelope.whole(),
    );
    let mut bytes = cases.envelope().whole();
    bytes[110] ^= 1;
    cases.add(Claim::new("wrapped-key", "not-authentic", "a flipped bit in the wrapped key"), &bytes);
    let mut bytes = cases.envelope().whole();
    bytes[20] ^= 1;
    cases.add(Claim::new("message-id", "not-authentic", "a flipped bit in the message id"), &bytes);
    let mut bytes = Envelope { context: vec![(b"a".to_vec(), b"b".to_vec())], ..cases.envelope() }.whole();
    bytes[55] ^= 1;
    cases.add(
        Claim::new("context-changed", "not-authentic", "a context value that was changed afterwards"),
        &bytes,
    );
    let mut bytes = cases.envelope().whole();
    bytes[13] = 2;
    cases.add(Claim::new("suite-changed", "not-authentic", "suite 0x0001 relabelled as 0x0002"), &bytes);
    let mut bytes = cases.envelope().whole();
    bytes[14] = 13;
    cases.add(Claim::new("frame-len-changed", "not-authentic", "another frame length afterwards"), &bytes);
}

fn bodies(cases: &mut Cases<'_>) {
    let three = Envelope { payload_len: 2 * F + 100, ..cases.envelope() };
    let (header, frames) = (three.header(), three.frames());
    let joined = |frames: &[&[u8]]| [&header[..], &frames.concat()].concat();
    let all: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    for i in 0..3 {
        let mut bytes = joined(&all);
        bytes[header.len() + i * SEALED + 7] ^= 1;
        cases.add(
            Claim::new(&format!("frame-{i}-flipped"), "not-authentic", "a flipped bit in one frame"),
            &bytes,
        );
    }
    let mut bytes = joined(&all);
    *bytes.last_mut().unwrap() ^= 1;
    cases.add(Claim::new("last-tag-flipped", "not-authentic", "a flipped bit in the last tag"), &bytes);
    cases.add(
        Claim::new("frames-swapped", "not-authentic", "two full frames in the wrong order"),
        &joined(&[all[1], all[0], all[2]]),
    );
    cases.add(
        Claim::new("frame-left-out", "not-authentic", "the middle frame is missing"),
        &joined(&[all[0], all[2]]),
    );
    cases.add(
        Claim::new("frame-doubled", "not-authentic", "the middle frame is there twice"),
        &joined(&[all[0], all[1], all[1], all[2]]),
    );
    let other = Envelope { payload_len: 2 * F + 100, ..cases.envelope() }.frames();
    cases.add(
        Claim::new("frame-of-another", "not-authentic", "a frame of another envelope"),
        &joined(&[all[0], &other[1], all[2]]),
    );
    cases.add(
        Claim::new("appended-17", "not-authentic", "17 bytes behind the last frame"),
        &joined(&[all[0], all[1], all[2], &[0; 17]]),
    );
    let body = all.concat();
    for (len, expect) in [
        (0, "truncated"),
        (1, "truncated"),
        (15, "truncated"),
        (16, "not-authentic"),
        (SEALED - 1, "not-authentic"),
        (SEALED, "truncated"),
        (SEALED + 1, "truncated"),
        (SEALED + 15, "truncated"),
        (SEALED + 16, "truncated"),
        (SEALED + 17, "not-authentic"),
        (2 * SEALED, "truncated"),
        (2 * SEALED + 16, "truncated"),
        (2 * SEALED + 115, "not-authentic"),
    ] {
        let why = if expect == "truncated" { "counting shows the cut" } else { "a cut within a frame" };
        cases.add(
            Claim::new(&format!("body-cut-to-{len}"), expect, why),
            &[&header[..], &body[..len]].concat(),
        );
    }
    let full = Envelope { payload_len: F, ..cases.envelope() };
    let mut bytes = full.whole();
    let at = full.header().len() + 3;
    bytes[at] ^= 1;
    cases.add(
        Claim::new(
            "only-full-frame-flipped",
            "not-authentic",
            "a full last frame that opens neither as last nor as another",
        ),
        &bytes,
    );
}

fn detached(cases: &mut Cases<'_>) {
    let envelope = Envelope { payload_len: F + 9, ..cases.envelope() };
    let plaintext = payload(0..envelope.payload_len as u64);
    let more = json!({ "frame_len_log2": 12, "plaintext_len": plaintext.len(), "plaintext_sha256": hex(digest(&SHA256, &plaintext).as_ref()) });
    cases.add_detached(
        Claim::new("detached", "plaintext", "header and body apart").more(more),
        &envelope.header(),
        &envelope.body(),
    );
    cases.add_detached(
        Claim::new(
            "detached-trailing",
            "trailing-header-bytes",
            "a byte behind the MAC of a detached header",
        ),
        &[envelope.header(), vec![0]].concat(),
        &envelope.body(),
    );
    cases.add_detached(
        Claim::new("detached-empty-body", "truncated", "a body of no bytes"),
        &envelope.header(),
        &[],
    );
    let other = Envelope { payload_len: F + 9, ..cases.envelope() };
    cases.add_detached(
        Claim::new("detached-other-body", "not-authentic", "the body of another envelope"),
        &envelope.header(),
        &other.body(),
    );
    cases.add_detached(
        Claim::new(
            "detached-with-attached-body",
            "not-authentic",
            "a whole envelope where a bare body belongs: nothing is sniffed",
        ),
        &envelope.header(),
        &envelope.whole(),
    );
}

fn ranges(cases: &mut Cases<'_>) {
    let end = 3 * F as u64 + 50;
    let f = F as u64;
    for (name, a, b) in [
        ("empty", 10, 10),
        ("within", 10, 20),
        ("across", f - 1, f + 1),
        ("three-frames", 100, 2 * f + 100),
        ("last-byte", end - 1, end),
        ("all", 0, end),
        ("end", end, end),
    ] {
        let envelope = Envelope { payload_len: end as usize, ..cases.envelope() };
        cases.good(
            Claim::new(&format!("range-{name}"), "plaintext", "only some of the frames are opened"),
            &envelope,
            Some((a, b)),
        );
    }
    let cut = Envelope { payload_len: 2 * F, ..cases.envelope() };
    let bytes = [cut.header(), cut.frames()[0].clone()].concat();
    cases.add(
        Claim::new("range-of-a-cut-body", "truncated", "the last frame proves the length first")
            .more(json!({ "range": [0, 1] })),
        &bytes,
    );
    let envelope = Envelope { payload_len: 2 * F, ..cases.envelope() };
    let mut bytes = envelope.whole();
    let at = envelope.header().len();
    bytes[at] ^= 1;
    cases.add(
        Claim::new("range-of-a-bad-frame", "not-authentic", "the frame asked for was changed")
            .more(json!({ "range": [0, 1] })),
        &bytes,
    );
}

pub(crate) fn kek() -> Recipient {
    Recipient { kind: b"aes-256".to_vec(), key_id: b"demo/1".to_vec(), wrapped: Wrapped::Kek(KEK) }
}

fn rsa() -> Recipient {
    Recipient { kind: b"rsa-oaep-sha256".to_vec(), key_id: rsa_id(), wrapped: Wrapped::Rsa(rsa_spki()) }
}

fn rsa_id() -> Vec<u8> {
    digest(&SHA256, &rsa_spki()).as_ref().to_vec()
}

fn rsa_spki() -> Vec<u8> {
    let letters: String = keys::RSA_2048_SPKI.lines().filter(|line| !line.starts_with('-')).collect();
    waxwing_formats::base64::decode(&letters, waxwing_formats::base64::Reading::Strict).unwrap().0
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    waxwing_formats::base64::encode(bytes)
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("an object is expected") };
    map
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
