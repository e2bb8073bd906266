//! `waxwing keys`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use serde_json::{Value, json};
use waxwing_core::SystemRandom;
use waxwing_engine::{Existing, KeystoreFile, Output, Work, write_secret};
use waxwing_formats::keystore::{StoredKey, StoredVersion, VersionState};
use waxwing_keyring::{KeyName, Keyring, Keystore, KeystoreError, NewKey, RsaSize, describe};

use crate::commands::keygen::Kind;
use crate::commands::rewrap::{ChangeArgs, summary};
use crate::exit::{Code, Failure, Outcome};
use crate::keys::{Providers, SecretArgs, cannot_open};
use crate::{files, print};

/// Make, list, rotate and disable the keys of the keystore
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waxwing keys create archive
  waxwing seal -r keystore:archive -o report.wax report.csv
  waxwing open -k keystore -o report.csv report.wax
  waxwing keys rotate archive
  waxwing rewrap -k keystore -r keystore:archive --only *.wax")]
pub(crate) struct Args {
    #[command(flatten)]
    secrets: SecretArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key; the first one makes the keystore
    Create {
        /// What to call it: A-Z a-z 0-9 . _ -
        name: String,
        /// What kind of key
        #[arg(long = "type", value_enum, default_value = "aes-256")]
        kind: Kind,
        /// Let `keys export` take it out again
        #[arg(long)]
        exportable: bool,
    },
    /// List the keys and their versions
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one key
    Show {
        /// NAME or NAME/VERSION
        name: KeyName,
        /// Print the public key alone, to give away
        #[arg(long, conflicts_with = "json")]
        public: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a new version; older ones go on opening
    Rotate {
        /// NAME
        name: String,
    },
    /// Neither seal nor open with a key or version until it is enabled again
    Disable {
        /// NAME or NAME/VERSION
        name: KeyName,
    },
    /// Use a disabled key or version again
    Enable {
        /// NAME or NAME/VERSION
        name: KeyName,
    },
    /// Remove a key or version for good: what is sealed for it alone never opens again
    Destroy {
        /// NAME or NAME/VERSION
        name: KeyName,
        /// Yes, for good
        #[arg(long)]
        yes: bool,
    },
    /// Take a private key or AES-256 key into the keystore, as a new version of NAME
    Import {
        /// NAME
        name: String,
        /// The key: a file, fd:N or env:NAME
        key: String,
        /// Let `keys export` take it out again
        #[arg(long)]
        exportable: bool,
    },
    /// Write a key that was made exportable into a file
    Export {
        /// NAME or NAME/VERSION
        name: KeyName,
        /// Where to write the secret
        #[arg(short, long, value_name = "KEY")]
        output: PathBuf,
    },
    /// Change who opens the keystore: another passphrase, a KMS key, a recovery key
    Rewrap(ChangeArgs),
}

impl From<Kind> for NewKey {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Aes256 => Self::Aes256,
            Kind::Rsa2048 => Self::Rsa(RsaSize::Rsa2048),
            Kind::Rsa3072 => Self::Rsa(RsaSize::Rsa3072),
            Kind::Rsa4096 => Self::Rsa(RsaSize::Rsa4096),
            Kind::XWing => Self::XWing,
        }
    }
}

