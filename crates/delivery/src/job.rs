//! The life of one job, as a function of state, event and time.

use crate::agent::{Agent, AgentError, KeyStatus};
use crate::clock::UnixMillis;
use crate::failure::{FailureClass, RetryCause};
use crate::policy::Policy;
use crate::record::{JobRecord, NewUrl};
use serde::{Deserialize, Serialize};
use waxwing_formats::names::{AgentId, JobId, KeyId, WorkerId};

/// How much of a job's history is kept: the newest entries. A job that is never released writes
/// 2 + 2 × `attempts_max`.
pub const HISTORY_MAX: usize = 32;

/// One delivery. Only [`Job::apply`] changes it.
///
/// `Debug` shows no record values. `Serialize` is for ledgers and includes the pre-signed URL; show people a
/// [`JobView`](crate::JobView).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    id: JobId,
    agent: AgentId,
    record: JobRecord,
    state: State,
    attempts: u32,
    fence: Fence,
    created: UnixMillis,
    updated: UnixMillis,
    history: Vec<Entry>,
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum State {
    /// Waits to be claimed.
    Pending {
        /// Not before this moment: an earlier attempt failed, and its cause needs time to pass.
        not_before: UnixMillis,
    },
    /// A worker holds it.
    Leased {
        /// Which one.
        worker: WorkerId,
        /// From this moment on anyone may claim it.
        until: UnixMillis,
    },
    /// The output is published. Final.
    Done {
        /// What was published.
        receipt: Receipt,
    },
    /// Nothing will be published. Final.
    Failed {
        /// Why, as strangers may know it.
        failure: FailureClass,
    },
}

/// A [`State`] without its particulars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// See [`State::Pending`].
    Pending,
    /// See [`State::Leased`].
    Leased,
    /// See [`State::Done`].
    Done,
    /// See [`State::Failed`].
    Failed,
}

impl Status {
    /// All of them, in the order of a job's life.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Leased, Self::Done, Self::Failed];

    /// The word for ledgers, views and options.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Leased => "leased",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Receipt {
    /// The name of the output within its store.
    pub output: String,
    /// Its length.
    pub plaintext_bytes: u64,
    /// Its SHA-256 digest.
    #[serde(with = "hex_digest")]
    pub sha256: [u8; 32],
}

/// Counts the claims of one job; it only ever grows, so that a late write by an earlier holder is told from the
/// present one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Fence(pub u64);

/// The right to write about one job, until another worker claims it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaseToken {
    /// The job.
    pub job: JobId,
    /// The claim it came from.
    pub fence: Fence,
}

/// What happens to a job. Those with a [`Fence`] are its holder's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A worker takes a job that is due: pending, or leased by someone whose time is up. Counts as an attempt.
    Claim {
        /// Who.
        worker: WorkerId,
    },
    /// The holder still works; the lease is extended from now.
    Heartbeat(Fence),
    /// The holder has published the output. Said twice, the second is harmless.
    Finish(Fence, Receipt),
    /// The holder has found that the job cannot succeed. Said twice, the second is harmless.
    Fail(Fence, FailureClass),
    /// The holder's attempt failed; another may follow after a pause, if any is left.
    Retry(Fence, RetryCause),
    /// The holder shuts down and gives the job back at once. Not counted as an attempt.
    Release(Fence),
    /// The provider has signed a new URL, whoever holds the job: the old one has expired or soon will.
    Renew(NewUrl),
    /// Time has passed: a due job without attempts left fails, one whose lease is over is pending again. Not needed
    /// before a claim, except after [`JobError::Exhausted`].
    Expire,
}

/// One thing that happened to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: UnixMillis,
    /// What.
    #[serde(flatten)]
    pub what: Happened,
    /// The worker that did it, or that lost its lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerId>,
    /// The attempts counted so far.
    pub attempt: u32,
}

/// What an [`Entry`] tells of. Heartbeats are not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Happened {
    /// The job was made.
    Submitted,
    /// A worker took it.
    Claimed,
    /// The provider gave it a new URL.
    Renewed,
    /// The worker was not heard of in time.
    Expired,
    /// The worker gave it back.
    Released,
    /// The attempt failed.
    Retried(RetryCause),
    /// The output was published.
    Finished,
    /// The job failed for good.
    Failed(FailureClass),
}

/// A move that the job's state does not allow. The job is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The writer is not, or no longer, the holder. Its result must be dropped.
    #[error("the lease is lost: another worker holds the job, or it is settled; drop this result")]
    LeaseLost,
    /// The job cannot be claimed, nor its lease ended, before this moment.
    #[error("the job is not due before {until}")]
    NotDue {
        /// The moment.
        until: UnixMillis,
    },
    /// The job is done or failed.
    #[error("the job is settled")]
    Settled,
    /// The job is due but has no attempt left. [`Event::Expire`] settles it.
    #[error("the job has used all of its {attempts} attempts")]
    Exhausted {
        /// How many it used.
        attempts: u32,
    },
    /// The agent takes no jobs.
    #[error("agent `{agent}` takes no jobs")]
    Agent {
        /// Its id.
        agent: AgentId,
        /// Why not.
        source: AgentError,
    },
    /// The record's DEK is wrapped for a key that the agent no longer, or never, opens with.
    #[error(
        "key `{key}` of the record is not one that agent `{agent}` opens with now; seal for its active key"
    )]
    Key {
        /// The agent's id.
        agent: AgentId,
        /// The key's id.
        key: KeyId,
    },
}

