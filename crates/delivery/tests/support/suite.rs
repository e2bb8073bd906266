//! What every ledger of jobs does. Other crates' ledgers run it too.
#![allow(dead_code, reason = "each test binary uses its part")]

use waxwing_delivery::{
    FailureClass, Fence, JobError, JobFilter, JobLedger, LeaseToken, LedgerError, RetryCause, State, Status,
    UnixMillis,
};

use crate::support::{START, after, job, receipt};

type Test = fn(&dyn JobLedger);

/// Runs every test, each on an empty ledger that `open` makes.
pub(crate) fn run(open: impl Fn() -> Box<dyn JobLedger>) {
    let tests: &[(&str, Test)] = &[
        ("keeps_a_job_as_it_was", keeps_a_job_as_it_was),
        ("never_overwrites_a_job", never_overwrites_a_job),
        ("claims_oldest_due_first", claims_oldest_due_first),
        ("claims_many_at_once", claims_many_at_once),
        ("counts_a_lost_lease", counts_a_lost_lease),
        ("refuses_a_zombie", refuses_a_zombie),
        ("settles_exhausted_jobs_on_the_way", settles_exhausted_jobs_on_the_way),
        ("claims_a_named_job", claims_a_named_job),
        ("says_when_the_next_is_due", says_when_the_next_is_due),
        ("lists_newest_first", lists_newest_first),
        ("a_refusal_changes_nothing", a_refusal_changes_nothing),
    ];
    for (name, test) in tests {
        println!("{name}");
        test(&*open());
    }
}

/// Submits jobs, each a millisecond younger than the one before, the last at the start.
pub(crate) fn submit(ledger: &dyn JobLedger, ids: &[&str]) {
    let mut made = Vec::new();
    for (n, id) in ids.iter().rev().enumerate() {
        let created = UnixMillis::new(START.as_millis() - n as u64);
        made.push(job(id, created));
    }
    for job in made.iter().rev() {
        ledger.submit(job).unwrap();
    }
}

/// The id of the job claimed by `worker` at second `at`.
pub(crate) fn claim(ledger: &dyn JobLedger, worker: &str, at: u64) -> Option<String> {
    ledger.claim(&worker.parse().unwrap(), after(at)).unwrap().map(|job| job.id().to_string())
}

pub(crate) fn token(job: &str, fence: u64) -> LeaseToken {
    LeaseToken { job: job.parse().unwrap(), fence: Fence(fence) }
}

pub(crate) fn status(ledger: &dyn JobLedger, id: &str) -> Status {
    ledger.job(&id.parse().unwrap()).unwrap().unwrap().status()
}

pub(crate) fn keeps_a_job_as_it_was(ledger: &dyn JobLedger) {
    let job = job("a", START);
    ledger.submit(&job).unwrap();
    let kept = ledger.job(job.id()).unwrap().unwrap();
    assert_eq!(kept, job);
    assert_eq!(ledger.job(&"b".parse().unwrap()).unwrap(), None);
}

pub(crate) fn never_overwrites_a_job(ledger: &dyn JobLedger) {
    submit(ledger, &["a"]);
    claim(ledger, "w1", 0);
    assert!(matches!(ledger.submit(&job("a", after(1))), Err(LedgerError::JobExists(_))));
    assert_eq!(status(ledger, "a"), Status::Leased);
}

pub(crate) fn claims_oldest_due_first(ledger: &dyn JobLedger) {
    submit(ledger, &["b", "a", "c"]);
    assert_eq!(claim(ledger, "w1", 0).as_deref(), Some("b"));
    assert_eq!(claim(ledger, "w2", 0).as_deref(), Some("a"));
    ledger.retry(&token("b", 1), RetryCause::Worker, after(1)).unwrap();
    assert_eq!(claim(ledger, "w1", 2).as_deref(), Some("c"), "b is older, but not due");
    assert_eq!(claim(ledger, "w1", 2), None);
    assert_eq!(claim(ledger, "w1", 6).as_deref(), Some("b"));
}

pub(crate) fn claims_many_at_once(ledger: &dyn JobLedger) {
    submit(ledger, &["a", "b", "c", "d", "e"]);
    let claim_many = |worker: &str, at, max| -> Vec<String> {
        let claimed = ledger.claim_many(&worker.parse().unwrap(), after(at), max).unwrap();
        claimed.iter().map(|job| job.id().to_string()).collect()
    };
    assert_eq!(claim_many("w1", 0, 2), ["a", "b"]);
    assert_eq!(claim_many("w2", 1, 9), ["c", "d", "e"]);
    assert!(claim_many("w3", 2, 9).is_empty());
    ledger.finish(&token("a", 1), receipt(), after(3)).unwrap();
    assert_eq!(claim_many("w3", 60, 9), ["b"], "whose lease is over");
    assert!(ledger.finish(&token("b", 1), receipt(), after(61)).unwrap_err().is_lease_lost());
}

pub(crate) fn counts_a_lost_lease(ledger: &dyn JobLedger) {
    submit(ledger, &["a"]);
    claim(ledger, "w1", 0);
    assert_eq!(ledger.heartbeat(&token("a", 1), after(50)).unwrap(), after(110));
    assert_eq!(claim(ledger, "w2", 109), None);
    let job = ledger.claim(&"w2".parse().unwrap(), after(110)).unwrap().unwrap();
    assert_eq!((job.attempts(), job.token()), (2, token("a", 2)));
    let job = ledger.finish(&job.token(), receipt(), after(111)).unwrap();
    assert_eq!(job.state(), &State::Done { receipt: receipt() });
}

