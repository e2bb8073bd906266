//! A worker: claims a job, downloads, opens, publishes once, and says so.
//!
//! The order is what makes a crash harmless. The plaintext is staged under a name nobody reads; when all of it has
//! verified, the output is published only if it is absent, under a lease that has time left, and only then the job is finished. A
//! worker that dies in between leaves a lease that ends, and another that does the same again.
//!
//! Towards whoever submits jobs every failure after a key was used is [`FailureClass::Rejected`]. The holder's log has the
//! detail: job id, file id and the chain of errors, never a URL, a key or contents.

mod opening;
mod outputs;
mod source;
mod telemetry;
mod template;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{AbortHandle, JoinError, spawn_blocking};
use tracing::{Instrument as _, Span, error, info, warn};
use waxwing_core::content::{Legacy, Plan};
use waxwing_engine::Secrets;
use waxwing_formats::base64::Reading;
use waxwing_formats::record::Record;
use waxwing_keyring::RecordKeys;
use waxwing_profiles::policy::SchemeFacts;
use waxwing_profiles::{Protection, preset};
use waxwing_store::download::{DownloadError, Spool};
use waxwing_store::{Downloader, PresignedUrl};

pub use self::outputs::{DirOutputs, Outputs, Published, Staged};
pub use self::source::{AllJobs, Heard, JobSource, Notice, OneJob};
pub use self::telemetry::{METRICS_TYPE, Metrics};
pub use self::template::{NameTemplate, TemplateError};

use self::opening::{Opened, Opening, Recipe};
use self::telemetry::{Stage, job_span};
use crate::{
    AgentId, AgentLedger, DownloadFailure, Event, FailureClass, Job, JobLedger, KeyId, KeyStatus, LeaseToken,
    LedgerError, Receipt, RetryCause, Status, UnixMillis, WorkerId,
};

/// What stands before a preset's id in the scheme of an agent whose partner has a scheme of their own.
pub const PROFILE_PREFIX: &str = "profile:";
/// Where output goes that proved nothing: below the place of outputs, so that nobody takes it for more.
pub const UNAUTHENTICATED_DIR: &str = "unauthenticated";
/// Rejections are told only when a whole number of these has passed since the claim: how far a file got is then not to be
/// read from the clock.
pub const REJECTION_TICK: Duration = Duration::from_secs(1);
/// How often one claim goes back to a job's record for a new URL when the old one is refused.
const URLS_MAX: u32 = 3;
/// How many files are opened and published at once for each processor; one of two may wait for its output's store. Further jobs
/// wait for their downloads and for the ledger.
const OPENINGS_PER_PROCESSOR: usize = 2;

/// What a worker works with.
#[derive(Debug, Clone)]
pub struct WorkerParts {
    /// Who keeps the jobs.
    pub ledger: Arc<dyn JobLedger>,
    /// Where it hears of them.
    pub source: Arc<dyn JobSource>,
    /// Who the jobs may be for.
    pub agents: Agents,
    /// Fetches ciphertexts.
    pub downloader: Downloader,
    /// The private keys.
    pub keys: RecordKeys,
    /// Where plaintext is published.
    pub outputs: Arc<dyn Outputs>,
}

/// Who the jobs of a worker may be for.
#[derive(Debug, Clone)]
pub enum Agents {
    /// The agents of a registry: it says how their files are sealed and which of their keys are good.
    Registered(Arc<dyn AgentLedger>),
    /// Whoever the job names: the worker was started for its owner, whose private keys it has, and reads no registry.
    Unregistered {
        /// How files are sealed, as an agent's scheme says it; without one the record says so.
        scheme: Option<String>,
    },
}

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// What the ledger calls it.
    pub id: WorkerId,
    /// Where ciphertext is kept while it is opened, in files without names.
    pub spool_dir: PathBuf,
    /// What outputs are called.
    pub name: NameTemplate,
    /// Whether records of legacy schemes are opened, into [`UNAUTHENTICATED_DIR`] if nothing proves them.
    pub legacy: Legacy,
    /// Shared secrets for agents whose profiles have some.
    pub secrets: Arc<Secrets>,
    /// How long a lease lasts; it is renewed three times in that time.
    pub lease: Duration,
    /// Whether a record of this scheme may be opened for this agent now. Asked before anything is downloaded.
    pub may_open: MayOpen,
}

