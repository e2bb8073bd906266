//! The report: docs/benchmarks.md.

use std::fmt::Write;

use super::contest::{Contest, Samples};
use super::figures::{Figures, Spread};
use super::large::size;
use super::measure::Sample;
use super::plot::Series;

/// The report up to the first table.
pub(super) fn head(rounds: u32, quick: bool) -> String {
    let mut text = String::from(
        "# Benchmarks\n\nWritten by `cargo xtask bench`; run it to get the figures of your own machine.\n\n",
    );
    if quick {
        text.push_str(
            "**Made with --quick: small data, few rounds, and sizes other than the rows say.**\n\n",
        );
    }
    let _ = write!(
        text,
        "## What must hold\n\n\
         Each row compares two times of **the same round**, over {rounds} rounds: the median of the ratios, in\n\
         brackets the smallest and the largest. A time that may exceed the other by 5 % has a bar of 1.05.\n\n"
    );
    text
}

/// What was measured and where.
pub(super) fn method(machine: &[String], versions: &[String], rounds: u32, floor: Sample) -> String {
    let mut text = format!(
        "\n## How it was measured\n\n\
         In each of {rounds} rounds every tool seals and opens the same random bytes once, one after the other, every other round in reverse\n\
         order. The ratio compares a tool's time with Waxwing's in the same round: 2.00 means that the tool took twice as long. Peak\n\
         memory is the largest resident set of any one process of the tool in any round; the command `true` has {:.1} MiB by the same\n\
         measure, so smaller values cannot be seen. What came out in the first round was compared with what went in. On disk, what was\n\
         written before has reached the disk when the time starts to count.\n\n",
        mib(floor.peak_kib)
    );
    for line in machine.iter().chain(versions) {
        let _ = writeln!(text, "- {line}");
    }
    text
}

/// A table for sealing and one for opening.
pub(super) fn tables(contest: &Contest, results: &[Samples]) -> String {
    let mut text = format!("\n## {}\n", contest.title);
    if !contest.about.is_empty() {
        let _ = writeln!(text, "\n{}", contest.about);
    }
    let rate = if contest.payload.files > 1 { "ms a file" } else { "MiB/s" };
    type Pick = fn(&Samples) -> &Vec<Sample>;
    let operations: [(&str, Pick); 2] =
        [("Seal", |samples| &samples.seal), ("Open", |samples| &samples.open)];
    for (operation, pick) in operations {
        let _ = write!(
            text,
            "\n| {operation} | time (s) | {rate} | time ÷ Waxwing's | peak memory (MiB) |\n|---|---:|---:|---:|---:|\n"
        );
        let reference =
            contest.entrants.iter().zip(results).find(|(entrant, _)| entrant.name.starts_with("waxwing"));
        for (entrant, samples) in contest.entrants.iter().zip(results) {
            let reference = reference.map_or(&[][..], |(_, samples)| pick(samples));
            let _ = writeln!(text, "{}", row(entrant.name, contest, pick(samples), reference));
        }
    }
    text
}

fn row(name: &str, contest: &Contest, samples: &[Sample], reference: &[Sample]) -> String {
    let times = Spread::of(samples.iter().map(|sample| sample.secs));
    let ratios = Spread::of(samples.iter().zip(reference).map(|(sample, other)| sample.secs / other.secs));
    let peak_mib = mib(samples.iter().map(|sample| sample.peak_kib).max().unwrap_or(0));
    let rate = match contest.payload.files {
        1 => format!("{:.1}", mib_per_sec(contest.payload.len, times.median)),
        files => format!("{:.2}", times.median * 1e3 / f64::from(files)),
    };
    format!("| {name} | {times:.3} | {rate} | {ratios:.2} | {peak_mib:.1} |")
}

/// What to know about the tools that took part.
pub(super) fn notes(contests: &[Contest]) -> String {
    let mut text = String::from("\n## The tools\n\n");
    let mut told: Vec<&str> = Vec::new();
    for entrant in contests.iter().flat_map(|contest| &contest.entrants) {
        if !entrant.note.is_empty() && !told.contains(&entrant.name) {
            told.push(entrant.name);
            let _ = writeln!(text, "- **{}**: {}", entrant.name, entrant.note);
        }
    }
    text
}

/// The tools' throughput at the sizes that the figures know by these keys.
pub(super) fn curves(
    names: &[&str],
    sizes: &[(u64, String)],
    operation: &str,
    figures: &Figures,
) -> Vec<Series> {
    let curve = |name: &&str| {
        let point = |(len, key): &(u64, String)| {
            let secs = figures.median(&format!("{key}/{operation}/{name}"))?;
            Some((*len, mib_per_sec(*len, secs)))
        };
        Series { name: (*name).to_owned(), points: sizes.iter().filter_map(point).collect() }
    };
    names.iter().map(curve).filter(|series| !series.points.is_empty()).collect()
}

/// The same as a table, for who cannot see the plot.
pub(super) fn curve_table(title: &str, curves: &[Series]) -> String {
    let lens: Vec<u64> =
        curves.first().map(|series| series.points.iter().map(|p| p.0).collect()).unwrap_or_default();
    let mut text = format!("\n| {title} (MiB/s) |");
    lens.iter().for_each(|len| write!(text, " {} |", size(*len)).expect("a string takes all"));
    let _ = writeln!(text, "\n|---|{}", "---:|".repeat(lens.len()));
    for series in curves {
        let cells: Vec<String> = series.points.iter().map(|(_, rate)| format!("{rate:.1}")).collect();
        let _ = writeln!(text, "| {} | {} |", series.name, cells.join(" | "));
    }
    text
}

fn mib_per_sec(len: u64, secs: f64) -> f64 {
    len as f64 / f64::from(1 << 20) / secs
}

fn mib(kib: i64) -> f64 {
    kib as f64 / 1024.0
}

#[cfg(test)]
mod test {
    use super::*;
    use crate::bench::contest::Payload;

    fn contest(files: u32) -> Contest {
        let payload = Payload { folder: "".into(), plain: "".into(), len: 3 << 20, files };
        Contest { key: "memory".into(), title: "One file".into(), payload, about: "", entrants: Vec::new() }
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let sample = |secs| Sample { secs, peak_kib: 2048 };
        let tool = [sample(2.0), sample(8.0), sample(3.0)];
        let waxwing = [sample(1.0), sample(2.0), sample(1.0)];
        assert_eq!(
            row("tool", &contest(1), &tool, &waxwing),
            "| tool | 3.000 (2.000–8.000) | 1.0 | 3.00 (2.00–4.00) | 2.0 |"
        );
        assert_eq!(
            row("tool", &contest(1000), &tool, &waxwing),
            "| tool | 3.000 (2.000–8.000) | 3.00 | 3.00 (2.00–4.00) | 2.0 |"
        );
    }

    #[test]
    fn curves_have_the_points_that_were_measured() {
        let mut figures = Figures::default();
        figures.push("small/seal/cp", 0.5);
        figures.push("large/seal/cp", 1.0);
        let sizes = [(1 << 20, "small".to_owned()), (4 << 20, "large".to_owned())];
        let curves = curves(&["cp", "age"], &sizes, "seal", &figures);
        assert_eq!(curves, [Series { name: "cp".into(), points: vec![(1 << 20, 2.0), (4 << 20, 4.0)] }]);
        let text = curve_table("Seal", &curves);
        assert_eq!(text, "\n| Seal (MiB/s) | 1 MiB | 4 MiB |\n|---|---:|---:|\n| cp | 2.0 | 4.0 |\n");
    }
}
