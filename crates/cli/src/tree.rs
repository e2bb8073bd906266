//! Whole folders, sealed or opened into others.

use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use indicatif::{BinaryBytes, HumanCount};
use waxwing_engine::{Error, Fate, LeftOut, Report, Tree, TreeSummary, Work, tree_len};

use crate::exit::{Code, Failure, Outcome};
use crate::files::{self, OutputArgs, WorkArgs};
use crate::progress::Progress;

/// The most entries that are told about one by one; the others are only counted.
const TOLD_MAX: u64 = 100;

/// What is done to the files, as messages say it.
pub(crate) struct Verb {
    /// "seal"
    pub(crate) base: &'static str,
    /// "sealing"
    pub(crate) doing: &'static str,
    /// "sealed"
    pub(crate) done: &'static str,
}

/// Whether the input is a folder.
pub(crate) fn is_folder(input: &Path) -> bool {
    !files::is_dash(input) && input.is_dir()
}

/// Has `mirror` do a whole folder, shows how far it is, and says what came of it.
pub(crate) fn run(
    verb: &Verb,
    input: &Path,
    out: &OutputArgs,
    work: &WorkArgs,
    quiet: bool,
    mirror: impl FnOnce(Tree<'_>, &Work<'_>, Report<'_>) -> Result<TreeSummary, Error>,
) -> Outcome {
    if !out.is_given() {
        let what = format!("{} is a folder", files::name(input));
        return Err(Failure::new(Code::Usage, what).hint("name the folder for what comes of it with -o"));
    }
    if files::url(&out.output).is_some() {
        let what = format!("{} is a folder, and {} is a URL", files::name(input), files::name(&out.output));
        return Err(Failure::new(Code::Usage, what)
            .hint("folders go into folders: seal its files one by one, or a tar of it"));
    }
    let tree = Tree { input, output: &out.output, existing: out.existing() };
    let progress = Progress::new(verb.doing, quiet);
    if progress.is_visible() {
        progress.set_total(tree_len(input));
    }
    let told = Mutex::new(Told { lines: 0, code: None });
    let start = Instant::now();
    let report = |path: &Path, fate: Fate| {
        let name = files::name(&input.join(path));
        let (line, code) = match fate {
            Fate::Done { .. } | Fate::UpToDate => return,
            Fate::LeftOut(why) => {
                (format!("note: {name} is {}, and was left out\n", why_left_out(why)), None)
            }
            Fate::Failed(err) => {
                let failure = files::failure(format!("cannot {} {name}", verb.base), err);
                (failure.to_string(), Some(failure.code))
            }
        };
        let mut told = told.lock().expect("nobody panics while holding it");
        if told.count(code) {
            progress.say(&line);
        }
    };
    let summary = mirror(tree, &work.work(&progress), &report)
        .map_err(|err| files::failure(format!("cannot {} {}", verb.base, files::name(input)), err))?;
    drop(progress);
    let told = told.into_inner().expect("nobody panicked");
    if told.lines > TOLD_MAX {
        eprintln!("note: {} more were left out or failed", told.lines - TOLD_MAX);
    }
    if !quiet {
        eprintln!("{}", sum_up(verb, &summary, start.elapsed().as_secs_f64()));
    }
    if summary.failed == 0 {
        return Ok(());
    }
    let what = format!("{} of {} files were not {}", summary.failed, summary.files(), verb.done);
    let failure = Failure::new(told.code.unwrap_or(Code::Failed), what);
    Err(failure.hint("run it again when that is mended: what is done is not done twice"))
}

struct Told {
    lines: u64,
    /// The code of all failures, or that of any failure when they differ.
    code: Option<Code>,
}

impl Told {
    /// Counts one more line; says whether it is to be shown.
    fn count(&mut self, code: Option<Code>) -> bool {
        self.code = match (self.code, code) {
            (None, code) | (code, None) => code,
            (Some(first), Some(code)) if first == code => Some(first),
            (Some(_), Some(_)) => Some(Code::Failed),
        };
        self.lines += 1;
        self.lines <= TOLD_MAX
    }
}

fn why_left_out(why: LeftOut) -> &'static str {
    match why {
        LeftOut::Link => "a symbolic link",
        LeftOut::Special => "neither a file nor a folder",
        LeftOut::NotSealed => "no .wax file",
    }
}

fn sum_up(verb: &Verb, summary: &TreeSummary, secs: f64) -> String {
    let rate = BinaryBytes((summary.plaintext_len as f64 / secs) as u64);
    let mut text = format!(
        "{} {} files, {}, in {secs:.1} s ({rate}/s)",
        verb.done,
        HumanCount(summary.done),
        BinaryBytes(summary.plaintext_len),
    );
    let others = [
        (summary.up_to_date, "were done already"),
        (summary.left_out, "left out"),
        (summary.failed, "failed"),
    ];
    for (count, what) in others {
        if count > 0 {
            text += &format!("; {} {what}", HumanCount(count));
        }
    }
    text
}
