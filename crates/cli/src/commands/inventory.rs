//! `waxwing inventory`

mod plot;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use waxwing_delivery::UnixMillis;
use waxwing_profiles::identify::{Candidate, Certainty, FILES_MAX, Given, identify, known};

use super::identify::read;
use crate::exit::{Code, Failure, Outcome};
use crate::home::{Home, now};
use crate::{files, policy, print};

/// The most files of an inventory.
const ALL_FILES_MAX: usize = 1_000_000;
/// How deep folders nest.
const DEPTH_MAX: usize = 64;
/// A folder with at most so many files may be one message.
const MESSAGE_FILES_MAX: usize = 8;
/// The most runs that a plot shows.
const RUNS_MAX: usize = 10_000;

/// List what a folder holds by scheme and sender, and what of it is legacy; needs no key
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Files of one message share a folder of their own, or their names up to the first dot.
Every run adds a line to the history, from which the plot is drawn. The folder itself is never written to.

Example:
  waxwing inventory inbox --plot legacy.svg"
)]
pub(crate) struct Args {
    /// Which folder
    dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Draw the legacy files of each scheme over the runs so far
    #[arg(long, value_name = "SVG")]
    plot: Option<PathBuf>,
    /// Where runs are noted [default: inventory.jsonl in the home folder]
    #[arg(long, value_name = "JSONL")]
    history: Option<PathBuf>,
}

pub(crate) fn run(args: Args, home: &Home) -> Outcome {
    if args.dir.to_string_lossy().contains("://") {
        let failure = Failure::new(Code::Usage, format!("{} is no folder", files::name(&args.dir)));
        return Err(failure.hint("buckets are not read yet: sync it to a folder first, then take that"));
    }
    let failed = |err| Failure::io(format!("cannot read {}", files::name(&args.dir)), err);
    let dir = fs::canonicalize(&args.dir).map_err(failed)?;
    let history = args.history.unwrap_or_else(|| home.dir().join("inventory.jsonl"));
    for written in [Some(&history), args.plot.as_ref()].into_iter().flatten() {
        outside(written, &dir)?;
    }
    let mut inventory = Inventory::default();
    inventory.walk(&dir, &dir, 0)?;
    print(&if args.json { format!("{:#}\n", inventory.to_json()) } else { inventory.to_text() })?;
    let this = Run { time: now().since(UnixMillis::new(0)).as_secs(), legacy: inventory.legacy_files() };
    note(&history, &dir, &this)?;
    if let Some(plot) = &args.plot {
        let svg = plot::draw(&runs(&history, &dir)?);
        fs::write(plot, svg)
            .map_err(|err| Failure::io(format!("cannot write {}", files::name(plot)), err))?;
    }
    Ok(())
}

/// Nothing is written into the folder that is looked at.
fn outside(file: &Path, dir: &Path) -> Outcome {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match fs::canonicalize(parent) {
        Ok(parent) if parent.starts_with(dir) => {
            let what = format!("{} would lie in the folder that is looked at", files::name(file));
            Err(Failure::new(Code::Usage, what).hint("write it elsewhere"))
        }
        Ok(_) => Ok(()),
        Err(err) => Err(Failure::io(format!("cannot write {}", files::name(file)), err)),
    }
}

/// What is counted together.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    scheme: String,
    sender: String,
}

#[derive(Debug, Default)]
struct Group {
    messages: u64,
    files: u64,
    bytes: u64,
    /// How sure the least sure of its messages is; `None` where no profile was matched.
    certainty: Option<Certainty>,
    legacy: BTreeSet<&'static str>,
    /// Only some of the schemes that it may be are legacy.
    perhaps: bool,
}

#[derive(Debug, Default)]
struct Inventory {
    groups: BTreeMap<Key, Group>,
    files: usize,
}