pub(crate) fn run(args: Args, home: Option<&Path>) -> Outcome {
    let providers = Providers::new(&args.secrets, home);
    let file = providers.keystore_file()?;
    let now = now_unix_secs();
    match args.action {
        Action::Create { name, kind, exportable } => {
            let create =
                |keys: &mut Keystore| keys.create(&name, kind.into(), exportable, now, &SystemRandom);
            let version = match file.exists() {
                true => update(&file, &providers, create)?,
                false => make(&file, &providers, home, create)?,
            };
            eprintln!("made {name}/{version}; seal with -r keystore:{name}, open with -k keystore");
            Ok(())
        }
        Action::Import { name, key, exportable } => {
            let key = providers.key(&key)?;
            let import = |keys: &mut Keystore| keys.import(&name, key, exportable, now);
            let version = match file.exists() {
                true => update(&file, &providers, import)?,
                false => make(&file, &providers, home, import)?,
            };
            eprintln!("imported {name}/{version}; the file that it came from is still there");
            Ok(())
        }
        Action::List { json } => {
            let keys = open(&file, &providers)?;
            match json {
                true => print(&format!("{:#}\n", Value::from_iter(keys.keys().iter().map(to_json)))),
                false => print(&keys.keys().iter().map(to_text).collect::<String>()),
            }
        }
        Action::Show { name, public, json } => {
            let keys = open(&file, &providers)?;
            let key = keys.key(&name.key).map_err(|err| refused(&file, err))?;
            if public {
                let pem = keys.public_pem(&name).map_err(|err| refused(&file, err))?;
                let pem = pem.ok_or_else(|| {
                    Failure::new(Code::Usage, format!("`{name}` is an AES-256 key, which has no public half"))
                })?;
                return print(&pem);
            }
            match json {
                true => print(&format!("{:#}\n", to_json(key))),
                false => print(&to_text(key)),
            }
        }
        Action::Rotate { name } => {
            let version = update(&file, &providers, |keys| keys.rotate(&name, now, &SystemRandom))?;
            eprintln!("made {name}/{version}; from now on it seals. Older versions go on opening;");
            eprintln!(
                "  bring old files over with `waxwing rewrap -k keystore -r keystore:{name} --only FILE...`"
            );
            Ok(())
        }
        Action::Disable { name } => set_state(&file, &providers, &name, VersionState::Disabled),
        Action::Enable { name } => set_state(&file, &providers, &name, VersionState::Enabled),
        Action::Destroy { name, yes } => {
            if !yes {
                let failure = Failure::new(Code::Refused, format!("`{name}` was not destroyed"));
                return Err(failure
                    .hint("what is sealed for it alone never opens again; if that is meant, add --yes"));
            }
            update(&file, &providers, |keys| keys.destroy(&name))?;
            eprintln!("destroyed {name}; copies of the keystore's file still have it");
            Ok(())
        }
        Action::Export { name, output } => {
            let secret = open(&file, &providers)?.export(&name).map_err(|err| refused(&file, err))?;
            let output = Output::File { path: output, existing: Existing::Keep };
            let work = Work { durable: true, ..Work::default() };
            write_secret(output, secret.as_bytes(), &work)
                .map_err(|err| files::failure(format!("cannot export `{name}`"), err))?;
            eprintln!("exported {name}: whoever has the file can open what is sealed for it");
            Ok(())
        }
        Action::Rewrap(change) => {
            let keyring = openers(&file, &providers)?;
            let change = change.change(&args.secrets, home)?;
            if change.remove_others {
                file.reseal(&keyring, &change.add, &SystemRandom).map_err(|err| cannot_open(&file, err))?;
                let recipients = file.recipients().map_err(|err| cannot_open(&file, err))?;
                let whom = recipients.iter().map(describe).collect::<Vec<_>>().join(", ");
                eprintln!("{} opens for {whom} alone", file.path().display());
                eprintln!("note: old copies of the file still open for those who opened them");
                return Ok(());
            }
            let rewrapped = file.rewrap(&keyring, &change).map_err(|err| cannot_open(&file, err))?;
            eprintln!("{}{}", file.path().display(), summary(&rewrapped));
            if !rewrapped.removed.is_empty() {
                eprintln!(
                    "note: who was removed and kept a copy of the file opens later ones with it; name everybody who stays, with --only, to prevent that"
                );
            }
            Ok(())
        }
    }
}

/// Makes the keystore with its first key.
fn make<T>(
    file: &KeystoreFile,
    providers: &Providers<'_>,
    home: Option<&Path>,
    change: impl FnOnce(&mut Keystore) -> Result<T, KeystoreError>,
) -> Result<T, Failure> {
    let mut keys = Keystore::default();
    let changed = change(&mut keys).map_err(|err| refused(file, err))?;
    let recipients = providers.keystore_recipients(file)?;
    if file.path().parent() == home.or(crate::home::platform_dir().as_deref()) {
        // The home may not be there yet.
        crate::home::Home::open(home)?;
    }
    file.create(&keys, &recipients, &SystemRandom).map_err(|err| {
        files::failure(format!("cannot make the keystore {}", files::name(file.path())), err)
    })?;
    eprintln!("made the keystore {}", file.path().display());
    Ok(changed)
}

