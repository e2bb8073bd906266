//! The step `test`: cargo's own runner over the workspace, with the peers named in the environment.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::command::{Error, Result, cargo, spell, succeeded};
use crate::peers;

/// Tests counted over every test binary and the doc tests.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Runs all tests; a run in which none ran has failed.
pub(crate) fn run_all() -> Result<()> {
    let mut command = cargo();
    command
        .args(["test", "--workspace", "--all-features", "--locked", "--no-fail-fast"])
        .stdout(Stdio::piped());
    peers::for_tests()?.name_in(&mut command);
    println!("   $ {}", spell(&command));
    let failed_to_run = |source| Error::Spawn { command: "cargo test".into(), source };
    let mut child = command.spawn().map_err(failed_to_run)?;
    let mut totals = Totals::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(failed_to_run)?;
            println!("{line}");
            totals.add(&line);
        }
    }
    let status = child.wait().map_err(failed_to_run)?;
    println!("tests in all: {} passed, {} failed, {} ignored", totals.passed, totals.failed, totals.ignored);
    succeeded(&command, status)?;
    if totals.passed == 0 {
        return Err(Error::Unexpected { command: spell(&command), what: "no test ran".into() });
    }
    Ok(())
}

impl Totals {
    /// Adds what a line like `test result: ok. 19 passed; 0 failed; 1 ignored; …` counts.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for part in counts.split("; ") {
            match part.split_once(' ') {
                Some((n, "passed")) => self.passed += n.parse().unwrap_or(0),
                Some((n, "failed")) => self.failed += n.parse().unwrap_or(0),
                Some((n, "ignored")) => self.ignored += n.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn counts_every_summary() {
        let mut totals = Totals::default();
        for line in [
            "test result: ok. 19 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.09s",
            "test streams::tests::a ... ok",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            totals.add(line);
        }
        assert_eq!(totals, Totals { passed: 22, failed: 2, ignored: 1 });
    }
}
