//! A worker: claims a job, downloads, opens, publishes once, and says so.
//!
//! The order is what makes a crash harmless. The plaintext is staged under a name nobody reads; when all of it has
//! verified, the lease is renewed, the output is published only if it is absent, and only then the job is finished. A
//! worker that dies in between leaves a lease that ends, and another that does the same again.
//!
//! Towards whoever submits jobs every failure after a key was used is [`FailureClass::Rejected`]. The holder's log has the
//! detail: job id, file id and the chain of errors, never a URL, a key or contents.

mod opening;
mod template;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use tracing::{error, info, warn};
use waxwing_core::content::Legacy;
use waxwing_formats::base64::Reading;
use waxwing_formats::record::Record;
use waxwing_formats::scheme::Scheme;
use waxwing_keyring::RecordKeys;
use waxwing_store::download::DownloadError;
use waxwing_store::{Downloader, Durability, PresignedUrl, Publication, publish_once, stage};

pub use self::template::{NameTemplate, TemplateError};

use self::opening::{Opened, Opening};
use crate::{
    AgentLedger, DownloadFailure, FailureClass, Job, JobLedger, KeyStatus, LeaseToken, LedgerError, Receipt,
    RetryCause, Status, UnixMillis, WorkerId,
};

/// Where output goes that proved nothing: below the output folder, so that nobody takes it for more.
pub const UNAUTHENTICATED_DIR: &str = "unauthenticated";

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// What the ledger calls it.
    pub id: WorkerId,
    /// Where plaintext is published.
    pub output_dir: PathBuf,
    /// What it is called there.
    pub name: NameTemplate,
    /// Whether records of legacy schemes are opened, into [`UNAUTHENTICATED_DIR`] if nothing proves them.
    pub legacy: Legacy,
    /// How long a lease lasts; it is renewed three times in that time.
    pub lease: Duration,
}

/// Takes jobs from a ledger, one at a time.
#[derive(Debug)]
pub struct Worker<L> {
    ledger: L,
    downloader: Downloader,
    keys: RecordKeys,
    options: WorkerOptions,
    clock: fn() -> UnixMillis,
}

/// What became of one turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Nothing is due. The next job may be at this moment; `None`: every job is settled.
    Idle {
        /// When.
        next_due: Option<UnixMillis>,
    },
    /// A job was taken, and this is its status now.
    Worked(Status),
    /// A job was taken, and another worker has it now.
    LeaseLost,
}

/// How one attempt at a job ended.
enum Attempt {
    Opened(Opened),
    Failed(FailureClass),
    Retry(RetryCause),
    LeaseLost,
}

impl<L: JobLedger + AgentLedger> Worker<L> {
    /// A worker that tells the time by `clock`.
    pub fn new(
        ledger: L,
        downloader: Downloader,
        keys: RecordKeys,
        options: WorkerOptions,
        clock: fn() -> UnixMillis,
    ) -> Self {
        Self { ledger, downloader, keys, options, clock }
    }

    /// Claims the oldest job that is due and works on it to its end.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]: the ledger cannot be used. The job's lease ends by itself then.
    pub async fn turn(&self) -> Result<Turn, LedgerError> {
        let Some(job) = self.ledger.claim(&self.options.id, (self.clock)())? else {
            return Ok(Turn::Idle { next_due: self.ledger.next_due()? });
        };
        let token = job.token();
        info!(job = %job.id(), file = %job.record().file_id(), attempt = job.attempts(), "claimed");
        let settled = match self.attempt_under_lease(&job, &token).await {
            Attempt::Opened(opened) => self.publish(&job, &token, opened),
            Attempt::Failed(class) => self.ledger.fail(&token, class, (self.clock)()),
            Attempt::Retry(cause) => self.ledger.retry(&token, cause, (self.clock)()),
            Attempt::LeaseLost => return Ok(Turn::LeaseLost),
        };
        match settled {
            Ok(job) => {
                info!(job = %job.id(), status = job.status().word(), "settled");
                Ok(Turn::Worked(job.status()))
            }
            Err(err) if err.is_lease_lost() => {
                warn!(job = %job.id(), "the lease was lost; another worker has the job");
                Ok(Turn::LeaseLost)
            }
            Err(err) => Err(err),
        }
    }

    /// Works on a job and renews its lease meanwhile. When the lease is lost, the work is given up.
    async fn attempt_under_lease(&self, job: &Job, token: &LeaseToken) -> Attempt {
        let lost = Arc::new(AtomicBool::new(false));
        let attempt = self.attempt(job, lost.clone());
        tokio::pin!(attempt);
        let mut renewal = tokio::time::interval(self.options.lease / 3);
        renewal.tick().await; // the first comes at once
        loop {
            tokio::select! {
                ended = &mut attempt => return if lost.load(Ordering::Relaxed) { Attempt::LeaseLost } else { ended },
                _ = renewal.tick() => {
                    if let Err(err) = self.ledger.heartbeat(token, (self.clock)()) {
                        warn!(job = %job.id(), error = %chain(&err), "the lease was not renewed");
                        if err.is_lease_lost() {
                            lost.store(true, Ordering::Relaxed);
                        }
                    }
                }
            }
        }
    }

