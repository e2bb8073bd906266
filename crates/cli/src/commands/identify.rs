//! `waxwing identify`

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use waxwing_profiles::identify::{Candidate, FILES_MAX, Given, Known, Speaks, identify, known};

use crate::exit::{Code, Failure, Outcome};
use crate::{files, print};

/// How many schemes are shown unless all are asked for.
const SHOWN_MAX: usize = 4;

/// Say which known scheme files are of, how sure that is and why; needs no key
#[derive(Debug, clap::Args)]
#[command(after_help = "Give all files of one message, in any order, under any names.

Example:
  waxwing identify message.json body.bin")]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Show every scheme that anything speaks for
    #[arg(long)]
    all: bool,
    /// The files of one message
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(crate) fn run(args: Args) -> Outcome {
    if args.files.len() > FILES_MAX {
        let what = format!("{} files are given; a message has at most {FILES_MAX}", args.files.len());
        return Err(Failure::new(Code::Usage, what).hint("`waxwing inventory` looks at whole folders"));
    }
    let given = args.files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let mut found = identify(&given);
    if !args.all {
        // What fits half as well as the best is no help; what ties with the best is always shown.
        let best = found.first().map_or(0, |best| best.score);
        let ties = found.first().map_or(0, |best| best.tied_with.len() + 1);
        found.retain(|candidate| candidate.score * 2 >= best);
        found.truncate(SHOWN_MAX.max(ties));
    }
    let others: Vec<(usize, Known)> =
        given.iter().enumerate().filter_map(|(at, file)| Some((at, known(file)?))).collect();
    let seen = Seen { paths: &args.files, given: &given, found: &found, others: &others };
    print(&if args.json { format!("{:#}\n", seen.to_json()) } else { seen.to_text() })?;
    if found.is_empty() && others.is_empty() {
        return Err(Failure::new(Code::Failed, "no known scheme"));
    }
    Ok(())
}

/// Looks at a file.
pub(crate) fn read(path: &Path) -> Result<Given, Failure> {
    let failed = |err| Failure::io(format!("cannot read {}", files::name(path)), err);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    File::open(path).and_then(|file| Given::read(name, file)).map_err(failed)
}

struct Seen<'a> {
    paths: &'a [PathBuf],
    given: &'a [Given],
    found: &'a [Candidate],
    others: &'a [(usize, Known)],
}

impl Seen<'_> {
    fn path(&self, file: usize) -> String {
        self.paths[file].display().to_string()
    }

    /// The line that opens the message, if all of its parts are there.
    fn command(&self, candidate: &Candidate) -> Option<String> {
        let profile = &candidate.preset.profile;
        let has = |part: &str| candidate.parts.iter().any(|(given, _)| given == part);
        if !profile.files().all(|(part, _)| has(part)) {
            return None;
        }
        let mut line = format!("waxwing open --profile {}", profile.id);
        for (part, file) in &candidate.parts {
            write!(line, " --part {}", quoted(&format!("{part}={}", self.path(*file)))).expect("it is text");
        }
        if !profile.legacy_reasons().is_empty() {
            line += " --legacy";
        }
        Some(line)
    }

    fn to_json(&self) -> Value {
        let paths = |files: &[usize]| files.iter().map(|&file| self.path(file)).collect::<Vec<_>>();
        let scheme = |candidate: &Candidate| {
            let facts = |speaks| candidate.facts(speaks).collect::<Vec<_>>();
            let parts = candidate.parts.iter().map(|(part, file)| (part.clone(), self.path(*file).into()));
            json!({
                "id": candidate.preset.profile.id,
                "title": candidate.preset.profile.title,
                "certainty": candidate.certainty.to_string(),
                "score": candidate.score,
                "tied_with": candidate.tied_with,
                "parts": Value::Object(parts.collect()),
                "unused": paths(&candidate.unused),
                "for": facts(Speaks::For),
                "against": facts(Speaks::Against),
                "missing": facts(Speaks::Missing),
                "legacy": candidate.preset.profile.legacy_reasons(),
                "command": self.command(candidate),
            })
        };
        let other = |(file, known): &(usize, Known)| json!({ "file": self.path(*file), "title": known.title, "why": known.why, "advice": known.advice });
        let notes: Vec<Value> = self
            .notes()
            .into_iter()
            .map(|(file, note)| json!({ "file": self.path(file), "note": note }))
            .collect();
        json!({
            "schemes": self.found.iter().map(scheme).collect::<Vec<_>>(),
            "formats": self.others.iter().map(other).collect::<Vec<_>>(),
            "notes": notes,
        })
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        for candidate in self.found {
            let profile = &candidate.preset.profile;
            line(&mut text, format_args!("{}: {}: {}", candidate.certainty, profile.id, profile.title));
            if !candidate.tied_with.is_empty() {
                let ties = candidate.tied_with.join(", ");
                line(&mut text, format_args!("  as well as {ties}: nobody without the key can tell"));
            }
            for (sign, speaks) in [("+", Speaks::For), ("-", Speaks::Against), ("?", Speaks::Missing)] {
                for fact in candidate.facts(speaks) {
                    line(&mut text, format_args!("  {sign} {}", printable(fact)));
                }
            }
            for &file in &candidate.unused {
                line(&mut text, format_args!("  ? no use for {}", files::name(&self.paths[file])));
            }
            if let Some(command) = self.command(candidate) {
                line(&mut text, format_args!("  {}", printable(&command)));
            }
        }
        for &(file, known) in self.others {
            let name = files::name(&self.paths[file]);
            line(&mut text, format_args!("{name}: {}: {}; {}", known.title, known.why, known.advice));
        }
        for (file, note) in self.notes() {
            line(&mut text, format_args!("{}: {note}", files::name(&self.paths[file])));
        }
        text
    }

    /// What can be said of files that nothing explains.
    fn notes(&self) -> Vec<(usize, String)> {
        let explained = |file: usize| {
            self.others.iter().any(|&(other, _)| other == file)
                || self.found.iter().any(|found| found.parts.iter().any(|&(_, part)| part == file))
        };
        let unexplained = (0..self.given.len()).filter(|&file| !explained(file));
        unexplained.map(|file| (file, note(&self.given[file]))).collect()
    }
}

fn note(file: &Given) -> String {
    let len = file.len;
    if let Some(err) = &file.refused {
        return format!("it is refused as a document: {err}");
    }
    if !file.looks_random() {
        return "nothing here is known".to_owned();
    }
    let blocks = match len.is_multiple_of(16) {
        true => "whole blocks of 16: AES-CBC or another block mode is possible, and so is everything else",
        false => "no whole blocks of 16: not AES-CBC alone; AES-GCM or AES-CTR is possible",
    };
    format!(
        "{len} bytes that look random: a ciphertext, or something packed; {blocks}. A document beside it would tell more"
    )
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a string succeeds");
    text.push('\n');
}

fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_shell_reads_back_what_is_quoted() {
        assert_eq!(super::quoted("body=a/b.bin"), "body=a/b.bin");
        assert_eq!(super::quoted("body=it's $HOME"), r"'body=it'\''s $HOME'");
    }
}
