//! `waxwing worker`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::warn;
use waxwing_delivery::worker::{
    AllJobs, Claim, JobSource, MayOpen, NameTemplate, OneJob, Worked, Worker, WorkerOptions, WorkerParts,
};
use waxwing_delivery::{JobId, JobLedger, LedgerError, Policy, State, WorkerId};
use waxwing_profiles::policy::{Action, Policy as Rules};
use waxwing_store::download::{DownloadLimits, Reach};
use waxwing_store::{Downloader, UrlPolicy};

use crate::exit::{Code, Failure, Outcome};
use crate::home::{Home, duration, ledger_failed, now};
use crate::keys::OpenKeyArgs;
use crate::places::{self, OutputArgs, PlaceArgs, QueueArgs};
use crate::policy::{self, PolicyArgs};
use crate::profile;
use crate::scheme::legacy_from;
use crate::telemetry::TelemetryArgs;

/// How often in a row a ledger may fail before the worker ends.
const LEDGER_FAILURES_MAX: u32 = 10;
/// The pause after the first failure of a ledger; each later one is twice as long, up to [`LEDGER_PAUSE_MAX`].
const LEDGER_PAUSE_FIRST: Duration = Duration::from_millis(250);
/// The longest pause after a failure of a ledger.
const LEDGER_PAUSE_MAX: Duration = Duration::from_secs(15);
/// The shortest nap between two looks at a ledger that had nothing to claim.
const NAP_MIN: Duration = Duration::from_millis(20);
/// How many jobs there are at once for each processor: most wait for a download, for the ledger, or for their turn to be opened.
const JOBS_PER_PROCESSOR: usize = 8;
/// The most jobs at once.
const JOBS_MAX: u16 = 256;

/// Take jobs from the ledger: download, open, publish
#[derive(Debug, clap::Args)]
#[command(
    after_help = "An output appears once, when all of it has verified. A worker that dies loses nothing: its lease
ends and another worker takes the job. SIGTERM and Ctrl-C end it after the jobs at hand, or
give them back when that takes longer than --grace.

Examples:
  waxwing worker --drain --key acme --output inbox
  waxwing worker --ledger dynamodb:jobs --output s3://inbox    docs/manual/aws.md"
)]
pub(crate) struct Args {
    /// End when every job is settled, which a queue cannot tell
    #[arg(long, conflicts_with_all = ["once", "job_env", "queue"])]
    drain: bool,
    /// Take one job, this one if it is named, and end
    #[arg(long, value_name = "JOB", num_args = 0..=1, conflicts_with = "job_env")]
    once: Option<Option<JobId>>,
    /// Take the one job that the environment describes, and end: PresignedURL, FileID, EncryptedAESKey, EncodedAESIV and whatever
    /// else its record has; or JobID alone, where --ledger has the rest
    #[arg(long)]
    job_env: bool,
    /// How many jobs to have at hand at once [default: eight for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(JOBS_MAX)))]
    jobs: Option<u16>,
    #[command(flatten)]
    keys: OpenKeyArgs,
    #[command(flatten)]
    places: PlaceArgs,
    #[command(flatten)]
    queue: QueueArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// What outputs are called
    #[arg(long, value_name = "TEMPLATE", default_value = "${FileID}.csv")]
    name: NameTemplate,
    /// Where ciphertext is kept while it is opened, in files without names [default: DIR of --output, else the system's folder for
    /// temporary files]
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
    /// Where URLs may lead: an https origin, or an origin and a path that ends in /; may be given several times
    /// [default: where `waxwing serve` listens]
    #[arg(
        long,
        value_name = "PREFIX",
        env = "WAXWING_ALLOW_URL",
        hide_env_values = true,
        value_delimiter = ','
    )]
    allow_url: Vec<String>,
    /// The largest ciphertext that is downloaded, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = DownloadLimits::default().bytes_max)]
    download_max: u64,
    /// How long a job is this worker's without a sign of life
    #[arg(long, value_parser = duration, default_value = "60s")]
    lease: Duration,
    /// How often a job is tried before it fails; a worker that died on it counts
    #[arg(long, value_name = "N", default_value_t = Policy::default().attempts_max, value_parser = clap::value_parser!(u32).range(1..=1000))]
    attempts: u32,
    /// How long the jobs at hand may take when the worker is told to end
    #[arg(long, value_parser = duration, default_value = "25s")]
    grace: Duration,
    /// What the ledger calls this worker [default: worker-, and random letters]
    #[arg(long, value_name = "ID")]
    id: Option<WorkerId>,
    /// How files are sealed, where no registry says so: such as oaep-sha1+aes-128-cbc, or profile:PRESET
    #[arg(long, value_name = "SCHEME")]
    scheme: Option<String>,
    /// Accept PKCS#1 v1.5 and CBC; what nothing proves goes to OUTPUT/unauthenticated
    #[arg(long)]
    legacy: bool,
    /// A shared secret of an agent's profile: a file, fd:N or env:NAME; may be given several times
    #[arg(long = "secret", value_name = "NAME=FILE", value_parser = profile::secret_pair)]
    secrets: Vec<(String, String)>,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
}

