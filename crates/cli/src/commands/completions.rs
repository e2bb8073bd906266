//! `waxwing completions` and `waxwing man`

use std::path::PathBuf;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::{Failure, Outcome};
use crate::print;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  waxwing completions bash > /etc/bash_completion.d/waxwing")]
pub(crate) struct Args {
    /// Which shell
    shell: Shell,
}

pub(crate) fn run(args: Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "waxwing", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Write the manual pages into a folder
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Where to
    dir: PathBuf,
}

pub(crate) fn run_man(args: ManArgs) -> Outcome {
    let failed = |err| Failure::io(format!("cannot write manual pages to `{}`", args.dir.display()), err);
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    let mut command = Cli::command();
    command.build();
    let mut pages = vec![command];
    while let Some(page) = pages.pop() {
        // `help` and its copies of every command have no pages.
        let subcommands = page.get_subcommands().filter(|command| command.get_name() != "help").cloned();
        pages.extend(subcommands.collect::<Vec<Command>>());
        clap_mangen::Man::new(page).generate_to(&args.dir).map_err(failed)?;
    }
    Ok(())
}
