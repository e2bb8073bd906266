//! One suite for every ledger.

#[path = "support/suite.rs"]
mod suite;
mod support;

use std::time::Duration;
use support::{Ledger, START, after, agent, job, policy, receipt};
use waxwing_delivery::{
    AgentError, AgentEvent, FailureClass, Fence, JobFilter, JobView, LedgerError, MemoryLedger, RetryCause,
    SqliteLedger,
};

/// A place for a ledger's file that lives as long as the test.
fn sqlite(dir: &tempfile::TempDir) -> SqliteLedger {
    let path = dir.path().join(format!("ledger-{}", dir.path().read_dir().unwrap().count()));
    SqliteLedger::open(&path, policy()).unwrap()
}

#[test]
fn memory_conforms() {
    suite::run(|| Box::new(MemoryLedger::new(policy())));
    keeps_the_order_of_fields(&MemoryLedger::new(policy()));
    keeps_agents_and_their_history(&MemoryLedger::new(policy()));
}

#[test]
fn sqlite_conforms() {
    let dir = tempfile::tempdir().unwrap();
    suite::run(|| Box::new(sqlite(&dir)));
    keeps_the_order_of_fields(&sqlite(&dir));
    keeps_agents_and_their_history(&sqlite(&dir));
}

fn keeps_the_order_of_fields(ledger: &dyn Ledger) {
    let job = job("a", START);
    ledger.submit(&job).unwrap();
    let kept = ledger.job(job.id()).unwrap().unwrap();
    let order: Vec<_> = kept.record().fields().keys().collect();
    assert_eq!(order, ["Zebra", "PresignedURL", "FileID", "Apple"]);
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
