use proptest::prelude::*;
use waxwing_formats::envelope::{FrameLen, Kind, Recipient, Suite};

use super::*;
use crate::envelope::{Draft, SealOptions};
use crate::{OpenError, SystemRandom, kek};

const KEK: [u8; 32] = [0x22; 32];
const FRAME: usize = 1 << 12;
const SEALED: usize = FRAME + 16;

fn seal(suite: Suite, plaintext: &[u8], splits: &[usize]) -> Vec<u8> {
    let frame_len = FrameLen::from_log2(12).unwrap();
    let options = SealOptions { suite, frame_len, ..SealOptions::default() };
    let draft = Draft::new(options, &SystemRandom).unwrap();
    let recipient = Recipient {
        kind: Kind::new(Kind::AES_256).unwrap(),
        key_id: b"k/1".to_vec(),
        wrapped: kek::wrap(&KEK, Kind::AES_256, draft.dek(), &draft.binding()),
    };
    let (mut out, key) = draft.seal_header(&[recipient]).unwrap();
    let mut sealer = Sealer::new(key, frame_len);
    for piece in pieces(plaintext, splits) {
        sealer.push(piece, &mut out).unwrap();
    }
    sealer.finish(&mut out);
    out
}

/// Opens, and says what came out before it ended however it ended.
fn open(envelope: &[u8], splits: &[usize]) -> (Vec<u8>, Result<(), OpenError>) {
    let mut opener = Opener::attached();
    let mut out = Vec::new();
    let mut pieces = pieces(envelope, splits);
    loop {
        let unlocked = match opener.step() {
            Err(err) => return (out, Err(err)),
            Ok(Step::Done) => return (out, Ok(())),
            Ok(Step::Plaintext(frame)) => {
                out.extend_from_slice(frame);
                None
            }
            Ok(Step::NeedInput) => {
                match pieces.next() {
                    Some(piece) => opener.input(piece),
                    None => opener.end(),
                }
                None
            }
            Ok(Step::NeedKey(header)) => {
                let wrapped = &header.unverified().recipients[0].wrapped;
                let dek = kek::unwrap(&KEK, Kind::AES_256, wrapped, &header.binding()).unwrap();
                Some(header.verify(&dek).unwrap().unwrap())
            }
        };
        if let Some(header) = unlocked {
            opener.unlock(header);
        }
    }
}

fn pieces<'a>(mut bytes: &'a [u8], splits: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut splits = splits.iter().copied().chain(std::iter::repeat(1 << 20));
    std::iter::from_fn(move || {
        let len = splits.next()?.clamp(1, bytes.len().max(1)).min(bytes.len());
        let (piece, rest) = bytes.split_at(len);
        bytes = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fn plaintext(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[test]
fn lengths_around_a_frame_round_trip_in_both_suites() {
    for suite in [Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
        for len in [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 2 * FRAME + 1] {
            let (opened, end) = open(&seal(suite, &plaintext(len), &[]), &[]);
            assert_eq!((opened, end), (plaintext(len), Ok(())), "{len} bytes");
        }
    }
}

/// Each frame flipped, cut at each frame's end and one byte around it, appended to, reordered, doubled and spliced:
/// whatever comes out is a prefix of the plaintext in whole frames, and the end is an error.
#[test]
fn attack_09_no_unauthenticated_byte_comes_out() {
    let plain = plaintext(3 * FRAME);
    let good = seal(Suite::Aes256Gcm, &plain, &[]);
    let other = seal(Suite::Aes256Gcm, &plain, &[]);
    let header = good.len() - 3 * SEALED;
    let frame = |i: usize| header + i * SEALED..header + (i + 1) * SEALED;
    let mut broken: Vec<(String, Vec<u8>, usize)> = Vec::new();
    for i in 0..3 {
        for at in [frame(i).start, frame(i).end - 1] {
            let mut bytes = good.clone();
            bytes[at] ^= 0x80;
            broken.push((format!("flipped at {at}"), bytes, i));
        }
        let mut spliced = good.clone();
        spliced[frame(i)].copy_from_slice(&other[frame(i)]);
        broken.push((format!("frame {i} of another envelope"), spliced, i));
    }
    for cut in [frame(0), frame(1), frame(2)].map(|f| f.start) {
        for cut in [cut.saturating_sub(1), cut, cut + 1, cut + 15, cut + 16] {
            broken.push((format!("cut to {cut}"), good[..cut].to_vec(), 3));
        }
    }
    let mut longer = good.clone();
    longer.push(0);
    broken.push(("appended to".into(), longer, 2));
    let mut swapped = good.clone();
    swapped[frame(0)].copy_from_slice(&good[frame(1)]);
    swapped[frame(1)].copy_from_slice(&good[frame(0)]);
    broken.push(("reordered".into(), swapped, 0));
    let mut doubled = good.clone();
    doubled.splice(frame(1).end..frame(1).end, good[frame(1)].iter().copied());
    broken.push(("doubled".into(), doubled, 2));
    for (what, bytes, frames_max) in broken {
        let (out, end) = open(&bytes, &[1000]);
        assert!(end.is_err(), "{what}: accepted");
        assert!(plain.starts_with(&out) && out.len() <= frames_max * FRAME, "{what}: {} came out", out.len());
        assert_eq!(out.len() % FRAME, 0, "{what}");
    }
}

#[test]
fn a_cut_body_is_truncated_exactly_where_counting_shows_it() {
    let good = seal(Suite::Aes256Gcm, &plaintext(2 * FRAME + 5), &[]);
    let body = good.len() - (2 * SEALED + 21);
    let end = |len: usize| open(&good[..body + len], &[]).1.unwrap_err().name();
    for len in [0, 1, 15, SEALED, SEALED + 1, SEALED + 16, 2 * SEALED, 2 * SEALED + 16] {
        assert_eq!(end(len), "truncated", "body of {len}");
    }
    for len in [16, 17, SEALED - 1, SEALED + 17, 2 * SEALED - 1, 2 * SEALED + 20] {
        assert_eq!(end(len), "not-authentic", "body of {len}");
    }
    assert_eq!(open(&good[..body - 1], &[]).1.unwrap_err().name(), "header-cut");
    assert_eq!(open(&[], &[]).1.unwrap_err().name(), "header-cut");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_split_of_the_input_gives_the_same_result(
        len in 0..5 * FRAME,
        splits in proptest::collection::vec(1..2 * SEALED, 0..40),
    ) {
        let plain = plaintext(len);
        let envelope = seal(Suite::Aes256Gcm, &plain, &splits);
        let (opened, end) = open(&envelope, &splits);
        prop_assert_eq!(end, Ok(()));
        prop_assert_eq!(opened, plain);
    }
}
