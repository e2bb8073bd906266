use std::sync::atomic::{AtomicU8, Ordering};

use waxwing_formats::envelope::Kind;

use super::*;
use crate::frames::{Place, TAG_LEN};
use crate::{SystemRandom, kek};

const KEK: [u8; 32] = [0x11; 32];

fn draft(context: &[(&str, &str)]) -> Draft {
    let context = Context::new(context.iter().copied()).unwrap();
    Draft::new(SealOptions { context, ..SealOptions::default() }, &SystemRandom).unwrap()
}

fn recipient(draft: &Draft) -> Recipient {
    Recipient {
        kind: Kind::new(Kind::AES_256).unwrap(),
        key_id: b"k/1".to_vec(),
        wrapped: kek::wrap(&KEK, Kind::AES_256, draft.dek(), &draft.binding()),
    }
}

fn unwrap(locked: &LockedHeader) -> Result<Dek, NotAuthentic> {
    let wrapped = &locked.unverified().recipients[0].wrapped;
    kek::unwrap(&KEK, Kind::AES_256, wrapped, &locked.binding())
}

#[test]
fn a_header_opens_with_its_dek_and_the_frame_keys_agree() {
    let draft = draft(&[("tenant", "acme")]);
    let recipient = recipient(&draft);
    let (bytes, seal_key) = draft.seal_header(&[recipient]).unwrap();
    let locked = LockedHeader::decode(&bytes).unwrap();
    let verified = locked.verify(&unwrap(&locked).unwrap()).unwrap().unwrap();
    let place = Place { index: 0, last: true };
    let mut frame = [7; 21];
    seal_key.seal(place, &mut frame);
    assert_eq!(verified.frame_key().open(place, &mut frame).unwrap(), [7; 5]);
}

/// Every byte of a header matters: with any of them changed it does not decode, does not unwrap or does not verify.
#[test]
fn attack_03_no_changed_byte_of_a_header_is_believed() {
    let draft = draft(&[("tenant", "acme")]);
    let recipient = recipient(&draft);
    let (bytes, _) = draft.seal_header(&[recipient]).unwrap();
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x01;
        let Ok(locked) = LockedHeader::decode(&bytes) else { continue };
        let Ok(dek) = unwrap(&locked) else { continue };
        assert!(!matches!(locked.verify(&dek), Ok(Some(_))), "byte {at} does not matter");
    }
}

#[test]
fn attack_02_a_swapped_wrapped_key_fails_the_commitment() {
    let ours = draft(&[]);
    let theirs = draft(&[]);
    // Somebody who knows the KEK wraps a DEK of their own into our header.
    let planted = kek::wrap(&KEK, Kind::AES_256, theirs.dek(), &ours.binding());
    let planted = Recipient { wrapped: planted, ..recipient(&ours) };
    let (bytes, _) = ours.seal_header(&[planted]).unwrap();
    let locked = LockedHeader::decode(&bytes).unwrap();
    assert!(matches!(locked.verify(&unwrap(&locked).unwrap()), Ok(None)));
}

#[test]
fn attack_11_a_wrapped_key_does_not_move_to_another_envelope() {
    let ours = draft(&[("tenant", "a")]);
    let other = draft(&[("tenant", "b")]);
    let moved = kek::wrap(&KEK, Kind::AES_256, ours.dek(), &ours.binding());
    assert_eq!(kek::unwrap(&KEK, Kind::AES_256, &moved, &other.binding()).err(), Some(NotAuthentic),);
}

#[test]
fn a_required_context_is_checked_before_any_key() {
    let draft = draft(&[("tenant", "acme"), ("file", "q3")]);
    let recipient = recipient(&draft);
    let (bytes, _) = draft.seal_header(&[recipient]).unwrap();
    let locked = LockedHeader::decode(&bytes).unwrap();
    let require = |key, value| locked.require_context(&Context::new([(key, value)]).unwrap());
    assert_eq!(require("tenant", "acme"), Ok(()));
    for (key, value) in [("tenant", "other"), ("absent", "acme")] {
        assert_eq!(require(key, value), Err(OpenError::ContextMismatch { key: key.into() }));
    }
}

#[test]
fn attack_08_two_drafts_share_neither_dek_nor_message_id() {
    let (a, b) = (draft(&[]), draft(&[]));
    assert_ne!(a.dek().expose(), b.dek().expose());
    assert_ne!(a.fixed.message_id, b.fixed.message_id);
}

/// The envelope that docs/formats/envelope-v1.md prints, read from that text, so that text and code cannot part.
#[test]
fn the_worked_example_of_the_specification_is_what_is_made() {
    /// Gives the bytes 00..1f as the DEK and 20..3f as the message id, which is drawn first.
    struct Worked(AtomicU8);
    impl Random for Worked {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
            let first = self.0.fetch_xor(0x20, Ordering::Relaxed);
            bytes.iter_mut().zip(first..).for_each(|(byte, value)| *byte = value);
            Ok(())
        }
    }
    let text = include_str!("../../../../docs/formats/envelope-v1.md");
    let (_, text) = text.split_once("### Every byte of one envelope").unwrap();
    // A value goes on in lines that begin with blanks.
    let value = |name: &str| {
        let mut lines = text.lines().skip_while(|line| !line.starts_with(&format!("{name}  ")));
        let first = lines.next().unwrap().strip_prefix(name).unwrap();
        from_hex(std::iter::once(first).chain(lines.take_while(|line| line.starts_with(' '))))
    };
    let dump = text.lines().filter(|line| line.len() > 6 && line.starts_with("00") && &line[4..6] == "  ");
    let envelope = from_hex(dump.map(|line| &line[6..]));
    assert_eq!(envelope.len(), 217);

    let context = Context::new([("tenant", "acme")]).unwrap();
    let frame_len = FrameLen::from_log2(12).unwrap();
    let options = SealOptions { suite: Suite::Aes256Gcm, frame_len, context };
    let draft = Draft::new(options, &Worked(AtomicU8::new(0x20))).unwrap();
    let kek = std::array::from_fn(|i| 0x40 + i as u8);
    let wrapped = kek::wrap(&kek, Kind::AES_256, draft.dek(), &draft.binding());
    assert_eq!(draft.binding().commitment[..], value("commitment"));
    assert_eq!(wrapped, value("wrapped"));
    let recipient =
        Recipient { kind: Kind::new(Kind::AES_256).unwrap(), key_id: b"demo/1".to_vec(), wrapped };
    let (mut made, key) = draft.seal_header(&[recipient]).unwrap();
    assert!(made.ends_with(&value("mac")));
    let mut body = b"hello".to_vec();
    body.extend([0; TAG_LEN]);
    key.seal(Place { index: 0, last: true }, &mut body);
    assert_eq!(body, value("body"));
    made.extend(body);
    assert_eq!(made, envelope);
}

fn from_hex<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let digits: String = lines.flat_map(str::split_whitespace).collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}
