//! `cargo xtask bench`: Waxwing against other tools, side by side in one run on one machine.

mod bars;
mod contest;
mod entrants;
mod figures;
mod in_memory;
mod large;
mod machine;
pub(crate) mod measure;
mod place;
mod plot;
mod report;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::command::{Error, Result, cargo, chain, root, run};
use crate::peers;
use contest::{Contest, Payload};
use figures::Figures;
use large::{Lens, Stored, size};
use place::{MEMORY_FOLDER, Place};
use plot::Panel;
use tools::Keys;

/// What to measure, how often and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often each tool runs; less often where it starts a process for each of many files, or is only plotted
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Small data and 2 rounds, printed and not written: to see that everything runs
    #[arg(long)]
    quick: bool,
    /// How many small files; some tools start one process for each
    #[arg(long, value_name = "N", default_value_t = FULL.files, value_parser = clap::value_parser!(u32).range(1..=SMALL_FILES_MAX))]
    small_files: u32,
    /// Keep an envelope of 64 GiB on disk rather than one of 4 GiB, for random access and for memory from file to file
    #[arg(long)]
    huge: bool,
    /// Compare with the AWS Encryption SDK for Rust too, which builds for minutes
    #[arg(long)]
    aws_esdk: bool,
    /// Measure this binary rather than a release build of the work tree; printed and not written
    #[arg(long, value_name = "PATH")]
    waxwing: Option<PathBuf>,
    /// Only the contests, tools and parts (library, peak memory, random access, plot) whose names hold one of these words
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where the data lies that is not to be on disk [default: /dev/shm if it has room]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The report; its plot lies beside it
    #[arg(long, default_value = "docs/benchmarks.md")]
    output: PathBuf,
}

/// Sizes of the data: those of the report, and small ones for `--quick`.
const FULL: Sizes = Sizes {
    files: 10_000,
    starts: 50,
    plotted: &[4 << 10, 64 << 10, 1 << 20, 16 << 20, 256 << 20],
    lens: Lens { small: 1 << 10, large: 1 << 30, huge: 64 << 30, stored: 4 << 30 },
};
const QUICK: Sizes = Sizes {
    files: 100,
    starts: 10,
    plotted: &[4 << 10, 64 << 10, 1 << 20],
    lens: Lens { small: 1 << 10, large: 32 << 20, huge: 256 << 20, stored: 64 << 20 },
};
const QUICK_ROUNDS: u32 = 2;
/// For what takes long or has no bar.
const FEW_ROUNDS: u32 = 3;

/// Names of small files have five digits.
const SMALL_FILES_MAX: i64 = 100_000;

/// The length of each of the many files.
const SMALL_LEN: u64 = 4096;

#[derive(Clone, Copy)]
struct Sizes {
    files: u32,
    /// How many processes are started for one sample of a start.
    starts: u32,
    /// What is plotted, beside the large file.
    plotted: &'static [u64],
    lens: Lens,
}

/// Runs every contest and writes the report.
pub(crate) fn main(args: &Args) -> Result<()> {
    let start = Instant::now();
    let (waxwing, rsa_rate) = (args.binary()?, rsa_rate()?);
    let peers = peers::for_bench(args.aws_esdk)?;
    let mut bench = Bench::prepare(args, &waxwing, &rsa_rate, peers)?;
    let details = [bench.contests()?, bench.in_memory()?, bench.large()?].concat();
    let (method, plot) = (bench.method()?, bench.plot());
    let mut text = report::head(bench.rounds, args.quick) + &bars::table(bars::ROWS, &bench.figures);
    for note in &bench.missing {
        text.push_str(&format!("\nNot available: {note}.\n"));
    }
    text.extend([method, bench.plot_section(args), details, report::notes(&bench.held)]);
    println!("\n{text}");
    println!("measured in {:.0} s", start.elapsed().as_secs_f64());
    let (output, is_report) = args.report();
    if !is_report {
        println!(
            "the report is that of a full run of a release build; this one is written to {}",
            output.display()
        );
    }
    let plot_path = output.with_extension("svg");
    fs::write(&plot_path, plot).map_err(Error::file("write", &plot_path))?;
    fs::write(&output, text).map_err(Error::file("write", &output))
}

