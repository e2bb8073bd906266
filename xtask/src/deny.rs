//! The step `deny`: licences, sources, bans and, where the database can be had, advisories.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::command::{Error, Result, at_root, run, spell};
use crate::peers;

/// Runs cargo-deny with deny.toml.
///
/// The advisory database lies on a git host that not every machine reaches. Where neither it nor an older copy can be
/// had, that is said and not a failure: a check that depends on somebody else's server being up would be.
pub(crate) fn check() -> Result<()> {
    let program = peers::cargo_deny()?;
    let deny = |args: &[&str]| {
        let mut command = at_root(&program);
        command.args(["--workspace", "--locked"]).args(args);
        command
    };
    run(&mut deny(&["check", "--hide-inclusion-graph", "licenses", "bans", "sources"]))?;
    if fetched(&mut deny(&["fetch", "db"]))? || has_copy() {
        return run(&mut deny(&["--offline", "check", "advisories"]));
    }
    println!(
        "   NOT CHECKED: advisories. Their database cannot be fetched here, and no older copy was found."
    );
    println!("   Nothing else stands in for it: run `cargo xtask test deny` on a machine that reaches it.");
    Ok(())
}

/// Whether the database could be fetched; a host that does not answer is given up soon.
fn fetched(fetch: &mut Command) -> Result<bool> {
    let status = fetch
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_HTTP_LOW_SPEED_LIMIT", "1000")
        .env("GIT_HTTP_LOW_SPEED_TIME", "20")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|source| Error::Spawn { command: spell(fetch), source })?;
    Ok(status.success())
}

/// Whether cargo-deny's folder holds a database from an earlier fetch.
fn has_copy() -> bool {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let folder = home.map(|home| home.join("advisory-dbs"));
    let entries = folder.and_then(|folder| folder.read_dir().ok());
    entries.into_iter().flatten().flatten().any(|entry| entry.path().join(".git").is_dir())
}
