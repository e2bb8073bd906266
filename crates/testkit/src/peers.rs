//! The programs of others that interop tests run.
//!
//! `cargo xtask test` installs them, pinned, and names them in the environment. A test that finds none is to return
//! early: that is a loud skip on somebody's desk, and a failure where `CI` is set.
//!
//! ```no_run
//! # fn vectors_agree() {
//! let Some(python) = waxwing_testkit::peers::python() else { return };
//! # }
//! ```

use std::io::Write;
use std::path::PathBuf;

/// A Python that has PyPI's `cryptography`, from `WAXWING_PEER_PYTHON`.
///
/// # Panics
///
/// When there is none and `CI` is set.
#[must_use]
pub fn python() -> Option<PathBuf> {
    require("WAXWING_PEER_PYTHON")
}

/// Node.js 20 or newer, from `WAXWING_PEER_NODE`.
///
/// # Panics
///
/// When there is none and `CI` is set.
#[must_use]
pub fn node() -> Option<PathBuf> {
    require("WAXWING_PEER_NODE")
}

/// The folder in whose `node_modules` the AWS SDK for JavaScript lies, from `WAXWING_PEER_NODE_AWS`.
///
/// # Panics
///
/// When there is none and `CI` is set.
#[must_use]
pub fn node_aws() -> Option<PathBuf> {
    require("WAXWING_PEER_NODE_AWS")
}

/// A Python whose environment has the servers of [`crate::server`] and boto3: `moto_server`, `bao`, `weed` and `rclone` lie
/// beside it. From `WAXWING_PEER_SERVERS`.
///
/// # Panics
///
/// When there is none and `CI` is set.
#[must_use]
pub fn servers() -> Option<PathBuf> {
    require("WAXWING_PEER_SERVERS")
}

/// `faketime`, which has a program believe in another time, from `WAXWING_PEER_FAKETIME`.
///
/// # Panics
///
/// When there is none and `CI` is set.
#[must_use]
pub fn faketime() -> Option<PathBuf> {
    require("WAXWING_PEER_FAKETIME")
}

/// A Python that has LocalStack's runtime, from `WAXWING_PEER_LOCALSTACK`.
///
/// # Panics
///
/// When there is none and `CI` is set.
#[must_use]
pub fn localstack() -> Option<PathBuf> {
    require("WAXWING_PEER_LOCALSTACK")
}

/// The module of SoftHSM, from `WAXWING_PEER_SOFTHSM`.
///
/// # Panics
///
/// When there is none and `CI` is set.
#[must_use]
pub fn softhsm() -> Option<PathBuf> {
    require("WAXWING_PEER_SOFTHSM")
}

/// The module of Kryoptic, from `WAXWING_PEER_KRYOPTIC`.
///
/// # Panics
///
/// When there is none and `CI` is set.
#[must_use]
pub fn kryoptic() -> Option<PathBuf> {
    require("WAXWING_PEER_KRYOPTIC")
}

/// OpenSC's pkcs11-tool, which sets tokens up, from `WAXWING_PEER_PKCS11_TOOL`.
///
/// # Panics
///
/// When there is none and `CI` is set.
#[must_use]
pub fn pkcs11_tool() -> Option<PathBuf> {
    require("WAXWING_PEER_PKCS11_TOOL")
}

/// A folder with playwright-core, from `WAXWING_PEER_BROWSER`, and the Chromium that it drives, from `WAXWING_PEER_CHROMIUM`.
///
/// # Panics
///
/// When there is none and `CI` is set.
#[must_use]
pub fn browser() -> Option<(PathBuf, PathBuf)> {
    Some((require("WAXWING_PEER_BROWSER")?, require("WAXWING_PEER_CHROMIUM")?))
}

/// `secret-tool`, which asks the platform's secret service, from `WAXWING_PEER_SECRET_TOOL`; GNOME's keyring and
/// `dbus-run-session` are on the path then.
///
/// # Panics
///
/// When there is none and `CI` is set.
#[must_use]
pub fn secret_tool() -> Option<PathBuf> {
    require("WAXWING_PEER_SECRET_TOOL")
}

/// OpenSSH's client, with `ssh-keygen` beside it, from `WAXWING_PEER_SSH`.
///
/// # Panics
///
/// When there is none and `CI` is set.
#[must_use]
pub fn ssh() -> Option<PathBuf> {
    require("WAXWING_PEER_SSH")
}

fn require(variable: &str) -> Option<PathBuf> {
    match find(variable, std::env::var_os(variable), std::env::var_os("CI").is_some()) {
        Ok(path) => Some(path),
        Err(skipped) => {
            // Straight to the descriptor: the test harness would swallow what eprintln! says in a test that passes.
            let _ = writeln!(std::io::stderr(), "{skipped}");
            None
        }
    }
}

/// The decision apart from the environment, so that it can be tested.
fn find(variable: &str, value: Option<std::ffi::OsString>, ci: bool) -> Result<PathBuf, String> {
    if let Some(path) = value.filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(!ci, "{test} needs a peer: {variable} is not set, and in CI that is a failure");
    Err(format!("SKIPPED: {test}: {variable} is not set; `cargo xtask test` installs the peer and sets it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_path_it_is_given() {
        assert_eq!(find("PEER", Some("bin/python".into()), true), Ok(PathBuf::from("bin/python")));
    }

    #[test]
    fn skips_loudly_on_a_desk() {
        for absent in [None, Some("".into())] {
            let said = find("PEER", absent, false).unwrap_err();
            assert!(said.starts_with("SKIPPED: ") && said.contains("PEER"), "{said}");
        }
    }

    #[test]
    #[should_panic(expected = "in CI that is a failure")]
    fn fails_in_ci() {
        let _ = find("PEER", None, true);
    }
}
