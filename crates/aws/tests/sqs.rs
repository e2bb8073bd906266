//! Messages that point to jobs, on moto and on LocalStack. The services' time is real and short; the ledger's is an argument.

#[path = "../../delivery/tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use support::{START, after, job, receipt};
use waxwing_aws::sqs::{SqsJobs, announce};
use waxwing_aws::{AwsCredentials, AwsCredentialsProvider, AwsOptions};
use waxwing_delivery::worker::{Heard, JobSource, Notice};
use waxwing_delivery::{
    Event, Job, JobFilter, JobId, JobLedger, LedgerError, MemoryLedger, Policy, RetryCause, Status,
    UnixMillis, WorkerId,
};
use waxwing_testkit::server::{self, Server};

/// A lease, and the pause after a failed attempt.
const LEASE: Duration = Duration::from_secs(2);
/// How long a service may take to do what it says, on two busy cores.
const PATIENCE: Duration = Duration::from_secs(60);

fn options(server: &Server) -> AwsOptions {
    let credentials = AwsCredentials::new("test", "testsecret", None, None, "tests");
    AwsOptions {
        endpoint: Some(server.url()),
        region: Some("us-east-1".to_owned()),
        credentials: Some(AwsCredentialsProvider::new(credentials)),
        ..AwsOptions::default()
    }
}

/// A queue as somebody else's program sees it.
struct Queue {
    client: Client,
    url: String,
    runtime: tokio::runtime::Runtime,
}

impl Queue {
    fn new(server: &Server, name: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let credentials = AwsCredentials::new("test", "testsecret", None, None, "tests");
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("us-east-1"))
            .endpoint_url(server.url())
            .credentials_provider(credentials);
        let client = Client::new(&runtime.block_on(config.load()));
        let made = runtime.block_on(client.create_queue().queue_name(name).send()).unwrap();
        Self { client, url: made.queue_url.unwrap(), runtime }
    }

    /// Has messages go to `dead` that were received `max` times.
    fn redrive(&self, dead: &Self, max: u32) {
        let arn = dead.attribute(QueueAttributeName::QueueArn);
        let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"{max}"}}"#);
        let set = self.client.set_queue_attributes().queue_url(&self.url);
        self.runtime.block_on(set.attributes(QueueAttributeName::RedrivePolicy, policy).send()).unwrap();
    }

    fn attribute(&self, name: QueueAttributeName) -> String {
        let get = self.client.get_queue_attributes().queue_url(&self.url).attribute_names(name.clone());
        let got = self.runtime.block_on(get.send()).unwrap();
        got.attributes.unwrap()[&name].clone()
    }

    /// How many messages can be received, and how many are hidden.
    fn counts(&self) -> (u32, u32) {
        let count = |name| self.attribute(name).parse().unwrap();
        (
            count(QueueAttributeName::ApproximateNumberOfMessages),
            count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        )
    }

    fn send(&self, body: &str) {
        let send = self.client.send_message().queue_url(&self.url).message_body(body);
        self.runtime.block_on(send.send()).unwrap();
    }

    /// The bodies of all messages, in order, each taken out.
    fn take_all(&self) -> Vec<String> {
        let mut bodies = Vec::new();
        loop {
            let receive = self.client.receive_message().queue_url(&self.url).visibility_timeout(60);
            let got = self.runtime.block_on(receive.max_number_of_messages(10).send()).unwrap();
            let Some(messages) = got.messages.filter(|messages| !messages.is_empty()) else { break };
            bodies.extend(messages.into_iter().filter_map(|message| message.body));
        }
        bodies.sort();
        bodies
    }
}

/// A queue and a ledger, with workers that hear of jobs from the one and claim them in the other.
struct Scene<'a> {
    server: &'a Server,
    queue: Queue,
    ledger: Arc<dyn JobLedger>,
}

impl<'a> Scene<'a> {
    fn new(server: &'a Server, name: &str) -> Self {
        let policy = Policy {
            lease: LEASE,
            attempts_max: 3,
            backoff_base: LEASE,
            backoff_max: Duration::from_secs(9),
        };
        Self { server, queue: Queue::new(server, name), ledger: Arc::new(MemoryLedger::new(policy)) }
    }

