//! Automation for the Waxwing workspace. `cargo xtask help` lists the commands.

mod arrows;
mod bench;
mod command;
mod deny;
mod fuzz;
mod hygiene;
mod lints;
mod peers;
mod steps;
mod tests;

use std::process::ExitCode;

use clap::Parser;

/// Automation for the Waxwing workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Xtask {
    /// Runs what CI runs, in CI's order
    Test(steps::Args),
    /// Measures Waxwing against other tools and writes docs/benchmarks.md
    Bench(bench::Args),
    /// Fuzzes one target, with cargo-fuzz installed into .peers
    Fuzz(fuzz::Args),
    /// Installs the programs that tests (and, with --bench, benchmarks) run
    Peers(peers::Args),
    #[command(hide = true)]
    Measure(bench::measure::Args),
    #[command(hide = true)]
    Touch(bench::measure::TouchArgs),
}

fn main() -> ExitCode {
    let outcome = match Xtask::parse() {
        Xtask::Test(args) => steps::main(&args),
        Xtask::Bench(args) => bench::main(&args),
        Xtask::Fuzz(args) => fuzz::main(&args),
        Xtask::Peers(args) => peers::main(&args),
        Xtask::Measure(args) => bench::measure::main(&args),
        Xtask::Touch(args) => {
            bench::measure::touch_main(&args);
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // The count of steps is to be the last line; the steps have said what failed.
        Err(command::Error::Steps) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", command::chain(&error));
            ExitCode::FAILURE
        }
    }
}
