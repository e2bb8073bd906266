use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Job, JobId, JobLedger, LedgerError, UnixMillis, WorkerId};

/// Where a worker hears of jobs.
pub trait JobSource: fmt::Debug + Send + Sync {
    /// Claims jobs that are due, at least one if there is one and at most `max`. May block, for some seconds at most.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]: the source cannot be used.
    fn claim(&self, worker: &WorkerId, now: UnixMillis, max: usize) -> Result<Heard, LedgerError>;
}

/// What a source said.
#[derive(Debug)]
pub enum Heard {
    /// Jobs, claimed.
    Jobs(Vec<(Job, Option<Box<dyn Notice>>)>),
    /// Nothing is due. The next job may be at this moment; `None`: none will be.
    Nothing {
        /// When.
        next_due: Option<UnixMillis>,
    },
}

/// A message that pointed to a claimed job. Unless it is answered it comes again, so that a job outlives its worker.
/// What goes wrong with it is not an error: it comes again then, and finds the job as the ledger has it.
pub trait Notice: fmt::Debug + Send + Sync {
    /// Keeps it from others for so long, from now. Called with every heartbeat. May block.
    fn hide(&self, time: Duration);

    /// Answers it: a settled job's message goes for good, another's comes again when the job is due. May block.
    fn answer(&self, job: &Job, now: UnixMillis);
}

/// Every job of a ledger, the oldest first.
#[derive(Debug)]
pub struct AllJobs(pub Arc<dyn JobLedger>);

impl JobSource for AllJobs {
    fn claim(&self, worker: &WorkerId, now: UnixMillis, max: usize) -> Result<Heard, LedgerError> {
        let claimed = self.0.claim_many(worker, now, max)?;
        Ok(match claimed.is_empty() {
            true => Heard::Nothing { next_due: self.0.next_due()? },
            false => Heard::Jobs(claimed.into_iter().map(|job| (job, None)).collect()),
        })
    }
}

/// One job of a ledger, for a worker that was started for it.
#[derive(Debug)]
pub struct OneJob(pub Arc<dyn JobLedger>, pub JobId);

impl JobSource for OneJob {
    fn claim(&self, worker: &WorkerId, now: UnixMillis, _: usize) -> Result<Heard, LedgerError> {
        let Self(ledger, id) = self;
        Ok(match ledger.claim_job(id, worker, now)? {
            Some(job) => Heard::Jobs(vec![(job, None)]),
            None => Heard::Nothing { next_due: ledger.job(id)?.and_then(|job| job.due_at()) },
        })
    }
}
