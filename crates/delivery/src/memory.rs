//! A ledger in memory: for tests, demonstrations, and as the model the others are compared with.

use crate::agent::{Agent, AgentEvent};
use crate::clock::UnixMillis;
use crate::job::{Event, Job, JobError};
use crate::ledger::{AgentLedger, JobFilter, JobLedger, LIST_MAX, LedgerError};
use crate::policy::Policy;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use waxwing_formats::names::{AgentId, JobId, WorkerId};

/// Keeps jobs and agents until it is dropped.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    policy: Policy,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    /// Oldest first.
    jobs: Vec<Job>,
    agents: BTreeMap<AgentId, Agent>,
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new(policy: Policy) -> Self {
        Self { policy, tables: Mutex::default() }
    }

    /// A panic elsewhere cannot leave a table half changed: every change is one assignment.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JobLedger for MemoryLedger {
    fn submit(&self, job: &Job) -> Result<(), LedgerError> {
        let mut tables = self.tables();
        if tables.jobs.iter().any(|known| known.id() == job.id()) {
            return Err(LedgerError::JobExists(job.id().clone()));
        }
        tables.jobs.push(job.clone());
        Ok(())
    }

    fn job(&self, id: &JobId) -> Result<Option<Job>, LedgerError> {
        Ok(self.tables().jobs.iter().find(|job| job.id() == id).cloned())
    }

    fn list(&self, filter: &JobFilter) -> Result<Vec<Job>, LedgerError> {
        let tables = self.tables();
        let jobs = tables.jobs.iter().rev().filter(|job| filter.passes(job));
        Ok(jobs.take(filter.limit.min(LIST_MAX)).cloned().collect())
    }

    fn claim(&self, worker: &WorkerId, now: UnixMillis) -> Result<Option<Job>, LedgerError> {
        let mut tables = self.tables();
        for job in tables.jobs.iter_mut().filter(|job| job.due_at().is_some_and(|due| due <= now)) {
            match job.apply(Event::Claim { worker: worker.clone() }, now, &self.policy) {
                Ok(()) => return Ok(Some(job.clone())),
                Err(JobError::Exhausted { .. }) => move_job(job, Event::Expire, now, &self.policy)?,
                Err(source) => return Err(LedgerError::Job { job: job.id().clone(), source }),
            }
        }
        Ok(None)
    }

    fn apply(&self, id: &JobId, event: Event, now: UnixMillis) -> Result<Job, LedgerError> {
        let mut tables = self.tables();
        let job = tables.jobs.iter_mut().find(|job| job.id() == id);
        let job = job.ok_or_else(|| LedgerError::NoSuchJob(id.clone()))?;
        move_job(job, event, now, &self.policy)?;
        Ok(job.clone())
    }

    fn next_due(&self) -> Result<Option<UnixMillis>, LedgerError> {
        Ok(self.tables().jobs.iter().filter_map(Job::due_at).min())
    }
}

impl AgentLedger for MemoryLedger {
    fn register(&self, agent: &Agent) -> Result<(), LedgerError> {
        let mut tables = self.tables();
        if tables.agents.contains_key(agent.id()) {
            return Err(LedgerError::AgentExists(agent.id().clone()));
        }
        tables.agents.insert(agent.id().clone(), agent.clone());
        Ok(())
    }

    fn agent(&self, id: &AgentId) -> Result<Option<Agent>, LedgerError> {
        Ok(self.tables().agents.get(id).cloned())
    }

    fn agents(&self) -> Result<Vec<Agent>, LedgerError> {
        Ok(self.tables().agents.values().cloned().collect())
    }

    fn change(&self, id: &AgentId, event: AgentEvent, now: UnixMillis) -> Result<Agent, LedgerError> {
        let mut tables = self.tables();
        let agent = tables.agents.get_mut(id).ok_or_else(|| LedgerError::NoSuchAgent(id.clone()))?;
        agent.apply(event, now).map_err(|source| LedgerError::Agent { agent: id.clone(), source })?;
        Ok(agent.clone())
    }
}

fn move_job(job: &mut Job, event: Event, now: UnixMillis, policy: &Policy) -> Result<(), LedgerError> {
    job.apply(event, now, policy).map_err(|source| LedgerError::Job { job: job.id().clone(), source })
}
