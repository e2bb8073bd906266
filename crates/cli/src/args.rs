//! The command line.

use clap::{Parser, Subcommand};

use crate::commands;
use crate::exit::Outcome;

/// Seals files so that only the holders of chosen keys can read them, and delivers them.
#[derive(Debug, Parser)]
#[command(name = "waxwing", version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    /// Show no progress
    #[arg(long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Keygen(commands::keygen::Args),
    Seal(commands::seal::Args),
    Open(commands::open::Args),
    Inspect(commands::inspect::Args),
}

impl Cli {
    pub(crate) fn run(self) -> Outcome {
        match self.command {
            Command::Keygen(args) => commands::keygen::run(args),
            Command::Seal(args) => commands::seal::run(args, self.quiet),
            Command::Open(args) => commands::open::run(args, self.quiet),
            Command::Inspect(args) => commands::inspect::run(args),
        }
    }
}
