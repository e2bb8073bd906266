//! Sealing and opening through `Read`, `Write`, `Seek` and streams.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Seek as _, SeekFrom, Write};

use proptest::prelude::*;
use waxwing_core::SystemRandom;
use waxwing_core::envelope::SealOptions;
use waxwing_engine::{Error, OpenReader, RangeReader, ReadAt, SealWriter};
use waxwing_formats::envelope::{Context, FrameLen};
use waxwing_keyring::{Kek, Keyring};
use waxwing_testkit::payload;
use waxwing_testkit::streams::{FailAfter, Split};

const FRAME: usize = 4096;
const TAG: usize = 16;

fn keyring() -> Keyring {
    let mut keyring = Keyring::default();
    keyring.push(Kek::generate("k/1", &SystemRandom).unwrap());
    keyring
}

fn options() -> SealOptions {
    SealOptions { frame_len: FrameLen::from_log2(12).unwrap(), ..SealOptions::default() }
}

fn seal(plaintext: &[u8], keyring: &Keyring) -> Vec<u8> {
    let mut writer = SealWriter::new(Vec::new(), keyring, options(), &SystemRandom).unwrap();
    writer.write_all(plaintext).unwrap();
    writer.finish().unwrap()
}

fn header_len(sealed: &[u8], plaintext_len: usize) -> usize {
    sealed.len() - plaintext_len - plaintext_len.div_ceil(FRAME).max(1) * TAG
}

/// Everything that comes out, and the error at its end.
fn read_all(sealed: &[u8], keyring: &Keyring) -> (Vec<u8>, Option<io::Error>) {
    let mut out = Vec::new();
    let mut reader = match OpenReader::attached(sealed, keyring, &Context::default()) {
        Ok(reader) => reader,
        Err(err) => return (out, Some(io::Error::other(err))),
    };
    let err = reader.read_to_end(&mut out).err();
    if err.is_some() {
        assert!(reader.read(&mut [0]).is_err(), "it goes on after an error");
    }
    (out, err)
}