    async fn attempt(&self, job: &Job, lost: Arc<AtomicBool>) -> Attempt {
        let opening = match self.check(job) {
            Ok(record) => Opening { record, keys: self.keys.clone(), legacy: self.options.legacy },
            Err(detail) => {
                warn!(job = %job.id(), detail, "refused before a key was used");
                return Attempt::Failed(FailureClass::Policy);
            }
        };
        let url = PresignedUrl::new(job.record().presigned_url());
        let ciphertext = match self.download(&url).await {
            Ok(file) => file,
            Err(err) => {
                warn!(job = %job.id(), error = %chain(&err), "not downloaded");
                return not_downloaded(&err);
            }
        };
        let output_dir = self.options.output_dir.clone();
        let ended = tokio::task::spawn_blocking(move || opening.run(ciphertext, &output_dir, &lost)).await;
        match ended {
            Ok(Ok(opened)) => Attempt::Opened(opened),
            Ok(Err(err)) => {
                warn!(job = %job.id(), error = %chain(&err), "not opened");
                opening::class_of(&err)
            }
            Err(err) => {
                error!(job = %job.id(), error = %err, "opening ended without a result");
                Attempt::Retry(RetryCause::Worker)
            }
        }
    }

    /// What can be judged from the record and the registry alone.
    fn check(&self, job: &Job) -> Result<(Record, Option<Scheme>), &'static str> {
        let (record, _) = Record::from_map(job.record().fields().clone(), Reading::Strict)
            .map_err(|_| "the record is malformed")?;
        let agent = self.ledger.agent(job.agent()).map_err(|_| "the registry cannot be read")?;
        let agent = agent.ok_or("the agent is unknown")?;
        if let Some(key_id) = job.record().key_id() {
            match agent.key_status(key_id, (self.clock)()) {
                KeyStatus::Active | KeyStatus::Overlap { .. } => {}
                KeyStatus::Retired => return Err("the key was retired"),
                KeyStatus::Unknown => return Err("the key was never the agent's"),
            }
        }
        let stated = agent.scheme().map(str::parse::<Scheme>).transpose();
        let stated = stated.map_err(|_| "the agent's scheme is unknown to this worker")?;
        Ok((record, stated))
    }

    /// Downloads into a file without readers.
    async fn download(&self, url: &PresignedUrl) -> Result<std::fs::File, DownloadError> {
        let file = tempfile::tempfile_in(&self.options.output_dir).map_err(DownloadError::Write)?;
        let mut file = tokio::fs::File::from_std(file);
        self.downloader.download(url, &mut file).await?;
        Ok(file.into_std().await)
    }

    /// Renews the lease, publishes if absent, and finishes.
    fn publish(&self, job: &Job, token: &LeaseToken, opened: Opened) -> Result<Job, LedgerError> {
        let Opened { staged, plaintext_len, sha256, proven } = opened;
        let name = self.options.name.output(job.record().file_id());
        let name = if proven { name } else { format!("{UNAUTHENTICATED_DIR}/{name}") };
        let target = self.options.output_dir.join(&name);
        self.ledger.heartbeat(token, (self.clock)())?;
        let published = publish_once(staged, &target, Durability::Synced);
        let is_there = match published {
            Ok(Publication::Published) => true,
            // An earlier attempt may have come this far. Anything else under the name is left alone.
            Ok(Publication::AlreadyThere) => sha256_of(&target).is_ok_and(|found| found == sha256),
            Err(err) => {
                warn!(job = %job.id(), error = %err, "not published");
                false
            }
        };
        if !is_there {
            warn!(job = %job.id(), output = name, "the output cannot be written, or its name is taken");
            return self.ledger.retry(token, RetryCause::Worker, (self.clock)());
        }
        let receipt = Receipt { output: name, plaintext_bytes: plaintext_len, sha256 };
        self.ledger.finish(token, receipt, (self.clock)())
    }
}

/// Makes the folders that a worker publishes into, and removes what killed workers left there.
///
/// # Errors
///
/// The system's.
pub fn prepare_output_dir(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir.join(UNAUTHENTICATED_DIR))?;
    waxwing_store::sweep(dir)?;
    // Fails here rather than in the first job.
    stage(dir).map(drop)
}

fn not_downloaded(err: &DownloadError) -> Attempt {
    let failure = match err {
        DownloadError::Refused(_) => return Attempt::Failed(FailureClass::Policy),
        DownloadError::Write(_) | DownloadError::Setup(_) => return Attempt::Retry(RetryCause::Worker),
        DownloadError::Status(status) => DownloadFailure::Status(*status),
        DownloadError::TooLarge { .. } => DownloadFailure::TooLarge,
        _ => DownloadFailure::Interrupted,
    };
    if err.is_retryable() {
        Attempt::Retry(RetryCause::Download(failure))
    } else {
        Attempt::Failed(FailureClass::Download(failure))
    }
}

fn sha256_of(path: &Path) -> std::io::Result<[u8; 32]> {
    const BUFFER_LEN: usize = 256 << 10;
    let mut file = std::fs::File::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => context.update(&buffer[..read]),
        }
    }
    Ok(context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes"))
}

/// An error with all that caused it.
fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(err) = source {
        text = format!("{text}: {err}");
        source = err.source();
    }
    text
}
