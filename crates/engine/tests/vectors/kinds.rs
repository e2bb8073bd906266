//! The cases of the kinds `x-wing` and `passphrase`.

use serde_json::{Value, json};
use waxwing_core::x_wing;

use crate::cases::{Cases, Claim, hex};
use crate::writer::{Recipient, Wrapped};

const X_WING_SEED: [u8; 32] = [0x58; 32];
/// In NFC: U+00E9.
const PASSPHRASE: &str = "caf\u{e9} au lait";
/// The same in NFD.
const PASSPHRASE_NFD: &str = "cafe\u{301} au lait";
/// U+FB01 stays in NFC; NFKC would take it apart.
const PASSPHRASE_LIGATURE: &str = "\u{fb01}n de saison";
/// The least memory that a reader accepts, in KiB.
const MEMORY_KIB: u32 = 19456;

/// The keys' files, and what the manifest says of them.
pub(crate) fn keys() -> Vec<(&'static str, &'static str, Vec<u8>, Value)> {
    // PKCS#8 around the seed: version 0, the OID 1.3.6.1.4.1.62253.25722, 32 bytes.
    const PREFIX: [u8; 22] =
        [0x30, 52, 2, 1, 0, 0x30, 13, 6, 11, 0x2b, 6, 1, 4, 1, 0x83, 0xe6, 0x2d, 0x81, 0xc8, 0x7a, 4, 32];
    let der = [&PREFIX[..], &X_WING_SEED].concat();
    let pem =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", crate::cases::base64(&der));
    let passphrase = |text: &str| format!("{text}\n").into_bytes();
    let with_end = |end: &str| format!("{PASSPHRASE}{end}").into_bytes();
    vec![
        (
            "x-wing",
            "keys/x-wing.pem",
            pem.into_bytes(),
            json!({ "type": "x-wing", "key_id": hex(&x_wing_id()) }),
        ),
        ("passphrase", "keys/passphrase.txt", passphrase(PASSPHRASE), json!({ "type": "passphrase" })),
        (
            "passphrase-nfd",
            "keys/passphrase-nfd.txt",
            passphrase(PASSPHRASE_NFD),
            json!({ "type": "passphrase" }),
        ),
        ("other-passphrase", "keys/passphrase-other.txt", passphrase("tea"), json!({ "type": "passphrase" })),
        ("passphrase-crlf", "keys/passphrase-crlf.txt", with_end("\r\n"), json!({ "type": "passphrase" })),
        ("passphrase-cr", "keys/passphrase-cr.txt", with_end("\r"), json!({ "type": "passphrase" })),
        ("passphrase-lf-lf", "keys/passphrase-lf-lf.txt", with_end("\n\n"), json!({ "type": "passphrase" })),
        (
            "passphrase-ligature",
            "keys/passphrase-ligature.txt",
            passphrase(PASSPHRASE_LIGATURE),
            json!({ "type": "passphrase" }),
        ),
    ]
}

pub(crate) fn x_wing_cases(cases: &mut Cases<'_>) {
    let envelope = cases.envelope_for(vec![x_wing()]);
    cases.good(
        Claim::new("x-wing", "plaintext", "wrapped for an X-Wing key").keys(&["x-wing"]),
        &envelope,
        None,
    );
    for (id, at, why) in [
        ("x-wing-ml-kem", 0, "a changed byte of ML-KEM's ciphertext"),
        ("x-wing-x25519", x_wing::ENCAPSULATION_LEN - 2, "a changed byte of the ephemeral X25519 key"),
        ("x-wing-dek", x_wing::ENCAPSULATION_LEN, "a changed byte of the wrapped DEK"),
    ] {
        let mut envelope = cases.envelope_for(vec![x_wing()]);
        envelope.change_wrapped(0, |wrapped| wrapped[at] ^= 1);
        cases.add(Claim::new(id, "not-authentic", why).keys(&["x-wing"]), &envelope.whole());
    }
    let mut envelope = cases.envelope_for(vec![x_wing()]);
    envelope.change_wrapped(0, |wrapped| wrapped[x_wing::ENCAPSULATION_LEN - 32..][..32].fill(0));
    let why = "an ephemeral X25519 key of small order";
    cases.add(Claim::new("x-wing-small-order", "not-authentic", why).keys(&["x-wing"]), &envelope.whole());
    for (id, change) in [("x-wing-short", -1), ("x-wing-long", 1)] {
        let mut envelope = cases.envelope_for(vec![x_wing()]);
        envelope.change_wrapped(0, |wrapped| wrapped.resize(wrapped.len().saturating_add_signed(change), 0));
        let claim =
            Claim::new(id, "no-usable-key", "a wrapped key of another length is skipped").keys(&["x-wing"]);
        cases.add(claim, &envelope.whole());
    }
}