/// Attack row 18: the zombie learns that its lease is lost, and the ledger keeps the other's result.
pub(crate) fn refuses_a_zombie(ledger: &dyn JobLedger) {
    submit(ledger, &["a"]);
    claim(ledger, "w1", 0);
    claim(ledger, "w2", 60);
    let zombie = token("a", 1);
    for refused in [
        ledger.heartbeat(&zombie, after(61)).map(drop),
        ledger.finish(&zombie, receipt(), after(61)).map(drop),
        ledger.fail(&zombie, FailureClass::Rejected, after(61)).map(drop),
        ledger.retry(&zombie, RetryCause::Worker, after(61)).map(drop),
        ledger.release(&zombie, after(61)).map(drop),
    ] {
        assert!(refused.unwrap_err().is_lease_lost());
    }
    ledger.fail(&token("a", 2), FailureClass::Rejected, after(62)).unwrap();
    assert_eq!(status(ledger, "a"), Status::Failed);
}

pub(crate) fn settles_exhausted_jobs_on_the_way(ledger: &dyn JobLedger) {
    submit(ledger, &["a", "b"]);
    for round in 0..3 {
        for (n, id) in ["a", "b"].into_iter().enumerate() {
            assert_eq!(claim(ledger, "w1", round * 100 + n as u64).as_deref(), Some(id));
        }
    }
    submit(ledger, &["c"]);
    // Whether before or after the two that are due as well is the ledger's to choose.
    assert_eq!(claim(ledger, "w1", 300).as_deref(), Some("c"));
    assert_eq!(claim(ledger, "w1", 301), None);
    for id in ["a", "b"] {
        let job = ledger.job(&id.parse().unwrap()).unwrap().unwrap();
        assert_eq!(job.state(), &State::Failed { failure: FailureClass::Attempts });
    }
}

pub(crate) fn claims_a_named_job(ledger: &dyn JobLedger) {
    submit(ledger, &["a", "b"]);
    let (b, worker) = ("b".parse().unwrap(), "w1".parse().unwrap());
    let claim_b = |at| ledger.claim_job(&b, &worker, after(at)).unwrap().map(|job| job.attempts());
    assert_eq!(claim_b(0), Some(1));
    assert_eq!(claim_b(1), None);
    assert_eq!(claim_b(60), Some(2));
    assert_eq!(claim_b(120), Some(3));
    assert_eq!(claim_b(180), None);
    assert_eq!(status(ledger, "b"), Status::Failed);
    assert_eq!(status(ledger, "a"), Status::Pending);
    assert_eq!(claim_b(181), None);
    let nobody = ledger.claim_job(&"x".parse().unwrap(), &worker, START);
    assert!(matches!(nobody, Err(LedgerError::NoSuchJob(_))));
}

pub(crate) fn says_when_the_next_is_due(ledger: &dyn JobLedger) {
    assert_eq!(ledger.next_due().unwrap(), None);
    submit(ledger, &["a", "b"]);
    assert_eq!(ledger.next_due().unwrap(), Some(UnixMillis::new(START.as_millis() - 1)));
    claim(ledger, "w1", 0);
    claim(ledger, "w1", 3);
    assert_eq!(ledger.next_due().unwrap(), Some(after(60)));
    ledger.finish(&token("a", 1), receipt(), after(4)).unwrap();
    assert_eq!(ledger.next_due().unwrap(), Some(after(63)));
    ledger.fail(&token("b", 1), FailureClass::Policy, after(4)).unwrap();
    assert_eq!(ledger.next_due().unwrap(), None);
}

pub(crate) fn lists_newest_first(ledger: &dyn JobLedger) {
    submit(ledger, &["a", "b", "c"]);
    claim(ledger, "w1", 0);
    let ids = |filter: JobFilter| -> Vec<_> {
        ledger.list(&filter).unwrap().iter().map(|job| job.id().to_string()).collect()
    };
    assert_eq!(ids(JobFilter::default()), ["c", "b", "a"]);
    assert_eq!(ids(JobFilter { status: Some(Status::Pending), ..JobFilter::default() }), ["c", "b"]);
    assert_eq!(ids(JobFilter { status: Some(Status::Leased), ..JobFilter::default() }), ["a"]);
    assert_eq!(
        ids(JobFilter { agent: Some("acme".parse().unwrap()), limit: 1, ..JobFilter::default() }),
        ["c"]
    );
    assert_eq!(ids(JobFilter { agent: Some("other".parse().unwrap()), ..JobFilter::default() }), [""; 0]);
}

pub(crate) fn a_refusal_changes_nothing(ledger: &dyn JobLedger) {
    submit(ledger, &["a"]);
    claim(ledger, "w1", 0);
    let before = ledger.job(&"a".parse().unwrap()).unwrap();
    let refused = ledger.finish(&token("a", 7), receipt(), after(1)).unwrap_err();
    assert!(matches!(refused, LedgerError::Job { source: JobError::LeaseLost, .. }));
    assert_eq!(ledger.job(&"a".parse().unwrap()).unwrap(), before);
    assert!(matches!(ledger.finish(&token("x", 1), receipt(), START), Err(LedgerError::NoSuchJob(_))));
}
