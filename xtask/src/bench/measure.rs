//! One run of one command: how long it took and how much memory it held at its peak.
//!
//! The kernel tells the peak of a process's children only as one maximum over all of them, so each command runs under
//! a process of its own: this binary, started again with the hidden command `measure`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};

use crate::command::{Error, Result, at_root, capture, spell, succeeded};

/// A command to measure from within, and where to write what came of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    sample: PathBuf,
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// What one run took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// Wall time from start to exit.
    pub(crate) secs: f64,
    /// The largest resident set of any one process of the command, in KiB. It is never below the few MiB of the
    /// process that starts the command, since a process begins as a copy of its parent.
    pub(crate) peak_kib: i64,
}

/// Runs `command` under a measuring process.
pub(crate) fn measure(scratch: &Path, command: &[OsString]) -> Result<Sample> {
    let file = scratch.join("sample.txt");
    let itself = std::env::current_exe().map_err(Error::file("find", Path::new("xtask")))?;
    let mut measuring = at_root(itself);
    measuring.arg("measure").arg(&file).arg("--").args(command);
    // Captured, so that no tool takes standard error for a terminal and draws on it.
    let output = measuring.output().map_err(|source| Error::Spawn { command: spell(&measuring), source })?;
    if !output.status.success() {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
    }
    succeeded(&measuring, output.status)?;
    let text = fs::read_to_string(&file).map_err(Error::file("read", &file))?;
    Sample::parse(&text).ok_or_else(|| Error::Unexpected { command: "xtask measure".into(), what: text })
}

/// How much memory to touch.
#[derive(Debug, clap::Args)]
pub(crate) struct TouchArgs {
    bytes: usize,
}

/// Has the machine give `bytes` of memory and takes them at once back, in a process of its own. A virtual machine may have
/// handed freed memory back to its host, and whoever needs it next waits until it is there again: without this the first
/// tool of a round would pay for the others.
pub(super) fn touch(bytes: u64) -> Result<()> {
    let itself = std::env::current_exe().map_err(Error::file("find", Path::new("xtask")))?;
    let mut touching = at_root(itself);
    touching.arg("touch").arg(bytes.to_string());
    capture(&mut touching).map(drop)
}

/// The touching process.
pub(crate) fn touch_main(args: &TouchArgs) {
    std::hint::black_box(vec![1_u8; args.bytes]);
}

/// The measuring process.
pub(crate) fn main(args: &Args) -> Result<()> {
    let (program, arguments) = args.command.split_first().expect("clap requires a command");
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status().map_err(|source| Error::Spawn { command: spell(&command), source })?;
    let secs = start.elapsed().as_secs_f64();
    succeeded(&command, status)?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_err(|errno| Error::Unexpected { command: "getrusage".into(), what: errno.to_string() })?;
    let sample = Sample { secs, peak_kib: usage.max_rss() };
    fs::write(&args.sample, sample.print()).map_err(Error::file("write", &args.sample))
}

impl Sample {
    fn print(&self) -> String {
        format!("{} {}\n", self.secs, self.peak_kib)
    }

    fn parse(text: &str) -> Option<Self> {
        let (secs, peak_kib) = text.trim().split_once(' ')?;
        Some(Self { secs: secs.parse().ok()?, peak_kib: peak_kib.parse().ok()? })
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_sample_survives_the_file() {
        let sample = Sample { secs: 0.125, peak_kib: 4096 };
        assert_eq!(Sample::parse(&sample.print()), Some(sample));
        assert_eq!(Sample::parse("soon"), None);
    }

    #[test]
    fn a_command_that_fails_gives_no_sample() {
        let sample = std::env::temp_dir().join(format!("waxwing-measure-{}", std::process::id()));
        let args = Args { sample: sample.clone(), command: vec!["false".into()] };
        assert!(main(&args).is_err());
        assert!(!sample.exists());
    }

    #[test]
    fn time_and_memory_are_the_commands() {
        let sample = std::env::temp_dir().join(format!("waxwing-measure-ok-{}", std::process::id()));
        main(&Args { sample: sample.clone(), command: vec!["sleep".into(), "0.05".into()] }).unwrap();
        let measured = Sample::parse(&fs::read_to_string(&sample).unwrap()).unwrap();
        fs::remove_file(&sample).unwrap();
        assert!(measured.secs >= 0.05 && measured.peak_kib > 0, "{measured:?}");
    }
}
