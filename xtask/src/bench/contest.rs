//! A contest: the same payload sealed and opened by several tools, in turn, round after round.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read};
use std::path::{Path, PathBuf};

use waxwing_testkit::seeded::Seeded;

use super::figures::Figures;
use super::measure::{Sample, measure, touch};
use crate::command::{Error, Result, at_root, capture};

/// The tools that take part, the reference first, and what they work on.
pub(super) struct Contest {
    /// What its figures are called by.
    pub(super) key: String,
    /// What it is called in the report.
    pub(super) title: String,
    pub(super) payload: Payload,
    /// What a reader must know about all of them; may be empty.
    pub(super) about: &'static str,
    pub(super) entrants: Vec<Entrant>,
}

/// A tool and how it is used.
pub(super) struct Entrant {
    pub(super) name: &'static str,
    /// What a reader must know to compare fairly.
    pub(super) note: &'static str,
    pub(super) seal: Run,
    pub(super) open: Run,
    /// How it is seen that the tool did what it should.
    pub(super) check: Check,
    /// What is removed after each round, where it was made.
    pub(super) leftovers: Vec<PathBuf>,
}

/// What happens once, after the first round's `open`, whose time does not count.
pub(super) enum Check {
    /// The payload must lie here: a file, or a folder of files with their own names.
    Compare(PathBuf),
    /// This must succeed.
    Run(Vec<OsString>),
    /// There is nothing to see.
    Nothing,
}

/// A command whose time counts, after others whose time does not.
#[derive(Default)]
pub(super) struct Run {
    pub(super) before: Vec<Vec<OsString>>,
    pub(super) command: Vec<OsString>,
}

/// The samples of one entrant, one a round.
#[derive(Default)]
pub(super) struct Samples {
    pub(super) seal: Vec<Sample>,
    pub(super) open: Vec<Sample>,
}

impl Contest {
    /// Drops the entrants that no word of `only` names; returns whether any is left beside the reference.
    pub(super) fn keep_only(&mut self, only: &[String]) -> bool {
        if only.iter().any(|word| self.title.contains(word.as_str())) || only.is_empty() {
            return true;
        }
        let mut first = true;
        self.entrants.retain(|entrant| {
            std::mem::take(&mut first) || only.iter().any(|word| entrant.name.contains(word.as_str()))
        });
        self.entrants.len() > 1
    }

    /// Lets every entrant seal and open once a round. Every other round goes backwards, so that a machine which
    /// grows slower favours nobody. The first round's plaintexts are compared with the payload.
    pub(super) fn hold(&self, rounds: u32) -> Result<Vec<Samples>> {
        let mut samples: Vec<Samples> = self.entrants.iter().map(|_| Samples::default()).collect();
        for round in 0..rounds {
            let mut order: Vec<usize> = (0..self.entrants.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for index in order {
                let entrant = &self.entrants[index];
                let seal = self.take(&entrant.seal)?;
                let open = self.take(&entrant.open)?;
                if round == 0 {
                    self.check(entrant)?;
                }
                entrant.leftovers.iter().try_for_each(|path| remove(path))?;
                println!(
                    "{}, round {}: {:24} seal {:8.3} s  open {:8.3} s",
                    self.title,
                    round + 1,
                    entrant.name,
                    seal.secs,
                    open.secs
                );
                samples[index].seal.push(seal);
                samples[index].open.push(open);
            }
        }
        Ok(samples)
    }

    /// Adds the results to the figures, as seconds a file.
    pub(super) fn note(&self, results: &[Samples], figures: &mut Figures) {
        for (entrant, samples) in self.entrants.iter().zip(results) {
            for (operation, samples) in [("seal", &samples.seal), ("open", &samples.open)] {
                for sample in samples {
                    let secs = sample.secs / f64::from(self.payload.files);
                    figures.push(format!("{}/{operation}/{}", self.key, entrant.name), secs);
                }
            }
        }
    }

    fn check(&self, entrant: &Entrant) -> Result<()> {
        match &entrant.check {
            Check::Compare(opened) => self.payload.compare(entrant.name, opened),
            Check::Run(command) => quietly(command),
            Check::Nothing => Ok(()),
        }
    }

    fn take(&self, run: &Run) -> Result<Sample> {
        run.before.iter().try_for_each(quietly)?;
        if self.payload.len >= TOUCHED_LEN_MIN {
            // What is read and what is written.
            touch(2 * self.payload.len)?;
        }
        measure(&self.payload.folder, &run.command)
    }
}

/// Runs `command` to its end.
pub(super) fn quietly(command: impl AsRef<[OsString]>) -> Result<()> {
    let (program, arguments) = command.as_ref().split_first().expect("a command has a program");
    capture(at_root(program).args(arguments)).map(drop)
}

/// What is sealed: random bytes, which no tool can compress, in one file or in many.
#[derive(Clone)]
pub(super) struct Payload {
    /// For the payload and all that is made from it.
    pub(super) folder: PathBuf,
    /// The file, or the folder that holds the files.
    pub(super) plain: PathBuf,
    /// Bytes in all files.
    pub(super) len: u64,
    pub(super) files: u32,
}

impl Payload {
    /// One file of `len` bytes.
    pub(super) fn one_file(folder: &Path, len: u64) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        let plain = folder.join("plain");
        write_seeded(&plain, 1, len)?;
        Ok(Self { folder: folder.into(), plain, len, files: 1 })
    }