/// Asks a policy about a scheme and an agent.
#[derive(Clone)]
pub struct MayOpen(Arc<Question>);

/// What a policy answers.
type Question = dyn Fn(&SchemeFacts, &AgentId) -> bool + Send + Sync;

impl MayOpen {
    /// Asks `policy`.
    pub fn new(policy: impl Fn(&SchemeFacts, &AgentId) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(policy))
    }
}

impl Default for MayOpen {
    /// Allows every scheme.
    fn default() -> Self {
        Self::new(|_, _| true)
    }
}

impl std::fmt::Debug for MayOpen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MayOpen(..)")
    }
}

/// Takes jobs, opens them and publishes what came out. Its clones are the same worker: each works on a job of its own, so
/// that their number is the number of jobs at once.
#[derive(Debug, Clone)]
pub struct Worker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: WorkerParts,
    options: WorkerOptions,
    clock: fn() -> UnixMillis,
    giving_up: watch::Sender<bool>,
    metrics: Arc<Metrics>,
    openings: Arc<Semaphore>,
}

/// What there was to claim.
#[derive(Debug)]
pub enum Claim {
    /// Jobs for [`Worker::work_on`].
    Jobs(Vec<Claimed>),
    /// Nothing is due. The next job may be at this moment; `None`: every job is settled.
    Nothing {
        /// When.
        next_due: Option<UnixMillis>,
    },
}

/// A job that this worker holds. Dropped, it is another's when its lease ends.
#[derive(Debug)]
pub struct Claimed {
    job: Arc<Job>,
    notice: Option<Arc<dyn Notice>>,
    since: Instant,
}

/// What became of a claimed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worked {
    /// This is its status now; pending if it is to be tried again.
    Settled(Status),
    /// Another worker has it.
    LeaseLost,
}

/// How one attempt at a job ended.
enum Attempt {
    /// It keeps its turn until it is published: an output that waits for that may take as much memory as one that is written.
    Opened(Opened, OwnedSemaphorePermit),
    Failed(FailureClass),
    Retry(RetryCause),
    /// The lease was lost, or the worker gives up.
    Stopped,
}

impl Worker {
    /// A worker that tells the time by `clock`.
    pub fn new(parts: WorkerParts, options: WorkerOptions, clock: fn() -> UnixMillis) -> Self {
        let (giving_up, metrics) = (watch::Sender::new(false), Arc::default());
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let openings = Arc::new(Semaphore::new(OPENINGS_PER_PROCESSOR * processors));
        Self(Arc::new(Inner { parts, options, clock, giving_up, metrics, openings }))
    }

    /// What this worker and its clones have done.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// Claims up to `max` jobs that are due.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]: the source cannot be used.
    pub async fn claim(&self, max: usize) -> Result<Claim, LedgerError> {
        let started = Instant::now();
        let heard = self.blocking(move |inner| inner.claim(max)).await;
        self.metrics().asked(&heard);
        Ok(match heard? {
            Heard::Jobs(jobs) => {
                self.metrics().took(Stage::Claim, started.elapsed());
                let claimed = jobs.into_iter().map(|(job, notice)| {
                    info!(job = %job.id(), file = %job.record().file_id(), attempt = job.attempts(), "claimed");
                    Claimed { job: Arc::new(job), notice: notice.map(Arc::from), since: started }
                });
                Claim::Jobs(claimed.collect())
            }
            Heard::Nothing { next_due } => Claim::Nothing { next_due },
        })
    }

