//! The report: docs/benchmarks.md.

use std::fmt::Write;
use std::path::Path;

use super::contest::{Contest, Samples};
use super::measure::Sample;

/// What precedes the tables.
pub(super) fn head(
    machine: &[String],
    versions: &[String],
    folder: &Path,
    rounds: u32,
    floor: Sample,
) -> String {
    let place = if folder.starts_with(super::MEMORY_FOLDER) { "in memory (tmpfs)" } else { "on disk" };
    let mut text = format!(
        "# Benchmarks\n\n\
         Written by `cargo xtask bench`; run it to get the figures of your own machine.\n\n\
         In each of {rounds} rounds every tool seals and opens the same random bytes once, one after the other, every\n\
         other round in reverse order. The ratio compares a tool's time with Waxwing's **in the same round**: 2.00 means\n\
         that the tool took twice as long. Shown is the median, in brackets the smallest and the largest. Peak memory is the\n\
         largest resident set of any one process of the tool in any round; the command `true` has {:.1} MiB by the same\n\
         measure, so smaller values cannot be seen. The data lies {place}. What came out in the first round was compared with what went in.\n\n",
        mib(floor.peak_kib)
    );
    for line in machine.iter().chain(versions) {
        let _ = writeln!(text, "- {line}");
    }
    text
}

/// A table for sealing, one for opening, and what to know about the tools.
pub(super) fn tables(contest: &Contest, results: &[Samples]) -> String {
    let mut text = format!("\n## {}\n", capitalised(&contest.payload.name));
    if !contest.about.is_empty() {
        let _ = writeln!(text, "\n{}", contest.about);
    }
    type Pick = fn(&Samples) -> &Vec<Sample>;
    let operations: [(&str, Pick); 2] =
        [("Seal", |samples| &samples.seal), ("Open", |samples| &samples.open)];
    for (operation, pick) in operations {
        let _ = write!(
            text,
            "\n| {operation} | time (s) | MiB/s | time ÷ Waxwing's | peak memory (MiB) |\n|---|---:|---:|---:|---:|\n"
        );
        for (entrant, samples) in contest.entrants.iter().zip(results) {
            let row = row(entrant.name, contest.payload.len, pick(samples), pick(&results[0]));
            let _ = writeln!(text, "{row}");
        }
    }
    text.push('\n');
    for entrant in &contest.entrants {
        let _ = writeln!(text, "- **{}**: {}", entrant.name, entrant.note);
    }
    text
}

fn row(name: &str, len: u64, samples: &[Sample], reference: &[Sample]) -> String {
    let times = Spread::of(samples.iter().map(|sample| sample.secs));
    let ratios = Spread::of(samples.iter().zip(reference).map(|(sample, other)| sample.secs / other.secs));
    let peak_mib = mib(samples.iter().map(|sample| sample.peak_kib).max().unwrap_or(0));
    let mib_per_sec = len as f64 / f64::from(1 << 20) / times.median;
    format!("| {name} | {times:.3} | {mib_per_sec:.1} | {ratios:.2} | {peak_mib:.1} |")
}

fn mib(kib: i64) -> f64 {
    kib as f64 / 1024.0
}

/// The middle of some numbers and how far they lie apart.
#[derive(Debug, PartialEq)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// All are NaN when there are no numbers.
    fn of(numbers: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = numbers.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let upper = sorted.len() / 2;
        let lower = upper.saturating_sub(usize::from(sorted.len().is_multiple_of(2)));
        Self {
            median: f64::midpoint(at(lower), at(upper)),
            min: at(0),
            max: at(sorted.len().wrapping_sub(1)),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let places = f.precision().unwrap_or(2);
        write!(f, "{:.places$} ({:.places$}–{:.places$})", self.median, self.min, self.max)
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0].into_iter()), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0].into_iter()).median, 2.5);
        assert!(Spread::of(std::iter::empty()).median.is_nan());
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let sample = |secs| Sample { secs, peak_kib: 2048 };
        let tool = [sample(2.0), sample(8.0), sample(3.0)];
        let waxwing = [sample(1.0), sample(2.0), sample(1.0)];
        assert_eq!(
            row("tool", 3 << 20, &tool, &waxwing),
            "| tool | 3.000 (2.000–8.000) | 1.0 | 3.00 (2.00–4.00) | 2.0 |"
        );
    }
}
