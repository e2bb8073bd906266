use super::*;
use crate::failure::DownloadFailure;
use proptest::prelude::*;
use std::time::Duration;

const START: UnixMillis = UnixMillis::new(1_700_000_000_000);

fn policy() -> Policy {
    Policy { attempts_max: 3, ..Policy::default() }
}

fn after(secs: u64) -> UnixMillis {
    START.plus(Duration::from_secs(secs))
}

fn agent() -> Agent {
    Agent::new("acme".parse().unwrap(), "00ff17ab".parse().unwrap(), "PEM".into(), None, START).unwrap()
}

fn record(extra: &str) -> JobRecord {
    serde_json::from_str(&format!(r#"{{"PresignedURL":"https://h/x?sig=CANARY","FileID":"q3"{extra}}}"#))
        .unwrap()
}

fn job() -> Job {
    Job::new("j1".parse().unwrap(), &agent(), record(""), START).unwrap()
}

fn claim(worker: &str) -> Event {
    Event::Claim { worker: worker.parse().unwrap() }
}

fn receipt() -> Receipt {
    Receipt { output: "q3.csv".into(), plaintext_bytes: 3, sha256: [7; 32] }
}

/// A job after `events`, each at its second.
fn job_after(events: &[(u64, Event)]) -> Job {
    let mut job = job();
    for (at, event) in events {
        job.apply(event.clone(), after(*at), &policy()).unwrap();
    }
    job
}

/// Asserts that `job` refuses `event` with `error`, unchanged.
#[track_caller]
fn assert_refuses(job: &Job, at: u64, event: Event, error: &JobError) {
    let mut tried = job.clone();
    assert_eq!(tried.apply(event, after(at), &policy()).as_ref(), Err(error));
    assert_eq!(&tried, job);
}

#[test]
fn a_disabled_agent_gets_no_job() {
    let mut agent = agent();
    agent.apply(crate::AgentEvent::Disable, START).unwrap();
    let refused = Job::new("j1".parse().unwrap(), &agent, record(""), START).unwrap_err();
    assert_eq!(refused, JobError::Agent { agent: agent.id().clone(), source: AgentError::Disabled });
}

/// Attack row 19: a record sealed for a replaced key passes during the overlap only.
#[test]
fn row_19_a_record_must_be_for_a_key_that_opens() {
    let mut agent = agent();
    let new = |agent: &Agent, key: &str, at| {
        Job::new("j1".parse().unwrap(), agent, record(&format!(r#","KeyId":"{key}""#)), after(at))
    };
    assert!(new(&agent, "00ff17ab", 0).is_ok());
    assert!(matches!(new(&agent, "00ff17ac", 0), Err(JobError::Key { .. })));
    let overlap = Duration::from_secs(10);
    let rotation =
        crate::AgentEvent::Rotate { key_id: "00ff17ac".parse().unwrap(), pem: "PEM".into(), overlap };
    agent.apply(rotation, START).unwrap();
    assert!(new(&agent, "00ff17ab", 9).is_ok());
    assert!(new(&agent, "00ff17ac", 9).is_ok());
    assert!(matches!(new(&agent, "00ff17ab", 10), Err(JobError::Key { .. })));
}

#[test]
fn a_claim_counts_and_holds_for_the_lease() {
    let job = job_after(&[(1, claim("w1"))]);
    assert_eq!((job.status(), job.attempts(), job.fence()), (Status::Leased, 1, Fence(1)));
    assert_eq!(job.due_at(), Some(after(61)));
    assert_refuses(&job, 60, claim("w2"), &JobError::NotDue { until: after(61) });
    let job = job_after(&[(1, claim("w1")), (61, claim("w2"))]);
    assert_eq!((job.attempts(), job.fence()), (2, Fence(2)));
}

/// Attack row 18: a zombie's writes change nothing.
#[test]
fn row_18_an_old_fence_is_lease_lost() {
    let job = job_after(&[(1, claim("w1")), (61, claim("w2"))]);
    for event in [
        Event::Heartbeat(Fence(1)),
        Event::Finish(Fence(1), receipt()),
        Event::Fail(Fence(1), FailureClass::Rejected),
        Event::Retry(Fence(1), RetryCause::Worker),
        Event::Release(Fence(1)),
        Event::Finish(Fence(3), receipt()),
    ] {
        assert_refuses(&job, 62, event, &JobError::LeaseLost);
    }
}

#[test]
fn a_released_lease_is_lost_too() {
    let job = job_after(&[(1, claim("w1")), (2, Event::Release(Fence(1)))]);
    assert_eq!((job.status(), job.attempts(), job.due_at()), (Status::Pending, 0, Some(after(2))));
    assert_refuses(&job, 3, Event::Finish(Fence(1), receipt()), &JobError::LeaseLost);
    let again = job_after(&[(1, claim("w1")), (2, Event::Release(Fence(1))), (2, claim("w1"))]);
    assert_eq!(again.fence(), Fence(2), "the fence grows though the attempt was given back");
}

#[test]
fn a_heartbeat_extends_and_never_shortens() {
    let job = job_after(&[(10, claim("w1")), (30, Event::Heartbeat(Fence(1)))]);
    assert_eq!(job.due_at(), Some(after(90)));
    let job =
        job_after(&[(10, claim("w1")), (30, Event::Heartbeat(Fence(1))), (0, Event::Heartbeat(Fence(1)))]);
    assert_eq!((job.due_at(), job.updated()), (Some(after(90)), after(30)), "the clock was set back");
}

#[test]
fn the_last_holder_may_finish_late_if_nobody_claimed() {
    let job = job_after(&[(0, claim("w1")), (1000, Event::Finish(Fence(1), receipt()))]);
    assert_eq!((job.status(), job.finished()), (Status::Done, Some(after(1000))));
}

#[test]
fn settling_twice_is_harmless_and_settling_otherwise_is_refused() {
    let finish = Event::Finish(Fence(1), receipt());
    let done = job_after(&[(0, claim("w1")), (1, finish.clone())]);
    assert_eq!(job_after(&[(0, claim("w1")), (1, finish.clone()), (2, finish)]), done);
    let other = Receipt { plaintext_bytes: 4, ..receipt() };
    assert_refuses(&done, 2, Event::Finish(Fence(1), other), &JobError::LeaseLost);
    assert_refuses(&done, 2, Event::Fail(Fence(1), FailureClass::Rejected), &JobError::LeaseLost);
    assert_refuses(&done, 2, claim("w2"), &JobError::Settled);
    assert_refuses(&done, 2, Event::Expire, &JobError::Settled);
}

#[test]
fn a_retry_waits_longer_each_time_until_none_is_left() {
    let cause = RetryCause::Download(DownloadFailure::Status(503));
    let mut events = vec![(0, claim("w1")), (0, Event::Retry(Fence(1), cause))];
    assert_eq!(job_after(&events).state(), &State::Pending { not_before: after(5) });
    assert_refuses(&job_after(&events), 4, claim("w1"), &JobError::NotDue { until: after(5) });
    events.extend([(5, claim("w1")), (5, Event::Retry(Fence(2), cause))]);
    assert_eq!(job_after(&events).state(), &State::Pending { not_before: after(15) });
    events.extend([(15, claim("w1")), (15, Event::Retry(Fence(3), cause))]);
    assert_eq!(job_after(&events).state(), &State::Failed { failure: FailureClass::Attempts });
}

/// Attack row 18: a job that kills its workers ends.
#[test]
fn row_18_crashes_count_as_attempts() {
    let events = [(0, claim("w1")), (60, claim("w2")), (120, claim("w3"))];
    let job = job_after(&events);
    assert_refuses(&job, 180, claim("w1"), &JobError::Exhausted { attempts: 3 });
    let mut job = job;
    job.apply(Event::Expire, after(180), &policy()).unwrap();
    assert_eq!(job.state(), &State::Failed { failure: FailureClass::Attempts });
}

#[test]
fn an_expired_lease_is_pending_again() {
    let job = job_after(&[(0, claim("w1")), (60, Event::Expire)]);
    assert_eq!((job.status(), job.attempts()), (Status::Pending, 1));
    assert_refuses(&job, 61, Event::Finish(Fence(1), receipt()), &JobError::LeaseLost);
    assert_refuses(
        &job_after(&[(0, claim("w1"))]),
        59,
        Event::Expire,
        &JobError::NotDue { until: after(60) },
    );
}

#[test]
fn history_tells_what_happened() {
    let job = job_after(&[
        (0, claim("w1")),
        (60, claim("w2")),
        (61, Event::Heartbeat(Fence(2))),
        (62, Event::Fail(Fence(2), FailureClass::Rejected)),
    ]);
    let told: Vec<_> =
        job.history().iter().map(|e| (e.what, e.worker.as_ref().map(|w| w.as_str()), e.attempt)).collect();
    assert_eq!(
        told,
        [
            (Happened::Submitted, None, 0),
            (Happened::Claimed, Some("w1"), 1),
            (Happened::Expired, Some("w1"), 1),
            (Happened::Claimed, Some("w2"), 2),
            (Happened::Failed(FailureClass::Rejected), Some("w2"), 2),
        ]
    );
}

/// Attack row 15: a pre-signed URL is a bearer secret.
#[test]
fn row_15_debug_shows_no_url() {
    let shown = format!("{:?}", job());
    assert!(shown.contains("j1") && !shown.contains("CANARY"), "{shown}");
}

fn any_event() -> impl Strategy<Value = Event> {
    let fence = (0..6_u64).prop_map(Fence);
    let failure = prop_oneof![
        Just(FailureClass::Rejected),
        Just(FailureClass::Policy),
        (400..600_u16).prop_map(|status| FailureClass::Download(DownloadFailure::Status(status))),
    ];
    let cause =
        prop_oneof![Just(RetryCause::Worker), Just(RetryCause::Download(DownloadFailure::Interrupted)),];
    prop_oneof![
        4 => "w[1-3]".prop_map(|w| claim(&w)),
        1 => fence.clone().prop_map(Event::Heartbeat),
        1 => fence.clone().prop_map(|f| Event::Finish(f, receipt())),
        1 => (fence.clone(), failure).prop_map(|(f, class)| Event::Fail(f, class)),
        2 => (fence.clone(), cause).prop_map(|(f, cause)| Event::Retry(f, cause)),
        2 => fence.prop_map(Event::Release),
        1 => Just(Event::Expire),
        1 => "https://h/[a-z]{4}".prop_map(|url| Event::Renew(NewUrl::new(url).unwrap())),
    ]
}

#[test]
fn an_unsettled_job_takes_a_new_url_from_anybody() {
    let renew = || Event::Renew(NewUrl::new("https://h/new?sig=CANARY").unwrap());
    assert!(!format!("{:?}", renew()).contains("CANARY"));
    let mut job = job();
    job.apply(claim("w1"), START, &policy()).unwrap();
    let (fence, due) = (job.fence(), job.due_at());
    job.apply(renew(), after(1), &policy()).unwrap();
    assert_eq!((job.fence(), job.due_at()), (fence, due), "its holder keeps it");
    assert_eq!(job.record().presigned_url(), "https://h/new?sig=CANARY");
    assert_eq!(job.history().last().unwrap().what, Happened::Renewed);
    job.apply(Event::Finish(fence, receipt()), after(2), &policy()).unwrap();
    assert_eq!(job.apply(renew(), after(3), &policy()), Err(JobError::Settled));
}

proptest! {
    /// Whatever happens, in whatever order, under whatever clock.
    #[test]
    fn laws_of_every_move(events in prop::collection::vec((0..400_u64, any_event()), 0..60)) {
        let mut job = job();
        for (at, event) in events {
            let before = job.clone();
            let holder = match &event {
                Event::Heartbeat(f) | Event::Finish(f, _) | Event::Fail(f, _) | Event::Retry(f, _) | Event::Release(f) => Some(*f),
                Event::Claim { .. } | Event::Renew(_) | Event::Expire => None,
            };
            match job.apply(event, after(at), &policy()) {
                Err(_) => prop_assert_eq!(&job, &before, "a refusal changes nothing"),
                Ok(()) => prop_assert!(holder.is_none_or(|f| f == before.fence()), "only the last claimer writes"),
            }
            prop_assert!(job.fence() >= before.fence() && job.updated() >= before.updated());
            prop_assert!(job.attempts() <= policy().attempts_max);
            prop_assert!(job.history().len() <= HISTORY_MAX);
            if before.due_at().is_none() {
                prop_assert_eq!(&job, &before, "a settled job never changes");
            }
            if job.status() == Status::Leased && before.status() != Status::Leased {
                prop_assert!(job.fence() > before.fence(), "every claim has a fence of its own");
            }
            let stored = serde_json::to_string(&job).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Job>(&stored).unwrap(), &job);
        }
    }
}
