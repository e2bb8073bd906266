//! The ledger in DynamoDB, on moto and on dynalite.

#[path = "../../delivery/tests/support/suite.rs"]
mod suite;
#[path = "../../delivery/tests/support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use support::{START, after, job, policy, receipt};
use waxwing_aws::{AwsCredentials, AwsCredentialsProvider, AwsOptions, DynamoDbLedger};
use waxwing_delivery::{Event, JobFilter, JobLedger, LedgerError, NewUrl, Status};
use waxwing_testkit::server::{self, Server};

const CLAIMERS: usize = 16;
const JOBS: usize = 40;

static TABLES: AtomicU32 = AtomicU32::new(0);

fn options(url: &str) -> AwsOptions {
    let credentials = AwsCredentials::new("test", "testsecret", None, None, "tests");
    AwsOptions {
        endpoint: Some(url.to_owned()),
        region: Some("us-east-1".to_owned()),
        credentials: Some(AwsCredentialsProvider::new(credentials)),
        ..AwsOptions::default()
    }
}

fn ledger(url: &str, table: &str) -> DynamoDbLedger {
    DynamoDbLedger::new(table, "stranger".parse().unwrap(), policy(), options(url))
}

/// A ledger in a table of its own, and the table's name.
fn new_ledger(server: &Server) -> (DynamoDbLedger, String) {
    let table = format!("jobs-{}", TABLES.fetch_add(1, Ordering::Relaxed));
    let ledger = ledger(&server.url(), &table);
    ledger.create_table().unwrap();
    (ledger, table)
}

/// The table as somebody else's program sees it.
struct Foreign {
    client: Client,
    table: String,
    runtime: tokio::runtime::Runtime,
}

impl Foreign {
    fn new(url: &str, table: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let credentials = AwsCredentials::new("test", "testsecret", None, None, "tests");
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("us-east-1"))
            .endpoint_url(url)
            .credentials_provider(credentials);
        let client = Client::new(&runtime.block_on(config.load()));
        Self { client, table: table.to_owned(), runtime }
    }

    fn put(&self, fields: &[(&str, &str)]) {
        let mut put = self.client.put_item().table_name(&self.table);
        for (name, text) in fields {
            put = put.item(*name, AttributeValue::S((*text).to_owned()));
        }
        self.runtime.block_on(put.send()).unwrap();
    }

    fn set(&self, id: &str, name: &str, text: &str) {
        let update =
            self.client.update_item().table_name(&self.table).key("JobID", AttributeValue::S(id.into()));
        let update = update.update_expression("SET #n = :v").expression_attribute_names("#n", name);
        let update = update.expression_attribute_values(":v", AttributeValue::S(text.into()));
        self.runtime.block_on(update.send()).unwrap();
    }

    fn get(&self, id: &str) -> HashMap<String, AttributeValue> {
        let get = self.client.get_item().table_name(&self.table).key("JobID", AttributeValue::S(id.into()));
        self.runtime.block_on(get.consistent_read(true).send()).unwrap().item.unwrap()
    }
}

fn text(item: &HashMap<String, AttributeValue>, name: &str) -> String {
    item[name].as_s().unwrap().clone()
}

fn conforms(server: &Server) {
    suite::run(|| Box::new(new_ledger(server).0));
}

fn every_job_has_one_winner(server: &Server) {
    let (ledger, table) = new_ledger(server);
    for n in 0..JOBS {
        ledger.submit(&job(&format!("j{n}"), START)).unwrap();
    }
    let start = Barrier::new(CLAIMERS);
    let url = server.url();
    let mut won: Vec<String> = std::thread::scope(|scope| {
        let claimers: Vec<_> = (0..CLAIMERS)
            .map(|n| {
                let (start, ledger) = (&start, self::ledger(&url, &table));
                scope.spawn(move || {
                    let worker = format!("w{n}").parse().unwrap();
                    let mut won = Vec::new();
                    start.wait();
                    // What was taken under one's nose is no reason to go home.
                    while ledger.next_due().unwrap().is_some_and(|due| due <= after(1)) {
                        won.extend(ledger.claim(&worker, after(1)).unwrap().map(|job| job.id().to_string()));
                    }
                    won
                })
            })
            .collect();
        claimers.into_iter().flat_map(|claimer| claimer.join().unwrap()).collect()
    });
    won.sort();
    let mut all: Vec<String> = (0..JOBS).map(|n| format!("j{n}")).collect();
    all.sort();
    assert_eq!(won, all);
    let jobs = ledger.list(&JobFilter::default()).unwrap();
    assert!(jobs.iter().all(|job| job.attempts() == 1 && job.status() == Status::Leased));
}

#[test]
fn it_conforms_on_moto() {
    let Some(moto) = server::moto() else { return };
    conforms(&moto);
}

#[test]
fn it_conforms_on_dynalite() {
    let Some(dynalite) = server::dynalite() else { return };
    conforms(&dynalite);
}

/// Not on moto: of two updates at once under one condition it makes both.
#[test]
fn attack_18_every_job_has_one_winner() {
    let Some(dynalite) = server::dynalite() else { return };
    every_job_has_one_winner(&dynalite);
}

#[test]
fn attack_18_a_claim_outlives_a_killed_server() {
    let Some(mut dynalite) = server::dynalite() else { return };
    let (ledger, _) = new_ledger(&dynalite);
    ledger.submit(&job("a", START)).unwrap();
    let claimed = ledger.claim(&"w1".parse().unwrap(), after(0)).unwrap().unwrap();
    dynalite.restart();
    assert_eq!(ledger.claim(&"w2".parse().unwrap(), after(1)).unwrap(), None, "it is w1's");
    assert_eq!(ledger.finish(&claimed.token(), receipt(), after(2)).unwrap().status(), Status::Done);
    assert_eq!(ledger.next_due().unwrap(), None);
}