pub(crate) fn passphrase_cases(cases: &mut Cases<'_>) {
    let envelope = cases.envelope_for(vec![passphrase(PASSPHRASE)]);
    let whole = envelope.whole();
    let opens = |id, why, keys| Claim::new(id, "plaintext", why).keys(keys);
    cases.good(opens("passphrase", "wrapped for a passphrase", &["passphrase"]), &envelope, None);
    cases.good(opens("passphrase-nfd", "the same passphrase in NFD", &["passphrase-nfd"]), &envelope, None);
    cases.add(
        Claim::new("passphrase-wrong", "not-authentic", "another passphrase").keys(&["other-passphrase"]),
        &whole,
    );
    for (id, (memory_kib, passes, lanes), why) in [
        ("passphrase-little-memory", (MEMORY_KIB - 1, 1, 1), "less memory than a reader accepts"),
        (
            "passphrase-much-memory",
            (u32::MAX, 1, 1),
            "more memory than a reader accepts, and nobody allocates it",
        ),
        ("passphrase-no-pass", (MEMORY_KIB, 0, 1), "no pass"),
        ("passphrase-many-passes", (MEMORY_KIB, 17, 1), "more passes than a reader accepts"),
        ("passphrase-no-lane", (MEMORY_KIB, 1, 0), "no lane"),
        ("passphrase-many-lanes", (MEMORY_KIB, 1, 17), "more lanes than a reader accepts"),
        ("passphrase-much-work", (1 << 20, 5, 1), "memory times passes above 2^22"),
    ] {
        let key_id = key_id(memory_kib, passes, lanes);
        let recipient = Recipient { key_id, wrapped: Wrapped::Raw(vec![0; 48]), ..passphrase(PASSPHRASE) };
        let envelope = cases.envelope_for(vec![recipient]);
        cases.add(Claim::new(id, "no-usable-key", why).keys(&["passphrase"]), &envelope.whole());
    }
    for (id, change, why) in [
        ("passphrase-short-id", -1, "a key_id of 24 bytes"),
        ("passphrase-long-id", 1, "a key_id of 26 bytes"),
    ] {
        let mut recipient = passphrase(PASSPHRASE);
        recipient.key_id.resize(recipient.key_id.len().saturating_add_signed(change), 1);
        let envelope = cases.envelope_for(vec![recipient]);
        cases.add(Claim::new(id, "no-usable-key", why).keys(&["passphrase"]), &envelope.whole());
    }
    let four_others = || (0..4).map(|_| passphrase("tea"));
    let envelope = cases.envelope_for(four_others().chain([passphrase(PASSPHRASE)]).collect());
    let why = "the fifth passphrase would open and is not tried";
    cases.add(Claim::new("passphrase-fifth", "not-authentic", why).keys(&["passphrase"]), &envelope.whole());
    let last = [passphrase(PASSPHRASE), crate::cases::kek()];
    let envelope = cases.envelope_for(four_others().chain(last).collect());
    let why = "the fifth passphrase is passed over, and the KEK behind it opens";
    cases.good(opens("passphrase-fifth-and-kek", why, &["passphrase", "kek"]), &envelope, None);
}

