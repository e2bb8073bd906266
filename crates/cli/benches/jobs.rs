//! Jobs per second of a worker on one machine, against the RSA operations that they need and nothing else.
//!
//! `TMPDIR=/dev/shm cargo bench -p waxwing-cli --bench jobs`: 4,000 files of 4 KiB, RSA-2048, the ledger in SQLite. `waxwing serve` runs on
//! the same processors. On a disk it is the disk that is measured, which every output and every group of moves waits for.

#[path = "../tests/support.rs"]
mod support;

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use support::{Place, Running};
use waxwing_formats::base64::Reading;
use waxwing_formats::record::Record;
use waxwing_formats::scheme::Scheme;
use waxwing_keyring::{Key, RecordKeys};
use waxwing_testkit::{keys, payload};

const FILES: usize = 4000;
const FILE_LEN: usize = 4096;
const ROUNDS: usize = 5;
/// RSA operations on each processor in a round.
const OPERATIONS: usize = 1500;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let (bare, (delivered, worked)) = (bare_rsa(processors), jobs());
        let ratio = worked / bare;
        println!(
            "bare RSA-2048 {bare:.0}/s; deliver {delivered:.0} jobs/s, worker {worked:.0} jobs/s: {ratio:.2}"
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("worker / bare RSA: {:.2} ({:.2}–{:.2})", ratios[ROUNDS / 2], ratios[0], ratios[ROUNDS - 1]);
}

/// Unwraps per second, on all processors at once.
fn bare_rsa(processors: usize) -> f64 {
    let place = Place::new();
    place.write("in", [7; FILE_LEN]);
    place.run(&["seal", "--format", "record", "-r", "k.pub", "--record", "r.json", "-o", "body", "in"]).ok();
    let fields = serde_json::from_slice(&place.read("r.json")).expect("a record is JSON");
    let (record, _) = Record::from_map(fields, Reading::Strict).expect("it was just written");
    let key = Key::read(keys::RSA_2048_PKCS8.as_bytes(), None).expect("a key");
    let keys = RecordKeys::new([Arc::new(key.into_rsa_private().expect("of RSA"))]);
    let unwrap = || {
        let key = keys.locate(&record).expect("it is for this key");
        for _ in 0..OPERATIONS {
            key.unwrap(&record, Scheme::DEFAULT).expect("it opens");
        }
    };
    let started = Instant::now();
    std::thread::scope(|scope| (0..processors).for_each(|_| drop(scope.spawn(unwrap))));
    (OPERATIONS * processors) as f64 / started.elapsed().as_secs_f64()
}

/// Jobs per second, of the provider and of the worker.
fn jobs() -> (f64, f64) {
    let place = Place::new();
    place.run(&["agent", "register", "acme", "-k", "k.pub"]).ok();
    fs::create_dir(place.path("in")).expect("the folder is new");
    for n in 0..FILES {
        place.write(&format!("in/f{n}.csv"), payload(FILE_LEN));
    }
    let _server = Running::serve(&place);
    let rate = |arguments: &[&str]| {
        let started = Instant::now();
        place.run(arguments).ok();
        FILES as f64 / started.elapsed().as_secs_f64()
    };
    let delivered = rate(&["deliver", "in", "--to", "acme", "--name-ids", "--quiet"]);
    let worked = rate(&["worker", "--drain", "-k", "k", "--output", "out", "--quiet"]);
    assert_eq!(place.names("out").len(), FILES + 1, "and the folder for what nothing proves");
    (delivered, worked)
}
