//! Attack row 18, on a real file: many claimers at once, and a process killed between claim and finish.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use support::{START, after, job, policy, receipt};
use waxwing_delivery::{JobFilter, JobLedger, SqliteLedger, Status};

const CLAIMERS: usize = 16;
const JOBS: usize = 40;
/// Making a file is a race of a few milliseconds; this many find a fault in it nearly always.
const OPENINGS: usize = 10;
/// Tells the child process which ledger to work on.
const LEDGER: &str = "WAXWING_TEST_LEDGER";

fn open(path: &Path) -> SqliteLedger {
    SqliteLedger::open(path, policy()).unwrap()
}

/// Runs `each` for every claimer at once; a panic in one is a panic here.
fn at_once<T: Send, R: Send>(claimers: Vec<T>, each: impl Fn(usize, T) -> R + Sync) -> Vec<R> {
    let (start, each) = (&Barrier::new(claimers.len()), &each);
    std::thread::scope(|scope| {
        let run = |(n, claimer)| {
            scope.spawn(move || {
                start.wait();
                each(n, claimer)
            })
        };
        let running: Vec<_> = claimers.into_iter().enumerate().map(run).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Each opens the file for itself, as a process of its own would.
#[test]
fn a_new_ledger_can_be_opened_by_all_at_once() {
    for _ in 0..OPENINGS {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        at_once(vec![(); CLAIMERS], |n, ()| open(&path).submit(&job(&format!("j{n}"), START)).unwrap());
        assert_eq!(open(&path).list(&JobFilter::default()).unwrap().len(), CLAIMERS);
    }
}

#[test]
fn row_18_every_job_has_one_winner() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let ledger = open(&path);
    for n in 0..JOBS {
        ledger.submit(&job(&format!("j{n}"), START)).unwrap();
    }
    let claimers: Vec<_> = (0..CLAIMERS).map(|_| open(&path)).collect();
    let won = at_once(claimers, |n, ledger| {
        let worker = format!("w{n}").parse().unwrap();
        let mut won = Vec::new();
        while let Some(job) = ledger.claim(&worker, START).unwrap() {
            ledger.finish(&job.token(), receipt(), START).unwrap();
            won.push(job.id().clone());
        }
        won
    });
    let mut won = won.concat();
    won.sort();
    assert_eq!(won.len(), JOBS);
    won.dedup();
    assert_eq!(won.len(), JOBS, "a job was claimed twice");
    let done = ledger.list(&JobFilter { status: Some(Status::Done), ..JobFilter::default() }).unwrap();
    assert_eq!(done.len(), JOBS);
    assert!(done.iter().all(|job| job.attempts() == 1));
}

/// A worker is killed while it holds a job; when its lease is over another finishes.
#[test]
fn row_18_a_killed_worker_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let ledger = open(&path);
    ledger.submit(&job("a", START)).unwrap();

    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_worker_that_is_killed", "--ignored", "--nocapture"])
        .env(LEDGER, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let claimed = said.find(|line| line.contains("claimed"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(claimed.is_some(), "the child claimed nothing");

    let rescuer = "rescuer".parse().unwrap();
    let zombie = ledger.job(&"a".parse().unwrap()).unwrap().unwrap().token();
    assert!(ledger.claim(&rescuer, after(59)).unwrap().is_none(), "the lease still runs");
    let job = ledger.claim(&rescuer, after(60)).unwrap().unwrap();
    assert!(ledger.finish(&zombie, receipt(), after(61)).unwrap_err().is_lease_lost());
    let job = ledger.finish(&job.token(), receipt(), after(61)).unwrap();
    assert_eq!((job.status(), job.attempts()), (Status::Done, 2));
}

#[test]
#[ignore = "the child process of `row_18_a_killed_worker_loses_nothing`"]
fn the_worker_that_is_killed() {
    let Some(path) = std::env::var_os(LEDGER) else { return };
    let job = open(Path::new(&path)).claim(&"victim".parse().unwrap(), START).unwrap().unwrap();
    println!("claimed {}", job.id());
    // Until killed; or until the parent is gone and stdin ends, so that no child is left behind.
    std::io::stdin().lines().for_each(drop);
}