impl Args {
    /// The waxwing to measure.
    fn binary(&self) -> Result<PathBuf> {
        match &self.waxwing {
            Some(path) => path.canonicalize().map_err(Error::file("find", path)),
            None => {
                run(cargo().args(["build", "--release", "--locked", "--package", "waxwing-cli"]))?;
                Ok(target().join("release/waxwing"))
            }
        }
    }

    fn sizes(&self) -> Sizes {
        if self.quick {
            return QUICK;
        }
        let stored = if self.huge { FULL.lens.huge } else { FULL.lens.stored };
        Sizes { files: self.small_files, lens: Lens { stored, ..FULL.lens }, ..FULL }
    }

    /// Whether a part of this name is wanted.
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| part.contains(word.as_str()))
    }

    /// Where the report goes, and whether that is the report which people read: only a whole run is worth that.
    fn report(&self) -> (PathBuf, bool) {
        let partial = self.quick || self.waxwing.is_some() || !self.only.is_empty();
        let output = if partial { target().join("bench/benchmarks.md") } else { root().join(&self.output) };
        (output, !partial)
    }
}

/// Everything that the parts of a run need, and what came of them.
struct Bench<'a> {
    args: &'a Args,
    sizes: Sizes,
    rounds: u32,
    // Before the places: it stops gpg's agent, whose home lies there.
    keys: Keys,
    /// In memory if that is possible, else the disk.
    main: Place,
    disk: Option<Place>,
    machine: Vec<String>,
    figures: Figures,
    /// What could not be measured, and why.
    missing: Vec<String>,
    /// The contests that were held, without those that are only plotted.
    held: Vec<Contest>,
}

impl<'a> Bench<'a> {
    fn prepare(args: &'a Args, waxwing: &Path, rsa_rate: &Path, peers: peers::BenchPeers) -> Result<Self> {
        let (sizes, mut missing) = (args.sizes(), Vec::new());
        // At any time: the payloads, one of them sealed and opened; files of 4 KiB take two pages with what they carry.
        let plotted: u64 = sizes.plotted.iter().sum();
        let needed = 4 * (sizes.lens.large + u64::from(sizes.files) * 2 * SMALL_LEN) + plotted;
        // An envelope is longer than its plaintext by a tag for each frame, 1 in 4096, and a header.
        let stored = sizes.lens.stored + sizes.lens.stored / 1024;
        let disk = Place::new(&target().join("bench"), needed + stored)?;
        let memory = match &args.dir {
            Some(folder) => Some(Place::new(folder, needed)?),
            None => Place::new(Path::new(MEMORY_FOLDER), needed)
                .inspect_err(|error| missing.push(format!("what is to be in memory: {}", chain(error))))
                .ok(),
        };
        let (main, disk) = match memory {
            Some(memory) => (memory, Some(disk)),
            None => (disk, None),
        };
        let mut machine = machine::describe();
        machine.push(format!("file system of the data: {}", main.file_system));
        if let Some(disk) = &disk {
            machine.push(format!("file system of the disk: {}", disk.file_system));
        }
        let keys = Keys::make(&main.join("keys"), waxwing, rsa_rate, peers)?;
        let rounds = if args.quick { QUICK_ROUNDS } else { args.rounds };
        let (figures, held) = (Figures::default(), Vec::new());
        Ok(Self { args, sizes, rounds, keys, main, disk, machine, figures, missing, held })
    }

    /// Where large files are to be kept.
    fn disk(&self) -> &Place {
        self.disk.as_ref().unwrap_or(&self.main)
    }

