//! Very large files: peak memory at every size, and a few bytes out of the middle.
//!
//! The plaintexts are sparse: zeros that take no room, and are read at the speed of memory.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use waxwing_testkit::seeded::Seeded;

use super::contest::remove;
use super::figures::Figures;
use super::measure::{Sample, measure};
use super::tools::{Keys, words};
use crate::command::{Error, Result, at_root, on_path};

/// Lengths of the plaintexts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lens {
    pub(super) small: u64,
    pub(super) large: u64,
    /// Too long to be kept: sealed into nothing.
    pub(super) huge: u64,
    /// Sealed and kept on disk, for random access.
    pub(super) stored: u64,
}

/// An envelope kept on disk.
pub(super) struct Stored {
    path: PathBuf,
    plaintext_len: u64,
    seal: Sample,
}

impl Stored {
    /// Seals `lens.stored` zeros in `folder`, on two threads.
    pub(super) fn make(keys: &Keys, folder: &Path, lens: Lens) -> Result<Self> {
        let (plain, path) = (sparse(folder, lens.stored)?, folder.join("stored"));
        let seal = measure(folder, &seal_envelope(keys, &plain, &path))?;
        Ok(Self { path, plaintext_len: lens.stored, seal })
    }
}

/// The peak of some work at one size.
pub(super) struct Peak {
    work: &'static str,
    len: u64,
    kib: i64,
}

/// Measures peak memory with `--threads 2`, each work once at each length that it can have.
pub(super) fn peaks(keys: &Keys, folder: &Path, lens: Lens, stored: Option<&Stored>) -> Result<Vec<Peak>> {
    let mut peaks = Vec::new();
    let mut add = |work, len, sample: Sample| {
        println!("peak memory: {work}, {}: {:.1} MiB", size(len), mib(sample.peak_kib));
        peaks.push(Peak { work, len, kib: sample.peak_kib });
    };
    let take = |command: &[OsString]| measure(folder, command);
    let nothing = Path::new("/dev/null");
    for len in [lens.small, lens.large] {
        let (plain, sealed, opened) = (sparse(folder, len)?, folder.join("sealed"), folder.join("opened"));
        add("seal, file to file", len, take(&seal_envelope(keys, &plain, &sealed))?);
        add("open, file to file", len, take(&open_envelope(keys, &sealed, &opened))?);
        add("open, file to stream", len, take(&open_envelope(keys, &sealed, nothing))?);
        [&sealed, &opened].into_iter().try_for_each(|path| remove(path))?;
        let record = folder.join("record");
        add("seal a record, file to file", len, take(&seal_record(keys, &plain, &sealed, &record))?);
        add("open a record, file to file", len, take(&open_record(keys, &sealed, &opened, &record))?);
        [&sealed, &opened, &record].into_iter().try_for_each(|path| remove(path))?;
    }
    for len in [lens.small, lens.large, lens.huge] {
        let (plain, record) = (sparse(folder, len)?, folder.join("record"));
        add("seal, file to stream", len, take(&seal_envelope(keys, &plain, nothing))?);
        add("seal and open, pipe to stream", len, take(&through_a_pipe(keys, &plain))?);
        // One GCM message ends 32 bytes before 64 GiB (NIST SP 800-38D, section 5.2.1.1).
        let plain = sparse(folder, len.min((1 << 36) - 32))?;
        add("seal a record, file to stream", len, take(&seal_record(keys, &plain, nothing, &record))?);
        remove(&record)?;
    }
    if let Some(stored) = stored {
        add("seal, file to file", stored.plaintext_len, stored.seal);
        add("open, file to stream", stored.plaintext_len, take(&open_envelope(keys, &stored.path, nothing))?);
    }
    Ok(peaks)
}

/// Adds what the bars are about: the largest peak, and how much peaks grow with the size.
pub(super) fn note(peaks: &[Peak], lens: Lens, figures: &mut Figures) {
    if let Some(most) = peaks.iter().map(|peak| peak.kib).max() {
        figures.push("peak/MiB", mib(most));
    }
    for (name, from, to) in
        [("peak/growth to large", lens.small, lens.large), ("peak/growth to huge", lens.large, lens.huge)]
    {
        if let Some(growth) = growth(peaks, from, to) {
            figures.push(name, growth);
        }
    }
}

/// By how much the peak at the length `to` exceeds that at `from`, for the work where that is most.
fn growth(peaks: &[Peak], from: u64, to: u64) -> Option<f64> {
    let of = |len| peaks.iter().filter(move |peak| peak.len == len);
    let ratios = of(from).flat_map(|one| {
        of(to).filter(|other| other.work == one.work).map(|other| other.kib as f64 / one.kib as f64)
    });
    ratios.reduce(f64::max)
}

