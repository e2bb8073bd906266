//! Running other programs, and what can go wrong with that.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Why a command of the automation failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot run `{command}`")]
    Spawn {
        command: String,
        #[source]
        source: io::Error,
    },
    #[error("`{command}` failed ({status})")]
    Failed { command: String, status: ExitStatus },
    #[error("`{command}` printed something that is not what it documents: {what}")]
    Unexpected { command: String, what: String },
    #[error("cannot {verb} {}", path.display())]
    File {
        verb: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The program that a step needs is not to be had.
    #[error("{0}")]
    Missing(String),
    /// A check found something; each finding says where and what to do.
    #[error("{} found:\n  {}", count(.0.len()), .0.join("\n  "))]
    Findings(Vec<String>),
    #[error("{0}")]
    Usage(String),
    #[error("a step failed")]
    Steps,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err`: the file operation `verb` failed on `path`.
    pub(crate) fn file(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { verb, path, source }
    }
}

/// Turns findings into the outcome of a check.
pub(crate) fn findings(found: Vec<String>) -> Result<()> {
    if found.is_empty() { Ok(()) } else { Err(Error::Findings(found)) }
}

/// An error and its sources on one line.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

/// The root of the work tree.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ lies in the work tree")
}

/// The cargo that runs us, at the root.
pub(crate) fn cargo() -> Command {
    at_root(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// `program`, to be run at the root.
pub(crate) fn at_root(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs `command` to its end, its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("   $ {}", spell(command));
    let status = command.status().map_err(|source| Error::Spawn { command: spell(command), source })?;
    succeeded(command, status)
}

/// Runs `command` and returns what it wrote to standard output; standard error goes where ours goes.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Spawn { command: spell(command), source })?;
    succeeded(command, output.status)?;
    String::from_utf8(output.stdout)
        .map_err(|_| Error::Unexpected { command: spell(command), what: "its output is not UTF-8".into() })
}

/// `Ok` when `status` is 0.
pub(crate) fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { Err(Error::Failed { command: spell(command), status }) }
}

/// The first file called `name` in the folders of `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// `command` as a person would type it: the program without its folder, then its arguments.
pub(crate) fn spell(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

/// "1 problem", "2 problems".
fn count(problems: usize) -> String {
    format!("{problems} problem{}", if problems == 1 { "" } else { "s" })
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn an_error_prints_its_sources() {
        let error = run(&mut at_root("no-such-program")).unwrap_err();
        let text = chain(&error);
        assert!(text.starts_with("cannot run `no-such-program`: "), "{text}");
    }

    #[test]
    fn a_program_that_fails_is_an_error() {
        let error = capture(at_root("sh").args(["-c", "exit 3"])).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }

    #[test]
    fn findings_are_counted() {
        let error = findings(vec!["one".into(), "two".into()]).unwrap_err();
        assert_eq!(error.to_string(), "2 problems found:\n  one\n  two");
        assert!(findings(vec![]).is_ok());
    }
}
