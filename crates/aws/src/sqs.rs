//! Messages of SQS that point to jobs (feature `sqs`).
//!
//! A message's body is `{"JobID": "…"}`, or a job's id alone. The job itself is in a ledger, which decides: a message that comes twice,
//! late or in another order finds the job as it is. What a message is good for is to wake a worker, and to bring it back when it
//! died: it is hidden while its job's lease lasts, deleted when the job is settled, and comes again otherwise.
//!
//! A message that names no job, or one that cannot be read, is left alone. The queue's redrive policy brings it to the
//! dead letters.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::Message;
use serde::Deserialize;
use tracing::warn;
use waxwing_delivery::worker::{Heard, JobSource, Notice};
use waxwing_delivery::{Job, JobId, JobLedger, LedgerError, UnixMillis, WorkerId};
use waxwing_formats::names::NAME_LEN_MAX;

use crate::client::Lazy;
use crate::quiet::quiet;
use crate::runtime::wait;
use crate::{AwsError, AwsOptions};

/// How long one question may wait for a message. SQS allows 20 s; a worker that is told to end waits for this.
const POLL_TIME: Duration = Duration::from_secs(5);
/// The longest body that is looked at, in bytes: a job's id, a field's name, white space.
const BODY_LEN_MAX: usize = 4 * NAME_LEN_MAX;
/// The longest that SQS hides a message: 12 hours.
const HIDDEN_MAX: Duration = Duration::from_secs(12 * 3600);

/// Jobs of a ledger that a queue's messages name.
#[derive(Debug)]
pub struct SqsJobs {
    queue: Arc<Queue>,
    ledger: Arc<dyn JobLedger>,
    /// How long a message is hidden when it is received: until the job is claimed and its lease known.
    lease: Duration,
}

#[derive(Debug)]
struct Queue {
    url: String,
    client: Lazy<Client>,
}

impl SqsJobs {
    /// Hears of the jobs of `ledger` from the queue at `url`. Messages are hidden for as long as a lease lasts.
    pub fn new(url: &str, ledger: Arc<dyn JobLedger>, lease: Duration, options: AwsOptions) -> Self {
        let queue = Queue { url: url.to_owned(), client: Lazy::new(options, Client::new) };
        Self { queue: Arc::new(queue), ledger, lease }
    }
}

/// Tells the queue at `url` of a job. Blocks.
///
/// # Errors
///
/// [`AwsError`]. The job is in its ledger all the same.
pub fn announce(url: &str, job: &JobId, options: &AwsOptions) -> Result<(), AwsError> {
    let (queue, body) = (url.to_owned(), serde_json::json!({ "JobID": job }).to_string());
    let client = Lazy::new(options.clone(), Client::new);
    wait(async move {
        let call = client.client().await?.send_message().queue_url(queue).message_body(body);
        quiet(call.send()).await.map(drop).map_err(AwsError::new)
    })
}

impl JobSource for SqsJobs {
    /// Waits up to five seconds for a message, and takes one at a time.
    fn claim(&self, worker: &WorkerId, now: UnixMillis, _: usize) -> Result<Heard, LedgerError> {
        let asked = Instant::now();
        let (queue, hidden) = (Arc::clone(&self.queue), self.lease);
        let received = wait(async move { queue.receive(hidden).await });
        let received = received.map_err(|err| err.into_ledger("hear of jobs from the queue"))?;
        // A job that was put while this waited is due, and its lease begins now.
        let now = now.plus(asked.elapsed());
        let nothing = || Heard::Nothing { next_due: Some(now) };
        let Some(message) = received else { return Ok(nothing()) };
        let Some(id) = message.body().and_then(job_of) else {
            warn!(
                len = message.body().map_or(0, str::len),
                "a message names no job, and is left to the dead letters"
            );
            return Ok(nothing());
        };
        let Some(receipt) = message.receipt_handle else { return Ok(nothing()) };
        let notice = SqsNotice { queue: Arc::clone(&self.queue), receipt };
        match self.ledger.claim_job(&id, worker, now) {
            Ok(Some(job)) => Ok(Heard::Jobs(vec![(job, Some(Box::new(notice)))])),
            Ok(None) => {
                // It is settled, or another's, or not due yet.
                if let Some(job) = self.ledger.job(&id)? {
                    notice.answer(&job, now);
                }
                Ok(nothing())
            }
            Err(LedgerError::NoSuchJob(id)) => {
                warn!(job = %id, "a message names a job that the ledger does not have");
                Ok(nothing())
            }
            // Whoever may put one must not be able to end workers.
            Err(LedgerError::Damaged { source, .. }) => {
                warn!(job = %id, error = %source, "a message names a job that cannot be read");
                Ok(nothing())
            }
            // The message stays hidden. Were it there again at once, a minute without a ledger would bring it to the
            // dead letters.
            Err(err) => Err(err),
        }
    }
}