/// A table of all peaks: a row for each work, a column for each length.
pub(super) fn table(peaks: &[Peak]) -> String {
    let mut lens: Vec<u64> = peaks.iter().map(|peak| peak.len).collect();
    lens.sort_unstable();
    lens.dedup();
    let mut works: Vec<&str> = Vec::new();
    for peak in peaks {
        if !works.contains(&peak.work) {
            works.push(peak.work);
        }
    }
    let mut text = String::from("| peak memory (MiB) |");
    lens.iter().for_each(|len| write!(text, " {} |", size(*len)).expect("a string takes all"));
    let _ = writeln!(text, "\n|---|{}", "---:|".repeat(lens.len()));
    for work in works {
        let _ = write!(text, "| {work} |");
        for len in &lens {
            match peaks.iter().find(|peak| peak.work == work && peak.len == *len) {
                Some(peak) => write!(text, " {:.1} |", mib(peak.kib)),
                None => write!(text, " – |"),
            }
            .expect("a string takes all");
        }
        text.push('\n');
    }
    text
}

/// What random access took.
pub(super) struct Access {
    sealed_len: u64,
    plaintext_len: u64,
    /// Bytes read from the file in the worst of the traced runs, if there is an strace.
    read_len_max: Option<u64>,
}

/// Opens 4 KiB at some places of the stored envelope.
pub(super) fn random_access(
    keys: &Keys,
    folder: &Path,
    stored: &Stored,
    rounds: u32,
    figures: &mut Figures,
) -> Result<Access> {
    let sealed_len = fs::metadata(&stored.path).map_err(Error::file("read", &stored.path))?.len();
    let header_len = sealed_len - body_len(stored.plaintext_len);
    let mut places = Seeded::new(1);
    let mut read_len_max = None;
    for _ in 0..rounds * ACCESSES_PER_ROUND {
        let start = places.next_u64() % (stored.plaintext_len - RANGE_LEN);
        let range = format!("{start}-{}", start + RANGE_LEN - 1);
        let mut command = open_envelope(keys, &stored.path, Path::new("/dev/null"));
        command.extend(words!["--range", range]);
        figures.push("range/ms", measure(folder, &command)?.secs * 1e3);
        if let Some(strace) = on_path("strace") {
            let read_len = read_len(&strace, &command, &folder.join("strace"), &stored.path)?;
            figures
                .push("range/frames", read_len.saturating_sub(header_len) as f64 / SEALED_FRAME_LEN as f64);
            read_len_max = read_len_max.max(Some(read_len));
        }
    }
    Ok(Access { sealed_len, plaintext_len: stored.plaintext_len, read_len_max })
}

impl Access {
    /// A sentence for the report.
    pub(super) fn describe(&self, figures: &Figures) -> String {
        let ms = super::figures::Spread::of(figures.of("range/ms").iter().copied());
        let reads = match self.read_len_max {
            Some(len) => format!("at most {len} bytes were read from the file, header included"),
            None => "without strace nobody counted what was read".to_owned(),
        };
        format!(
            "`waxwing open --range` of {RANGE_LEN} bytes at {} random places of an envelope of {} ({} bytes sealed, on disk, read before in\n\
             part or not): {ms:.2} ms for the whole process; {reads}.\n",
            figures.of("range/ms").len(),
            size(self.plaintext_len),
            self.sealed_len
        )
    }
}

/// Runs `command` under strace and adds up what it reads from `file`.
fn read_len(strace: &Path, command: &[OsString], traces: &Path, file: &Path) -> Result<u64> {
    fs::create_dir(traces).map_err(Error::file("create", traces))?;
    let mut tracing = at_root(strace);
    // One trace for each thread: in a common one, a call that another thread interrupts is two lines.
    tracing.args(["-ff", "-y", "-e", "trace=read,pread64,readv,preadv,preadv2,mmap", "-o"]);
    tracing.arg(traces.join("of")).args(command);
    let output = tracing.stdout(Stdio::null()).output().map_err(Error::file("run", strace))?;
    if !output.status.success() {
        let what = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Unexpected { command: "strace".into(), what });
    }
    let mut sum = 0_u64;
    for trace in fs::read_dir(traces).map_err(Error::file("list", traces))?.flatten() {
        let text = fs::read_to_string(trace.path()).map_err(Error::file("read", &trace.path()))?;
        sum = sum.saturating_add(sum_of_reads(&text, file));
    }
    remove(traces)?;
    Ok(sum)
}

/// The sum of what the calls on `file` returned; a mapping of it would be read unseen and counts as everything.
fn sum_of_reads(trace: &str, file: &Path) -> u64 {
    let named = format!("<{}>", file.display());
    let of_file = trace.lines().filter(|line| line.contains(&named));
    of_file
        .map(|line| match line.contains("mmap(") {
            true => u64::MAX,
            false => {
                line.rsplit_once("= ").and_then(|(_, returned)| returned.trim().parse().ok()).unwrap_or(0)
            }
        })
        .fold(0, u64::saturating_add)
}

