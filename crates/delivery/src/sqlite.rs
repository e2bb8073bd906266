//! A ledger in one SQLite file, for any number of processes on one machine.
//!
//! The file is in WAL mode, every write is a `BEGIN IMMEDIATE` transaction, and every commit reaches the disk: a claim
//! forgotten after a power cut would hand out its fence a second time. A job's JSON is the truth; the columns beside
//! it are what queries look at. The file holds pre-signed URLs, so it is readable by its owner alone; no private key
//! and no plaintext is ever in it (attack row 24).

use crate::agent::{Agent, AgentEvent};
use crate::clock::UnixMillis;
use crate::job::{Event, Job, JobError};
use crate::ledger::{AgentLedger, JobFilter, JobLedger, LIST_MAX, LedgerError};
use crate::policy::Policy;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use waxwing_formats::names::{AgentId, JobId, WorkerId};

mod group;
mod schema;

use self::group::Group;

/// How long a write waits for other processes before it is an error. A write takes milliseconds.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Keeps jobs and agents in a file. Share one among threads, so that their writes are committed together; open one in each
/// process.
pub struct SqliteLedger {
    policy: Policy,
    connection: Mutex<Connection>,
    group: Group,
}

impl SqliteLedger {
    /// Opens the ledger at `path`, making the file (mode 0600) or bringing its schema up to date as needed. Its directory
    /// must exist.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Foreign`] for another program's database, [`LedgerError::TooNew`] for a later version's ledger,
    /// [`LedgerError::Storage`] for all else.
    pub fn open(path: &Path, policy: Policy) -> Result<Self, LedgerError> {
        let connection = schema::open(path)?;
        Ok(Self { policy, connection: Mutex::new(connection), group: Group::default() })
    }

    /// A panic elsewhere drops its transaction, which rolls back; the connection stays good.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `change` in a transaction that is the only writer from its first statement on. It is committed if it is `Ok`,
    /// together with the changes of other threads that wait at that moment: a commit waits for the disk, and one wait is
    /// enough for all of them.
    fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        change: impl FnOnce(&Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let told = self.group.join(doing, change);
        let mut connection = self.connection();
        // Whoever had the connection before may have made it already.
        if let Some(result) = told.ready() {
            return result;
        }
        self.group.commit(&mut connection);
        told.ready().expect("every change that joined was made or refused")
    }
}

impl JobLedger for SqliteLedger {
    fn submit(&self, job: &Job) -> Result<(), LedgerError> {
        const DOING: &str = "add a job";
        let job = job.clone();
        self.write(DOING, move |transaction| {
            let sql = "INSERT INTO jobs (id, agent, status, due_at, body) VALUES (?1, ?2, ?3, ?4, ?5)";
            let (status, due_at) = (job.status().word(), job.due_at().map(column));
            transaction
                .prepare_cached(sql)
                .and_then(|mut sql| {
                    sql.execute(params![
                        job.id().as_str(),
                        job.agent().as_str(),
                        status,
                        due_at,
                        encode(&job)
                    ])
                })
                .map_err(|error| match error.sqlite_error_code() {
                    Some(ErrorCode::ConstraintViolation) => LedgerError::JobExists(job.id().clone()),
                    _ => storage(DOING)(error),
                })?;
            Ok(())
        })
    }

    fn job(&self, id: &JobId) -> Result<Option<Job>, LedgerError> {
        read_job(&self.connection(), id)
    }

    fn list(&self, filter: &JobFilter) -> Result<Vec<Job>, LedgerError> {
        const DOING: &str = "list jobs";
        let connection = self.connection();
        let sql = "SELECT id, body FROM jobs WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR agent = ?2)
                   ORDER BY seq DESC LIMIT ?3";
        let mut statement = connection.prepare_cached(sql).map_err(storage(DOING))?;
        let (status, agent) =
            (filter.status.map(|status| status.word()), filter.agent.as_ref().map(AgentId::as_str));
        let limit = column_len(filter.limit.min(LIST_MAX));
        let rows = statement.query_map(params![status, agent, limit], entry).map_err(storage(DOING))?;
        rows.map(|row| decode("job", row.map_err(storage(DOING))?)).collect()
    }

    fn claim(&self, worker: &WorkerId, now: UnixMillis) -> Result<Option<Job>, LedgerError> {
        Ok(self.claim_many(worker, now, 1)?.pop())
    }

    fn claim_many(&self, worker: &WorkerId, now: UnixMillis, max: usize) -> Result<Vec<Job>, LedgerError> {
        const DOING: &str = "claim a job";
        // Most polls find nothing; they should not queue for the write lock.
        if self.next_due()?.is_none_or(|due| due > now) {
            return Ok(Vec::new());
        }
        let (worker, policy) = (worker.clone(), self.policy);
        self.write(DOING, move |transaction| {
            let sql =
                "SELECT id, body FROM jobs INDEXED BY jobs_open WHERE due_at <= ?1 ORDER BY seq LIMIT 1";
            let mut oldest_due = transaction.prepare_cached(sql).map_err(storage(DOING))?;
            let mut claimed = Vec::new();
            // Each turn claims a job or settles one, so the turns end.
            while claimed.len() < max
                && let Some(found) =
                    oldest_due.query_row([column(now)], entry).optional().map_err(storage(DOING))?
            {
                let mut job: Job = decode("job", found)?;
                match job.apply(Event::Claim { worker: worker.clone() }, now, &policy) {
                    Ok(()) => {
                        write_job(transaction, &job)?;
                        claimed.push(job);
                    }
                    Err(JobError::Exhausted { .. }) => {
                        move_job(&mut job, Event::Expire, now, &policy)?;
                        write_job(transaction, &job)?;
                    }
                    Err(source) => return Err(LedgerError::Job { job: job.id().clone(), source }),
                }
            }
            Ok(claimed)
        })
    }