    /// Holds all contests and returns their tables.
    fn contests(&mut self) -> Result<String> {
        let few_rounds = self.rounds.min(FEW_ROUNDS);
        let mut text = String::new();
        let large = Payload::one_file(&self.main.join("large"), self.sizes.lens.large)?;
        for contest in [self.one_file(&large), self.on_disk()?, self.pipes(large), self.starts()?] {
            text.push_str(&self.hold(contest, self.rounds)?);
        }
        let many = self.many_files()?;
        let others = self.many_files_by_others(many.payload.clone());
        text.push_str(&self.hold(many, self.rounds)?);
        text.push_str(&self.hold(others, 1)?);
        self.figures.push_larger("many/seal/bound", "many/seal/bare RSA", "many/seal/cp, one process");
        if self.args.wants("plot") {
            for len in self.sizes.plotted {
                let payload = Payload::one_file(&self.main.join(format!("plotted-{len}")), *len)?;
                let entrants = entrants::some_on_one_file(&self.keys, &payload, entrants::PLOTTED);
                let title = format!("One file of {}, for the plot", size(*len));
                let contest = Contest { key: plot_key(*len), title, payload, about: "", entrants };
                contest.note(&contest.hold(few_rounds)?, &mut self.figures);
            }
        }
        Ok(text)
    }

    fn hold(&mut self, mut contest: Contest, rounds: u32) -> Result<String> {
        if !contest.keep_only(&self.args.only) {
            return Ok(String::new());
        }
        let results = contest.hold(rounds)?;
        contest.note(&results, &mut self.figures);
        let text = report::tables(&contest, &results);
        self.held.push(contest);
        Ok(text)
    }

    fn one_file(&self, payload: &Payload) -> Contest {
        let (key, place) =
            if self.main.is_in_memory() { ("memory", "in memory") } else { ("data", "in --dir") };
        Contest {
            key: key.into(),
            title: format!("One file of {}, {place}", size(payload.len)),
            entrants: entrants::one_file(&self.keys, payload),
            payload: payload.clone(),
            about: "",
        }
    }

    fn on_disk(&self) -> Result<Contest> {
        let payload = Payload::one_file(&self.disk().join("on-disk"), self.sizes.lens.large)?;
        let mut entrants = entrants::some_on_one_file(&self.keys, &payload, entrants::ON_DISK);
        entrants::sync_before(&mut entrants, &payload.folder);
        let title = format!("One file of {}, on disk", size(payload.len));
        Ok(Contest { key: "disk".into(), title, payload, about: "", entrants })
    }

    fn pipes(&self, payload: Payload) -> Contest {
        Contest {
            key: "pipes".into(),
            title: format!("Pipe to pipe, {}", size(payload.len)),
            entrants: entrants::pipes(&self.keys, &payload),
            payload,
            about: "`cat FILE | TOOL | cat > /dev/null`. Peak memory is that of the tool, of `cat` or of the shell, whichever has most.",
        }
    }

    fn starts(&self) -> Result<Contest> {
        let payload = Payload::many_files(&self.main.join("starts"), self.sizes.starts, 1 << 10)?;
        Ok(Contest {
            key: "start".into(),
            title: "One file of 1 KiB, whole process".into(),
            entrants: entrants::starts(&self.keys, &payload),
            payload,
            about: "A shell starts one process after the other, each on another file of 1 KiB; the shell's share is in the times.",
        })
    }

    fn many_files(&mut self) -> Result<Contest> {
        let payload = Payload::many_files(&self.main.join("many"), self.sizes.files, SMALL_LEN)?;
        let directories = entrants::takes_directories(&self.keys, &self.main.join("directories"));
        if let Err(error) = &directories {
            self.missing.push(format!("waxwing on a folder: {}", chain(error)));
        }
        Ok(Contest {
            key: "many".into(),
            title: format!("{} files of {}", self.sizes.files, size(SMALL_LEN)),
            entrants: entrants::many_files(&self.keys, &payload, directories.is_ok()),
            payload,
            about: "",
        })
    }

    fn many_files_by_others(&self, payload: Payload) -> Contest {
        Contest {
            key: "others".into(),
            title: format!("{} files of {}, other ways", self.sizes.files, size(SMALL_LEN)),
            entrants: entrants::many_files_by_others(&self.keys, &payload),
            payload,
            about: "One process for each file, started by the loop of a shell, except in the rows that say \"one process\" and for rclone. One\n\
                    round: each figure is the mean of as many starts as there are files.",
        }
    }