impl Inventory {
    /// Every folder, without following links.
    fn walk(&mut self, root: &Path, dir: &Path, depth: usize) -> Outcome {
        let failed = |err| Failure::io(format!("cannot read {}", files::name(dir)), err);
        if depth > DEPTH_MAX {
            let what = format!("{} lies deeper than {DEPTH_MAX} folders", files::name(dir));
            return Err(Failure::new(Code::Failed, what));
        }
        let (mut paths, mut folders) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            match entry.file_type().map_err(failed)? {
                kind if kind.is_file() => paths.push(entry.path()),
                kind if kind.is_dir() => folders.push(entry.path()),
                _ => {}
            }
            self.files += 1;
            if self.files > ALL_FILES_MAX {
                let what = format!("there are more than {ALL_FILES_MAX} files");
                return Err(Failure::new(Code::Failed, what).hint("take its folders one by one"));
            }
        }
        paths.sort();
        folders.sort();
        self.folder(root, &paths)?;
        folders.iter().try_for_each(|folder| self.walk(root, folder, depth + 1))
    }

    /// The files of one folder: one message, or one for each beginning of names.
    fn folder(&mut self, root: &Path, paths: &[PathBuf]) -> Outcome {
        if (1..=MESSAGE_FILES_MAX).contains(&paths.len()) {
            let given = paths.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
            let whole = identify(&given);
            if whole.first().is_some_and(|best| best.is_complete() && best.unused.is_empty()) {
                self.message(root, &paths[0], &given, &whole);
                return Ok(());
            }
        }
        let mut stems: BTreeMap<String, Vec<&PathBuf>> = BTreeMap::new();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let stem = name.trim_start_matches('.').split('.').next().unwrap_or_default().to_owned();
            stems.entry(stem).or_default().push(path);
        }
        for paths in stems.values().flat_map(|paths| paths.chunks(FILES_MAX)) {
            let mut given = paths.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
            let found = identify(&given);
            let Some(best) = found.first() else {
                given.iter().for_each(|file| self.unmatched(root, paths[0], file));
                continue;
            };
            let mut unused = best.unused.clone();
            self.message(root, paths[0], &given, &found);
            unused.sort_unstable();
            for at in unused.into_iter().rev() {
                self.unmatched(root, paths[at], &given.swap_remove(at));
            }
        }
        Ok(())
    }

    /// A message that a profile was matched with.
    fn message(&mut self, root: &Path, path: &Path, given: &[Given], found: &[Candidate]) {
        let best = &found[0];
        let mut tied: Vec<&Candidate> = found[..]
            .iter()
            .filter(|other| best.tied_with.contains(&other.preset.profile.id.as_str()))
            .collect();
        tied.insert(0, best);
        let mut ids: Vec<&str> = tied.iter().map(|tied| tied.preset.profile.id.as_str()).collect();
        ids.sort_unstable();
        let used =
            || given.iter().enumerate().filter(|(at, _)| !best.unused.contains(at)).map(|(_, file)| file);
        let sender = used().find_map(Given::sender).unwrap_or_else(|| first_folder(root, path));
        let group = self.groups.entry(Key { scheme: ids.join(" or "), sender }).or_default();
        group.messages += 1;
        group.files += used().count() as u64;
        group.bytes += used().map(|file| file.len).sum::<u64>();
        group.certainty = Some(group.certainty.map_or(best.certainty, |known| known.min(best.certainty)));
        let reasons: Vec<Vec<&str>> = tied.iter().map(|tied| tied.preset.profile.legacy_reasons()).collect();
        group.perhaps |= reasons.iter().any(Vec::is_empty);
        group.legacy.extend(reasons.into_iter().flatten());
    }

    /// A file that no profile was matched with.
    fn unmatched(&mut self, root: &Path, path: &Path, file: &Given) {
        let scheme = match known(file) {
            Some(known) => known.title.to_owned(),
            None if file.looks_random() => "not known, looks random".to_owned(),
            None => "not known".to_owned(),
        };
        let sender = file.sender().unwrap_or_else(|| first_folder(root, path));
        let group = self.groups.entry(Key { scheme, sender }).or_default();
        group.messages += 1;
        group.files += 1;
        group.bytes += file.len;
    }

    /// Files that are surely legacy, by scheme.
    fn legacy_files(&self) -> BTreeMap<String, u64> {
        let mut files = BTreeMap::new();
        for (key, group) in self.legacy() {
            *files.entry(key.scheme.clone()).or_default() += group.files;
        }
        files
    }

    fn legacy(&self) -> impl Iterator<Item = (&Key, &Group)> {
        self.groups.iter().filter(|(_, group)| !group.legacy.is_empty() && !group.perhaps)
    }

    fn totals(&self) -> [u64; 4] {
        let sum = |number: fn(&Group) -> u64| self.groups.values().map(number).sum();
        let legacy = |number: fn(&Group) -> u64| self.legacy().map(|(_, group)| number(group)).sum();
        [
            sum(|group| group.files),
            sum(|group| group.bytes),
            legacy(|group| group.files),
            legacy(|group| group.bytes),
        ]
    }

    fn to_json(&self) -> Value {
        let group = |(key, group): (&Key, &Group)| {
            json!({
                "scheme": key.scheme,
                "sender": key.sender,
                "messages": group.messages,
                "files": group.files,
                "bytes": group.bytes,
                "certainty": group.certainty.map(|certainty| certainty.to_string()),
                "legacy": match (group.legacy.is_empty(), group.perhaps) {
                    (true, _) => "no",
                    (false, true) => "perhaps",
                    (false, false) => "yes",
                },
                "reasons": group.legacy,
            })
        };
        let [files, bytes, legacy_files, legacy_bytes] = self.totals();
        json!({
            "date": policy::today().to_string(),
            "files": files,
            "bytes": bytes,
            "legacy_files": legacy_files,
            "legacy_bytes": legacy_bytes,
            "groups": self.groups.iter().map(group).collect::<Vec<_>>(),
        })
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        for (key, group) in &self.groups {
            let reasons: Vec<&str> = group.legacy.iter().copied().collect();
            let legacy = match (reasons.is_empty(), group.perhaps) {
                (true, _) => String::new(),
                (false, true) => format!("; perhaps legacy: {}", reasons.join(", ")),
                (false, false) => format!("; legacy: {}", reasons.join(", ")),
            };
            let certainty = group.certainty.map_or(String::new(), |certainty| format!("; {certainty}"));
            text += &format!(
                "{}, from {}: {} in {}, {} bytes{certainty}{legacy}\n",
                key.scheme,
                key.sender.escape_debug(),
                counted(group.messages, "message"),
                counted(group.files, "file"),
                group.bytes,
            );
        }
        let [files, bytes, legacy_files, legacy_bytes] = self.totals();
        let (all, legacy) = (counted(files, "file"), counted(legacy_files, "file"));
        text + &format!("{all}, {bytes} bytes; legacy of these: {legacy}, {legacy_bytes} bytes\n")
    }
}

