//! The step `unsafe`: the workspace forbids unsafe code, and every crate but one inherits that.

use std::fs;
use std::path::Path;

use crate::command::{Error, Result, findings, root};
use crate::hygiene::committed_files;

/// The one crate that may hold unsafe code; it states its own lints.
const EXCEPTION: &str = "crates/aws-lc";

/// Programs of others that tests run, built from a few lines of ours; nothing of them is shipped.
const PEERS: &str = "xtask/peers/";

/// Attributes that would switch the lint off in one place. Spelled in two parts so that this file is not a finding.
const WAIVERS: &[&str] = &[concat!("allow(unsafe", "_code)"), concat!("expect(unsafe", "_code)")];

/// Fails when a crate could hold unsafe code without saying so here.
pub(crate) fn check() -> Result<()> {
    let mut found = Vec::new();
    if !forbids(&read("Cargo.toml")?) {
        found.push("Cargo.toml: [workspace.lints.rust] no longer says unsafe_code = \"forbid\"".to_owned());
    }
    for file in committed_files()? {
        if [EXCEPTION, "fuzz/", PEERS].iter().any(|prefix| file.starts_with(prefix)) {
            continue;
        }
        if file.ends_with("/Cargo.toml") && !inherits(&read(&file)?) {
            found.push(format!("{file}: add [lints] workspace = true"));
        }
        if file.ends_with(".rs")
            && WAIVERS.iter().any(|waiver| read(&file).is_ok_and(|text| text.contains(waiver)))
        {
            found.push(format!("{file}: only {EXCEPTION} may hold unsafe code"));
        }
    }
    findings(found)
}

fn read(file: &str) -> Result<String> {
    let path = root().join(Path::new(file));
    fs::read_to_string(&path).map_err(Error::file("read", &path))
}

fn forbids(manifest: &str) -> bool {
    at(manifest, &["workspace", "lints", "rust", "unsafe_code"])
        .is_some_and(|level| level.as_str() == Some("forbid"))
}

fn inherits(manifest: &str) -> bool {
    at(manifest, &["lints", "workspace"]).is_some_and(|value| value.as_bool() == Some(true))
}

fn at(manifest: &str, keys: &[&str]) -> Option<toml::Value> {
    let table: toml::Table = toml::from_str(manifest).ok()?;
    keys.iter().try_fold(toml::Value::Table(table), |value, key| value.get(key).cloned())
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_workspace_that_only_denies_is_told_apart() {
        assert!(forbids("[workspace.lints.rust]\nunsafe_code = \"forbid\"\n"));
        assert!(!forbids("[workspace.lints.rust]\nunsafe_code = \"deny\"\n"));
        assert!(!forbids("[workspace]\n"));
    }

    #[test]
    fn a_crate_with_lints_of_its_own_is_told_apart() {
        assert!(inherits("[lints]\nworkspace = true\n"));
        assert!(!inherits("[lints.rust]\nunsafe_code = \"forbid\"\n"));
        assert!(!inherits("[package]\nname = \"x\"\n"));
    }
}