/// What only a recipient shows that was made for it. The two secrets are those of Python's `cryptography`: ML-KEM answers a
/// ciphertext of zeros with SHAKE-256(z ‖ ciphertext), and X25519 a base point with the own public key.
pub(crate) fn x_wing_edges(cases: &mut Cases<'_>) {
    let told = |ephemeral: u8, secret: &str| {
        let mut encapsulation = vec![0; x_wing::ENCAPSULATION_LEN];
        encapsulation[x_wing::ENCAPSULATION_LEN - 32] = ephemeral;
        Recipient { wrapped: Wrapped::Encapsulated(encapsulation, secret_of(secret)), ..x_wing() }
    };
    let rejected = told(9, "9257d1c71f33ee5258969acdf1dc1eff96e18552c8ce48239615cfb2867f3086");
    let envelope = cases.envelope_for(vec![rejected]);
    let why = "ML-KEM rejects the ciphertext and gives a secret all the same (FIPS 203, algorithm 18)";
    cases.good(Claim::new("x-wing-rejected", "plaintext", why).keys(&["x-wing"]), &envelope, None);
    let small = told(0, "29563b8edb84fb3856469755ba6f6b223613305d21bd1f7a345a625df7b7ea72");
    let envelope = cases.envelope_for(vec![small]);
    let why =
        "an ephemeral key of small order, and the DEK wrapped under what a reader gets who lets it pass";
    cases.add(
        Claim::new("x-wing-small-order-agreed", "not-authentic", why).keys(&["x-wing"]),
        &envelope.whole(),
    );
    for (id, key_id, why) in [
        ("x-wing-short-id", x_wing_id()[..31].to_vec(), "a key_id of 31 bytes is skipped"),
        ("x-wing-another-key", vec![1; 32], "wrapped for another X-Wing key"),
    ] {
        let envelope = cases.envelope_for(vec![Recipient { key_id, ..x_wing() }]);
        cases.add(Claim::new(id, "no-usable-key", why).keys(&["x-wing"]), &envelope.whole());
    }
    let garbage = Recipient { wrapped: Wrapped::Raw(vec![7; x_wing::ENCAPSULATION_LEN + 48]), ..x_wing() };
    let envelope = cases.envelope_for(vec![crate::cases::kek(), garbage, x_wing()]);
    let why = "the KEK is not there, the first X-Wing recipient fails, the second opens";
    cases.good(Claim::new("x-wing-second", "plaintext", why).keys(&["x-wing"]), &envelope, None);
}

