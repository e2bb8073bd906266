//! `waxwing open`

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use waxwing_engine::{
    Input, ProfileKeys, RecordOptions, open, open_message, open_range, open_record, open_tree,
};
use waxwing_formats::record::{RECORD_LEN_MAX, Record};
use waxwing_profiles::policy::{Action, SchemeFacts};

use crate::exit::{Code, Failure, Outcome};
use crate::files::{self, Kind, OutputArgs, WorkArgs};
use crate::keys::{ContextArgs, OpenKeyArgs};
use crate::policy::{self, PolicyArgs};
use crate::profile::{self, MessageArgs};
use crate::progress::Progress;
use crate::remote;
use crate::scheme::{RecordArgs, SchemeArgs};
use crate::tree::{self, Verb};

/// Open what was sealed
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waxwing open -k alice -o report.csv report.wax
  waxwing open -k backup.key -o docs docs.sealed
  waxwing open -k backup.key -c host=web1 < docs.tar.wax | tar x
  waxwing open -k alice --range 0-1023 report.wax
  waxwing open -k alice -o report.csv s3://archive/2026/report.wax
  waxwing open -k partner --record job.json -o report.csv body.bin")]
pub(crate) struct Args {
    #[command(flatten)]
    keys: OpenKeyArgs,
    #[command(flatten)]
    context: ContextArgs,
    /// The envelope's header, when it was kept apart
    #[arg(long, value_name = "HEADER")]
    header: Option<PathBuf>,
    /// Open only the plaintext bytes A to B, both included and counted from 0; without B to the end
    #[arg(long, value_name = "A-B", value_parser = range)]
    range: Option<Range<u64>>,
    #[command(flatten)]
    record: RecordArgs,
    #[command(flatten)]
    scheme: SchemeArgs,
    /// Open a message of this partner's scheme: a preset's id (`waxwing profile list`) or a profile's file
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    #[command(flatten)]
    message: MessageArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    out: OutputArgs,
    #[command(flatten)]
    work: WorkArgs,
    /// What to open: a file, a URL or `-`, standard input. Of a folder every .wax file is opened into the folder OUT
    #[arg(value_name = "IN", default_value = "-")]
    input: PathBuf,
}

const OPEN: Verb = Verb { base: "open", doing: "opening", done: "opened" };

pub(crate) fn run(args: Args, home: Option<&Path>, quiet: bool) -> Outcome {
    if args.profile.is_none() && args.message.is_used() {
        return Err(profile::unnamed());
    }
    let rules = args.policy.load(home)?;
    let may = |scheme: &SchemeFacts| policy::check(rules.as_ref(), Action::Open, scheme, None);
    match (&args.record.record, &args.profile) {
        (None, None) => may(&SchemeFacts::envelope()).and_then(|()| open_envelope(&args, home, quiet)),
        (Some(path), None) => open_with_record(&args, path, &may, quiet),
        (None, Some(name)) => open_by_profile(&args, name, &may, quiet),
        (Some(_), Some(_)) => Err(Failure::new(Code::Usage, "--record and --profile exclude each other")),
    }
}

fn open_by_profile(args: &Args, name: &str, may: &dyn Fn(&SchemeFacts) -> Outcome, quiet: bool) -> Outcome {
    if !args.context.is_empty() || args.header.is_some() || args.range.is_some() || args.scheme.is_stated() {
        let failure = Failure::new(Code::Usage, "a profile says itself how its messages are made");
        return Err(failure.hint("leave out --context, --header, --range, --wrap, --cipher and --tag"));
    }
    let profile = profile::find(name)?;
    may(&SchemeFacts::from(&profile))?;
    let parts = args.message.parts(&profile, &args.input)?;
    let service = args.keys.service(&profile)?;
    let keys = ProfileKeys {
        rsa: if service.is_some() { None } else { args.keys.one_rsa_key()? },
        secrets: Arc::new(args.message.secrets()?),
        service,
    };
    let (output, publication) = args.out.open(Kind::Opened, None)?;
    let progress = Progress::new("opening", quiet);
    let work = args.work.work(&progress);
    let opened = open_message(&profile, parts, output, &keys, args.scheme.legacy(), &work)
        .map_err(|err| files::failure(format!("cannot open this message of {}", profile.id), err))?;
    publication.publish()?;
    drop(progress);
    if !opened.protection.is_authenticated() {
        eprintln!("warning: {} proves {}: the output is UNAUTHENTICATED", profile.id, opened.protection);
    }
    Ok(())
}