impl Job {
    /// Makes a pending job for `agent`.
    ///
    /// # Errors
    ///
    /// [`JobError::Agent`] if the agent is disabled; [`JobError::Key`] if the record names a key that `agent` does not
    /// open with at `now`. A key in its overlap passes: the sender may have sealed just before the rotation.
    pub fn new(id: JobId, agent: &Agent, record: JobRecord, now: UnixMillis) -> Result<Self, JobError> {
        agent.key_to_seal().map_err(|source| JobError::Agent { agent: agent.id().clone(), source })?;
        if let Some(key) = record.key_id()
            && !matches!(agent.key_status(key, now), KeyStatus::Active | KeyStatus::Overlap { .. })
        {
            return Err(JobError::Key { agent: agent.id().clone(), key: key.clone() });
        }
        Ok(Self::for_agent(id, agent.id().clone(), record, now))
    }

    /// Makes a pending job for whoever is called `agent`, without a registry to ask about it.
    pub fn for_agent(id: JobId, agent: AgentId, record: JobRecord, now: UnixMillis) -> Self {
        let mut job = Self {
            id,
            agent,
            record,
            state: State::Pending { not_before: now },
            attempts: 0,
            fence: Fence::default(),
            created: now,
            updated: now,
            history: Vec::new(),
        };
        job.note(Happened::Submitted, None);
        job
    }

    /// Makes one move. A job that refuses is unchanged.
    ///
    /// `now` is the caller's clock. Clocks that differ or jump cost time or a second attempt, never a wrong result:
    /// who may write is decided by the fence alone.
    ///
    /// # Errors
    ///
    /// [`JobError::LeaseLost`] for a holder's event from anyone else; [`JobError::NotDue`], [`JobError::Settled`] and
    /// [`JobError::Exhausted`] for a claim or an expiry; [`JobError::Settled`] for a new URL.
    pub fn apply(&mut self, event: Event, now: UnixMillis, policy: &Policy) -> Result<(), JobError> {
        match event {
            Event::Claim { worker } => self.claim(worker, now, policy),
            Event::Heartbeat(fence) => self.heartbeat(fence, now, policy),
            Event::Finish(fence, receipt) => {
                let next = State::Done { receipt };
                self.settle(fence, next, Happened::Finished, now)
            }
            Event::Fail(fence, failure) => {
                self.settle(fence, State::Failed { failure }, Happened::Failed(failure), now)
            }
            Event::Retry(fence, cause) => self.retry(fence, cause, now, policy),
            Event::Release(fence) => self.release(fence, now),
            Event::Renew(url) => self.renew(url, now),
            Event::Expire => self.expire(now, policy),
        }
    }

    /// Its id.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// The agent it is for.
    pub fn agent(&self) -> &AgentId {
        &self.agent
    }

    /// The sender's record.
    pub fn record(&self) -> &JobRecord {
        &self.record
    }

    /// Where it stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Where it stands, in a word.
    pub fn status(&self) -> Status {
        match self.state {
            State::Pending { .. } => Status::Pending,
            State::Leased { .. } => Status::Leased,
            State::Done { .. } => Status::Done,
            State::Failed { .. } => Status::Failed,
        }
    }

    /// How often it was claimed, releases not counted.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The latest claim.
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// The token of the latest claim.
    pub fn token(&self) -> LeaseToken {
        LeaseToken { job: self.id.clone(), fence: self.fence }
    }

    /// When it was made.
    pub fn created(&self) -> UnixMillis {
        self.created
    }

    /// When it last changed.
    pub fn updated(&self) -> UnixMillis {
        self.updated
    }

    /// When it was done or failed.
    pub fn finished(&self) -> Option<UnixMillis> {
        // A settled job never changes again.
        self.due_at().is_none().then_some(self.updated)
    }

    /// From when on it may be claimed; `None` once settled.
    pub fn due_at(&self) -> Option<UnixMillis> {
        match self.state {
            State::Pending { not_before } => Some(not_before),
            State::Leased { until, .. } => Some(until),
            State::Done { .. } | State::Failed { .. } => None,
        }
    }

    /// What happened, oldest first: at most the last [`HISTORY_MAX`] entries.
    pub fn history(&self) -> &[Entry] {
        &self.history
    }