    fn apply(&self, id: &JobId, event: Event, now: UnixMillis) -> Result<Job, LedgerError> {
        let (id, policy) = (id.clone(), self.policy);
        self.write("change a job", move |transaction| {
            let mut job = read_job(transaction, &id)?.ok_or_else(|| LedgerError::NoSuchJob(id.clone()))?;
            move_job(&mut job, event, now, &policy)?;
            write_job(transaction, &job)?;
            Ok(job)
        })
    }

    fn next_due(&self) -> Result<Option<UnixMillis>, LedgerError> {
        let sql = "SELECT min(due_at) FROM jobs WHERE due_at IS NOT NULL";
        let due = self
            .connection()
            .prepare_cached(sql)
            .and_then(|mut sql| sql.query_row([], |row| row.get::<_, Option<i64>>(0)));
        let due = due.map_err(storage("look for a job"))?;
        Ok(due.map(|millis| UnixMillis::new(millis.try_into().unwrap_or_default())))
    }
}

impl AgentLedger for SqliteLedger {
    fn register(&self, agent: &Agent) -> Result<(), LedgerError> {
        const DOING: &str = "add an agent";
        let agent = agent.clone();
        self.write(DOING, move |transaction| {
            let sql = "INSERT INTO agents (id, body) VALUES (?1, ?2)";
            transaction.execute(sql, params![agent.id().as_str(), encode(&agent)]).map_err(|error| {
                match error.sqlite_error_code() {
                    Some(ErrorCode::ConstraintViolation) => LedgerError::AgentExists(agent.id().clone()),
                    _ => storage(DOING)(error),
                }
            })?;
            Ok(())
        })
    }

    fn agent(&self, id: &AgentId) -> Result<Option<Agent>, LedgerError> {
        read_agent(&self.connection(), id)
    }

    fn agents(&self) -> Result<Vec<Agent>, LedgerError> {
        const DOING: &str = "list agents";
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT id, body FROM agents ORDER BY id").map_err(storage(DOING))?;
        let rows = statement.query_map([], entry).map_err(storage(DOING))?;
        rows.map(|row| decode("agent", row.map_err(storage(DOING))?)).collect()
    }

    fn change(&self, id: &AgentId, event: AgentEvent, now: UnixMillis) -> Result<Agent, LedgerError> {
        const DOING: &str = "change an agent";
        let id = id.clone();
        self.write(DOING, move |transaction| {
            let mut agent =
                read_agent(transaction, &id)?.ok_or_else(|| LedgerError::NoSuchAgent(id.clone()))?;
            agent.apply(event, now).map_err(|source| LedgerError::Agent { agent: id.clone(), source })?;
            let sql = "UPDATE agents SET body = ?2 WHERE id = ?1";
            transaction.execute(sql, params![id.as_str(), encode(&agent)]).map_err(storage(DOING))?;
            Ok(agent)
        })
    }
}

impl fmt::Debug for SqliteLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLedger").field("policy", &self.policy).finish_non_exhaustive()
    }
}

fn read_job(connection: &Connection, id: &JobId) -> Result<Option<Job>, LedgerError> {
    let found = connection
        .prepare_cached("SELECT id, body FROM jobs WHERE id = ?1")
        .and_then(|mut sql| sql.query_row([id.as_str()], entry).optional())
        .map_err(storage("read a job"))?;
    found.map(|found| decode("job", found)).transpose()
}

fn write_job(transaction: &Connection, job: &Job) -> Result<(), LedgerError> {
    let (status, due_at) = (job.status().word(), job.due_at().map(column));
    transaction
        .prepare_cached("UPDATE jobs SET status = ?2, due_at = ?3, body = ?4 WHERE id = ?1")
        .and_then(|mut sql| sql.execute(params![job.id().as_str(), status, due_at, encode(job)]))
        .map_err(storage("change a job"))?;
    Ok(())
}

fn move_job(job: &mut Job, event: Event, now: UnixMillis, policy: &Policy) -> Result<(), LedgerError> {
    job.apply(event, now, policy).map_err(|source| LedgerError::Job { job: job.id().clone(), source })
}

fn read_agent(connection: &Connection, id: &AgentId) -> Result<Option<Agent>, LedgerError> {
    let found = connection
        .prepare_cached("SELECT id, body FROM agents WHERE id = ?1")
        .and_then(|mut sql| sql.query_row([id.as_str()], entry).optional())
        .map_err(storage("read an agent"))?;
    found.map(|found| decode("agent", found)).transpose()
}

/// The two columns that every query of entries asks for: name and JSON.
fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<(String, String)> {
    Ok((row.get(0)?, row.get(1)?))
}

fn encode<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("jobs and agents have string keys and finite numbers, as JSON wants")
}

fn decode<T: DeserializeOwned>(what: &'static str, (id, body): (String, String)) -> Result<T, LedgerError> {
    serde_json::from_str(&body).map_err(|source| LedgerError::Damaged { what, id, source })
}

/// SQLite's integers are signed; a moment is far below their limit.
fn column(at: UnixMillis) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}

fn column_len(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

fn storage(doing: &'static str) -> impl Fn(rusqlite::Error) -> LedgerError {
    move |error| LedgerError::Storage { doing, source: error.into() }
}

#[cfg(test)]
mod tests;