/// What a reader may get wrong that opens the plainest recipient.
pub(crate) fn passphrase_edges(cases: &mut Cases<'_>) {
    let (ours, other) = (|| passphrase(PASSPHRASE), || passphrase("coffee"));
    let skipped =
        || Recipient { key_id: key_id(u32::MAX, 1, 1), wrapped: Wrapped::Raw(vec![0; 48]), ..ours() };
    let good: Vec<(&str, &[&str], Vec<Recipient>, &str)> = vec![
        ("passphrase-crlf", &["passphrase-crlf"], vec![ours()], "CR LF behind it is taken off"),
        (
            "passphrase-ligature",
            &["passphrase-ligature"],
            vec![passphrase(PASSPHRASE_LIGATURE)],
            "U+FB01 is kept: NFC, not NFKC",
        ),
        (
            "passphrase-lanes",
            &["passphrase"],
            vec![passphrase_at(PASSPHRASE, 20000, 2, 3)],
            "two passes, three lanes, and memory that is no multiple of four times the lanes",
        ),
        (
            "passphrase-behind-skipped",
            &["passphrase"],
            vec![skipped(), ours()],
            "costs beyond the limits first",
        ),
        (
            "passphrase-fourth",
            &["passphrase"],
            vec![other(), other(), other(), ours()],
            "the fourth passphrase is the last that is tried",
        ),
        (
            "passphrase-second-of-two-keys",
            &["other-passphrase", "passphrase"],
            vec![other(), ours()],
            "each of two recipients is tried with each of two passphrases: the fourth try opens",
        ),
        (
            "passphrases-passed-over",
            &["passphrase", "kek"],
            (0..20).map(|_| other()).chain([crate::cases::kek()]).collect(),
            "passphrases that are passed over do not count as tries",
        ),
    ];
    for (id, keys, recipients, why) in good {
        let envelope = cases.envelope_for(recipients);
        cases.good(Claim::new(id, "plaintext", why).keys(keys), &envelope, None);
    }
    let changed = |change: isize| Recipient {
        wrapped: Wrapped::Raw(vec![0; 48usize.saturating_add_signed(change)]),
        ..ours()
    };
    let over = Recipient { key_id: key_id((1 << 20) + 1, 1, 1), ..changed(0) };
    let fails = |id, expect, why| Claim::new(id, expect, why).keys(&["passphrase"]);
    let two_keys = fails(
        "passphrase-two-keys-fifth",
        "not-authentic",
        "two passphrases used up the four tries on the first two recipients",
    );
    let bad = [
        (
            fails("passphrase-cr", "not-authentic", "a CR alone is no line end").keys(&["passphrase-cr"]),
            vec![ours()],
        ),
        (
            fails("passphrase-lf-lf", "not-authentic", "one line end is taken off")
                .keys(&["passphrase-lf-lf"]),
            vec![ours()],
        ),
        (fails("passphrase-short", "no-usable-key", "a wrapped key of 47 bytes"), vec![changed(-1)]),
        (fails("passphrase-long", "no-usable-key", "a wrapped key of 49 bytes"), vec![changed(1)]),
        (fails("passphrase-memory-over", "no-usable-key", "1 KiB over 1 GiB"), vec![over]),
        (
            fails("passphrase-none", "no-usable-key", "the caller has no passphrase").keys(&["kek"]),
            vec![ours()],
        ),
        (two_keys.keys(&["passphrase", "other-passphrase"]), vec![other(), other(), ours()]),
    ];
    for (claim, recipients) in bad {
        let envelope = cases.envelope_for(recipients);
        cases.add(claim, &envelope.whole());
    }
}

fn secret_of(hex: &str) -> [u8; 32] {
    std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..][..2], 16).unwrap())
}

fn x_wing() -> Recipient {
    let public = x_wing::PrivateKey::from_seed(&X_WING_SEED).public().as_bytes().to_vec();
    Recipient { kind: b"x-wing".to_vec(), key_id: x_wing_id(), wrapped: Wrapped::XWing(public) }
}

fn x_wing_id() -> Vec<u8> {
    let key = x_wing::PrivateKey::from_seed(&X_WING_SEED);
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.public().as_bytes()).as_ref().to_vec()
}

fn passphrase(text: &str) -> Recipient {
    passphrase_at(text, MEMORY_KIB, 1, 1)
}

fn passphrase_at(text: &str, memory_kib: u32, passes: u32, lanes: u8) -> Recipient {
    let params = argon2::Params::new(memory_kib, passes, lanes.into(), Some(32)).unwrap();
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let key_id = key_id(memory_kib, passes, lanes);
    let mut kek = [0; 32];
    argon2.hash_password_into(text.as_bytes(), &key_id[..16], &mut kek).unwrap();
    Recipient { kind: b"passphrase".to_vec(), key_id, wrapped: Wrapped::Kek(kek) }
}

fn key_id(memory_kib: u32, passes: u32, lanes: u8) -> Vec<u8> {
    [&[0x73; 16][..], &memory_kib.to_be_bytes(), &passes.to_be_bytes(), &[lanes]].concat()
}
