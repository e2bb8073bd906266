//! `waxwing jobs`

use std::time::{Duration, SystemTime};

use clap::{Subcommand, ValueEnum};
use serde_json::Value;
use waxwing_delivery::{
    AgentId, Event, Job, JobFilter, JobId, JobLedger, JobView, LIST_MAX, NewUrl, Policy, Status,
};
use waxwing_store::ObjectName;

use crate::exit::{Code, Failure, Outcome};
use crate::home::{Home, duration, ledger_failed, now};
use crate::places::{PlaceArgs, StoreArgs};
use crate::print;

/// Look at the jobs in the ledger, and give them new URLs
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    places: PlaceArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the table of a ledger in DynamoDB, with its index
    Init,
    /// List jobs, newest first
    List {
        /// Only those in this state
        #[arg(long, value_enum)]
        status: Option<StatusArg>,
        /// Only those for this agent
        #[arg(long)]
        agent: Option<AgentId>,
        /// At most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=LIST_MAX as u64))]
        limit: u64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one job with its history; the URL in it is a secret while it lives
    Show {
        /// Which
        job: JobId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a job a new URL, where the old one ended before the file was fetched
    Renew {
        /// Which
        job: JobId,
        /// How long the new URL is good for: 90s, 30m, 12h; at most 7d
        #[arg(long, value_parser = duration, default_value = "1800")]
        ttl: Duration,
        #[command(flatten)]
        store: StoreArgs,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StatusArg {
    Pending,
    Leased,
    Done,
    Failed,
}

impl From<StatusArg> for Status {
    fn from(status: StatusArg) -> Self {
        match status {
            StatusArg::Pending => Self::Pending,
            StatusArg::Leased => Self::Leased,
            StatusArg::Done => Self::Done,
            StatusArg::Failed => Self::Failed,
        }
    }
}

pub(crate) fn run(args: Args, home: &Home) -> Outcome {
    let ledger = || args.places.ledger(home, Policy::default());
    match args.action {
        Action::Init => {
            let table = args.places.create_ledger()?;
            eprintln!("made the table {table}");
            Ok(())
        }
        Action::List { status, agent, limit, json } => {
            // The cast cannot cut: the limit is at most LIST_MAX.
            let filter = JobFilter { status: status.map(Status::from), agent, limit: limit as usize };
            let jobs = ledger()?.list(&filter).map_err(ledger_failed)?;
            let views: Vec<Value> = jobs.iter().map(|job| to_value(&JobView::summary(job))).collect();
            if json {
                return print(&format!("{:#}\n", Value::Array(views)));
            }
            for view in views {
                let field = |name: &str| view.get(name).map(plain).unwrap_or_default();
                let line = format!(
                    "{:<34} {:<8} {:>2}  {:<24}  {:<16} {} {}",
                    field("JobID"),
                    field("Status"),
                    field("Attempts"),
                    field("UpdatedAt"),
                    field("AgentID"),
                    field("FileID"),
                    field("Message"),
                );
                print(&format!("{}\n", line.trim_end()))?;
            }
            Ok(())
        }
        Action::Show { job, json } => {
            let job = known(&*ledger()?, &job)?;
            let view = to_value(&JobView::full(&job));
            match (json, view.as_object()) {
                (false, Some(fields)) => {
                    for (name, value) in fields {
                        print(&format!("{name:<18} {}\n", plain(value)))?;
                    }
                    Ok(())
                }
                _ => print(&format!("{view:#}\n")),
            }
        }
        Action::Renew { job, ttl, store } => {
            let ledger = ledger()?;
            let what = || Failure::new(Code::Failed, format!("cannot renew the URL of job `{job}`"));
            let name = object_of(known(&*ledger, &job)?.record().presigned_url());
            let name = name.ok_or_else(|| what().hint("its URL is not one that `waxwing deliver` makes"))?;
            let store = store.open(home, ttl)?;
            let signed = super::runtime()?.block_on(async {
                store.head(&name).await?;
                store.presign_get(&name, ttl, SystemTime::now()).await
            });
            let url = signed.map_err(|err| what().because(err))?;
            let url = NewUrl::new(url.expose()).ok_or_else(|| what().hint("the new URL is too long"))?;
            ledger.apply(&job, Event::Renew(url), now()).map_err(ledger_failed)?;
            eprintln!("renewed {job}: its URL is good for {} s", ttl.as_secs());
            Ok(())
        }
    }
}

fn known(ledger: &dyn JobLedger, id: &JobId) -> Result<Job, Failure> {
    let found = ledger.job(id).map_err(ledger_failed)?;
    found.ok_or_else(|| Failure::new(Code::NotFound, format!("there is no job `{id}`")))
}

/// The object that a URL of ours leads to: the last two parts of its path.
fn object_of(url: &str) -> Option<ObjectName> {
    let path = url.split(['?', '#']).next()?;
    let mut parts = path.rsplitn(3, '/');
    let (name, folder) = (parts.next()?, parts.next()?);
    format!("{folder}/{name}").parse().ok()
}

fn to_value(view: &JobView) -> Value {
    serde_json::to_value(view).expect("a view is JSON")
}

/// A value without quotes, and without control characters that a terminal would obey.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text
            .chars()
            .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
            .collect(),
        value => value.to_string(),
    }
}
