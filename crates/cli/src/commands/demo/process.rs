//! Other processes of this same program, watched while they run.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::exit::{Code, Failure, Outcome};

/// How often a process' memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// This program, with a home of its own.
pub(super) struct Tool {
    path: PathBuf,
    home: PathBuf,
}

impl Tool {
    pub(super) fn new(home: PathBuf) -> io::Result<Self> {
        Ok(Self { path: std::env::current_exe()?, home })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(arguments).env("WAXWING_HOME", &self.home).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Outcome {
        let ended = self.command(arguments).output();
        let ended =
            ended.map_err(|err| Failure::io(format!("cannot run `waxwing {}`", arguments[0]), err))?;
        if ended.status.success() {
            return Ok(());
        }
        Err(failed(arguments[0], ended.status)
            .because(String::from_utf8_lossy(&ended.stderr).trim().to_owned()))
    }

    /// Starts a command, with all that it prints in a file.
    pub(super) fn start(&self, name: &'static str, arguments: &[&str], log: &Path) -> Result<Child, Failure> {
        let io = |err| Failure::io(format!("cannot start `waxwing {name}`"), err);
        let log_file = File::create(log).map_err(io)?;
        // What `deliver` prints is read afterwards: its talk must not stand between.
        let talk =
            if name == "deliver" { Stdio::inherit() } else { log_file.try_clone().map_err(io)?.into() };
        let child = self.command(arguments).stdout(log_file).stderr(talk).spawn().map_err(io)?;
        Ok(Child::new(name, child))
    }
}

/// A process that runs.
pub(super) struct Child {
    name: &'static str,
    child: std::process::Child,
    started: Instant,
    peak_kib: Arc<AtomicU64>,
}

/// What a process took.
pub(super) struct Ended {
    pub(super) took: Duration,
    pub(super) peak_kib: u64,
}

impl Child {
    fn new(name: &'static str, child: std::process::Child) -> Self {
        let peak_kib = Arc::new(AtomicU64::new(0));
        let (seen, status) = (peak_kib.clone(), format!("/proc/{}/status", child.id()));
        // Ends when the process is gone: then there is no such file, or no such line in it.
        thread::spawn(move || {
            while let Some(peak) = std::fs::read_to_string(&status).ok().as_deref().and_then(peak_of) {
                seen.fetch_max(peak, Ordering::Relaxed);
                thread::sleep(LOOK_EVERY);
            }
        });
        Self { name, child, started: Instant::now(), peak_kib }
    }

    pub(super) fn kill(&mut self) {
        // A process that has ended already needs no killing.
        let _ = self.child.kill();
    }

    /// Waits for the end, which must be a good one.
    pub(super) fn finish(mut self) -> Result<Ended, Failure> {
        let status = self.child.wait().map_err(|err| Failure::io("cannot wait for a process", err))?;
        if status.success() { Ok(self.ended()) } else { Err(failed(self.name, status)) }
    }

    /// Waits for the end, whatever it is.
    pub(super) fn reap(mut self) -> Ended {
        let _ = self.child.wait();
        self.ended()
    }

    /// Asks the process to end (SIGTERM), and waits for it.
    pub(super) fn stop(self) -> Result<Ended, Failure> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        self.finish()
    }

    fn ended(&self) -> Ended {
        Ended { took: self.started.elapsed(), peak_kib: self.peak_kib.load(Ordering::Relaxed) }
    }
}

impl Drop for Child {
    /// Leaves no process behind when the demonstration fails.
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

fn failed(name: &str, status: ExitStatus) -> Failure {
    Failure::new(Code::Failed, format!("`waxwing {name}` ended with {status}"))
}

/// The most memory the process has had, in KiB.
fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
