//! One suite for every ledger. A new ledger joins by one line in `ledgers!`.

mod support;

use std::time::Duration;
use support::{Ledger, START, after, agent, job, policy, receipt};
use waxwing_delivery::{
    AgentError, AgentEvent, FailureClass, Fence, JobError, JobFilter, JobView, LeaseToken, LedgerError,
    MemoryLedger, RetryCause, SqliteLedger, State, Status,
};

macro_rules! ledgers {
    ($($backend:ident: $open:expr;)*) => { $(
        mod $backend {
            ledgers!(@tests $open;
                keeps_a_job_as_it_was, never_overwrites_a_job, claims_oldest_due_first, counts_a_lost_lease,
                refuses_a_zombie, settles_exhausted_jobs_on_the_way, claims_a_named_job, says_when_the_next_is_due,
                lists_newest_first, a_refusal_changes_nothing, keeps_agents_and_their_history,
            );
        }
    )* };
    (@tests $open:expr; $($test:ident,)*) => { $(
        #[test]
        fn $test() {
            let dir = tempfile::tempdir().unwrap();
            let open: fn(&std::path::Path) -> Box<dyn super::Ledger> = $open;
            super::$test(&*open(dir.path()));
        }
    )* };
}

ledgers! {
    memory: |_| Box::new(super::MemoryLedger::new(super::policy()));
    sqlite: |dir| Box::new(super::SqliteLedger::open(&dir.join("ledger"), super::policy()).unwrap());
}

fn submit(ledger: &dyn Ledger, ids: &[&str]) {
    for id in ids {
        ledger.submit(&job(id, START)).unwrap();
    }
}

/// The id of the job claimed by `worker` at second `at`.
fn claim(ledger: &dyn Ledger, worker: &str, at: u64) -> Option<String> {
    ledger.claim(&worker.parse().unwrap(), after(at)).unwrap().map(|job| job.id().to_string())
}

fn token(job: &str, fence: u64) -> LeaseToken {
    LeaseToken { job: job.parse().unwrap(), fence: Fence(fence) }
}

fn status(ledger: &dyn Ledger, id: &str) -> Status {
    ledger.job(&id.parse().unwrap()).unwrap().unwrap().status()
}

fn keeps_a_job_as_it_was(ledger: &dyn Ledger) {
    let job = job("a", START);
    ledger.submit(&job).unwrap();
    let kept = ledger.job(job.id()).unwrap().unwrap();
    assert_eq!(kept, job);
    let order: Vec<_> = kept.record().fields().keys().collect();
    assert_eq!(order, ["Zebra", "PresignedURL", "FileID", "Apple"]);
    assert_eq!(ledger.job(&"b".parse().unwrap()).unwrap(), None);
}

fn never_overwrites_a_job(ledger: &dyn Ledger) {
    submit(ledger, &["a"]);
    claim(ledger, "w1", 0);
    assert!(matches!(ledger.submit(&job("a", START)), Err(LedgerError::JobExists(_))));
    assert_eq!(status(ledger, "a"), Status::Leased);
}

fn claims_oldest_due_first(ledger: &dyn Ledger) {
    submit(ledger, &["b", "a", "c"]);
    assert_eq!(claim(ledger, "w1", 0).as_deref(), Some("b"));
    assert_eq!(claim(ledger, "w2", 0).as_deref(), Some("a"));
    ledger.retry(&token("b", 1), RetryCause::Worker, after(1)).unwrap();
    assert_eq!(claim(ledger, "w1", 2).as_deref(), Some("c"), "b is older, but not due");
    assert_eq!(claim(ledger, "w1", 2), None);
    assert_eq!(claim(ledger, "w1", 6).as_deref(), Some("b"));
}