fn open_envelope(args: &Args, home: Option<&Path>, quiet: bool) -> Outcome {
    if args.scheme.is_used() {
        let failure = Failure::new(Code::Usage, "--wrap, --cipher, --tag and --legacy describe a record");
        return Err(failure.hint("name the record with --record"));
    }
    let keyring = args.keys.keyring(home)?;
    let required = args.context.context()?;
    if tree::is_folder(&args.input) {
        if args.header.is_some() || args.range.is_some() {
            return Err(Failure::new(Code::Usage, "--header and --range are for one file, not for a folder"));
        }
        return tree::run(&OPEN, &args.input, &args.out, &args.work, quiet, |tree, work, report| {
            open_tree(tree, &keyring, &required, work, report)
        });
    }
    let header = args.header.as_deref().map(files::input).transpose()?;
    let failed = |err| files::failure(format!("cannot open {}", files::name(&args.input)), err);
    let progress = Progress::new("opening", quiet);
    let work = args.work.work(&progress);
    let publication = match (args.range.clone(), files::url(&args.input)) {
        (Some(range), Some(url)) => {
            let (output, publication) = args.out.open(Kind::Opened, None)?;
            remote::open_range(url, header, range, output, &keyring, &required, &work)?;
            publication
        }
        (range, _) => {
            let input = files::input(&args.input)?;
            let (output, publication) = args.out.open(Kind::Opened, input.known_len())?;
            match range {
                None => open(input, header, output, &keyring, &required, &work),
                Some(range) => open_range(input, header, range, output, &keyring, &required, &work),
            }
            .map_err(failed)?;
            publication
        }
    };
    publication.publish()
}

fn open_with_record(args: &Args, path: &Path, may: &dyn Fn(&SchemeFacts) -> Outcome, quiet: bool) -> Outcome {
    if !args.context.is_empty() || args.header.is_some() || args.range.is_some() {
        return Err(Failure::new(Code::Usage, "a record has no context, no header and no ranges"));
    }
    let json = files::read_small(path, RECORD_LEN_MAX)?;
    let (mut record, tolerated) = Record::decode(&json, args.record.reading()).map_err(|err| {
        Failure::new(Code::Failed, format!("cannot read the record {}", files::name(path))).because(err)
    })?;
    for (field, _) in tolerated {
        eprintln!(
            "note: the record's `{field}` is not base64 as it should be written; it was read all the same"
        );
    }
    if let Some(scheme) = args.scheme.stated()?.or(record.scheme) {
        may(&SchemeFacts::from(scheme))?;
    }
    let keys = args.keys.record_keys()?;
    let options = RecordOptions { stated: args.scheme.stated()?, legacy: args.scheme.legacy() };
    let (input, name) = match record.body.take() {
        Some(body) => (Input::Stream(Box::new(std::io::Cursor::new(body))), files::name(path)),
        None => (files::input(&args.input)?, files::name(&args.input)),
    };
    let (output, publication) = args.out.open(Kind::Opened, input.known_len())?;
    let progress = Progress::new("opening", quiet);
    let opened = open_record(&record, input, output, &keys, options, &args.work.work(&progress))
        .map_err(|err| files::failure(format!("cannot open {name}"), err))?;
    publication.publish()?;
    drop(progress);
    if !opened.is_authenticated() {
        eprintln!(
            "warning: {} proves nothing: the output is UNAUTHENTICATED and may have been changed",
            opened.scheme
        );
    }
    Ok(())
}

/// `A-B` with both ends included, as in HTTP, or `A-`.
fn range(text: &str) -> Result<Range<u64>, String> {
    let malformed = || "it must be A-B or A-, two byte positions counted from 0".to_owned();
    let (start, end) = text.split_once('-').ok_or_else(malformed)?;
    let start: u64 = start.parse().map_err(|_| malformed())?;
    let end = match end {
        "" => u64::MAX,
        end => end.parse::<u64>().ok().and_then(|last| last.checked_add(1)).ok_or_else(malformed)?,
    };
    if start < end { Ok(start..end) } else { Err("it ends before it begins".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_http() {
        assert_eq!(range("0-0"), Ok(0..1));
        assert_eq!(range("5-"), Ok(5..u64::MAX));
        for bad in ["", "-", "-5", "5", "5-4", "a-b", "0-18446744073709551615"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }
}