    /// Works on a claimed job to its end.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]: the ledger cannot be used. The job's lease ends by itself then.
    pub async fn work_on(&self, claimed: Claimed) -> Result<Worked, LedgerError> {
        let Claimed { job, notice, since } = claimed;
        let _in_flight = self.metrics().begin();
        let span = job_span(&job);
        let settled = {
            // All of it on one thread that may wait: handing a small job from thread to thread costs more than the job.
            let (worker, job, notice) = (self.clone(), Arc::clone(&job), notice.clone());
            let settling = async move { worker.settle(&job, notice, since).await }.instrument(span.clone());
            let runtime = Handle::current();
            self.blocking(move |_| runtime.block_on(settling)).await
        };
        match settled {
            Ok(settled) => {
                let status = settled.status();
                info!(job = %job.id(), status = status.word(), "settled");
                span.record("status", status.word());
                self.metrics().told(&settled);
                Ok(Worked::Settled(status))
            }
            Err(err) if err.is_lease_lost() => {
                warn!(job = %job.id(), "the lease was lost; another worker has the job");
                self.metrics().lease_lost();
                Ok(Worked::LeaseLost)
            }
            Err(err) => {
                let failed = Err(err);
                self.metrics().asked(&failed);
                failed
            }
        }
    }

    /// Has this worker and its clones drop what they do, and give their jobs back at once.
    pub fn give_up(&self) {
        self.0.giving_up.send_replace(true);
    }

    /// Works on a job under its lease, and settles it or gives it back. Blocks here and there.
    async fn settle(
        &self,
        job: &Arc<Job>,
        notice: Option<Arc<dyn Notice>>,
        since: Instant,
    ) -> Result<Job, LedgerError> {
        let token = job.token();
        let stop = watch::Sender::new(false);
        let renewing = AbortOnDrop(
            tokio::spawn(self.clone().renew(token.clone(), notice.clone(), stop.clone())).abort_handle(),
        );
        let attempt = self.attempt(job, &stop).await;
        if let Attempt::Failed(FailureClass::Rejected) = attempt {
            tokio::time::sleep(until_tick(since.elapsed())).await;
        }
        drop(renewing);
        let inner = &self.0;
        let event = match attempt {
            Attempt::Opened(opened, _turn) => {
                inner.metrics.timed(Stage::Publish, || inner.publish(job, &token, since, opened))?
            }
            Attempt::Failed(class) => Event::Fail(token.fence, class),
            Attempt::Retry(cause) => Event::Retry(token.fence, cause),
            // Whose lease is lost is told so by the ledger.
            Attempt::Stopped => Event::Release(token.fence),
        };
        let settled =
            inner.metrics.timed(Stage::Settle, || inner.parts.ledger.apply(job.id(), event, inner.now()))?;
        if let Some(notice) = notice {
            notice.answer(&settled, inner.now());
        }
        Ok(settled)
    }

    /// Renews a lease until it is lost or the worker gives up, and says so.
    async fn renew(self, token: LeaseToken, notice: Option<Arc<dyn Notice>>, stop: watch::Sender<bool>) {
        let mut giving_up = self.0.giving_up.subscribe();
        let mut renewal = tokio::time::interval(self.0.options.lease / 3);
        renewal.tick().await; // the first comes at once
        loop {
            tokio::select! {
                _ = giving_up.wait_for(|up| *up) => break,
                _ = renewal.tick() => {}
            }
            let (token, notice) = (token.clone(), notice.clone());
            let renewed = self.blocking(move |inner| {
                let renewed = inner.parts.ledger.heartbeat(&token, inner.now());
                if let (Ok(_), Some(notice)) = (&renewed, notice) {
                    notice.hide(inner.options.lease);
                }
                renewed
            });
            if let Err(err) = renewed.await {
                warn!(error = %chain(&err), "a lease was not renewed");
                if err.is_lease_lost() {
                    break;
                }
            }
        }
        stop.send_replace(true);
    }

