//! `waxwing policy`

use std::path::{Path, PathBuf};

use clap::Subcommand;
use waxwing_profiles::policy::{Rule, Verdict};

use crate::exit::{Code, Failure, Outcome};
use crate::policy::{self, PolicyArgs};
use crate::print;

/// How far ahead a date is announced.
const SOON_DAYS: i64 = 90;

/// Look at the rules that say which schemes may be used
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check a policy, print its rules in words, and what changes within 90 days
    Check {
        /// Which [default: the one that holds here]
        file: Option<PathBuf>,
        #[command(flatten)]
        policy: PolicyArgs,
    },
}

pub(crate) fn run(args: Args, home: Option<&Path>) -> Outcome {
    let Action::Check { file, policy } = args.action;
    let found = match file {
        Some(file) => Some(policy::read(&file)?),
        None => policy.load(home)?,
    };
    let policy = found.ok_or_else(|| {
        Failure::new(Code::NotFound, "there is no policy here: every scheme may be used")
            .hint("name a file, or write policy.toml in the home folder")
    })?;
    for rule in &policy.rules {
        print(&format!("line {}: {rule}{}\n", rule.line, change(rule)))?;
    }
    print(match policy.default {
        Verdict::Refuse => "everything else is refused\n",
        _ => "everything else is allowed\n",
    })
}

/// What becomes of a rule soon.
fn change(rule: &Rule) -> String {
    let today = policy::today().unix_days();
    let days = |date: waxwing_profiles::policy::Date| date.unix_days() - today;
    match (rule.from.map(days), rule.until.map(days)) {
        (_, Some(left)) if left < 0 => " (it has ended)".to_owned(),
        (Some(wait), _) if (1..=SOON_DAYS).contains(&wait) => format!(" (it begins in {wait} days)"),
        (_, Some(left)) if left <= SOON_DAYS => format!(" (it ends in {left} days)"),
        _ => String::new(),
    }
}
