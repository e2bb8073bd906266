//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::commands;
use crate::exit::{Failure, Outcome};
use crate::home::Home;

/// Seals files so that only the holders of chosen keys can read them, and delivers them.
#[derive(Debug, Parser)]
#[command(name = "waxwing", version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    /// Show no progress
    #[arg(long, global = true)]
    quiet: bool,
    /// Where agents, jobs and objects are kept [default: the platform's folder for data]
    #[arg(long, global = true, value_name = "DIR", env = "WAXWING_HOME", hide_env_values = true)]
    home: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Keygen(commands::keygen::Args),
    Seal(commands::seal::Args),
    Open(commands::open::Args),
    Inspect(commands::inspect::Args),
    Rewrap(commands::rewrap::Args),
    Reencrypt(commands::rewrap::ReencryptArgs),
    Keys(commands::keys::Args),
    Profile(commands::profile::Args),
    Diagnose(commands::diagnose::Args),
    Convert(commands::convert::Args),
    Identify(commands::identify::Args),
    Inventory(commands::inventory::Args),
    Policy(commands::policy::Args),
    Agent(commands::agent::Args),
    Deliver(commands::deliver::Args),
    Jobs(commands::jobs::Args),
    Worker(commands::worker::Args),
    Serve(commands::serve::Args),
    Demo(commands::demo::Args),
    Completions(commands::completions::Args),
    Man(commands::completions::ManArgs),
}

impl Cli {
    pub(crate) fn run(self) -> Outcome {
        let home = || -> Result<Home, Failure> { Home::open(self.home.as_deref()) };
        match self.command {
            Command::Keygen(args) => commands::keygen::run(args),
            Command::Seal(args) => commands::seal::run(args, self.home.as_deref(), self.quiet),
            Command::Open(args) => commands::open::run(args, self.home.as_deref(), self.quiet),
            Command::Inspect(args) => commands::inspect::run(args),
            Command::Rewrap(args) => commands::rewrap::run(args, self.home.as_deref(), self.quiet),
            Command::Reencrypt(args) => {
                commands::rewrap::run_reencrypt(args, self.home.as_deref(), self.quiet)
            }
            Command::Keys(args) => commands::keys::run(args, self.home.as_deref()),
            Command::Profile(args) => commands::profile::run(args),
            Command::Diagnose(args) => commands::diagnose::run(args),
            Command::Convert(args) => commands::convert::run(args, self.home.as_deref(), self.quiet),
            Command::Identify(args) => commands::identify::run(args),
            Command::Inventory(args) => commands::inventory::run(args, &home()?),
            Command::Policy(args) => commands::policy::run(args, self.home.as_deref()),
            Command::Agent(args) => commands::agent::run(args, &home()?),
            Command::Deliver(args) => commands::deliver::run(args, &home()?, self.quiet),
            Command::Jobs(args) => commands::jobs::run(args, &home()?),
            Command::Worker(args) => commands::worker::run(args, &home()?),
            Command::Serve(args) => commands::serve::run(args, &home()?),
            Command::Demo(args) => commands::demo::run(args),
            Command::Completions(args) => commands::completions::run(args),
            Command::Man(args) => commands::completions::run_man(args),
        }
    }
}
