//! What every ledger can do. A ledger stores jobs or agents and makes their moves one at a time; the rules are
//! [`Job::apply`]'s and [`Agent::apply`]'s.

use crate::agent::{Agent, AgentError, AgentEvent};
use crate::clock::UnixMillis;
use crate::failure::{FailureClass, RetryCause};
use crate::job::{Event, Job, JobError, LeaseToken, Receipt, Status};
use std::error::Error;
use std::fmt;
use waxwing_formats::names::{AgentId, JobId, WorkerId};

/// The most jobs one [`JobLedger::list`] returns.
pub const LIST_MAX: usize = 10_000;

/// Keeps jobs.
///
/// Every method is atomic, also against other processes: of two claims one gets the job, and of two moves the second
/// sees the first. Methods may block on I/O; async callers put them on a thread of their own.
///
/// Work is delivered at least once, so the result must be published under a name that is put only if absent, and
/// before [`JobLedger::finish`].
pub trait JobLedger: fmt::Debug + Send + Sync {
    /// Adds a new job.
    ///
    /// # Errors
    ///
    /// [`LedgerError::JobExists`], also for a job that is settled: ids are never reused.
    fn submit(&self, job: &Job) -> Result<(), LedgerError>;

    /// The job called `id`.
    fn job(&self, id: &JobId) -> Result<Option<Job>, LedgerError>;

    /// The jobs that `filter` lets pass, newest first.
    fn list(&self, filter: &JobFilter) -> Result<Vec<Job>, LedgerError>;

    /// Claims the oldest job that is due, settling on the way those that are due but have no attempt left.
    ///
    /// `Ok(None)` means that nothing is due now; see [`JobLedger::next_due`].
    fn claim(&self, worker: &WorkerId, now: UnixMillis) -> Result<Option<Job>, LedgerError>;

    /// Claims up to `max` jobs as [`claim`](Self::claim) does. An error after some were claimed is not told; it comes again.
    fn claim_many(&self, worker: &WorkerId, now: UnixMillis, max: usize) -> Result<Vec<Job>, LedgerError> {
        let mut claimed = Vec::new();
        while claimed.len() < max {
            match self.claim(worker, now) {
                Ok(Some(job)) => claimed.push(job),
                Err(error) if claimed.is_empty() => return Err(error),
                Ok(None) | Err(_) => break,
            }
        }
        Ok(claimed)
    }

    /// Makes one move of one job, and returns the job after it.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NoSuchJob`], and [`LedgerError::Job`] if the job's state does not allow the move.
    fn apply(&self, id: &JobId, event: Event, now: UnixMillis) -> Result<Job, LedgerError>;

    /// The earliest moment at which some job may be claimed; it may lie in the past. `None` means that every job is
    /// settled, and a draining worker may stop.
    fn next_due(&self) -> Result<Option<UnixMillis>, LedgerError>;