fn counts_a_lost_lease(ledger: &dyn Ledger) {
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
fn refuses_a_zombie(ledger: &dyn Ledger) {
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

fn settles_exhausted_jobs_on_the_way(ledger: &dyn Ledger) {
    submit(ledger, &["a", "b", "c"]);
    for round in 0..3 {
        for id in ["a", "b"] {
            assert_eq!(claim(ledger, "w1", round * 60).as_deref(), Some(id));
        }
    }
    assert_eq!(claim(ledger, "w1", 180).as_deref(), Some("c"));
    for id in ["a", "b"] {
        let job = ledger.job(&id.parse().unwrap()).unwrap().unwrap();
        assert_eq!(job.state(), &State::Failed { failure: FailureClass::Attempts });
    }
}

fn claims_a_named_job(ledger: &dyn Ledger) {
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

fn says_when_the_next_is_due(ledger: &dyn Ledger) {
    assert_eq!(ledger.next_due().unwrap(), None);
    submit(ledger, &["a", "b"]);
    assert_eq!(ledger.next_due().unwrap(), Some(START));
    claim(ledger, "w1", 0);
    claim(ledger, "w1", 3);
    assert_eq!(ledger.next_due().unwrap(), Some(after(60)));
    ledger.finish(&token("a", 1), receipt(), after(4)).unwrap();
    assert_eq!(ledger.next_due().unwrap(), Some(after(63)));
    ledger.fail(&token("b", 1), FailureClass::Policy, after(4)).unwrap();
    assert_eq!(ledger.next_due().unwrap(), None);
}

fn lists_newest_first(ledger: &dyn Ledger) {
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

fn a_refusal_changes_nothing(ledger: &dyn Ledger) {
    submit(ledger, &["a"]);
    claim(ledger, "w1", 0);
    let before = ledger.job(&"a".parse().unwrap()).unwrap();
    let refused = ledger.finish(&token("a", 7), receipt(), after(1)).unwrap_err();
    assert!(matches!(refused, LedgerError::Job { source: JobError::LeaseLost, .. }));
    assert_eq!(ledger.job(&"a".parse().unwrap()).unwrap(), before);
    assert!(matches!(ledger.finish(&token("x", 1), receipt(), START), Err(LedgerError::NoSuchJob(_))));
}

fn keeps_agents_and_their_history(ledger: &dyn Ledger) {
    for id in ["beta", "acme"] {
        ledger.register(&agent(id)).unwrap();
    }
    let acme = "acme".parse().unwrap();
    assert!(matches!(ledger.register(&agent("acme")), Err(LedgerError::AgentExists(_))));
    let overlap = Duration::from_secs(5);
    let rotation = AgentEvent::Rotate { key_id: "00ff17ac".parse().unwrap(), pem: "NEW".into(), overlap };
    ledger.change(&acme, rotation.clone(), after(1)).unwrap();
    ledger.change(&acme, AgentEvent::Disable, after(2)).unwrap();
    let refused = ledger.change(&acme, rotation.clone(), after(3)).unwrap_err();
    assert!(matches!(refused, LedgerError::Agent { source: AgentError::KeyKnown(_), .. }));
    let kept = ledger.agent(&acme).unwrap().unwrap();
    assert_eq!(kept.keys().iter().map(|key| key.pem.as_str()).collect::<Vec<_>>(), ["PEM", "NEW"]);
    assert_eq!((kept.is_enabled(), kept.updated()), (false, after(2)));
    assert_eq!(
        ledger.agents().unwrap().iter().map(|a| a.id().as_str()).collect::<Vec<_>>(),
        ["acme", "beta"]
    );
    let nobody = ledger.change(&"x".parse().unwrap(), rotation, START);
    assert!(matches!(nobody, Err(LedgerError::NoSuchAgent(_))));
}

/// The two ledgers agree on any course of events, so the conformance of one vouches for the other.
mod model {
    use super::*;
    use proptest::prelude::*;
    use waxwing_delivery::{Event, JobLedger};

    #[derive(Debug, Clone)]
    enum Call {
        Submit(u8),
        Claim(u8),
        ClaimJob(u8, u8),
        Apply(u8, Event),
    }

    fn any_call() -> impl Strategy<Value = Call> {
        let fence = || (1..4_u64).prop_map(Fence);
        let event = prop_oneof![
            fence().prop_map(Event::Heartbeat),
            fence().prop_map(|f| Event::Finish(f, receipt())),
            fence().prop_map(|f| Event::Fail(f, FailureClass::Rejected)),
            fence().prop_map(|f| Event::Retry(f, RetryCause::Worker)),
            fence().prop_map(Event::Release),
            Just(Event::Expire),
        ];
        prop_oneof![
            2 => (0..4_u8).prop_map(Call::Submit),
            4 => (0..3_u8).prop_map(Call::Claim),
            1 => (0..4_u8, 0..3_u8).prop_map(|(job, worker)| Call::ClaimJob(job, worker)),
            3 => (0..4_u8, event).prop_map(|(job, event)| Call::Apply(job, event)),
        ]
    }

    /// What came of `call`, errors included, in comparable form.
    fn make(ledger: &dyn JobLedger, call: &Call, at: u64) -> String {
        let now = after(at);
        let job_id = |n: &u8| format!("j{n}").parse().unwrap();
        let worker = |n: &u8| format!("w{n}").parse().unwrap();
        match call {
            Call::Submit(n) => format!("{:?}", ledger.submit(&job(&format!("j{n}"), now))),
            Call::Claim(w) => format!("{:?}", ledger.claim(&worker(w), now)),
            Call::ClaimJob(n, w) => format!("{:?}", ledger.claim_job(&job_id(n), &worker(w), now)),
            Call::Apply(n, event) => format!("{:?}", ledger.apply(&job_id(n), event.clone(), now)),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn sqlite_behaves_as_memory_does(calls in prop::collection::vec((0..40_u64, any_call()), 1..40)) {
            let dir = tempfile::tempdir().unwrap();
            let sqlite = SqliteLedger::open(&dir.path().join("ledger"), policy()).unwrap();
            let memory = MemoryLedger::new(policy());
            let mut at = 0;
            for (pause, call) in calls {
                at += pause;
                prop_assert_eq!(make(&sqlite, &call, at), make(&memory, &call, at));
                prop_assert_eq!(sqlite.next_due().unwrap(), memory.next_due().unwrap());
            }
            let all = JobFilter::default();
            prop_assert_eq!(sqlite.list(&all).unwrap(), memory.list(&all).unwrap());
        }
    }
}

/// What commands print: the exact names, and no secret in a list.
mod view {
    use super::*;
    use serde_json::{Value, json};
    use waxwing_delivery::{Event, Job, JobRecord};

    fn shown(view: &JobView) -> Value {
        serde_json::to_value(view).unwrap()
    }

    #[test]
    fn a_summary_is_flat_and_holds_no_secret() {
        let mut job = job("a", START);
        job.apply(Event::Claim { worker: "w1".parse().unwrap() }, after(1), &policy()).unwrap();
        job.apply(Event::Finish(Fence(1), receipt()), after(2), &policy()).unwrap();
        let expected = json!({
            "JobID": "a", "AgentID": "acme", "FileID": "file-a", "Status": "done", "Attempts": 1,
            "Output": "q3.csv", "PlaintextBytes": 3, "PlaintextSHA256": "07".repeat(32),
            "CreatedAt": "2023-11-14T22:13:20Z", "UpdatedAt": "2023-11-14T22:13:22Z",
            "FinishedAt": "2023-11-14T22:13:22Z",
        });
        assert_eq!(shown(&JobView::summary(&job)), expected);
        assert_eq!(format!("{:?}", JobView::full(&job)), r#"JobView(Some(String("a")), ..)"#);
    }

    #[test]
    fn a_failure_says_its_class_and_no_more() {
        let mut job = job("a", START);
        job.apply(Event::Claim { worker: "w1".parse().unwrap() }, after(1), &policy()).unwrap();
        assert_eq!(shown(&JobView::summary(&job))["LeaseUntil"], "2023-11-14T22:14:21Z");
        job.apply(Event::Fail(Fence(1), FailureClass::Rejected), after(2), &policy()).unwrap();
        let view = shown(&JobView::full(&job));
        assert_eq!((&view["Class"], &view["Message"]), (&json!("rejected"), &json!("Rejected")));
        assert_eq!(
            view["History"][2],
            json!({"At": "2023-11-14T22:13:22Z", "Event": "failed", "Attempt": 1, "Worker": "w1", "Message": "Rejected"})
        );
    }

    #[test]
    fn a_sender_cannot_write_a_status() {
        let record =
            r#"{"PresignedURL":"u","FileID":"f","Status":"done","Output":"x","EncryptedAESKey":"k"}"#;
        let record: JobRecord = serde_json::from_str(record).unwrap();
        let job = Job::new("a".parse().unwrap(), &agent("acme"), record, START).unwrap();
        let view = shown(&JobView::full(&job));
        assert_eq!(view["Status"], "pending");
        assert_eq!(view.get("Output"), None);
        assert_eq!((&view["EncryptedAESKey"], &view["PresignedURL"]), (&json!("k"), &json!("u")));
    }
}
