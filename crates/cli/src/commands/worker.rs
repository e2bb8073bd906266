//! `waxwing worker`

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use waxwing_delivery::worker::{NameTemplate, Turn, Worker, WorkerOptions, prepare_output_dir};
use waxwing_delivery::{Policy, SqliteLedger, WorkerId};
use waxwing_store::download::{DownloadLimits, Reach};
use waxwing_store::{Downloader, UrlPolicy};

use crate::exit::{Code, Failure, Outcome};
use crate::home::{Home, duration, ledger_failed, now};
use crate::keys::OpenKeyArgs;
use crate::scheme::legacy_from;

/// The longest nap between two looks at the ledger.
const NAP_MAX: Duration = Duration::from_millis(500);

/// Take jobs from the ledger: download, open, publish
#[derive(Debug, clap::Args)]
#[command(
    after_help = "An output appears once, when all of it has verified. A worker that dies loses nothing: its lease
ends and another worker takes the job. SIGTERM and Ctrl-C end it after the job at hand.

Example:
  waxwing worker --drain --key acme --output inbox"
)]
pub(crate) struct Args {
    /// End when every job is settled
    #[arg(long, conflicts_with = "once")]
    drain: bool,
    /// Take one job, and end
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    keys: OpenKeyArgs,
    /// Where to publish
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// What outputs are called
    #[arg(long, value_name = "TEMPLATE", default_value = "${FileID}.csv")]
    name: NameTemplate,
    /// Where URLs may lead: an https origin, or an origin and a path that ends in /; may be given several times
    /// [default: where `waxwing serve` listens]
    #[arg(long, value_name = "PREFIX")]
    allow_url: Vec<String>,
    /// The largest ciphertext that is downloaded, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = DownloadLimits::default().bytes_max)]
    download_max: u64,
    /// How long a job is this worker's without a sign of life
    #[arg(long, value_parser = duration, default_value = "60s")]
    lease: Duration,
    /// What the ledger calls this worker [default: worker- and the process id]
    #[arg(long, value_name = "ID")]
    id: Option<WorkerId>,
    /// Accept PKCS#1 v1.5 and CBC; what nothing proves goes to DIR/unauthenticated
    #[arg(long)]
    legacy: bool,
    /// Log as JSON
    #[arg(long)]
    log_json: bool,
}

pub(crate) fn run(args: Args, home: &Home) -> Outcome {
    if args.lease.is_zero() {
        return Err(Failure::new(Code::Usage, "a lease of no time is lost at once"));
    }
    start_log(args.log_json);
    let policy = Policy { lease: args.lease, ..Policy::default() };
    let worker = Worker::new(
        home.ledger(policy)?,
        Downloader::new(
            urls(&args.allow_url, home)?,
            DownloadLimits { bytes_max: args.download_max, ..DownloadLimits::default() },
        )
        .map_err(|err| Failure::new(Code::Failed, "cannot set up downloads").because(err))?,
        args.keys.record_keys()?,
        WorkerOptions {
            id: match args.id {
                Some(id) => id,
                None => format!("worker-{}", std::process::id()).parse().expect("it is a worker id"),
            },
            output_dir: args.output.clone(),
            name: args.name,
            legacy: legacy_from(args.legacy),
            lease: args.lease,
        },
        now,
    );
    prepare_output_dir(&args.output)
        .map_err(|err| Failure::io(format!("cannot write to `{}`", args.output.display()), err))?;
    super::runtime()?.block_on(work(&worker, args.drain, args.once))
}

async fn work(worker: &Worker<SqliteLedger>, drain: bool, once: bool) -> Outcome {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
        return Err(Failure::new(Code::Failed, "cannot wait for signals"));
    };
    loop {
        // The job at hand is finished first: a signal that comes meanwhile waits here.
        let turn = worker.turn().await.map_err(ledger_failed)?;
        let nap = match turn {
            Turn::Worked(_) | Turn::LeaseLost if once => return Ok(()),
            Turn::Worked(_) | Turn::LeaseLost => Duration::ZERO,
            Turn::Idle { next_due: None } if drain || once => return Ok(()),
            Turn::Idle { next_due: Some(due) } => due.since(now()).min(NAP_MAX),
            Turn::Idle { next_due: None } => NAP_MAX,
        };
        tokio::select! {
            biased;
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            () = tokio::time::sleep(nap) => {}
        }
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

/// The holder's own log, on standard error. `RUST_LOG` chooses what is in it.
fn start_log(json: bool) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    if json { log.json().init() } else { log.with_ansi(false).init() }
}
