//! A job as people and programs outside see it.

use crate::failure::{FailureClass, RetryCause};
use crate::job::{Entry, Happened, Job, State};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fmt;

/// A job as one flat JSON object.
///
/// | field | JSON | present |
/// |---|---|---|
/// | `JobID`, `AgentID`, `FileID` | string | always |
/// | `Status` | `pending`, `leased`, `done`, `failed` | always |
/// | `Attempts` | number | always |
/// | `CreatedAt`, `UpdatedAt` | string, RFC 3339 in UTC | always |
/// | `KeyId` | string | if the record has it |
/// | `NotBefore` | RFC 3339 | pending |
/// | `Worker`, `LeaseUntil` | string, RFC 3339 | leased |
/// | `Class`, `Message` | string, see [`FailureClass`] | failed |
/// | `Output`, `PlaintextBytes`, `PlaintextSHA256` | string, number, hexadecimal | done |
/// | `FinishedAt` | RFC 3339 | done, failed |
/// | `History` | array of `{At, Event, Attempt, Worker?, Message?}`, oldest first | [`JobView::full`] |
/// | the record's other fields, `PresignedURL` included | as they came | [`JobView::full`] |
///
/// A record's field that is called like one of the job's is left out: a sender must not be able to write a status.
#[derive(Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct JobView(Map<String, Value>);

impl JobView {
    /// The job without the record's own fields: for lists. Holds no secret.
    pub fn summary(job: &Job) -> Self {
        let mut view = Map::new();
        let mut put = |name: &str, value: Value| view.insert(name.to_owned(), value);
        put("JobID", json!(job.id()));
        put("AgentID", json!(job.agent()));
        put("FileID", json!(job.record().file_id()));
        if let Some(key_id) = job.record().key_id() {
            put("KeyId", json!(key_id));
        }
        put("Status", json!(job.status().word()));
        put("Attempts", json!(job.attempts()));
        match job.state() {
            State::Pending { not_before } => {
                put("NotBefore", json!(not_before.to_string()));
            }
            State::Leased { worker, until } => {
                put("Worker", json!(worker));
                put("LeaseUntil", json!(until.to_string()));
            }
            State::Done { receipt } => {
                put("Output", json!(receipt.output));
                put("PlaintextBytes", json!(receipt.plaintext_bytes));
                put("PlaintextSHA256", json!(hex::encode(receipt.sha256)));
            }
            State::Failed { failure } => {
                put("Class", json!(failure.word()));
                put("Message", json!(failure.to_string()));
            }
        }
        put("CreatedAt", json!(job.created().to_string()));
        put("UpdatedAt", json!(job.updated().to_string()));
        if let Some(finished) = job.finished() {
            put("FinishedAt", json!(finished.to_string()));
        }
        Self(view)
    }

    /// The job with its record and history. `PresignedURL` in it is a bearer secret: for the job's owner alone.
    pub fn full(job: &Job) -> Self {
        let Self(mut view) = Self::summary(job);
        view.insert("History".into(), job.history().iter().map(history_entry).collect());
        for (name, value) in job.record().fields() {
            if !FIELDS.contains(&name.as_str()) {
                view.insert(name.clone(), value.clone());
            }
        }
        Self(view)
    }
}

impl fmt::Debug for JobView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobView").field(&self.0.get("JobID")).finish_non_exhaustive()
    }
}

/// Every name that a view gives a meaning of its own, in any state.
const FIELDS: [&str; 18] = [
    "JobID",
    "AgentID",
    "FileID",
    "KeyId",
    "Status",
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

fn history_entry(entry: &Entry) -> Value {
    let (event, message) = happened(&entry.what);
    let mut view = Map::new();
    view.insert("At".into(), json!(entry.at.to_string()));
    view.insert("Event".into(), json!(event));
    view.insert("Attempt".into(), json!(entry.attempt));
    if let Some(worker) = &entry.worker {
        view.insert("Worker".into(), json!(worker));
    }
    if let Some(message) = message {
        view.insert("Message".into(), json!(message));
    }
    Value::Object(view)
}

fn happened(what: &Happened) -> (&'static str, Option<String>) {
    match what {
        Happened::Submitted => ("submitted", None),
        Happened::Claimed => ("claimed", None),
        Happened::Renewed => ("renewed", None),
        Happened::Expired => ("expired", None),
        Happened::Released => ("released", None),
        Happened::Retried(cause) => ("retried", Some(RetryCause::to_string(cause))),
        Happened::Finished => ("finished", None),
        Happened::Failed(failure) => ("failed", Some(FailureClass::to_string(failure))),
    }
}