fn openers(file: &KeystoreFile, providers: &Providers<'_>) -> Result<Keyring, Failure> {
    if !file.exists() {
        let what = format!("there is no keystore {}", files::name(file.path()));
        return Err(Failure::new(Code::NotFound, what).hint("`waxwing keys create NAME` makes one"));
    }
    providers.keystore_openers(file)
}

fn open(file: &KeystoreFile, providers: &Providers<'_>) -> Result<Keystore, Failure> {
    let keyring = openers(file, providers)?;
    file.open(&keyring).map(|open| open.keys).map_err(|err| cannot_open(file, err))
}

fn update<T>(
    file: &KeystoreFile,
    providers: &Providers<'_>,
    change: impl FnOnce(&mut Keystore) -> Result<T, KeystoreError>,
) -> Result<T, Failure> {
    let keyring = openers(file, providers)?;
    file.update(&keyring, &SystemRandom, change).map_err(|err| match err {
        waxwing_engine::Error::Keystore(err) => refused(file, err),
        err => files::failure(format!("cannot change the keystore {}", files::name(file.path())), err),
    })
}

fn set_state(file: &KeystoreFile, providers: &Providers<'_>, name: &KeyName, state: VersionState) -> Outcome {
    let changed = update(file, providers, |keys| keys.set_state(name, state))?;
    eprintln!("{name}: {changed} of its versions changed to {}", state_name(state));
    Ok(())
}

fn refused(file: &KeystoreFile, err: KeystoreError) -> Failure {
    let code = match err {
        KeystoreError::NotFound { .. } => Code::NotFound,
        KeystoreError::Name => Code::Usage,
        KeystoreError::NotExportable { .. } => Code::Refused,
        KeystoreError::Disabled { .. } => Code::NoUsableKey,
        _ => Code::Failed,
    };
    Failure::new(code, format!("the keystore {} is as it was", files::name(file.path()))).because(err)
}

fn to_text(key: &StoredKey) -> String {
    let exportable = if key.exportable { ", exportable" } else { "" };
    let mut text = format!("{}  ({}{exportable})\n", key.name, key.kind.name());
    let seals = sealing_version(key);
    for version in key.versions.iter().rev() {
        let use_ = match (version.state, Some(version.number) == seals) {
            (VersionState::Disabled, _) => "disabled",
            (VersionState::Enabled, true) => "seals and opens",
            (VersionState::Enabled, false) => "opens",
        };
        let (name, made) = (&key.name, date(version));
        writeln!(text, "  {name}/{:<6} {made}  {use_}", version.number)
            .expect("writing to a string succeeds");
    }
    text
}

fn to_json(key: &StoredKey) -> Value {
    let seals = sealing_version(key);
    let version = |version: &StoredVersion| {
        json!({
            "version": version.number,
            "created": date(version),
            "state": state_name(version.state),
            "seals": Some(version.number) == seals,
        })
    };
    json!({
        "name": key.name,
        "type": key.kind.name(),
        "exportable": key.exportable,
        "versions": key.versions.iter().map(version).collect::<Vec<_>>(),
    })
}

fn sealing_version(key: &StoredKey) -> Option<u32> {
    key.versions.iter().rfind(|version| version.state == VersionState::Enabled).map(|version| version.number)
}

fn state_name(state: VersionState) -> &'static str {
    match state {
        VersionState::Enabled => "enabled",
        VersionState::Disabled => "disabled",
    }
}

/// The day in UTC.
fn date(version: &StoredVersion) -> String {
    let at = i64::try_from(version.created_unix_secs).ok();
    let at = at.and_then(|secs| time::OffsetDateTime::from_unix_timestamp(secs).ok());
    at.map_or_else(|| "?".to_owned(), |at| at.date().to_string())
}

fn now_unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
