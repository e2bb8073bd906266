//! A job as an item of a table.
//!
//! | attribute | type | who reads it |
//! |---|---|---|
//! | `JobID` | S, the key | everybody |
//! | the record's fields, `PresignedURL` and `FileID` among them | as in JSON: S, N, BOOL, NULL, L, M | whoever opens the file |
//! | `Status`, `AgentID`, `CreatedAt` and all else of [`JobView::summary`] | S, N | people, and consumers that are not ours |
//! | `State` | M | this ledger: status and particulars |
//! | `Attempts`, `Fence`, `Created`, `Updated` | N; the last two milliseconds since 1970 | this ledger |
//! | `History` | L of M | this ledger |
//! | `Revision` | N, one more with every write | this ledger: nobody writes over what another wrote |
//! | `Queue`, `DueAt` | S, always [`QUEUE`], and N, milliseconds since 1970; absent once settled | the index [`INDEX`] |
//!
//! An item that somebody else put has the record's fields alone, and perhaps `Status`. It is a job all the same. Whoever else
//! writes `Status` is believed: `done` and `failed` settle a job, `pending` starts it anew.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Number, Value, json};
use waxwing_delivery::{AgentId, Job, JobView, Status, UnixMillis};

/// The index in which jobs that are not settled are found by the time when they are due.
pub const INDEX: &str = "due";
/// What all jobs in the index have as their `Queue`.
pub const QUEUE: &str = "open";

pub(super) const KEY: &str = "JobID";
pub(super) const STATUS: &str = "Status";
pub(super) const REVISION: &str = "Revision";
pub(super) const DUE_AT: &str = "DueAt";
pub(super) const QUEUE_ATTRIBUTE: &str = "Queue";
const URL: &str = "PresignedURL";

/// What this ledger keeps of a job beside its record and its view.
const OWN: [&str; 8] =
    ["State", "Attempts", "Fence", "Created", "Updated", "History", QUEUE_ATTRIBUTE, DUE_AT];
/// What a view may have; what it has not is removed.
const VIEW: [&str; 15] = [
    "AgentID",
    STATUS,
    "Attempts",
    "NotBefore",
    "Worker",
    "LeaseUntil",
    "Output",
    "PlaintextBytes",
    "PlaintextSHA256",
    "Class",
    "Message",
    "CreatedAt",
    "UpdatedAt",
    "FinishedAt",
    "History",
];
/// How deep a record's values may nest.
const DEPTH_MAX: usize = 32;

pub(super) type Item = HashMap<String, AttributeValue>;

/// A job, and what must still hold when it is written back.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) job: Job,
    pub(super) seen: Seen,
}

/// What an item had when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) status: Option<String>,
    pub(super) revision: Option<u64>,
    url: Option<String>,
    /// This ledger wrote it last, all of it.
    is_whole: bool,
}

impl Seen {
    /// What the item has after [`changes`] to `job` were made to it.
    pub(super) fn after(&self, job: &Job) -> Self {
        Self {
            status: Some(job.status().word().to_owned()),
            revision: Some(self.revision.unwrap_or(0) + 1),
            url: Some(job.record().presigned_url().to_owned()),
            is_whole: true,
        }
    }
}