/// When a worker ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Never,
    /// When every job is settled.
    Drained,
    /// After one job.
    Once,
}

pub(crate) fn run(args: Args, home: &Home) -> Outcome {
    if args.lease.is_zero() {
        return Err(Failure::new(Code::Usage, "a lease of no time is lost at once"));
    }
    let _traces = args.telemetry.start()?;
    let policy = Policy { lease: args.lease, attempts_max: args.attempts, ..Policy::default() };
    let ledger = match args.job_env {
        true => args.places.ledger_with_job_of_environment(home, policy)?,
        false => places::LedgerAndJob {
            ledger: args.places.ledger(home, policy)?,
            job: args.once.clone().flatten(),
        },
    };
    let places::LedgerAndJob { ledger, job } = ledger;
    let source: Arc<dyn JobSource> = match &job {
        Some(job) => Arc::new(OneJob(ledger.clone(), job.clone())),
        None => args
            .queue
            .source(ledger.clone(), args.lease)?
            .unwrap_or_else(|| Arc::new(AllJobs(ledger.clone()))),
    };
    let (outputs, spool_dir) = args.output.open(args.spool.as_deref())?;
    let worker = Worker::new(
        WorkerParts {
            ledger: ledger.clone(),
            source,
            agents: args.places.agents(home, args.scheme)?,
            downloader: Downloader::new(
                urls(&args.allow_url, home)?,
                DownloadLimits { bytes_max: args.download_max, ..DownloadLimits::default() },
            )
            .map_err(|err| Failure::new(Code::Failed, "cannot set up downloads").because(err))?,
            keys: args.keys.record_keys()?,
            outputs,
        },
        WorkerOptions {
            id: match args.id {
                Some(id) => id,
                None => places::random_worker_id()?,
            },
            spool_dir,
            name: args.name,
            legacy: legacy_from(args.legacy),
            secrets: Arc::new(profile::secrets(&args.secrets)?),
            lease: args.lease,
            may_open: may_open(args.policy.load(Some(home.dir()))?),
        },
        now,
    );
    let end = match (args.drain, args.job_env || args.once.is_some()) {
        (true, _) => End::Drained,
        (false, true) => End::Once,
        (false, false) => End::Never,
    };
    let jobs = match (end, args.jobs) {
        (End::Once, _) => 1,
        (_, Some(jobs)) => usize::from(jobs),
        (_, None) => JOBS_PER_PROCESSOR * std::thread::available_parallelism().map_or(1, usize::from),
    };
    let nap = args.places.nap();
    super::runtime()?.block_on(async {
        let _serving = args.telemetry.serve(&worker).await?;
        run_until(end, &worker, jobs, nap, args.grace).await
    })?;
    match job {
        Some(job) if args.job_env => told_by_exit_code(&*ledger, &job),
        _ => Ok(()),
    }
}

/// Whoever hands a job over in the environment may have no other place to look at.
fn told_by_exit_code(ledger: &dyn JobLedger, id: &JobId) -> Outcome {
    let Some(job) = ledger.job(id).map_err(ledger_failed)? else { return Ok(()) };
    match job.state() {
        State::Done { .. } => Ok(()),
        State::Failed { failure } => Err(Failure::new(Code::Failed, format!("job {id} failed: {failure}"))),
        _ => Err(Failure::new(Code::Failed, format!("job {id} was not finished"))),
    }
}

fn may_open(rules: Option<Rules>) -> MayOpen {
    MayOpen::new(move |scheme, agent| {
        policy::check(rules.as_ref(), Action::Open, scheme, Some(agent.as_ref())).is_ok()
    })
}

/// Works until `end` or a signal. A signal lets the jobs at hand finish, for `grace` at most; another does not.
async fn run_until(end: End, worker: &Worker, jobs: usize, nap: Duration, grace: Duration) -> Outcome {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
        return Err(Failure::new(Code::Failed, "cannot wait for signals"));
    };
    let mut asked = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let stop = watch::Sender::new(false);
    let working = work(end, worker, jobs, nap, stop.subscribe());
    tokio::pin!(working);
    tokio::select! {
        ended = &mut working => return ended.map_err(ledger_failed),
        () = asked() => { stop.send_replace(true); }
    }
    tokio::select! {
        ended = &mut working => return ended.map_err(ledger_failed),
        () = tokio::time::sleep(grace) => warn!("the jobs at hand take too long; giving them back"),
        () = asked() => warn!("asked to end again; giving the jobs at hand back"),
    }
    worker.give_up();
    working.await.map_err(ledger_failed)
}