    /// Claims the job called `id`, if it is due and has an attempt left: for workers that are told which one.
    fn claim_job(&self, id: &JobId, worker: &WorkerId, now: UnixMillis) -> Result<Option<Job>, LedgerError> {
        let refused = match self.apply(id, Event::Claim { worker: worker.clone() }, now) {
            Ok(job) => return Ok(Some(job)),
            Err(LedgerError::Job { source: JobError::Exhausted { .. }, .. }) => {
                self.apply(id, Event::Expire, now)
            }
            Err(error) => Err(error),
        };
        match refused {
            // Between the two moves another worker may have settled it; that is as good.
            Ok(_) | Err(LedgerError::Job { source: JobError::NotDue { .. } | JobError::Settled, .. }) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Extends the lease from `now`; returns until when.
    fn heartbeat(&self, token: &LeaseToken, now: UnixMillis) -> Result<UnixMillis, LedgerError> {
        let job = self.apply(&token.job, Event::Heartbeat(token.fence), now)?;
        Ok(job.due_at().unwrap_or(now))
    }

    /// Says that the output is published. See [`Event::Finish`].
    fn finish(&self, token: &LeaseToken, receipt: Receipt, now: UnixMillis) -> Result<Job, LedgerError> {
        self.apply(&token.job, Event::Finish(token.fence, receipt), now)
    }

    /// Says that the job cannot succeed. See [`Event::Fail`].
    fn fail(&self, token: &LeaseToken, failure: FailureClass, now: UnixMillis) -> Result<Job, LedgerError> {
        self.apply(&token.job, Event::Fail(token.fence, failure), now)
    }

    /// Says that this attempt failed. See [`Event::Retry`].
    fn retry(&self, token: &LeaseToken, cause: RetryCause, now: UnixMillis) -> Result<Job, LedgerError> {
        self.apply(&token.job, Event::Retry(token.fence, cause), now)
    }

    /// Gives the job back. See [`Event::Release`].
    fn release(&self, token: &LeaseToken, now: UnixMillis) -> Result<Job, LedgerError> {
        self.apply(&token.job, Event::Release(token.fence), now)
    }
}

/// Keeps agents. Every method is atomic, also against other processes.
pub trait AgentLedger: fmt::Debug + Send + Sync {
    /// Adds a new agent.
    ///
    /// # Errors
    ///
    /// [`LedgerError::AgentExists`]: a key is never overwritten; rotate instead.
    fn register(&self, agent: &Agent) -> Result<(), LedgerError>;

    /// The agent called `id`.
    fn agent(&self, id: &AgentId) -> Result<Option<Agent>, LedgerError>;

    /// All agents, by id.
    fn agents(&self) -> Result<Vec<Agent>, LedgerError>;

    /// Makes one change to one agent, and returns the agent after it.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NoSuchAgent`], and [`LedgerError::Agent`] if the agent's state does not allow the change.
    fn change(&self, id: &AgentId, event: AgentEvent, now: UnixMillis) -> Result<Agent, LedgerError>;
}

/// Which jobs to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFilter {
    /// Only those that stand here.
    pub status: Option<Status>,
    /// Only this agent's.
    pub agent: Option<AgentId>,
    /// At most so many; never more than [`LIST_MAX`].
    pub limit: usize,
}

impl Default for JobFilter {
    /// All jobs, up to [`LIST_MAX`].
    fn default() -> Self {
        Self { status: None, agent: None, limit: LIST_MAX }
    }
}

impl JobFilter {
    pub(crate) fn passes(&self, job: &Job) -> bool {
        self.status.is_none_or(|status| status == job.status())
            && self.agent.as_ref().is_none_or(|agent| agent == job.agent())
    }
}

/// A ledger did not do what was asked. Nothing has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// There is no such job.
    #[error("there is no job `{0}`")]
    NoSuchJob(JobId),
    /// There is such a job already.
    #[error("there is a job `{0}` already")]
    JobExists(JobId),
    /// The job's state does not allow the move.
    #[error("job `{job}` did not change")]
    Job {
        /// Its id.
        job: JobId,
        /// Why not.
        source: JobError,
    },
    /// There is no such agent.
    #[error("there is no agent `{0}`")]
    NoSuchAgent(AgentId),
    /// There is such an agent already.
    #[error("there is an agent `{0}` already; rotate its key instead of registering it again")]
    AgentExists(AgentId),
    /// The agent's state does not allow the change.
    #[error("agent `{agent}` did not change")]
    Agent {
        /// Its id.
        agent: AgentId,
        /// Why not.
        source: AgentError,
    },
    /// What is stored for the agent must not be used: it is no public key, or not one that is expected.
    #[error("what is stored for agent `{agent}` is refused")]
    Refused {
        /// Its id.
        agent: AgentId,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// What was stored cannot be read.
    #[error("the ledger's entry for {what} `{id}` is damaged")]
    Damaged {
        /// `job` or `agent`.
        what: &'static str,
        /// The name it is stored under.
        id: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The ledger was made by a later version of this program.
    #[error(
        "the ledger has schema version {found}, and this program knows up to {known}; use a newer program"
    )]
    TooNew {
        /// The version found.
        found: u32,
        /// The latest version known.
        known: u32,
    },
    /// The file is something else.
    #[error("`{path}` is a database, but not a Waxwing ledger; choose another path")]
    Foreign {
        /// The file.
        path: String,
    },
    /// It is denied, or what it should be done to is not there. Asking again does not help until somebody has changed that.
    #[error("the ledger could not {doing}")]
    Denied {
        /// What it was about: `claim a job` and the like.
        doing: &'static str,
        /// The storage's own words.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The storage failed; asking again may help.
    #[error("the ledger could not {doing}")]
    Storage {
        /// What it was about: `claim a job` and the like.
        doing: &'static str,
        /// The storage's own words.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl LedgerError {
    /// Whether the writer is no longer the holder and must drop its result.
    pub fn is_lease_lost(&self) -> bool {
        matches!(self, Self::Job { source: JobError::LeaseLost, .. })
    }
}
