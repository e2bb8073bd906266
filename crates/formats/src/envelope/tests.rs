use proptest::prelude::*;

use super::*;
use crate::codec::laws;

fn header() -> Header {
    Header {
        fixed: Fixed {
            suite: Suite::Aes256Gcm,
            frame_len: FrameLen::DEFAULT,
            message_id: [7; 32],
            context: Context::new([("tenant", "acme"), ("file", "q3.csv")]).unwrap(),
        },
        commitment: [8; 32],
        recipients: vec![Recipient {
            kind: Kind::new(Kind::AES_256).unwrap(),
            key_id: b"payroll/1".to_vec(),
            wrapped: vec![9; 48],
        }],
        mac: [10; 32],
    }
}

/// The header's bytes with those at `at` replaced, and what decoding them says.
fn broken(at: usize, with: &[u8]) -> &'static str {
    let mut bytes = header().to_bytes();
    bytes[at..at + with.len()].copy_from_slice(with);
    Header::decode(&bytes).unwrap_err().name()
}

#[test]
fn obeys_the_codec_laws() {
    laws::check_value(&header(), Header::decode);
}

#[test]
fn each_broken_field_has_its_own_name() {
    assert_eq!(broken(0, b"w"), "bad-magic");
    assert_eq!(broken(7, &[2]), "unsupported-version");
    assert_eq!(broken(8, &[0, 0x10, 0, 1]), "header-too-long");
    assert_eq!(broken(8, &[0, 0, 0xff, 0xff]), "header-cut");
    assert_eq!(broken(11, &[0]), "header-length-mismatch");
    assert_eq!(broken(12, &[0, 3]), "unknown-suite");
    assert_eq!(broken(14, &[25]), "frame-len-out-of-range");
    assert_eq!(broken(14, &[11]), "frame-len-out-of-range");
    assert_eq!(broken(15, &[1]), "reserved-not-zero");
    assert_eq!(broken(52, b"z"), "context-not-ascending");
}

#[test]
fn attack_13_a_claimed_length_allocates_nothing() {
    let mut bytes = header().to_bytes();
    bytes[8..12].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(Header::decode(&bytes).unwrap_err(), HeaderError::TooLong { len: u32::MAX.into() });
}

#[test]
fn a_context_counts_its_length_prefixes() {
    let fits = "v".repeat(CONTEXT_LEN_MAX - 5);
    assert!(Context::new([("k", fits.clone())]).is_ok());
    let err = Context::new([("k", fits + "v")]).unwrap_err();
    assert_eq!(err, HeaderError::ContextTooLong { len: CONTEXT_LEN_MAX + 1 });
}

#[test]
fn a_context_refuses_what_a_reader_would() {
    assert_eq!(Context::new([("", "v")]).unwrap_err().name(), "context-empty-key");
    assert_eq!(Context::new([("k", "\0")]).unwrap_err().name(), "context-invalid-text");
    assert_eq!(Context::new([("k", "1"), ("k", "2")]).unwrap_err().name(), "context-not-ascending");
}

#[test]
fn a_short_prefix_is_neither_right_nor_wrong() {
    let bytes = header().to_bytes();
    for len in 0..PREFIX_LEN {
        assert_eq!(Header::total_len(&bytes[..len]), Ok(None), "{len} bytes");
    }
    assert_eq!(Header::total_len(&bytes), Ok(Some(bytes.len())));
    assert_eq!(Header::total_len(b"PK"), Err(HeaderError::Magic));
}

fn any_context() -> impl Strategy<Value = Context> {
    proptest::collection::btree_map("[a-zé]{1,8}", "[^\0]{0,16}", 0..6)
        .prop_map(|map| Context::new(map).unwrap())
}

fn any_recipient() -> impl Strategy<Value = Recipient> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..80);
    ("[a-z0-9-]{1,64}", bytes(), bytes()).prop_map(|(kind, key_id, wrapped)| Recipient {
        kind: Kind::new(&kind).unwrap(),
        key_id,
        wrapped,
    })
}

fn any_header() -> impl Strategy<Value = Header> {
    let suite = prop_oneof![Just(Suite::Aes256Gcm), Just(Suite::ChaCha20Poly1305)];
    let fixed = (suite, FrameLen::LOG2_RANGE, any::<[u8; 32]>(), any_context()).prop_map(
        |(suite, log2, message_id, context)| Fixed {
            suite,
            frame_len: FrameLen::from_log2(log2).unwrap(),
            message_id,
            context,
        },
    );
    let recipients = proptest::collection::vec(any_recipient(), 1..5);
    (fixed, any::<[u8; 32]>(), recipients, any::<[u8; 32]>())
        .prop_map(|(fixed, commitment, recipients, mac)| Header { fixed, commitment, recipients, mac })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_header_obeys_the_laws(header in any_header()) {
        laws::check_value(&header, Header::decode);
    }

    #[test]
    fn accepted_bytes_have_one_spelling(header in any_header(), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = header.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        laws::check_bytes(&bytes, Header::decode);
    }
}
