//! `waxwing open`

use std::ops::Range;
use std::path::PathBuf;

use waxwing_engine::{Input, RecordOptions, open, open_range, open_record, open_tree};
use waxwing_formats::record::{RECORD_LEN_MAX, Record};

use crate::exit::{Code, Failure, Outcome};
use crate::files::{self, OutputArgs, WorkArgs};
use crate::keys::{ContextArgs, OpenKeyArgs};
use crate::progress::Progress;
use crate::scheme::{RecordArgs, SchemeArgs};
use crate::tree::{self, Verb};

/// Open what was sealed
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waxwing open -k alice -o report.csv report.wax
  waxwing open -k backup.key -o docs docs.sealed
  waxwing open -k backup.key -c host=web1 < docs.tar.wax | tar x
  waxwing open -k alice --range 0-1023 report.wax
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
    #[command(flatten)]
    out: OutputArgs,
    #[command(flatten)]
    work: WorkArgs,
    /// What to open; `-` is standard input. Of a folder every .wax file is opened into the folder OUT
    #[arg(value_name = "IN", default_value = "-")]
    input: PathBuf,
}

const OPEN: Verb = Verb { base: "open", doing: "opening", done: "opened" };

pub(crate) fn run(args: Args, quiet: bool) -> Outcome {
    match &args.record.record {
        None => open_envelope(&args, quiet),
        Some(path) => open_with_record(&args, path, quiet),
    }
}

fn open_envelope(args: &Args, quiet: bool) -> Outcome {
    if args.scheme.is_used() {
        let failure = Failure::new(Code::Usage, "--wrap, --cipher, --tag and --legacy describe a record");
        return Err(failure.hint("name the record with --record"));
    }
    let keyring = args.keys.keyring()?;
    let required = args.context.context()?;
    if tree::is_folder(&args.input) {
        if args.header.is_some() || args.range.is_some() {
            return Err(Failure::new(Code::Usage, "--header and --range are for one file, not for a folder"));
        }
        return tree::run(&OPEN, &args.input, &args.out, &args.work, quiet, |tree, work, report| {
            open_tree(tree, &keyring, &required, work, report)
        });
    }
    let input = files::input(&args.input)?;
    let header = args.header.as_deref().map(files::input).transpose()?;
    let output = args.out.open(false)?;
    let progress = Progress::new("opening", quiet);
    let work = args.work.work(&progress);
    let opened = match args.range.clone() {
        None => open(input, header, output, &keyring, &required, &work),
        Some(range) => open_range(input, header, range, output, &keyring, &required, &work),
    };
    opened.map(|_| ()).map_err(|err| files::failure(format!("cannot open {}", files::name(&args.input)), err))
}

fn open_with_record(args: &Args, path: &std::path::Path, quiet: bool) -> Outcome {
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
    let keys = args.keys.record_keys()?;
    let options = RecordOptions { stated: args.scheme.stated()?, legacy: args.scheme.legacy() };
    let (input, name) = match record.body.take() {
        Some(body) => (Input::Stream(Box::new(std::io::Cursor::new(body))), files::name(path)),
        None => (files::input(&args.input)?, files::name(&args.input)),
    };
    let output = args.out.open(false)?;
    let progress = Progress::new("opening", quiet);
    let opened = open_record(&record, input, output, &keys, options, &args.work.work(&progress))
        .map_err(|err| files::failure(format!("cannot open {name}"), err))?;
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
