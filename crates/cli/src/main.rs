//! The `waxwing` command: seals, opens, delivers.
//!
//! A command parses its arguments, calls the library and prints. Data goes to standard output, talk to standard error.
//! This is the one crate that reads the environment, the clock and the terminal.

mod args;
mod commands;
mod exit;
mod files;
mod home;
mod keys;
mod places;
mod policy;
mod profile;
mod progress;
mod remote;
mod scheme;
mod telemetry;
mod tree;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, capabilities};

use crate::exit::{Failure, Outcome};

fn main() -> ExitCode {
    protect_memory();
    match args::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Keeps keys out of core dumps and swap, and away from other processes of the same user. Best effort: a sandbox may forbid
/// it.
fn protect_memory() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    if may_lock_all_memory() {
        let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
        let _ = mlockall(all);
    }
}

/// Whether all memory may be locked that the process will ever have. Where there is a limit, the allocation that passes it
/// would fail, and the work with it.
fn may_lock_all_memory() -> bool {
    let unlimited = rustix::process::getrlimit(Resource::Memlock).current.is_none();
    unlimited || capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK))
}

/// Writes data to standard output. A reader that has gone ends the command quietly.
fn print(text: &str) -> Outcome {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|err| Failure::io("cannot write to standard output", err))
}