    fn source(&self) -> SqsJobs {
        SqsJobs::new(&self.queue.url, Arc::clone(&self.ledger), LEASE, options(self.server))
    }

    /// Puts a job and tells the queue of it.
    fn put(&self, id: &str) -> JobId {
        let job = job(id, START);
        self.ledger.submit(&job).unwrap();
        self.announce(job.id());
        job.id().clone()
    }

    fn announce(&self, id: &JobId) {
        announce(&self.queue.url, id, &options(self.server)).unwrap();
    }

    fn finish(&self, (job, notice): Claimed, now: UnixMillis) {
        let done = self.ledger.finish(&job.token(), receipt(), now).unwrap();
        notice.answer(&done, now);
    }
}

type Claimed = (Job, Box<dyn Notice>);

fn worker(name: &str) -> WorkerId {
    name.parse().unwrap()
}

/// What one question brings.
fn ask(source: &SqsJobs, name: &str, now: UnixMillis) -> Option<Claimed> {
    match source.claim(&worker(name), now, 8).unwrap() {
        Heard::Jobs(jobs) => {
            let [(job, Some(notice))] = <[_; 1]>::try_from(jobs).unwrap() else { panic!("no message") };
            Some((job, notice))
        }
        // A queue never says that there will be nothing.
        Heard::Nothing { next_due } => {
            assert!(next_due.is_some());
            None
        }
    }
}