    fn in_memory(&mut self) -> Result<String> {
        if !self.args.wants("library") {
            return Ok(String::new());
        }
        in_memory::measure(self.rounds, self.args.quick, &mut self.figures)?;
        let table = in_memory::table(&self.figures);
        Ok(format!(
            "\n## The library, in memory\n\nFrames of 64 KiB with AES-256-GCM (`cargo bench -p waxwing-core`).\n\n{table}"
        ))
    }

    /// Peak memory and random access.
    fn large(&mut self) -> Result<String> {
        let lens = self.sizes.lens;
        let (peaks_wanted, access_wanted) =
            (self.args.wants("peak memory"), self.args.wants("random access"));
        if !peaks_wanted && !access_wanted {
            return Ok(String::new());
        }
        let folder = self.disk().join("stored");
        fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        let stored = Stored::make(&self.keys, &folder, lens)?;
        let mut text = String::new();
        if peaks_wanted {
            let peaks = large::peaks(&self.keys, &self.main.folder, lens, Some(&stored))?;
            large::note(&peaks, lens, &mut self.figures);
            let table = large::table(&peaks);
            text = format!(
                "\n## Peak memory\n\nSparse files, `--threads 2`. A stream is what cannot seek, here /dev/null or a pipe. The longest record is 32 bytes\n\
                 short of 64 GiB, where one GCM message ends; to open it, or an envelope of that size from file to file, takes as much disk.\n\n{table}"
            );
        }
        if access_wanted {
            let access = large::random_access(&self.keys, &folder, &stored, self.rounds, &mut self.figures)?;
            text.push_str(&format!("\n## Random access\n\n{}", access.describe(&self.figures)));
        }
        Ok(text)
    }

    fn method(&self) -> Result<String> {
        let floor = measure::measure(&self.main.folder, &["true".into()])?;
        Ok(report::method(&self.machine, &self.keys.versions()?, self.rounds, floor))
    }

    fn panels(&self) -> [Panel; 2] {
        let mut sizes: Vec<(u64, String)> =
            self.sizes.plotted.iter().map(|len| (*len, plot_key(*len))).collect();
        sizes.push((
            self.sizes.lens.large,
            if self.main.is_in_memory() { "memory" } else { "data" }.to_owned(),
        ));
        [("Seal", "seal"), ("Open", "open")].map(|(title, operation)| Panel {
            title,
            series: report::curves(entrants::PLOTTED, &sizes, operation, &self.figures),
        })
    }

    fn plot(&self) -> String {
        plot::svg(&self.panels())
    }

    fn plot_section(&self, args: &Args) -> String {
        let name = args.output.with_extension("svg");
        let name = name.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut text = format!(
            "\n## Throughput against file size\n\n![Throughput against file size, sealing and opening]({name})\n\n\
             One file and one process, in memory; small files show what a start costs. Medians of at least {} rounds.\n",
            self.rounds.min(FEW_ROUNDS)
        );
        for panel in self.panels() {
            text.push_str(&report::curve_table(panel.title, &panel.series));
        }
        text
    }
}

/// What the figures of a plotted size are called by.
fn plot_key(len: u64) -> String {
    format!("size {len}")
}

/// The program that measures bare RSA.
fn rsa_rate() -> Result<PathBuf> {
    run(cargo().args([
        "build",
        "--release",
        "--locked",
        "--package",
        "waxwing-aws-lc",
        "--example",
        "rsa_rate",
    ]))?;
    Ok(target().join("release/examples/rsa_rate"))
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

#[cfg(test)]
mod test {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn only_a_whole_run_of_a_release_build_writes_the_report() {
        let report = |words: &[&str]| Line::parse_from([&["bench"], words].concat()).args.report();
        assert_eq!(report(&[]), (root().join("docs/benchmarks.md"), true));
        for part in [&["--quick"][..], &["--only", "age"], &["--waxwing", "waxwing"]] {
            let (output, is_report) = report(part);
            assert!(!is_report && output.starts_with(target()), "{part:?}");
        }
    }
}
