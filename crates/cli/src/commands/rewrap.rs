//! `waxwing rewrap` and `waxwing reencrypt`

use std::fs;
use std::path::{Path, PathBuf};

use waxwing_core::SystemRandom;
use waxwing_engine::{HeaderKind, SEALED_SUFFIX, Work, reencrypt_file, rewrap_file};
use waxwing_keyring::{Change, Keyring, Rewrapped, describe};

use crate::exit::{Code, Failure, Outcome};
use crate::files::{self, WorkArgs};
use crate::keys::{OpenKeyArgs, Providers};
use crate::progress::Progress;
use crate::remote;

/// The deepest folder below one that was named.
const DEPTH_MAX: usize = 256;

/// Let others open a file, or fewer, without touching what it holds
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waxwing rewrap -k alice -r bob.pub report.wax
  waxwing rewrap -k keystore -r keystore:archive --only backup/
  waxwing rewrap -k alice --remove rsa-oaep-sha256:3f9a… report.wax

A file keeps its data key: who held that key, or an old copy of the header, can still open it. Where that
matters, `waxwing reencrypt` makes a new data key and a new body.")]
pub(crate) struct Args {
    #[command(flatten)]
    keys: OpenKeyArgs,
    #[command(flatten)]
    change: ChangeArgs,
    /// FILE is a header that was kept apart from its body (`seal --detached`)
    #[arg(long)]
    header: bool,
    #[command(flatten)]
    work: WorkArgs,
    /// Envelopes, in S3 too (s3://BUCKET/KEY); of a folder, every .wax file in it
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Options of every command that changes who opens.
#[derive(Debug, clap::Args)]
pub(crate) struct ChangeArgs {
    /// Whom to add: as for seal; may be given several times
    #[arg(short = 'r', long = "recipient", value_name = "PUB")]
    recipients: Vec<String>,
    /// Whom to remove: a key as for -r, or KIND:ID as `inspect` shows it; may be given several times
    #[arg(long, value_name = "KEY", conflicts_with = "only")]
    remove: Vec<String>,
    /// Remove everybody who is not named with -r
    #[arg(long, requires = "recipients")]
    only: bool,
    /// Where the new passphrase is, of `-r passphrase`, if it is not the old one: a file, fd:N or env:NAME
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<String>,
}

impl ChangeArgs {
    pub(crate) fn change(
        &self,
        keys: &crate::keys::SecretArgs,
        home: Option<&Path>,
    ) -> Result<Change, Failure> {
        if self.recipients.is_empty() && self.remove.is_empty() {
            let failure = Failure::new(Code::Usage, "nothing is to be changed");
            return Err(failure.hint("add somebody with -r, or remove somebody with --remove"));
        }
        let secrets = keys.with_passphrase_file(self.new_passphrase_file.as_deref());
        Ok(Change {
            add: Providers::new(&secrets, home).recipients(&self.recipients)?,
            remove: Providers::new(keys, home).removed(&self.remove)?,
            remove_others: self.only,
        })
    }
}

pub(crate) fn run(args: Args, home: Option<&Path>, quiet: bool) -> Outcome {
    let keyring = args.keys.keyring(home)?;
    let change = args.change.change(args.keys.secrets(), home)?;
    let kind = if args.header { HeaderKind::Detached } else { HeaderKind::Attached };
    let mut removed = false;
    each_file(&args.files, &args.work, "rewrapping", quiet, |path, work| {
        let rewrapped = match files::url(path) {
            Some(url) => remote::rewrap(url, kind, &keyring, &change)?,
            None => rewrap_file(path, kind, &keyring, &change, work).map_err(|err| unchanged(path, err))?,
        };
        removed |= !rewrapped.removed.is_empty();
        Ok(summary(&rewrapped))
    })?;
    if removed {
        eprintln!(
            "note: who was removed can still open with an old copy of the header, or with the data key if they kept it: \
             delete old copies and versions of these files; `waxwing reencrypt` gives a file a new data key"
        );
    }
    Ok(())
}

/// What became of one file's recipients.
pub(crate) fn summary(rewrapped: &Rewrapped) -> String {
    let list = |word: &str, recipients: &[_]| {
        recipients.iter().map(|recipient| format!("\n  {word} {}", describe(recipient))).collect::<String>()
    };
    [list("+", &rewrapped.added), list("-", &rewrapped.removed), list("=", &rewrapped.kept)].concat()
}

/// Give a file a new data key and a new body, for the given keys alone
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waxwing reencrypt -k alice -r alice.pub -r bob.pub report.wax

The plaintext is on no disk. The file is replaced at once, when all of it was authentic; copies of the old file
still open for those whom it was sealed for.")]
pub(crate) struct ReencryptArgs {
    #[command(flatten)]
    keys: OpenKeyArgs,
    /// Whom to seal for: as for seal; may be given several times
    #[arg(short = 'r', long = "recipient", value_name = "PUB", required = true)]
    recipients: Vec<String>,
    /// Where the new passphrase is, of `-r passphrase`, if it is not the old one: a file, fd:N or env:NAME
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<String>,
    #[command(flatten)]
    work: WorkArgs,
    /// Envelopes; of a folder, every .wax file in it
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

pub(crate) fn run_reencrypt(args: ReencryptArgs, home: Option<&Path>, quiet: bool) -> Outcome {
    let keyring = args.keys.keyring(home)?;
    let secrets = args.keys.secrets().with_passphrase_file(args.new_passphrase_file.as_deref());
    let recipients: Keyring = Providers::new(&secrets, home).recipients(&args.recipients)?;
    each_file(&args.files, &args.work, "encrypting anew", quiet, |path, work| {
        if files::url(path).is_some() {
            let failure = Failure::new(Code::Usage, format!("{} is a URL", files::name(path)));
            return Err(failure.hint("open it into a file and seal that; `rewrap` takes s3:// URLs"));
        }
        reencrypt_file(path, &keyring, &recipients, &SystemRandom, work)
            .map_err(|err| unchanged(path, err))?;
        Ok(String::new())
    })
}

/// Does `work` on each file, those of folders too, and goes on after a failure: files do not depend on each other.
fn each_file(
    named: &[PathBuf],
    work: &WorkArgs,
    doing: &'static str,
    quiet: bool,
    mut change: impl FnMut(&Path, &Work<'_>) -> Result<String, Failure>,
) -> Outcome {
    let mut paths = Vec::new();
    for path in named {
        match path.is_dir() {
            true => sealed_files(path, 0, &mut paths)?,
            false => paths.push(path.clone()),
        }
    }
    let mut failed: Option<Failure> = None;
    for path in &paths {
        let progress = Progress::new(doing, quiet);
        let done = change(path, &work.work(&progress));
        drop(progress);
        match done {
            Ok(told) => {
                let name = files::url(path).map_or_else(|| path.display().to_string(), remote::name);
                eprintln!("{name}{told}");
            }
            Err(failure) => {
                if let Some(earlier) = failed.replace(failure) {
                    eprint!("{earlier}");
                }
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

fn unchanged(path: &Path, err: waxwing_engine::Error) -> Failure {
    files::failure(format!("cannot change {}", files::name(path)), err)
}

/// The sealed files below `dir`, in the order of their names. Links are not followed.
fn sealed_files(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Outcome {
    let failed = |err| Failure::io(format!("cannot read the folder {}", files::name(dir)), err);
    if depth > DEPTH_MAX {
        return Err(Failure::new(Code::Failed, format!("{} lies too deep", files::name(dir))));
    }
    let mut entries =
        fs::read_dir(dir).and_then(|entries| entries.collect::<Result<Vec<_>, _>>()).map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            sealed_files(&entry.path(), depth + 1, found)?;
        } else if kind.is_file() && entry.file_name().to_string_lossy().ends_with(SEALED_SUFFIX) {
            found.push(entry.path());
        }
    }
    Ok(())
}