fn counted(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Who sent what says nothing of it: the first folder below the one that is looked at.
fn first_folder(root: &Path, path: &Path) -> String {
    let mut below = path.strip_prefix(root).unwrap_or(path).components();
    match (below.next(), below.next()) {
        (Some(folder), Some(_)) => format!("{}/", folder.as_os_str().to_string_lossy()),
        _ => "unknown".to_owned(),
    }
}

/// One run, as the history has it.
struct Run {
    /// Seconds since 1970.
    time: u64,
    legacy: BTreeMap<String, u64>,
}

fn note(history: &Path, dir: &Path, run: &Run) -> Outcome {
    let date = policy::today().to_string();
    let line = json!({ "date": date, "time": run.time, "dir": dir.to_string_lossy(), "legacy": run.legacy });
    let opened = OpenOptions::new().append(true).create(true).open(history);
    let written = opened.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    written.map_err(|err| Failure::io(format!("cannot write {}", files::name(history)), err))
}

/// The runs over this folder, oldest first.
fn runs(history: &Path, dir: &Path) -> Result<Vec<Run>, Failure> {
    let failed = |err| Failure::io(format!("cannot read {}", files::name(history)), err);
    let mut runs = Vec::new();
    for (at, line) in BufReader::new(fs::File::open(history).map_err(failed)?).lines().enumerate() {
        let line = line.map_err(failed)?;
        let wrong = || {
            let what = format!("line {} of {} is no run", at + 1, files::name(history));
            Failure::new(Code::Failed, what).hint("name another file with --history")
        };
        let value: Value = serde_json::from_str(&line).map_err(|_| wrong())?;
        if value["dir"].as_str() != Some(&dir.to_string_lossy()) {
            continue;
        }
        let (Some(time), Some(legacy)) = (value["time"].as_u64(), value["legacy"].as_object()) else {
            return Err(wrong());
        };
        let legacy: Option<BTreeMap<String, u64>> =
            legacy.iter().map(|(scheme, files)| Some((scheme.clone(), files.as_u64()?))).collect();
        runs.push(Run { time, legacy: legacy.ok_or_else(wrong)? });
    }
    runs.sort_by_key(|run| run.time);
    Ok(runs.split_off(runs.len().saturating_sub(RUNS_MAX)))
}
