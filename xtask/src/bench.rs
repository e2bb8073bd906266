//! `cargo xtask bench`: Waxwing against other tools, side by side in one run on one machine.

mod contest;
mod machine;
pub(crate) mod measure;
mod report;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::command::{Error, Result, at_root, capture, cargo, root, run};
use crate::peers;
use contest::{Contest, Payload};
use tools::Keys;

/// What to measure, how often and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often each tool runs
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Small data and 3 rounds, printed and not written: to see that everything runs
    #[arg(long)]
    quick: bool,
    /// How many small files; most tools start one process for each, so the 10,000 of the full report take an hour
    #[arg(long, value_name = "N", default_value_t = FULL.files, value_parser = clap::value_parser!(u32).range(1..=SMALL_FILES_MAX))]
    small_files: u32,
    /// Measure this binary rather than a release build of the work tree; printed and not written
    #[arg(long, value_name = "PATH")]
    waxwing: Option<PathBuf>,
    /// Only the payloads and tools whose names hold one of these words (waxwing always runs)
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where the data lies meanwhile; a folder in memory keeps the disk out of the figures [default: /dev/shm if it has room]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The report
    #[arg(long, default_value = "docs/benchmarks.md")]
    output: PathBuf,
}

/// Sizes of the payloads: those of the report, and small ones for `--quick`.
const FULL: Sizes = Sizes { large_len: 1 << 30, files: 1000 };
const QUICK: Sizes = Sizes { large_len: 32 << 20, files: 100 };
const QUICK_ROUNDS: u32 = 3;

/// Names of small files have five digits.
const SMALL_FILES_MAX: i64 = 100_000;

/// The length of each of the many files.
const SMALL_LEN: u64 = 4096;

struct Sizes {
    large_len: u64,
    files: u32,
}

/// Runs every contest and writes the report.
pub(crate) fn main(args: &Args) -> Result<()> {
    let (sizes, rounds) = match args.quick {
        true => (QUICK, QUICK_ROUNDS),
        false => (Sizes { files: args.small_files, ..FULL }, args.rounds),
    };
    let waxwing = match &args.waxwing {
        Some(path) => path.canonicalize().map_err(Error::file("find", path))?,
        None => {
            run(cargo().args(["build", "--release", "--locked", "--package", "waxwing-cli"]))?;
            target().join("release/waxwing")
        }
    };
    let peers = peers::for_bench()?;
    let folder = Scratch::new(args.dir.as_deref(), &sizes)?;
    let keys = Keys::make(&folder.0.join("keys"), &waxwing, peers)?;
    let large = Payload::one_file(&folder.0.join("large"), sizes.large_len)?;
    let many = Payload::many_files(&folder.0.join("many"), sizes.files, SMALL_LEN)?;
    let contests = [
        Contest { entrants: tools::one_file(&keys, &large), payload: large, about: "" },
        Contest { entrants: tools::many_files(&keys, &many), payload: many, about: tools::MANY_FILES },
    ];
    let start = Instant::now();
    let floor = measure::measure(&folder.0, &["true".into()])?;
    let mut text = report::head(&machine::describe(), &keys.versions()?, &folder.0, rounds, floor);
    for mut contest in contests {
        if contest.keep_only(&args.only) {
            let results = contest.hold(rounds)?;
            text.push_str(&report::tables(&contest, &results));
        }
    }
    println!("\n{text}");
    println!("measured in {:.0} s", start.elapsed().as_secs_f64());
    if args.quick || args.waxwing.is_some() {
        println!("not written to {}: that is for a full run of a release build", args.output.display());
        return Ok(());
    }
    let output = root().join(&args.output);
    fs::write(&output, text).map_err(Error::file("write", &output))
}

/// A folder for the data, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(wanted: Option<&Path>, sizes: &Sizes) -> Result<Self> {
        // At any time: the payload, it sealed and it opened; files of 4 KiB take two pages with what they carry.
        let needed = 4 * (sizes.large_len + u64::from(sizes.files) * 2 * SMALL_LEN);
        let parent = match wanted {
            Some(folder) => folder.to_path_buf(),
            None if free_in(Path::new(MEMORY_FOLDER)).is_ok_and(|free| free >= needed) => {
                MEMORY_FOLDER.into()
            }
            None => target().join("bench"),
        };
        fs::create_dir_all(&parent).map_err(Error::file("create", &parent))?;
        let free = free_in(&parent)?;
        if free < needed {
            let text = format!("{} has {free} bytes free; the benchmark needs {needed}", parent.display());
            return Err(Error::Usage(text));
        }
        let folder = parent.join("waxwing-bench");
        if folder.exists() {
            // Not removed here: another benchmark may be running, which would disturb both.
            let text = format!("another benchmark runs, or was interrupted and left {}", folder.display());
            return Err(Error::Usage(format!("{text}; if none runs, remove that folder")));
        }
        fs::create_dir(&folder).map_err(Error::file("create", &folder))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A folder that Linux keeps in memory.
const MEMORY_FOLDER: &str = "/dev/shm";

fn free_in(folder: &Path) -> Result<u64> {
    let said = capture(at_root("df").args(["--output=avail", "-B1"]).arg(folder))?;
    let free = said.lines().nth(1).and_then(|line| line.trim().parse().ok());
    free.ok_or_else(|| Error::Unexpected { command: "df".into(), what: said })
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}