    /// `files` files of `each` bytes.
    pub(super) fn many_files(folder: &Path, files: u32, each: u64) -> Result<Self> {
        let plain = folder.join("plain");
        fs::create_dir_all(&plain).map_err(Error::file("create", &plain))?;
        for number in 0..files {
            write_seeded(&plain.join(format!("{number:05}")), u64::from(number) + 2, each)?;
        }
        Ok(Self { folder: folder.into(), plain, len: u64::from(files) * each, files })
    }

    /// Fails unless `opened` holds what the payload holds.
    pub(super) fn compare(&self, tool: &str, opened: &Path) -> Result<()> {
        let pairs = if self.plain.is_dir() {
            let names = fs::read_dir(&self.plain).map_err(Error::file("list", &self.plain))?;
            names.flatten().map(|entry| (entry.path(), opened.join(entry.file_name()))).collect()
        } else {
            vec![(self.plain.clone(), opened.to_path_buf())]
        };
        for (plain, opened) in pairs {
            if !same(&plain, &opened).map_err(Error::file("compare", &opened))? {
                let what = format!("{} is not what was sealed", opened.display());
                return Err(Error::Unexpected { command: tool.into(), what });
            }
        }
        Ok(())
    }
}

fn write_seeded(path: &Path, seed: u64, len: u64) -> Result<()> {
    let write = || -> io::Result<()> {
        let mut file = BufWriter::with_capacity(BUFFER_LEN, File::create(path)?);
        io::copy(&mut BufReader::with_capacity(BUFFER_LEN, Seeded::new(seed)).take(len), &mut file)?;
        file.into_inner()?.sync_all()
    };
    write().map_err(Error::file("write", path))
}

fn same(one: &Path, other: &Path) -> io::Result<bool> {
    if fs::metadata(one)?.len() != fs::metadata(other)?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut a, mut b) = (vec![0; BUFFER_LEN], vec![0; BUFFER_LEN]);
    loop {
        let len = one.read(&mut a)?;
        if len == 0 {
            return Ok(true);
        }
        other.read_exact(&mut b[..len])?;
        if a[..len] != b[..len] {
            return Ok(false);
        }
    }
}

/// Removes a file or a folder, if it is there.
pub(super) fn remove(path: &Path) -> Result<()> {
    let outcome = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The payload from which memory is touched before each run: what less needs is there.
const TOUCHED_LEN_MIN: u64 = 64 << 20;

/// Small, so that this process stays small: see [`Sample::peak_kib`].
const BUFFER_LEN: usize = 64 << 10;

#[cfg(test)]
mod test {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("waxwing-contest-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_plaintext_that_differs_is_noticed() {
        let folder = scratch("differs");
        let payload = Payload::many_files(&folder, 3, 100).unwrap();
        payload.compare("itself", &payload.plain).unwrap();
        let opened = folder.join("opened");
        fs::create_dir(&opened).unwrap();
        for name in ["00000", "00001", "00002"] {
            fs::copy(payload.plain.join(name), opened.join(name)).unwrap();
        }
        payload.compare("a copy", &opened).unwrap();
        fs::write(opened.join("00001"), [0; 100]).unwrap();
        let error = payload.compare("a bad copy", &opened).unwrap_err();
        assert!(error.to_string().contains("00001"), "{error}");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn figures_are_seconds_a_file() {
        let contest = Contest {
            key: "many".into(),
            title: String::new(),
            payload: Payload { folder: "".into(), plain: "".into(), len: 0, files: 10 },
            about: "",
            entrants: vec![entrant("cp")],
        };
        let sample = |secs| Sample { secs, peak_kib: 1 };
        let samples = Samples { seal: vec![sample(5.0), sample(2.5)], open: vec![] };
        let mut figures = Figures::default();
        contest.note(&[samples], &mut figures);
        assert_eq!(figures.of("many/seal/cp"), [0.5, 0.25]);
        assert!(figures.of("many/open/cp").is_empty());
    }

    fn entrant(name: &'static str) -> Entrant {
        let (seal, open) = (Run::default(), Run::default());
        Entrant { name, note: "", seal, open, check: Check::Nothing, leftovers: Vec::new() }
    }

    #[test]
    fn only_keeps_the_reference() {
        let mut contest = Contest {
            key: "memory".into(),
            title: "one file".into(),
            payload: Payload { folder: "".into(), plain: "".into(), len: 0, files: 1 },
            about: "",
            entrants: ["waxwing", "cp", "age", "rage"].into_iter().map(entrant).collect(),
        };
        assert!(contest.keep_only(&["one".into()]) && contest.entrants.len() == 4);
        assert!(contest.keep_only(&["cp".into()]));
        assert_eq!(contest.entrants.iter().map(|e| e.name).collect::<Vec<_>>(), ["waxwing", "cp"]);
        assert!(!contest.keep_only(&["none".into()]));
    }
}