/// A file of `len` zeros, without blocks.
fn sparse(folder: &Path, len: u64) -> Result<PathBuf> {
    let path = folder.join(format!("sparse-{len}"));
    File::create(&path).and_then(|file| file.set_len(len)).map_err(Error::file("write", &path))?;
    Ok(path)
}

fn seal_envelope(keys: &Keys, from: &Path, to: &Path) -> Vec<OsString> {
    words![&keys.waxwing, "seal", "--threads", "2", "-r", &keys.waxwing_pub, "-o", to, from]
}

fn open_envelope(keys: &Keys, from: &Path, to: &Path) -> Vec<OsString> {
    words![&keys.waxwing, "open", "--threads", "2", "-k", &keys.waxwing_key, "-o", to, from]
}

fn seal_record(keys: &Keys, from: &Path, to: &Path, record: &Path) -> Vec<OsString> {
    let flags = words!["--format", "record", "--record", record];
    [seal_envelope(keys, from, to), flags].concat()
}

fn open_record(keys: &Keys, from: &Path, to: &Path, record: &Path) -> Vec<OsString> {
    [open_envelope(keys, from, to), words!["--record", record]].concat()
}

/// One process seals a file into a pipe, another opens what comes out of it.
fn through_a_pipe(keys: &Keys, from: &Path) -> Vec<OsString> {
    let script = "\"$1\" seal --threads 2 -r \"$2\" \"$4\" | \"$1\" open --threads 2 -k \"$3\" - > /dev/null";
    let bash = words!["bash", "-o", "pipefail", "-ec", script, "bash"];
    [bash, words![&keys.waxwing, &keys.waxwing_pub, &keys.waxwing_key, from]].concat()
}

/// The length of a body with the default frames (docs/formats/envelope-v1.md, "Frames").
fn body_len(plaintext_len: u64) -> u64 {
    plaintext_len + plaintext_len.div_ceil(FRAME_LEN).max(1) * (SEALED_FRAME_LEN - FRAME_LEN)
}

/// `len` as people say it.
pub(super) fn size(len: u64) -> String {
    let unit = ["bytes", "KiB", "MiB", "GiB"].iter().enumerate();
    let (power, unit) = unit.rev().find(|(power, _)| len >> (10 * power) > 0).unwrap_or((0, &"bytes"));
    format!("{} {unit}", len >> (10 * power))
}

fn mib(kib: i64) -> f64 {
    kib as f64 / 1024.0
}

const FRAME_LEN: u64 = 64 << 10;
const SEALED_FRAME_LEN: u64 = FRAME_LEN + 16;

/// How much is taken out of the middle.
const RANGE_LEN: u64 = 4096;
const ACCESSES_PER_ROUND: u32 = 3;

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn growth_is_that_of_the_worst_work() {
        let peak = |work, len, kib| Peak { work, len, kib };
        let peaks = [
            peak("seal", 1, 4000),
            peak("seal", 2, 6000),
            peak("open", 1, 4000),
            peak("open", 2, 5000),
            peak("only one", 2, 9000),
        ];
        assert_eq!(growth(&peaks, 1, 2), Some(1.5));
        assert_eq!(growth(&peaks, 2, 3), None);
        let text = table(&peaks);
        assert!(text.contains("| peak memory (MiB) | 1 bytes | 2 bytes |\n|---|---:|---:|\n"), "{text}");
        assert!(text.contains("| only one | – | 8.8 |"), "{text}");
    }

    #[test]
    fn only_reads_of_the_file_count() {
        let trace = "41 read(3</data/sealed>, \"WAX\"..., 12) = 12\n\
                     41 read(4</keys/k>, \"-----\"..., 4096) = 2484\n\
                     42 preadv(3</data/sealed>, [{iov_base=\"= 7\", iov_len=65552}], 1, 552) = 65552\n\
                     41 read(3</data/sealed>, 0x7ff, 12) = -1 EINTR (Interrupted system call)\n";
        assert_eq!(sum_of_reads(trace, Path::new("/data/sealed")), 65564);
        let mapped = "41 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3</data/sealed>, 0) = 0x7f0000000000\n";
        assert_eq!(sum_of_reads(mapped, Path::new("/data/sealed")), u64::MAX);
    }

    #[test]
    fn a_body_is_its_plaintext_and_a_tag_for_each_frame() {
        assert_eq!([0, 1, FRAME_LEN, FRAME_LEN + 1].map(body_len), [16, 17, 65552, 65569]);
    }

    #[test]
    fn sizes_are_said_in_the_largest_unit_that_fits() {
        assert_eq!([1, 1 << 10, 1 << 30, 64 << 30].map(size), ["1 bytes", "1 KiB", "1 GiB", "64 GiB"]);
    }
}