/// Asks until there is a job.
fn claim(source: &SqsJobs, name: &str, now: UnixMillis) -> Claimed {
    let started = Instant::now();
    loop {
        if let Some(claimed) = ask(source, name, now) {
            return claimed;
        }
        assert!(started.elapsed() < PATIENCE, "no job is heard of");
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn an_announced_job_is_claimed_and_its_message_goes(server: &Server) {
    let scene = Scene::new(server, "announced");
    let id = scene.put("one");
    assert_eq!(scene.queue.counts(), (1, 0));
    let claimed = claim(&scene.source(), "w1", after(1));
    assert_eq!((claimed.0.id(), claimed.0.attempts()), (&id, 1));
    assert_eq!(scene.queue.counts(), (0, 1), "hidden while the lease lasts");
    scene.finish(claimed, after(2));
    assert_eq!(scene.queue.counts(), (0, 0));
}

fn a_duplicate_and_a_late_message_change_nothing(server: &Server) {
    let scene = Scene::new(server, "duplicates");
    let id = scene.put("one");
    scene.announce(&id);
    scene.queue.send(&format!(" {id}\n"));
    let source = scene.source();
    let claimed = claim(&source, "w1", after(1));
    assert!(ask(&source, "w1", after(1)).is_none(), "not even for its holder");
    scene.finish(claimed, after(2));
    // Those that are left find a settled job, and go.
    let started = Instant::now();
    while scene.queue.counts() != (0, 0) {
        assert!(ask(&source, "w2", after(3)).is_none());
        assert!(started.elapsed() < PATIENCE, "{:?}", scene.queue.counts());
    }
    assert_eq!(scene.ledger.job(&id).unwrap().unwrap().attempts(), 1);
}

fn a_job_of_another_worker_comes_back_when_the_lease_ends(server: &Server) {
    let scene = Scene::new(server, "held");
    let id = scene.put("one");
    let source = scene.source();
    scene.ledger.claim(&worker("w1"), after(0)).unwrap().unwrap();
    // Long enough to tell it from the time that a message is hidden when it is received.
    scene
        .ledger
        .apply(&id, Event::Release(scene.ledger.job(&id).unwrap().unwrap().fence()), after(0))
        .unwrap();
    scene.ledger.claim(&worker("w1"), after(4)).unwrap().unwrap();
    let asked = Instant::now();
    assert!(ask(&source, "w2", after(0)).is_none());
    assert_eq!(scene.queue.counts(), (0, 1));
    let (job, _) = claim(&source, "w2", after(7));
    // From 0 to the end of w1's lease at 6, in seconds that are rounded up.
    assert!(asked.elapsed() > Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(job.id(), &id);
}

fn a_job_that_is_not_due_comes_when_it_is(server: &Server) {
    let scene = Scene::new(server, "later");
    let id = scene.put("one");
    let source = scene.source();
    let (job, notice) = claim(&source, "w1", after(0));
    let waiting = scene.ledger.retry(&job.token(), RetryCause::Worker, after(10)).unwrap();
    assert_eq!(waiting.due_at(), Some(after(12)));
    // As by a worker whose clock is four seconds behind.
    notice.answer(&waiting, after(6));
    let hidden = Instant::now();
    let (job, _) = claim(&source, "w1", after(12));
    assert!(hidden.elapsed() > Duration::from_secs(5), "{:?}", hidden.elapsed());
    assert_eq!((job.id(), job.attempts()), (&id, 2));
}

fn what_names_no_job_ends_in_the_dead_letters(server: &Server) {
    let scene = Scene::new(server, "redriven");
    let dead = Queue::new(server, "dead");
    scene.queue.redrive(&dead, 2);
    let bad = ["../../x", "unknown", r#"{"JobID":7}"#];
    for body in bad {
        scene.queue.send(body);
    }
    let id = scene.put("good");
    let source = scene.source();
    let claimed = claim(&source, "w1", after(1));
    assert_eq!(claimed.0.id(), &id, "the others do not stop it");
    scene.finish(claimed, after(2));
    let started = Instant::now();
    while dead.counts().0 < 3 {
        assert!(ask(&source, "w1", after(3)).is_none());
        assert!(started.elapsed() < PATIENCE, "{:?} {:?}", scene.queue.counts(), dead.counts());
    }
    assert_eq!(scene.queue.counts(), (0, 0));
    let mut bad: Vec<String> = bad.map(str::to_owned).into();
    bad.sort();
    assert_eq!(dead.take_all(), bad);
}

fn a_lease_that_is_renewed_keeps_the_message_hidden(server: &Server) {
    let scene = Scene::new(server, "renewed");
    scene.put("one");
    let source = scene.source();
    let (job, notice) = claim(&source, "w1", after(0));
    let hidden = Instant::now();
    let renewals = 4;
    for renewal in 1..=renewals {
        std::thread::sleep(LEASE / 2);
        scene.ledger.heartbeat(&job.token(), after(renewal)).unwrap();
        notice.hide(LEASE);
        assert_eq!(scene.queue.counts(), (0, 1), "after {:?}", hidden.elapsed());
    }
    // The last renewal ends as the first would have.
    until("it stays hidden", || scene.queue.counts() == (1, 0));
    assert!(hidden.elapsed() >= LEASE / 2 * u32::try_from(renewals).unwrap() + LEASE / 2);
}

fn a_killed_worker_s_job_is_done_once_by_another(server: &Server) {
    let scene = Scene::new(server, "killed");
    let id = scene.put("one");
    let (lost, _) = claim(&scene.source(), "w1", after(0));
    let again = claim(&scene.source(), "w2", after(3));
    assert_eq!((again.0.id(), again.0.attempts()), (&id, 2));
    let late = scene.ledger.finish(&lost.token(), receipt(), after(4)).unwrap_err();
    assert!(late.is_lease_lost(), "{late}");
    scene.finish(again, after(4));
    assert_eq!(scene.queue.counts(), (0, 0));
    assert_eq!(scene.ledger.job(&id).unwrap().unwrap().status(), Status::Done);
}

type Scenario = fn(&Server);
const SCENARIOS: [(&str, Scenario); 7] = [
    ("announced", an_announced_job_is_claimed_and_its_message_goes),
    ("duplicates", a_duplicate_and_a_late_message_change_nothing),
    ("held", a_job_of_another_worker_comes_back_when_the_lease_ends),
    ("later", a_job_that_is_not_due_comes_when_it_is),
    ("redriven", what_names_no_job_ends_in_the_dead_letters),
    ("renewed", a_lease_that_is_renewed_keeps_the_message_hidden),
    ("killed", a_killed_worker_s_job_is_done_once_by_another),
];

/// Each waits for real seconds, so that they do it side by side.
fn all_on(server: &Server) {
    std::thread::scope(|scope| {
        let running = SCENARIOS.map(|(name, scenario)| (name, scope.spawn(move || scenario(server))));
        for (name, ended) in running {
            assert!(ended.join().is_ok(), "{name}");
        }
    });
}

#[test]
fn messages_wake_and_bring_back_and_decide_nothing_on_moto() {
    let Some(moto) = server::moto() else { return };
    all_on(&moto);
}

#[test]
fn messages_wake_and_bring_back_and_decide_nothing_on_localstack() {
    let Some(localstack) = server::localstack("sqs") else { return };
    all_on(&localstack);
}

#[test]
fn a_message_that_cannot_be_hidden_or_deleted_is_no_error() {
    let Some(mut moto) = server::moto() else { return };
    let scene = Scene::new(&moto, "gone");
    let id = scene.put("one");
    let aws = AwsOptions { retries_max: 0, call_time_max: Duration::from_secs(5), ..options(&moto) };
    let source = SqsJobs::new(&scene.queue.url, Arc::clone(&scene.ledger), LEASE, aws.clone());
    let (job, notice) = claim(&source, "w1", after(0));
    let (url, ledger) = (scene.queue.url.clone(), Arc::clone(&scene.ledger));
    moto.kill();
    notice.hide(LEASE);
    let done = ledger.finish(&job.token(), receipt(), after(1)).unwrap();
    notice.answer(&done, after(1));
    // Only who asks for jobs, or tells of one, is told.
    let asked = source.claim(&worker("w1"), after(2), 1);
    assert!(matches!(asked, Err(LedgerError::Storage { .. })), "{asked:?}");
    assert!(announce(&url, &id, &aws).is_err());
}

/// A ledger that has something wrong with every job.
#[derive(Debug)]
struct Ailing(fn() -> LedgerError);

impl JobLedger for Ailing {
    fn submit(&self, _: &Job) -> Result<(), LedgerError> {
        Err(self.0())
    }
    fn job(&self, _: &JobId) -> Result<Option<Job>, LedgerError> {
        Err(self.0())
    }
    fn list(&self, _: &JobFilter) -> Result<Vec<Job>, LedgerError> {
        Err(self.0())
    }
    fn claim(&self, _: &WorkerId, _: UnixMillis) -> Result<Option<Job>, LedgerError> {
        Err(self.0())
    }
    fn apply(&self, _: &JobId, _: Event, _: UnixMillis) -> Result<Job, LedgerError> {
        Err(self.0())
    }
    fn next_due(&self) -> Result<Option<UnixMillis>, LedgerError> {
        Err(self.0())
    }
}

/// Else whoever can put one item that is no job ends every worker.
#[test]
fn a_message_of_a_damaged_job_goes_to_the_dead_letters_and_stops_nobody() {
    let Some(moto) = server::moto() else { return };
    let (queue, dead) = (Queue::new(&moto, "jobs"), Queue::new(&moto, "dead"));
    queue.redrive(&dead, 2);
    queue.send("one");
    let damaged = || LedgerError::Damaged {
        what: "job",
        id: "one".to_owned(),
        source: serde_json::from_str::<u8>("x").unwrap_err(),
    };
    let source = SqsJobs::new(&queue.url, Arc::new(Ailing(damaged)), LEASE, options(&moto));
    let started = Instant::now();
    while dead.counts().0 < 1 {
        assert!(ask(&source, "w1", after(1)).is_none());
        assert!(started.elapsed() < PATIENCE);
    }
}

/// Else the workers bring every message to the dead letters while a ledger fails for a minute.
#[test]
fn a_message_stays_hidden_for_a_lease_when_the_ledger_fails() {
    let Some(moto) = server::moto() else { return };
    let queue = Queue::new(&moto, "jobs");
    queue.send("one");
    let failing = || LedgerError::Storage { doing: "change a job", source: "it is down".into() };
    let source = SqsJobs::new(&queue.url, Arc::new(Ailing(failing)), LEASE, options(&moto));
    let asked = source.claim(&worker("w1"), after(1), 1);
    assert!(matches!(asked, Err(LedgerError::Storage { .. })), "{asked:?}");
    assert_eq!(queue.counts(), (0, 1));
    until("it comes again", || queue.counts() == (1, 0));
}