/// Lengths around the ends of frames, and any.
fn lens() -> impl Strategy<Value = usize> {
    prop_oneof![
        (0usize..6, -2isize..=2).prop_map(|(frames, by)| (frames * FRAME).saturating_add_signed(by)),
        0usize..5 * FRAME,
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_however_it_is_split(len in lens(), seed: u64, max in 1usize..10_000) {
        let (keyring, plaintext) = (keyring(), payload(len));
        let mut writer =
            SealWriter::new(Split::by_seed(Vec::new(), seed, max), &keyring, options(), &SystemRandom).unwrap();
        io::copy(&mut Split::by_seed(plaintext.as_slice(), seed, max), &mut writer).unwrap();
        let sealed = writer.finish().unwrap().into_inner();
        let mut reader =
            OpenReader::attached(Split::by_seed(sealed.as_slice(), !seed, max), &keyring, &Context::default()).unwrap();
        let mut opened = Vec::new();
        io::copy(&mut reader, &mut opened).unwrap();
        prop_assert!(opened == plaintext);
    }

    #[test]
    fn any_part_is_read_in_any_order(len in lens(), parts in prop::collection::vec((0usize..6 * FRAME, 0usize..9000), 1..20)) {
        let (keyring, plaintext) = (keyring(), payload(len));
        let sealed = seal(&plaintext, &keyring);
        let mut reader = RangeReader::attached(sealed.as_slice(), &keyring, &Context::default()).unwrap();
        prop_assert_eq!(reader.plaintext_len(), len as u64);
        for (start, part_len) in parts {
            let mut part = Vec::new();
            reader.seek(SeekFrom::Start(start as u64)).unwrap();
            (&mut reader).take(part_len as u64).read_to_end(&mut part).unwrap();
            let start = start.min(len);
            prop_assert!(part == plaintext[start..len.min(start + part_len)]);
        }
    }
}

#[test]
fn attack_09_a_reader_gives_verified_frames_and_then_fails_for_good() {
    let (keyring, plaintext) = (keyring(), payload(5 * FRAME + 100));
    let sealed = seal(&plaintext, &keyring);
    let body = header_len(&sealed, plaintext.len());
    for frame in 0..6 {
        let mut changed = sealed.clone();
        changed[body + frame * (FRAME + TAG) + 7] ^= 1;
        let (out, err) = read_all(&changed, &keyring);
        assert!(out == plaintext[..frame * FRAME], "frame {frame}");
        assert_eq!(err.unwrap().kind(), ErrorKind::InvalidData, "frame {frame}");
    }
}

#[test]
fn attack_09_a_cut_is_an_error_at_the_end() {
    let (keyring, plaintext) = (keyring(), payload(3 * FRAME));
    let sealed = seal(&plaintext, &keyring);
    let body = header_len(&sealed, plaintext.len());
    for frames in 0..3 {
        let (out, err) = read_all(&sealed[..body + frames * (FRAME + TAG)], &keyring);
        assert_eq!(out.len(), frames.saturating_sub(1) * FRAME, "the last frame is withheld");
        assert_eq!(err.unwrap().kind(), ErrorKind::UnexpectedEof, "{frames} frames");
    }
}

#[test]
fn a_writer_without_an_end_makes_no_envelope() {
    let keyring = keyring();
    let mut sealed = Vec::new();
    let mut writer = SealWriter::new(&mut sealed, &keyring, options(), &SystemRandom).unwrap();
    writer.write_all(&payload(3 * FRAME)).unwrap();
    drop(writer);
    assert_eq!(read_all(&sealed, &keyring).1.unwrap().kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_writer_whose_sink_failed_stays_failed() {
    let keyring = keyring();
    let sink = FailAfter::new(Vec::new(), 3 * FRAME as u64, ErrorKind::StorageFull);
    let mut writer = SealWriter::new(sink, &keyring, options(), &SystemRandom).unwrap();
    let err = writer.write_all(&payload(6 * FRAME)).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::StorageFull);
    assert!(writer.write(b"more").is_err());
    assert!(matches!(writer.finish(), Err(Error::Io { .. })));
}

/// Counts what is read.
struct Counting<'a> {
    bytes: &'a [u8],
    reads: RefCell<Vec<usize>>,
}

impl ReadAt for Counting<'_> {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.reads.borrow_mut().push(bytes.len());
        self.bytes.read_exact_at(bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.bytes.size()
    }
}

#[test]
fn a_part_costs_its_frames_the_header_and_the_final_frame() {
    let (keyring, plaintext) = (keyring(), payload(100 * FRAME + 1));
    let sealed = seal(&plaintext, &keyring);
    let source = Counting { bytes: &sealed, reads: RefCell::default() };
    let mut reader = RangeReader::attached(&source, &keyring, &Context::default()).unwrap();
    let mut part = vec![0; FRAME];
    reader.seek(SeekFrom::Start(50 * FRAME as u64 + 17)).unwrap();
    reader.read_exact(&mut part).unwrap();
    assert!(part == plaintext[50 * FRAME + 17..51 * FRAME + 17]);
    let reads = source.reads.borrow();
    let header = header_len(&sealed, plaintext.len());
    // The header's first bytes and its rest, the final frame, and the two frames that the part touches.
    assert_eq!(*reads, [12, header - 12, 1 + TAG, FRAME + TAG, FRAME + TAG]);
}

#[test]
fn attack_09_a_changed_frame_is_never_seen_at_an_offset() {
    let (keyring, plaintext) = (keyring(), payload(4 * FRAME));
    let mut sealed = seal(&plaintext, &keyring);
    let body = header_len(&sealed, plaintext.len());
    sealed[body + (FRAME + TAG)] ^= 1;
    let mut reader = RangeReader::attached(sealed.as_slice(), &keyring, &Context::default()).unwrap();
    let mut part = [0; 100];
    reader.read_exact(&mut part).unwrap();
    for _ in 0..2 {
        reader.seek(SeekFrom::Start(FRAME as u64 + 10)).unwrap();
        assert_eq!(reader.read(&mut part).unwrap_err().kind(), ErrorKind::InvalidData);
    }
    reader.seek(SeekFrom::End(-1)).unwrap();
    assert_eq!(reader.read(&mut part).unwrap(), 1, "the others are still there");
    // The final frame proves the length before anything is read.
    sealed.truncate(sealed.len() - FRAME - TAG);
    let cut = RangeReader::attached(sealed.as_slice(), &keyring, &Context::default());
    assert_eq!(cut.unwrap_err().to_string(), Error::Open(waxwing_engine::OpenError::Truncated).to_string());
}