/// Claims jobs and works on `jobs` of them side by side.
async fn work(
    end: End,
    worker: &Worker,
    jobs: usize,
    nap_max: Duration,
    mut stop: watch::Receiver<bool>,
) -> Result<(), LedgerError> {
    let mut at_hand = JoinSet::new();
    let mut trouble = Trouble::default();
    loop {
        let nap = if at_hand.len() >= jobs {
            None
        } else {
            let room = if end == End::Once { 1 } else { jobs - at_hand.len() };
            match worker.claim(room).await {
                Ok(Claim::Jobs(claimed)) => {
                    trouble.over();
                    for claimed in claimed {
                        let worker = worker.clone();
                        at_hand.spawn(async move { worker.work_on(claimed).await });
                    }
                    if end == End::Once {
                        break;
                    }
                    Some(Duration::ZERO)
                }
                Ok(Claim::Nothing { next_due: None }) if end != End::Never && at_hand.is_empty() => break,
                Ok(Claim::Nothing { next_due }) => {
                    trouble.over();
                    // What is due and cannot be claimed, such as a damaged entry, is not asked for without pause.
                    Some(next_due.map_or(nap_max, |due| due.since(now()).clamp(NAP_MIN, nap_max)))
                }
                Err(err) => Some(trouble.pause(err)?),
            }
        };
        let nap = async {
            match nap {
                Some(nap) => tokio::time::sleep(nap).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            Some(ended) = at_hand.join_next() => {
                // Whoever ended with it is replaced with it, by one claim.
                let all = std::iter::successors(Some(ended), |_| at_hand.try_join_next());
                let failed = all.filter_map(|ended| worked(ended).err()).last();
                if let Some(err) = failed {
                    tokio::time::sleep(trouble.pause(err)?).await;
                }
            }
            () = nap => {}
        }
    }
    let mut result = Ok(());
    while let Some(ended) = at_hand.join_next().await {
        result = result.and(worked(ended).map(drop));
    }
    result
}

fn worked(ended: Result<Result<Worked, LedgerError>, tokio::task::JoinError>) -> Result<Worked, LedgerError> {
    ended.unwrap_or_else(|err| std::panic::resume_unwind(err.into_panic()))
}

/// Failures of a ledger in a row.
#[derive(Default)]
struct Trouble {
    failures: u32,
    /// Whether the ledger has ever answered this worker.
    was_well: bool,
}

impl Trouble {
    /// The ledger answered.
    fn over(&mut self) {
        *self = Self { failures: 0, was_well: true };
    }

    /// How long to wait after one more; an error when it is one too many.
    ///
    /// Who is denied from the beginning has a wrong name or lacks rights, and is told at once. Later it is somebody's mistake, which
    /// may be mended.
    fn pause(&mut self, err: LedgerError) -> Result<Duration, LedgerError> {
        let said = match err {
            LedgerError::Storage { .. } => "the ledger failed; trying again",
            LedgerError::Denied { .. } if self.was_well => {
                "the ledger is denied to this worker or is gone, and was not before; trying again"
            }
            err => return Err(err),
        };
        if self.failures >= LEDGER_FAILURES_MAX {
            return Err(err);
        }
        let cause: &(dyn std::error::Error + 'static) = &err;
        warn!(error = cause, "{said}");
        let pause = LEDGER_PAUSE_FIRST.saturating_mul(1 << self.failures).min(LEDGER_PAUSE_MAX);
        self.failures += 1;
        Ok(pause)
    }
}

fn urls(prefixes: &[String], home: &Home) -> Result<UrlPolicy, Failure> {
    let default = [format!("{}/", home.base_url())];
    let prefixes = if prefixes.is_empty() { &default } else { prefixes };
    prefixes.iter().try_fold(UrlPolicy::default(), |policy, prefix| {
        let reach = if prefix.starts_with("http://") { Reach::Loopback } else { Reach::Public };
        let prefix = if prefix.ends_with('/') { prefix.clone() } else { format!("{prefix}/") };
        policy
            .allow(&prefix, reach)
            .map_err(|err| Failure::new(Code::Usage, "--allow-url cannot be used").because(err))
    })
}
