//! `waxwing jobs`

use clap::{Subcommand, ValueEnum};
use serde_json::Value;
use waxwing_delivery::{AgentId, JobFilter, JobId, JobLedger as _, JobView, LIST_MAX, Policy, Status};

use crate::exit::{Code, Failure, Outcome};
use crate::home::{Home, ledger_failed};
use crate::print;

/// Look at the jobs in the ledger
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
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
    let ledger = home.ledger(Policy::default())?;
    match args.action {
        Action::List { status, agent, limit, json } => {
            // The cast cannot cut: the limit is at most LIST_MAX.
            let filter = JobFilter { status: status.map(Status::from), agent, limit: limit as usize };
            let jobs = ledger.list(&filter).map_err(ledger_failed)?;
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
            let found = ledger.job(&job).map_err(ledger_failed)?;
            let job =
                found.ok_or_else(|| Failure::new(Code::NotFound, format!("there is no job `{job}`")))?;
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
    }
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