    async fn attempt(&self, job: &Job, stop: &watch::Sender<bool>) -> Attempt {
        let checked = self.0.check(job);
        let (recipe, proven) = match checked {
            Ok(checked) => checked,
            Err(Refused { detail, attempt }) => {
                warn!(job = %job.id(), detail, "refused before a key was used");
                return attempt;
            }
        };
        let mut stopped = stop.subscribe();
        let downloaded = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return Attempt::Stopped,
            downloaded = self.timed(Stage::Download, self.download(job)) => downloaded,
        };
        let ciphertext = match downloaded {
            Ok(file) => file,
            Err(err) => {
                warn!(job = %job.id(), error = %chain(&err), "not downloaded");
                return not_downloaded(&err);
            }
        };
        let name = self.0.options.name.output(job.record().file_id());
        let opening = Opening {
            recipe,
            keys: self.0.parts.keys.clone(),
            secrets: Arc::clone(&self.0.options.secrets),
            legacy: self.0.options.legacy,
            outputs: Arc::clone(&self.0.parts.outputs),
            name: if proven { name } else { format!("{UNAUTHENTICATED_DIR}/{name}") },
            spool_dir: self.0.options.spool_dir.clone(),
        };
        let turn = Arc::clone(&self.0.openings).acquire_owned().await.expect("it is never closed");
        // Runs where it is waited for, so that a panic is this job's.
        let opening = std::panic::AssertUnwindSafe(|| opening.run(ciphertext, &stopped));
        let opened = self.metrics().timed(Stage::Open, || std::panic::catch_unwind(opening));
        match opened {
            Ok(Ok(opened)) => Attempt::Opened(opened, turn),
            Ok(Err(err)) => {
                warn!(job = %job.id(), error = %chain(&err), "not opened");
                opening::class_of(&err)
            }
            Err(_) => {
                error!(job = %job.id(), "opening ended without a result");
                Attempt::Retry(RetryCause::Worker)
            }
        }
    }

    /// Downloads into a spool. A URL that is refused is asked for again in the job's record: its provider
    /// may have put a new one there.
    async fn download(&self, job: &Job) -> Result<std::fs::File, DownloadError> {
        let mut url = PresignedUrl::new(job.record().presigned_url());
        let mut urls = 1;
        loop {
            let mut spool = Spool::new(self.0.options.spool_dir.clone()).map_err(DownloadError::Write)?;
            let err = match self.0.parts.downloader.download(&url, &mut spool).await {
                Ok(downloaded) => {
                    self.metrics().downloaded(downloaded.len);
                    return spool.into_file().map_err(DownloadError::Write);
                }
                Err(err @ DownloadError::Status(_)) if urls < URLS_MAX => err,
                Err(err) => return Err(err),
            };
            let newer = self.0.parts.ledger.job(job.id()).ok().flatten();
            match newer.map(|job| PresignedUrl::new(job.record().presigned_url())) {
                Some(newer) if newer.expose() != url.expose() => {
                    info!(job = %job.id(), "the job has a new URL");
                    (url, urls) = (newer, urls + 1);
                }
                _ => return Err(err),
            }
        }
    }

    /// Waits for the work of a stage, in its span, and notes how long it took.
    async fn timed<F: Future>(&self, stage: Stage, work: F) -> F::Output {
        let started = Instant::now();
        let done = work.instrument(stage.span()).await;
        self.metrics().took(stage, started.elapsed());
        done
    }

    /// Calls on a thread that may wait, in the present span.
    async fn blocking<T: Send + 'static>(&self, call: impl FnOnce(&Inner) -> T + Send + 'static) -> T {
        let (inner, span) = (Arc::clone(&self.0), Span::current());
        let called = spawn_blocking(move || span.in_scope(|| call(&inner))).await;
        called.unwrap_or_else(|err: JoinError| std::panic::resume_unwind(err.into_panic()))
    }
}

impl Inner {
    fn now(&self) -> UnixMillis {
        (self.clock)()
    }

    fn claim(&self, max: usize) -> Result<Heard, LedgerError> {
        let heard = self.parts.source.claim(&self.options.id, self.now(), max)?;
        if let Heard::Jobs(jobs) = &heard
            && jobs.iter().any(|(job, _)| job.attempts() > 1)
            && let Err(err) = self.parts.outputs.sweep()
        {
            warn!(error = %chain(&err), "what an earlier worker left cannot be removed");
        }
        Ok(heard)
    }

