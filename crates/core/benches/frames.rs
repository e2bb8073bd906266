//! Frames in memory: ours against bare aws-lc-rs at the same size, and two threads against one.
//!
//! `cargo xtask bench` runs this in rounds and reads what criterion writes, so the names of groups and functions are known
//! in `xtask/src/bench/in_memory.rs` too.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use waxwing_core::SystemRandom;
use waxwing_core::envelope::{Draft, SealOptions};
use waxwing_core::frames::{FrameKey, Place, TAG_LEN};
use waxwing_formats::envelope::{FrameLen, Kind, Recipient};

fn one_thread(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frames");
    group.throughput(Throughput::Bytes(frame_len() as u64));
    let (ours, bare) = (frame_key(), bare_key());
    group.bench_function("seal", |bencher| {
        let (mut frame, mut index) = (vec![7; frame_len() + TAG_LEN], 0);
        bencher.iter(|| ours.seal(next(&mut index), black_box(&mut frame)));
    });
    group.bench_function("bare seal", |bencher| {
        let (mut frame, mut index) = (vec![7; frame_len()], 0);
        bencher.iter(|| {
            bare.seal_in_place_separate_tag(nonce(&mut index), Aad::empty(), black_box(&mut frame)).unwrap()
        });
    });
    group.bench_function("open", |bencher| {
        let mut sealed = vec![7; frame_len() + TAG_LEN];
        let place = Place { index: 0, last: false };
        ours.seal(place, &mut sealed);
        bencher.iter_custom(|iters| {
            open_copies(iters, &sealed, |frame| ours.open(place, frame).map(drop).unwrap())
        });
    });
    group.bench_function("bare open", |bencher| {
        let mut sealed = vec![7; frame_len()];
        let tag = bare.seal_in_place_separate_tag(nonce(&mut 0), Aad::empty(), &mut sealed).unwrap();
        sealed.extend(tag.as_ref());
        bencher.iter_custom(|iters| {
            open_copies(iters, &sealed, |frame| {
                bare.open_in_place(nonce(&mut 0), Aad::empty(), frame).unwrap();
            })
        });
    });
    group.finish();
}

fn two_threads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("threads");
    group.throughput(Throughput::Bytes(frame_len() as u64));
    let key = frame_key();
    for (name, threads) in [("one thread", 1), ("two threads", 2)] {
        group.bench_function(name, |bencher| bencher.iter_custom(|iters| seal_shared(&key, iters, threads)));
    }
    group.finish();
}

/// How long `threads` threads take for `iters` frames in all, each sealing every second one where they are two.
fn seal_shared(key: &FrameKey, iters: u64, threads: u64) -> Duration {
    let mut buffers: Vec<Vec<u8>> = (0..threads).map(|_| vec![7; frame_len() + TAG_LEN]).collect();
    let start = Instant::now();
    thread::scope(|scope| {
        for (frame, first) in buffers.iter_mut().zip(0..) {
            scope.spawn(move || {
                let mut index = first;
                while index < iters {
                    key.seal(Place { index, last: false }, black_box(frame));
                    index += threads;
                }
            });
        }
    });
    start.elapsed()
}

/// How long `open` takes, each time on a fresh copy of `sealed`: opening in place leaves nothing to open again. Making the
/// copy does not count.
fn open_copies(iters: u64, sealed: &[u8], open: impl Fn(&mut [u8])) -> Duration {
    let mut frame = sealed.to_vec();
    let mut spent = Duration::ZERO;
    for _ in 0..iters {
        frame.copy_from_slice(sealed);
        let start = Instant::now();
        open(black_box(&mut frame));
        spent += start.elapsed();
    }
    spent
}

fn next(index: &mut u64) -> Place {
    *index += 1;
    Place { index: *index, last: false }
}

/// A nonce for bare aws-lc-rs, as cheap to make as a frame's.
fn nonce(index: &mut u64) -> Nonce {
    *index += 1;
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&index.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// A frame key as an envelope has it: there is no other way to one.
fn frame_key() -> FrameKey {
    let draft = Draft::new(SealOptions::default(), &SystemRandom).unwrap();
    let nobody = Recipient { kind: Kind::new(Kind::AES_256).unwrap(), key_id: vec![0], wrapped: vec![0] };
    draft.seal_header(&[nobody]).unwrap().1
}

fn bare_key() -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap())
}

fn frame_len() -> usize {
    FrameLen::DEFAULT.bytes()
}

criterion_group!(benches, one_thread, two_threads);
criterion_main!(benches);