impl Queue {
    async fn receive(&self, hidden: Duration) -> Result<Option<Message>, AwsError> {
        let call = self.client.client().await?.receive_message().queue_url(&self.url);
        let call = call
            .max_number_of_messages(1)
            .visibility_timeout(seconds(hidden))
            .wait_time_seconds(seconds(POLL_TIME));
        let received = quiet(call.send()).await.map_err(AwsError::new)?;
        Ok(received.messages.unwrap_or_default().pop())
    }

    async fn hide(&self, receipt: &str, time: Duration) -> Result<(), AwsError> {
        let call = self.client.client().await?.change_message_visibility().queue_url(&self.url);
        let call = call.receipt_handle(receipt).visibility_timeout(seconds(time));
        quiet(call.send()).await.map(drop).map_err(AwsError::new)
    }

    async fn delete(&self, receipt: &str) -> Result<(), AwsError> {
        let call = self.client.client().await?.delete_message().queue_url(&self.url).receipt_handle(receipt);
        quiet(call.send()).await.map(drop).map_err(AwsError::new)
    }
}

#[derive(Debug)]
struct SqsNotice {
    queue: Arc<Queue>,
    receipt: String,
}

impl SqsNotice {
    /// What cannot be done brings the message back, when it is not hidden any more.
    fn settle<F>(&self, doing: &'static str, call: impl FnOnce(Arc<Queue>, String) -> F)
    where
        F: Future<Output = Result<(), AwsError>> + Send + 'static,
    {
        if let Err(error) = wait(call(Arc::clone(&self.queue), self.receipt.clone())) {
            warn!(%error, doing, "a message comes again, though it need not");
        }
    }
}

impl Notice for SqsNotice {
    fn hide(&self, time: Duration) {
        self.settle("hide", |queue, receipt| async move { queue.hide(&receipt, time).await });
    }

    fn answer(&self, job: &Job, now: UnixMillis) {
        match job.due_at() {
            None => self.settle("delete", |queue, receipt| async move { queue.delete(&receipt).await }),
            Some(due) => self.hide(due.since(now)),
        }
    }
}

/// Whole seconds, rounded up, as far as SQS goes.
fn seconds(time: Duration) -> i32 {
    let time = time.min(HIDDEN_MAX);
    i32::try_from(time.as_secs() + u64::from(time.subsec_nanos() > 0)).expect("12 hours are few seconds")
}

/// The job that a message names. Whoever may send messages is a stranger.
fn job_of(body: &str) -> Option<JobId> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "JobID")]
        job: JobId,
    }
    if body.len() > BODY_LEN_MAX {
        return None;
    }
    match body.trim() {
        json if json.starts_with('{') => serde_json::from_str::<Body>(json).ok().map(|body| body.job),
        id => id.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_13_a_message_names_a_job_or_nothing() {
        for good in [r#"{"JobID":"j-1"}"#, " j-1\n", r#"{ "JobID": "j-1", "Priority": 3 }"#] {
            assert_eq!(job_of(good).unwrap().as_str(), "j-1", "{good}");
        }
        let long = format!(r#"{{"JobID":"j-1","x":"{}"}}"#, "x".repeat(BODY_LEN_MAX));
        for bad in
            ["", "{}", "[]", "../x", "a b", r#"{"JobID":1}"#, r#"{"JobID":"a/b"}"#, r#"{"JobID":"#, &long]
        {
            assert_eq!(job_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_are_whole_seconds_up_to_twelve_hours() {
        let times = [0, 1, 1000, 1001, 99_999_999].map(|millis| seconds(Duration::from_millis(millis)));
        assert_eq!(times, [0, 1, 1, 2, 43_200]);
    }
}