/// A provider of another make writes the four fields that it knows, and reads `Status`.
#[test]
fn a_job_that_somebody_else_put_is_worked_on() {
    let Some(moto) = server::moto() else { return };
    let (ledger, table) = new_ledger(&moto);
    let foreign = Foreign::new(&moto.url(), &table);
    for id in ["good", "bad"] {
        foreign.put(&[
            ("JobID", id),
            ("PresignedURL", "https://h/x"),
            ("EncryptedAESKey", "AAAA"),
            ("EncodedAESIV", "AAAA"),
            ("FileID", "q3"),
            ("Customer", "kept"),
        ]);
    }
    let worker = "w1".parse().unwrap();
    let good = ledger.claim_job(&"good".parse().unwrap(), &worker, after(0)).unwrap().unwrap();
    assert_eq!((good.agent().as_str(), good.record().file_id().as_str()), ("stranger", "q3"));
    assert_eq!(text(&foreign.get("good"), "Status"), "leased");
    // Meanwhile its provider signs anew and notes something: neither is lost.
    foreign.set("good", "PresignedURL", "https://h/new");
    foreign.set("good", "Note", "hurry");
    ledger.heartbeat(&good.token(), after(1)).unwrap();
    ledger.finish(&good.token(), receipt(), after(2)).unwrap();
    let item = foreign.get("good");
    for (name, expected) in [
        ("Status", "done"),
        ("Output", "q3.csv"),
        ("PresignedURL", "https://h/new"),
        ("Customer", "kept"),
        ("Note", "hurry"),
    ] {
        assert_eq!(text(&item, name), expected, "{name}");
    }
    let bad = ledger.claim_job(&"bad".parse().unwrap(), &worker, after(0)).unwrap().unwrap();
    ledger.fail(&bad.token(), waxwing_delivery::FailureClass::Rejected, after(1)).unwrap();
    assert_eq!(text(&foreign.get("bad"), "Status"), "failed");
    // An operator has it done again.
    foreign.set("bad", "Status", "pending");
    assert!(ledger.claim_job(&"bad".parse().unwrap(), &worker, after(2)).unwrap().is_some());
}

/// A consumer of another make sets `Status`, and knows nothing of the index.
#[test]
fn a_job_that_somebody_else_settled_is_not_waited_for() {
    let Some(moto) = server::moto() else { return };
    let (ledger, table) = new_ledger(&moto);
    let foreign = Foreign::new(&moto.url(), &table);
    for (id, status) in [("a", "done"), ("b", "failed")] {
        ledger.submit(&job(id, START)).unwrap();
        foreign.set(id, "Status", status);
    }
    assert!(ledger.next_due().unwrap().is_some(), "nobody has looked");
    assert_eq!(ledger.claim(&"w1".parse().unwrap(), after(0)).unwrap(), None);
    assert_eq!(ledger.next_due().unwrap(), None);
    assert_eq!(["a", "b"].map(|id| text(&foreign.get(id), "Status")), ["done", "failed"]);
}

#[test]
fn a_new_url_is_written_and_seen() {
    let Some(moto) = server::moto() else { return };
    let (ledger, table) = new_ledger(&moto);
    ledger.submit(&job("a", START)).unwrap();
    let renewed = Event::Renew(NewUrl::new("https://h/new?sig=1").unwrap());
    ledger.apply(&"a".parse().unwrap(), renewed, after(1)).unwrap();
    assert_eq!(text(&Foreign::new(&moto.url(), &table).get("a"), "PresignedURL"), "https://h/new?sig=1");
}

/// One item that nobody can read does not keep the others waiting.
#[test]
fn attack_13_malformed_items_stop_nobody() {
    let Some(moto) = server::moto() else { return };
    let (ledger, table) = new_ledger(&moto);
    let foreign = Foreign::new(&moto.url(), &table);
    // More of them than a claim reads at once.
    let bad: Vec<String> = (0..20).map(|n| format!("bad{n}")).collect();
    for id in &bad {
        ledger.submit(&job(id, START)).unwrap();
        foreign.set(id, "FileID", "../../etc/passwd");
    }
    ledger.submit(&job("good", after(1))).unwrap();
    let claimed = ledger.claim(&"w1".parse().unwrap(), after(2)).unwrap().unwrap();
    assert_eq!(claimed.id().as_str(), "good");
    assert!(matches!(ledger.job(&bad[0].parse().unwrap()), Err(LedgerError::Damaged { .. })));
    assert_eq!(ledger.list(&JobFilter::default()).unwrap().len(), 1);
}

#[test]
fn what_is_wrong_is_said() {
    let Some(moto) = server::moto() else { return };
    let error = |ledger: DynamoDbLedger| {
        let err = ledger.next_due().unwrap_err();
        format!("{err}: {}", std::error::Error::source(&err).unwrap())
    };
    let lacking = error(ledger(&moto.url(), "no-such-table"));
    assert!(
        lacking.starts_with(
            "the ledger could not look for a job: there is no such table, or it has no index `due`"
        ),
        "{lacking}"
    );
    let away = format!("http://{}", std::net::SocketAddr::from(([127, 0, 0, 1], server::free_port())));
    let mut options = options(&away);
    options.retries_max = 0;
    let ledger = DynamoDbLedger::new("jobs", "stranger".parse().unwrap(), policy(), options);
    let away = error(ledger);
    assert!(away.contains("the service cannot be reached"), "{away}");
}