#[test]
fn positions_are_those_of_files() {
    let keyring = keyring();
    let sealed = seal(b"0123456789", &keyring);
    let mut reader = RangeReader::attached(sealed.as_slice(), &keyring, &Context::default()).unwrap();
    assert_eq!(reader.seek(SeekFrom::End(-3)).unwrap(), 7);
    assert_eq!(reader.seek(SeekFrom::Current(1)).unwrap(), 8);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "89");
    assert_eq!(reader.seek(SeekFrom::Start(1 << 60)).unwrap(), 1 << 60);
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    assert_eq!(reader.seek(SeekFrom::End(-11)).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_required_context_is_checked_by_all_of_them() {
    let keyring = keyring();
    let sealed = seal(b"x", &keyring);
    let required = Context::new([("tenant", "acme")]).unwrap();
    let refused = "the envelope's context differs from the required one at `tenant`";
    assert_eq!(
        OpenReader::attached(sealed.as_slice(), &keyring, &required).err().unwrap().to_string(),
        refused
    );
    assert_eq!(
        RangeReader::attached(sealed.as_slice(), &keyring, &required).unwrap_err().to_string(),
        refused
    );
}

#[cfg(feature = "async")]
mod asynchronous {
    use bytes::Bytes;
    use futures_util::{StreamExt as _, TryStreamExt as _, stream};
    use tokio::io::AsyncReadExt as _;
    use waxwing_engine::asynchronous::{Body, body, into_async_read, open_body, seal_body};

    use waxwing_core::Dek;
    use waxwing_core::envelope::Binding;
    use waxwing_formats::envelope::Recipient;
    use waxwing_keyring::{BoxFuture, KeyProvider, UnwrapError, WrapError};

    use super::*;

    fn pieces(bytes: &[u8], len: usize) -> Body {
        let pieces: Vec<_> = bytes.chunks(len).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        stream::iter(pieces).boxed()
    }

    async fn seal_in_pieces(plaintext: &[u8], keyring: &Keyring, len: usize) -> Vec<u8> {
        let sealed = seal_body(pieces(plaintext, len), keyring, options(), &SystemRandom).await.unwrap();
        sealed.try_collect::<Vec<_>>().await.unwrap().concat()
    }

    #[tokio::test]
    async fn a_body_comes_back_however_it_is_split() {
        let keyring = keyring();
        for len in [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 5 * FRAME + 7] {
            let plaintext = payload(len);
            for piece in [1, 999, FRAME, 1 << 20] {
                let sealed = seal_in_pieces(&plaintext, &keyring, piece).await;
                let opened = open_body(pieces(&sealed, piece), None, keyring.clone(), Context::default());
                assert!(opened.try_collect::<Vec<_>>().await.unwrap().concat() == plaintext);
                assert!(read_all(&sealed, &keyring).0 == plaintext);
            }
        }
    }

    #[tokio::test]
    async fn readers_become_bodies_and_back() {
        let (keyring, plaintext) = (keyring(), payload(3 * FRAME + 5));
        let source = std::io::Cursor::new(plaintext.clone());
        let sealed = seal_body(body(source), &keyring, options(), &SystemRandom).await.unwrap();
        let opened = open_body(body(into_async_read(sealed)), None, keyring.clone(), Context::default());
        let mut out = Vec::new();
        into_async_read(opened).read_to_end(&mut out).await.unwrap();
        assert!(out == plaintext);
    }

    #[tokio::test]
    async fn attack_09_a_stream_gives_verified_frames_and_then_one_error() {
        let (keyring, plaintext) = (keyring(), payload(3 * FRAME));
        let mut sealed = seal_in_pieces(&plaintext, &keyring, 100).await;
        let body = header_len(&sealed, plaintext.len());
        sealed[body + FRAME + TAG + 1] ^= 1;
        let opened = open_body(pieces(&sealed, 1000), None, keyring, Context::default());
        let items: Vec<_> = opened.collect().await;
        assert_eq!(items.len(), 2, "one frame, one error, and nothing after it");
        assert!(items[0].as_ref().unwrap()[..] == plaintext[..FRAME]);
        assert_eq!(items[1].as_ref().unwrap_err().to_string(), "the data is not authentic");
    }

    #[tokio::test]
    async fn a_source_that_fails_fails_the_body() {
        let keyring = keyring();
        let broken =
            stream::iter([Ok(Bytes::from_static(b"abc")), Err(io::ErrorKind::ConnectionReset.into())]);
        let sealed = seal_body(broken.boxed(), &keyring, options(), &SystemRandom).await.unwrap();
        let items: Vec<_> = sealed.collect().await;
        assert!(matches!(items.last(), Some(Err(Error::Io { .. }))), "{items:?}");
        assert_eq!(items.len(), 2, "the header and the error");
    }

    #[tokio::test]
    async fn attack_09_a_cut_body_never_looks_complete() {
        let (keyring, plaintext) = (keyring(), payload(3 * FRAME));
        let sealed = seal_in_pieces(&plaintext, &keyring, 1000).await;
        let cut = pieces(&sealed[..sealed.len() - FRAME - TAG], 1000);
        let reader = into_async_read(open_body(cut, None, keyring, Context::default()));
        let mut out = Vec::new();
        let mut reader = std::pin::pin!(reader);
        let err = reader.read_to_end(&mut out).await.unwrap_err();
        assert_eq!((err.kind(), out.len()), (ErrorKind::UnexpectedEof, FRAME));
        for _ in 0..3 {
            assert!(reader.read(&mut [0; 10]).await.is_err(), "it ends as if it were whole");
        }
    }

    /// A key service that answers later.
    #[derive(Debug)]
    struct Slow(Kek);

    impl KeyProvider for Slow {
        fn is_for(&self, recipient: &Recipient) -> bool {
            self.0.is_for(recipient)
        }

        fn wrap<'a>(
            &'a self,
            dek: &'a Dek,
            binding: Binding<'a>,
        ) -> BoxFuture<'a, Result<Recipient, WrapError>> {
            Box::pin(async move {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                self.0.wrap(dek, binding).await
            })
        }

        fn unwrap<'a>(
            &'a self,
            recipient: &'a Recipient,
            binding: Binding<'a>,
        ) -> BoxFuture<'a, Result<Option<Dek>, UnwrapError>> {
            Box::pin(async move {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                self.0.unwrap(recipient, binding).await
            })
        }
    }

    #[tokio::test]
    async fn a_key_service_may_take_its_time_and_the_caller_may_leave() {
        let mut keyring = Keyring::default();
        keyring.push(Slow(Kek::generate("slow/1", &SystemRandom).unwrap()));
        let plaintext = payload(FRAME + 1);
        let sealed = seal_in_pieces(&plaintext, &keyring, 100).await;
        let open = || open_body(pieces(&sealed, 100), None, keyring.clone(), Context::default());
        assert!(open().try_collect::<Vec<_>>().await.unwrap().concat() == plaintext);
        let left = tokio::time::timeout(std::time::Duration::from_millis(1), open().boxed().next()).await;
        assert!(left.is_err(), "it was to be left while it waits for the key");
    }

    /// Nothing runs ahead of whoever asks: a frame is read when it is wanted.
    #[tokio::test]
    async fn nothing_is_read_before_it_is_wanted() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};
        let keyring = keyring();
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = taken.clone();
        let endless = stream::repeat_with(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(Bytes::from(vec![0; FRAME]))
        });
        let sealed = seal_body(endless.boxed(), &keyring, options(), &SystemRandom).await.unwrap();
        let mut sealed = std::pin::pin!(sealed);
        sealed.next().await.unwrap().unwrap();
        assert_eq!(taken.load(Ordering::Relaxed), 0, "only the header was asked for");
        for frames in 1..5 {
            sealed.next().await.unwrap().unwrap();
            assert_eq!(taken.load(Ordering::Relaxed), frames + 1, "a full frame waits for what follows");
        }
    }
}