    /// What can be judged from the record and the registry alone: how to open it, and whether what comes out is proven.
    fn check(&self, job: &Job) -> Result<(Recipe, bool), Refused> {
        let scheme = match &self.parts.agents {
            Agents::Unregistered { scheme } => scheme.clone(),
            Agents::Registered(agents) => {
                let agent = agents.agent(job.agent()).map_err(|err| {
                    warn!(error = %chain(&err), "the registry cannot be read");
                    Refused {
                        detail: "the registry cannot be read",
                        attempt: Attempt::Retry(RetryCause::Worker),
                    }
                })?;
                let agent = agent.ok_or("the agent is unknown")?;
                if let Some(key_id) = job.record().key_id() {
                    match agent.key_status(key_id, self.now()) {
                        KeyStatus::Active | KeyStatus::Overlap { .. } => {}
                        KeyStatus::Retired => return Err("the key was retired".into()),
                        KeyStatus::Unknown => return Err("the key was never the agent's".into()),
                    }
                }
                agent.scheme().map(str::to_owned)
            }
        };
        Ok(self.recipe(job, scheme.as_deref())?)
    }

    fn recipe(&self, job: &Job, scheme: Option<&str>) -> Result<(Recipe, bool), &'static str> {
        let unknown = "the agent's scheme is unknown to this worker";
        let fields = job.record().fields().clone();
        if let Some(id) = scheme.and_then(|scheme| scheme.strip_prefix(PROFILE_PREFIX)) {
            let profile = &preset(id).ok_or(unknown)?.profile;
            let of_rsa = |id: &KeyId| hex::decode(id.as_str()).ok()?.try_into().ok();
            let key_id = match job.record().key_id() {
                Some(id) => Some(of_rsa(id).ok_or("the record's key id is not one of an RSA key")?),
                None => None,
            };
            self.may_open(&SchemeFacts::from(profile), job)?;
            let proven = profile.protection() >= Protection::Damage;
            return Ok((Recipe::Message { profile, fields, key_id }, proven));
        }
        let stated = scheme.map(str::parse).transpose().map_err(|_| unknown)?;
        let (record, _) = Record::from_map(fields, Reading::Strict).map_err(|_| "the record is malformed")?;
        if let Some(scheme) = stated.or(record.scheme) {
            self.may_open(&SchemeFacts::from(scheme), job)?;
        }
        let plan = Plan::new(&record, stated, self.options.legacy);
        let plan = plan.map_err(|_| "the record's scheme is not one to open")?;
        let proven = plan.scheme().cipher.is_authenticated() || record.ciphertext_sha256.is_some();
        Ok((Recipe::Record { record, stated }, proven))
    }

    fn may_open(&self, scheme: &SchemeFacts, job: &Job) -> Result<(), &'static str> {
        match (self.options.may_open.0)(scheme, job.agent()) {
            true => Ok(()),
            false => Err("the policy refuses the scheme"),
        }
    }

    /// Publishes if absent, by a lease that has most of its time before it. What is to be said of the job then.
    fn publish(
        &self,
        job: &Job,
        token: &LeaseToken,
        since: Instant,
        opened: Opened,
    ) -> Result<Event, LedgerError> {
        let Opened { staged, name, plaintext_len, sha256 } = opened;
        if since.elapsed() > self.options.lease / 3 {
            self.parts.ledger.heartbeat(token, self.now())?;
        }
        match staged.publish(&sha256) {
            Ok(Published::Now | Published::Before) => {
                let receipt = Receipt { output: name, plaintext_bytes: plaintext_len, sha256 };
                return Ok(Event::Finish(token.fence, receipt));
            }
            Ok(Published::NameTaken) => {
                warn!(job = %job.id(), output = name, "another output has this name");
            }
            Err(err) => warn!(job = %job.id(), output = name, error = %chain(&err), "not published"),
        }
        Ok(Event::Retry(token.fence, RetryCause::Worker))
    }
}

/// A job that no key is used for.
struct Refused {
    detail: &'static str,
    attempt: Attempt,
}

impl From<&'static str> for Refused {
    fn from(detail: &'static str) -> Self {
        Self { detail, attempt: Attempt::Failed(FailureClass::Policy) }
    }
}

/// Ends a task when whoever needs it is gone.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is missing to a whole number of [`REJECTION_TICK`]s.
fn until_tick(elapsed: Duration) -> Duration {
    let tick = REJECTION_TICK.as_nanos();
    let over = elapsed.as_nanos() % tick;
    Duration::from_nanos(u64::try_from(tick - over).expect("a tick is short"))
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