    fn claim(&mut self, worker: WorkerId, now: UnixMillis, policy: &Policy) -> Result<(), JobError> {
        self.check_due(now)?;
        if self.is_exhausted(policy) {
            return Err(JobError::Exhausted { attempts: self.attempts });
        }
        self.touch(now);
        self.note_lost_lease();
        self.fence = Fence(self.fence.0.saturating_add(1)); // 2^64 claims never come
        self.attempts = self.attempts.saturating_add(1);
        self.note(Happened::Claimed, Some(worker.clone()));
        self.state = State::Leased { worker, until: now.plus(policy.lease) };
        Ok(())
    }

    fn heartbeat(&mut self, fence: Fence, now: UnixMillis, policy: &Policy) -> Result<(), JobError> {
        let (worker, until) = self.holder(fence)?;
        // A clock set back must not shorten what was promised.
        let until = until.max(now.plus(policy.lease));
        self.touch(now);
        self.state = State::Leased { worker, until };
        Ok(())
    }

    fn settle(&mut self, fence: Fence, next: State, what: Happened, now: UnixMillis) -> Result<(), JobError> {
        if fence == self.fence && next == self.state {
            return Ok(()); // the first answer was lost on its way to the holder
        }
        let (worker, _) = self.holder(fence)?;
        self.touch(now);
        self.state = next;
        self.note(what, Some(worker));
        Ok(())
    }

    fn retry(
        &mut self,
        fence: Fence,
        cause: RetryCause,
        now: UnixMillis,
        policy: &Policy,
    ) -> Result<(), JobError> {
        let (worker, _) = self.holder(fence)?;
        self.touch(now);
        self.note(Happened::Retried(cause), Some(worker));
        if self.is_exhausted(policy) {
            self.fail_exhausted();
        } else {
            self.state = State::Pending { not_before: now.plus(policy.backoff(self.attempts)) };
        }
        Ok(())
    }

    fn release(&mut self, fence: Fence, now: UnixMillis) -> Result<(), JobError> {
        let (worker, _) = self.holder(fence)?;
        self.touch(now);
        self.attempts = self.attempts.saturating_sub(1);
        self.state = State::Pending { not_before: now };
        self.note(Happened::Released, Some(worker));
        Ok(())
    }

    fn expire(&mut self, now: UnixMillis, policy: &Policy) -> Result<(), JobError> {
        self.check_due(now)?;
        let exhausted = self.is_exhausted(policy);
        if matches!(self.state, State::Pending { .. }) && !exhausted {
            return Ok(());
        }
        self.touch(now);
        self.note_lost_lease();
        if exhausted {
            self.fail_exhausted();
        } else {
            self.state = State::Pending { not_before: now };
        }
        Ok(())
    }

    fn renew(&mut self, url: NewUrl, now: UnixMillis) -> Result<(), JobError> {
        if self.due_at().is_none() {
            return Err(JobError::Settled);
        }
        self.touch(now);
        self.record.renew(url);
        self.note(Happened::Renewed, None);
        Ok(())
    }

    fn check_due(&self, now: UnixMillis) -> Result<(), JobError> {
        match self.due_at() {
            None => Err(JobError::Settled),
            Some(until) if now < until => Err(JobError::NotDue { until }),
            Some(_) => Ok(()),
        }
    }

    /// The holder and the end of its lease, if `fence` is the holder's. A lease that is over but that nobody claimed
    /// still counts: the fence, not the clock, tells who is the last.
    fn holder(&self, fence: Fence) -> Result<(WorkerId, UnixMillis), JobError> {
        match &self.state {
            State::Leased { worker, until } if fence == self.fence => Ok((worker.clone(), *until)),
            _ => Err(JobError::LeaseLost),
        }
    }

    fn is_exhausted(&self, policy: &Policy) -> bool {
        self.attempts >= policy.attempts_max
    }

    fn fail_exhausted(&mut self) {
        self.state = State::Failed { failure: FailureClass::Attempts };
        self.note(Happened::Failed(FailureClass::Attempts), None);
    }

    fn touch(&mut self, now: UnixMillis) {
        self.updated = self.updated.max(now);
    }

    fn note_lost_lease(&mut self) {
        if let State::Leased { worker, .. } = &self.state {
            let worker = worker.clone();
            self.note(Happened::Expired, Some(worker));
        }
    }

    fn note(&mut self, what: Happened, worker: Option<WorkerId>) {
        if self.history.len() >= HISTORY_MAX {
            self.history.remove(0);
        }
        self.history.push(Entry { at: self.updated, what, worker, attempt: self.attempts });
    }
}

/// A digest as 64 lower-case hexadecimal digits.
mod hex_digest {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(digest: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(digest))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let mut digest = [0; 32];
        let text = String::deserialize(from)?;
        hex::decode_to_slice(text, &mut digest)
            .map_err(|_| D::Error::custom("a digest is 64 hexadecimal digits"))?;
        Ok(digest)
    }
}

#[cfg(test)]
mod tests;
