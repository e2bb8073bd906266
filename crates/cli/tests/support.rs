//! The built binary in a folder of its own.
#![allow(dead_code)] // each test file uses its part

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use waxwing_testkit::keys;

/// A folder with `k` and `k.pub` (RSA-2048) and a home.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        place.write("k", keys::RSA_2048_PKCS8);
        place.write("k.pub", keys::RSA_2048_SPKI);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// The names of everything in the folder, sorted.
    pub(crate) fn names(&self, dir: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(dir)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waxwing"));
        command.args(arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        command
            .env("WAXWING_HOME", self.path("home"))
            .env_remove("PRIVATE_KEY_SECRET_ARN")
            .env_remove("RUST_LOG");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran(self.command(arguments).output().unwrap())
    }

    /// Runs a line of shell, in which `waxwing` is the binary.
    pub(crate) fn shell(&self, line: &str) -> Ran {
        Ran(self.shell_command(line).output().unwrap())
    }

    pub(crate) fn shell_command(&self, line: &str) -> Command {
        let binary = Path::new(env!("CARGO_BIN_EXE_waxwing")).parent().unwrap();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command.args(["-c", line]).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env("PATH", path).env("WAXWING_HOME", self.path("home")).env_remove("PRIVATE_KEY_SECRET_ARN");
        command
    }
}

pub(crate) struct Ran(pub(crate) Output);

impl Ran {
    pub(crate) fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code(), 0, "{}", self.stderr());
        self
    }

    /// It ended with this code.
    #[track_caller]
    pub(crate) fn code_is(&self, code: i32) {
        assert_eq!(self.code(), code, "{}", self.stderr());
    }

    /// It failed with this code and exactly these words.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, stderr: &str) {
        assert_eq!((self.code(), self.stderr().as_str()), (code, stderr));
    }
}

/// A child that is killed in the end.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// `waxwing serve` for a place; it serves when this returns.
    pub(crate) fn serve(place: &Place) -> Self {
        let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
        let server = Self(command.stderr(Stdio::null()).spawn().unwrap());
        wait_for(|| fs::read_to_string(place.path("home/serve.url")).is_ok_and(|url| url.ends_with('\n')));
        server
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How long a test waits for what other processes do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn wait_for(mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "waited in vain");
        thread::sleep(Duration::from_millis(10));
    }
}
