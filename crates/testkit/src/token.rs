//! PKCS#11 tokens in software, each in a folder of its own.
//!
//! A module reads where its tokens are from the environment of its process. So a test that loads one runs its body in a child:
//! the test's own program, called for that test alone, with the variable set.
//!
//! ```no_run
//! use waxwing_testkit::token::{self, Token};
//!
//! # /*
//! #[test]
//! # */
//! fn a_key_opens() {
//!     let Some(token) = Token::kryoptic() else { return };
//!     token::in_child(&token, "a_key_opens", |token| token.make_key("kek", "01", 2048), |token| {
//!         let uri = token.uri("object=kek");
//!     });
//! }
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs};

use crate::peers;

/// The user's PIN of every token.
pub const PIN: &str = "1234";
/// The PIN of every token's officer.
pub const OFFICERS_PIN: &str = "43214321";
/// What every token is called.
const LABEL: &str = "wax";
/// Names the folder of the parent's token to the child.
const CHILD: &str = "WAXWING_TEST_TOKEN";

/// A token that was set up and has no keys yet.
#[derive(Debug)]
pub struct Token {
    module: PathBuf,
    tool: PathBuf,
    /// The variable that names the module's configuration.
    variable: &'static str,
    dir: PathBuf,
}

impl Token {
    /// A token of Kryoptic: it does OAEP with every hash.
    #[must_use]
    pub fn kryoptic() -> Option<Self> {
        Self::set_up(peers::kryoptic()?, "KRYOPTIC_CONF", |dir| {
            format!("[[slots]]\nslot = 0\ndbtype = \"sqlite\"\ndbargs = \"{dir}/token.sql\"\n")
        })
    }

    /// A token of SoftHSM: it does OAEP with SHA-1 only.
    #[must_use]
    pub fn softhsm() -> Option<Self> {
        Self::set_up(peers::softhsm()?, "SOFTHSM2_CONF", |dir| {
            format!("directories.tokendir = {dir}\nlog.level = ERROR\n")
        })
    }

    fn set_up(module: PathBuf, variable: &'static str, configure: impl Fn(&str) -> String) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let tool = peers::pkcs11_tool()?;
        if let Some(dir) = env::var_os(CHILD) {
            return Some(Self { module, tool, variable, dir: dir.into() });
        }
        let unique =
            format!("waxwing-token-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = env::temp_dir().join(unique);
        fs::create_dir_all(&dir).expect("the folder for temporary files is writable");
        let token = Self { module, tool, variable, dir };
        let configuration = configure(token.dir.to_str().expect("the folder's name is text"));
        fs::write(token.configuration(), configuration).expect("the folder was just made");
        token.tool(&["--init-token", "--slot-index", "0", "--label", LABEL, "--so-pin", OFFICERS_PIN]);
        let login = ["--token-label", LABEL, "--login", "--login-type", "so", "--so-pin", OFFICERS_PIN];
        token.tool(&[&login[..], &["--init-pin", "--pin", PIN]].concat());
        Some(token)
    }

    /// Makes an RSA key that decrypts. `id` is hexadecimal.
    ///
    /// # Panics
    ///
    /// When the token does not make it.
    pub fn make_key(&self, label: &str, id: &str, bits: u32) {
        self.make(label, id, &format!("RSA:{bits}"), "--usage-decrypt");
    }

    /// Makes a key of another type or usage, as pkcs11-tool calls them.
    ///
    /// # Panics
    ///
    /// When the token does not make it.
    pub fn make(&self, label: &str, id: &str, key_type: &str, usage: &str) {
        let key = ["--keypairgen", "--key-type", key_type, "--label", label, "--id", id, usage];
        self.tool(&[&["--token-label", LABEL, "--login", "--pin", PIN], &key[..]].concat());
    }

    fn tool(&self, args: &[&str]) {
        let mut command = Command::new(&self.tool);
        command.arg("--module").arg(&self.module).args(args).env(self.variable, self.configuration());
        let output = command.output().unwrap_or_else(|err| panic!("{command:?}: {err}"));
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The URI of a key on it, with these further attributes in its path.
    #[must_use]
    pub fn uri(&self, attributes: &str) -> String {
        format!("pkcs11:token={LABEL};{attributes}?module-path={}", self.module.display())
    }

    /// The module's file.
    #[must_use]
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// A folder for a test's own files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The variable that a process which loads the module needs, and its value.
    #[must_use]
    pub fn variable(&self) -> (&'static str, PathBuf) {
        (self.variable, self.configuration())
    }

    fn configuration(&self) -> PathBuf {
        self.dir.join("module.conf")
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if env::var_os(CHILD).is_none() {
            // What cannot be removed lies in the folder for temporary files.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Runs `prepare` here and then `body` in a child: this program, called for the test named `test` alone.
///
/// # Panics
///
/// When the body does, or the child does not run it.
pub fn in_child(token: &Token, test: &str, prepare: impl FnOnce(&Token), body: impl FnOnce(&Token)) {
    if env::var_os(CHILD).is_some() {
        return body(token);
    }
    prepare(token);
    let mut command = Command::new(env::current_exe().expect("a test's program has a path"));
    let (variable, configuration) = token.variable();
    command.args(["--exact", test, "--nocapture"]).env(variable, configuration).env(CHILD, &token.dir);
    let output = command.output().expect("a test's program runs again");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("1 passed"), "in a child: {said}");
}