/// Reads an item. `stranger` is whom a job is for that does not say so.
pub(super) fn read(item: &Item, stranger: &AgentId) -> Result<Kept, serde_json::Error> {
    let mut fields = Map::new();
    for (name, value) in item {
        fields.insert(name.clone(), to_json(value, DEPTH_MAX)?);
    }
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let revision = fields.get(REVISION).and_then(Value::as_u64);
    let written = fields.get("State").map(|state| &state["status"]);
    let is_whole = revision.is_some() && written.is_some_and(|word| Some(word) == fields.get(STATUS));
    let seen = Seen { status: text(STATUS), revision, url: text(URL), is_whole };
    let record: Map<String, Value> = fields
        .iter()
        .filter(|(name, _)| !is_ours(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let or = |name: &str, default: Value| fields.get(name).cloned().unwrap_or(default);
    let due = or(DUE_AT, json!(0));
    let job = json!({
        "id": fields.get(KEY),
        "agent": or("AgentID", json!(stranger)),
        "record": record,
        "state": state(&fields, &due),
        "attempts": or("Attempts", json!(0)),
        "fence": or("Fence", json!(0)),
        "created": or("Created", json!(0)),
        "updated": or("Updated", json!(0)),
        "history": or("History", json!([])),
    });
    Ok(Kept { job: serde_json::from_value(job)?, seen })
}

/// The state that the ledger wrote, unless somebody else has written another status since.
fn state(fields: &Map<String, Value>, due: &Value) -> Value {
    let status = fields.get(STATUS).and_then(Value::as_str);
    if let Some(state) = fields.get("State")
        && state["status"].as_str() == status
    {
        return state.clone();
    }
    match status {
        Some("done") => json!({
            "status": "done",
            "receipt": { "output": "", "plaintext_bytes": 0, "sha256": "00".repeat(32) },
        }),
        Some("failed") => json!({ "status": "failed", "failure": { "class": "rejected" } }),
        // To be done again, or put by a provider of another make.
        Some("pending") | None => json!({ "status": "pending", "not_before": due }),
        // A word that is none of ours: not for us.
        Some(other) => json!({ "status": other }),
    }
}

/// The item of a job that is new.
pub(super) fn new_item(job: &Job) -> Item {
    let record = job.record().fields().iter().filter(|(name, _)| !is_ours(name));
    let mut item: Item = record.map(|(name, value)| (name.clone(), to_attribute(value))).collect();
    item.extend(attributes(job));
    item.insert(KEY.to_owned(), to_attribute(&json!(job.id())));
    item.insert(REVISION.to_owned(), to_attribute(&json!(1)));
    item
}

/// What is to be set and removed so that the item, of which `kept` was read, becomes that of `job`.
pub(super) fn changes(kept: &Kept, job: &Job) -> (Item, Vec<String>) {
    let Kept { job: before, seen } = kept;
    let mut set = attributes(job);
    let mut removed: Vec<String> = if seen.is_whole {
        let was = attributes(before);
        let removed = was.keys().filter(|name| !set.contains_key(*name)).cloned().collect();
        set.retain(|name, value| was.get(name) != Some(value));
        removed
    } else {
        // Whatever else somebody has written there.
        let may_be = VIEW.iter().chain([&QUEUE_ATTRIBUTE, &DUE_AT]);
        may_be.filter(|name| !set.contains_key(**name)).map(|name| (*name).to_owned()).collect()
    };
    removed.sort_unstable();
    set.insert(REVISION.to_owned(), to_attribute(&json!(seen.revision.unwrap_or(0) + 1)));
    let url = job.record().presigned_url();
    // A foreign provider may be exchanging it right now; only a change of ours is written.
    if seen.url.as_deref() != Some(url) {
        set.insert(URL.to_owned(), to_attribute(&json!(url)));
    }
    (set, removed)
}

/// What changes in a job's life, but for its revision and its URL.
fn attributes(job: &Job) -> Item {
    let stored = serde_json::to_value(job).expect("a job is JSON");
    let view = serde_json::to_value(JobView::summary(job)).expect("a view is JSON");
    let mut item = Item::new();
    let mut put = |name: &str, value: &Value| drop(item.insert(name.to_owned(), to_attribute(value)));
    for (name, value) in view.as_object().into_iter().flatten() {
        // The record's own, which nobody changes.
        if VIEW.contains(&name.as_str()) && !OWN.contains(&name.as_str()) {
            put(name, value);
        }
    }
    for (name, field) in [
        ("State", "state"),
        ("Attempts", "attempts"),
        ("Fence", "fence"),
        ("Created", "created"),
        ("Updated", "updated"),
        ("History", "history"),
    ] {
        put(name, &stored[field]);
    }
    if let Some(due) = job.due_at() {
        put(QUEUE_ATTRIBUTE, &json!(QUEUE));
        put(DUE_AT, &json!(due.as_millis()));
    }
    item
}

/// Whether an attribute is the ledger's, and no field of the record. A sender's field of such a name is lost, as a sender must
/// not be able to write a status.
fn is_ours(name: &str) -> bool {
    VIEW.contains(&name) || OWN.contains(&name) || name == KEY || name == REVISION
}

/// Whether `item` may be due, from what the index has of it.
pub(super) fn due_at(item: &Item) -> Option<UnixMillis> {
    let AttributeValue::N(number) = item.get(DUE_AT)? else { return None };
    number.parse().ok().map(UnixMillis::new)
}

pub(super) fn id(item: &Item) -> Option<&String> {
    item.get(KEY)?.as_s().ok()
}

/// The word of a status, as the table has it.
pub(super) fn word(status: Status) -> AttributeValue {
    AttributeValue::S(status.word().to_owned())
}

fn to_attribute(value: &Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(value) => AttributeValue::Bool(*value),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Array(values) => AttributeValue::L(values.iter().map(to_attribute).collect()),
        Value::Object(fields) => AttributeValue::M(
            fields.iter().map(|(name, value)| (name.clone(), to_attribute(value))).collect(),
        ),
    }
}

fn to_json(value: &AttributeValue, depth: usize) -> Result<Value, serde_json::Error> {
    use serde::de::Error as _;
    let deeper = depth.checked_sub(1).ok_or_else(|| serde_json::Error::custom("it nests too deep"))?;
    Ok(match value {
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::N(number) => Value::Number(number.parse::<Number>()?),
        AttributeValue::Bool(value) => Value::Bool(*value),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::L(values) => {
            Value::Array(values.iter().map(|value| to_json(value, deeper)).collect::<Result<_, _>>()?)
        }
        AttributeValue::M(fields) => {
            let field =
                |(name, value): (&String, &AttributeValue)| Ok((name.clone(), to_json(value, deeper)?));
            Value::Object(fields.iter().map(field).collect::<Result<_, serde_json::Error>>()?)
        }
        AttributeValue::Ss(texts) => json!(texts),
        // Bytes and sets of numbers say nothing that a record could have said.
        _ => return Err(serde_json::Error::custom("a record has no bytes and no sets of numbers")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_delivery::{Event, JobRecord, Policy, State};

    const NOW: UnixMillis = UnixMillis::new(1_700_000_000_123);

    fn stranger() -> AgentId {
        "acme".parse().unwrap()
    }

    fn job() -> Job {
        let record = r#"{"PresignedURL":"https://h/x","FileID":"q3","Status":"done","Nested":{"a":[1,2.5,null,true]},"KeyId":"00ff17ab"}"#;
        let record: JobRecord = serde_json::from_str(record).unwrap();
        Job::for_agent("j1".parse().unwrap(), stranger(), record, NOW)
    }

    fn item_of(job: &Job) -> Item {
        new_item(job)
    }

    #[test]
    fn a_job_is_read_as_it_was_written_in_every_state() {
        let policy = Policy::default();
        let claim = Event::Claim { worker: "w1".parse().unwrap() };
        let receipt =
            waxwing_delivery::Receipt { output: "q3.csv".into(), plaintext_bytes: 3, sha256: [7; 32] };
        let events = [
            claim.clone(),
            Event::Retry(waxwing_delivery::Fence(1), waxwing_delivery::RetryCause::Worker),
            claim,
            Event::Finish(waxwing_delivery::Fence(2), receipt),
        ];
        let mut job = job();
        let mut item = item_of(&job);
        for (n, event) in events.into_iter().enumerate() {
            let kept = read(&item, &stranger()).unwrap();
            // The field that would have been a status is gone.
            assert!(!kept.job.record().fields().contains_key("Status"));
            assert_eq!((kept.job.state(), kept.job.history()), (job.state(), job.history()));
            assert_eq!(kept.seen.revision, Some(n as u64 + 1));
            job = kept.job.clone();
            job.apply(event, NOW.plus(std::time::Duration::from_secs(60 * n as u64)), &policy).unwrap();
            let (set, removed) = changes(&kept, &job);
            assert!(set.iter().all(|(name, value)| item.get(name) != Some(value)), "only what changes");
            item.extend(set);
            removed.iter().for_each(|name| assert!(item.remove(name).is_some(), "{name}"));
            assert_eq!(item[STATUS], word(job.status()));
            assert_eq!(read(&item, &stranger()).unwrap().seen, kept.seen.after(&job));
            assert_eq!(item.contains_key(QUEUE_ATTRIBUTE), job.due_at().is_some());
        }
        assert!(!item.contains_key("Worker") && !item.contains_key(DUE_AT));
        assert_eq!(item["Output"], AttributeValue::S("q3.csv".into()));
        assert_eq!(read(&item, &stranger()).unwrap().job, job);
    }

    #[test]
    fn what_somebody_else_put_is_a_job() {
        let s = |text: &str| AttributeValue::S(text.to_owned());
        let mut item: Item =
            [(KEY, "j1"), ("PresignedURL", "https://h/x"), ("FileID", "q3"), ("EncryptedAESKey", "AA")]
                .map(|(name, text)| (name.to_owned(), s(text)))
                .into();
        let kept = read(&item, &stranger()).unwrap();
        assert_eq!(
            (kept.job.agent(), kept.job.status(), kept.job.attempts()),
            (&stranger(), Status::Pending, 0)
        );
        assert_eq!(
            kept.seen,
            Seen { status: None, revision: None, url: Some("https://h/x".into()), is_whole: false }
        );
        for (word, status) in
            [("pending", Status::Pending), ("done", Status::Done), ("failed", Status::Failed)]
        {
            item.insert(STATUS.to_owned(), s(word));
            assert_eq!(read(&item, &stranger()).unwrap().job.status(), status);
        }
        item.insert(STATUS.to_owned(), s("archived"));
        assert!(read(&item, &stranger()).is_err());
        item.remove(STATUS);
        item.insert("Blob".to_owned(), AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new([0])));
        assert!(read(&item, &stranger()).is_err());
    }

    #[test]
    fn a_status_that_somebody_wrote_since_is_believed() {
        let mut job = job();
        job.apply(Event::Claim { worker: "w1".parse().unwrap() }, NOW, &Policy::default()).unwrap();
        let mut item = item_of(&job);
        item.insert(STATUS.to_owned(), word(Status::Pending));
        assert!(matches!(read(&item, &stranger()).unwrap().job.state(), State::Pending { .. }));
        item.insert(STATUS.to_owned(), word(Status::Done));
        assert_eq!(read(&item, &stranger()).unwrap().job.status(), Status::Done);
    }

    #[test]
    fn attack_13_what_nests_too_deep_is_refused() {
        let mut value = AttributeValue::Null(true);
        for _ in 0..100 {
            value = AttributeValue::L(vec![value]);
        }
        let mut item = item_of(&job());
        item.insert("Deep".to_owned(), value);
        assert!(read(&item, &stranger()).is_err());
    }
}
