//! The bars: what must hold, and whether it did.

use std::fmt::Write;

use super::figures::{Figures, Spread};

/// A row of the first table: some work of ours and how it must compare.
pub(super) struct Row {
    work: &'static str,
    /// The name of our figure.
    pub(super) ours: &'static str,
    bar: Bar,
}

/// How a figure must compare.
enum Bar {
    /// It takes at most so many times as long as the other.
    Time(f64, &'static str),
    /// It is at least so many times as fast as the other.
    Speed(f64, &'static str),
    /// It is at most so much, in its own unit.
    Most(f64, &'static str),
}
use Bar::{Most, Speed, Time};

const fn row(work: &'static str, ours: &'static str, bar: Bar) -> Row {
    Row { work, ours, bar }
}

/// Every row. The sizes are those of a full run.
#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row("seal 1 GiB file to file, in memory", "memory/seal/waxwing", Time(1.05, "memory/seal/cp")),
    row("seal 1 GiB file to file, on disk", "disk/seal/waxwing", Time(1.05, "disk/seal/cp")),
    row("open 1 GiB file to file, in memory", "memory/open/waxwing", Time(1.10, "memory/open/cp")),
    row("open 1 GiB file to file, on disk", "disk/open/waxwing", Time(1.10, "disk/open/cp")),
    row("seal in memory, `--threads 1`", "memory/seal/waxwing, 1 thread", Time(1.6, "memory/seal/cp")),
    row("seal on disk, `--threads 1`", "disk/seal/waxwing, 1 thread", Time(1.6, "disk/seal/cp")),
    row("open in memory, `--threads 1`", "memory/open/waxwing, 1 thread", Time(1.6, "memory/open/cp")),
    row("open on disk, `--threads 1`", "disk/open/waxwing, 1 thread", Time(1.6, "disk/open/cp")),
    row("seal 1 GiB pipe to pipe", "pipes/seal/waxwing", Time(1.2, "pipes/seal/cat")),
    row("open 1 GiB pipe to pipe", "pipes/open/waxwing", Time(1.2, "pipes/open/cat")),
    row("seal 1 GiB pipe to pipe", "pipes/seal/waxwing", Speed(2.0, "pipes/seal/age")),
    row("open 1 GiB pipe to pipe", "pipes/open/waxwing", Speed(2.0, "pipes/open/age")),
    row("library, seal a 64 KiB frame, one core", "frames/seal", Speed(0.9, "frames/bare seal")),
    row("library, open a 64 KiB frame, one core", "frames/open", Speed(0.9, "frames/bare open")),
    row("library, seal 64 KiB frames, two cores", "threads/two threads", Speed(1.8, "threads/one thread")),
    row("record AES-256-GCM, seal in memory", "memory/seal/waxwing record", Time(1.3, "memory/seal/cp")),
    row("record AES-256-GCM, seal on disk", "disk/seal/waxwing record", Time(1.3, "disk/seal/cp")),
    row("record AES-256-GCM, open in memory", "memory/open/waxwing record", Time(1.8, "memory/open/cp")),
    row("record AES-256-GCM, open on disk", "disk/open/waxwing record", Time(1.8, "disk/open/cp")),
    row("record AES-256-CBC, open in memory", "memory/open/waxwing record, CBC", Speed(0.85, "memory/open/openssl enc, CBC")),
    row("peak memory, `--threads 2`, worst of all", "peak/MiB", Most(32.0, "MiB")),
    row("the same: growth from 1 KiB to 1 GiB, worst", "peak/growth to large", Most(1.1, "times")),
    row("the same: growth from 1 GiB to 64 GiB, worst", "peak/growth to huge", Most(1.1, "times")),
    row("seal 10,000 files of 4 KiB, one command", "many/seal/waxwing, one process", Speed(0.8, "many/seal/bound")),
    row("open 10,000 files of 4 KiB, one command", "many/open/waxwing, one process", Speed(0.8, "many/open/bare RSA")),
    row("seal one file of 1 KiB, whole process", "start/seal/waxwing", Time(1.5, "start/seal/age")),
    row("open one file of 1 KiB, whole process", "start/open/waxwing", Time(1.5, "start/open/age")),
    row("4 KiB out of a large file, whole process", "range/ms", Most(10.0, "ms")),
    row("the same: what is read beside the header", "range/frames", Most(3.0, "frames")),
];

/// What "bound" and "times" mean, below the table.
const LEGEND: &str = "A bar of time is at most so many times what the other takes; a bar of speed at least so many times as fast. *Bare RSA* is the\n\
     time of one RSA-3072 operation for each file on one thread, divided by the number of cores; *bound* is that or `cp -r`, whichever is\n\
     slower. Growth is a ratio of peaks, and 1.1 counts as the same. Where `age` takes 4 ms for a file, the bar of 1.5 is 6 ms.\n";

/// The table of all rows, and how many were met.
pub(super) fn table(rows: &[Row], figures: &Figures) -> String {
    let mut text = String::from("| work | bar | measured | medians | met? |\n|---|---|---|---|---|\n");
    let (mut met, mut missed) = (0, 0);
    for row in rows {
        let outcome = row.outcome(figures);
        let verdict = match &outcome {
            Some(outcome) if outcome.met => {
                met += 1;
                "yes"
            }
            Some(_) => {
                missed += 1;
                "**no**"
            }
            None => "not available",
        };
        let (measured, medians) =
            outcome.map_or_else(|| ("–".into(), "–".into()), |o| (o.measured, o.medians));
        let _ = writeln!(text, "| {} | {} | {measured} | {medians} | {verdict} |", row.work, row.bar);
    }
    let unknown = rows.len() - met - missed;
    let _ = write!(text, "\n{met} met, {missed} not met, {unknown} not available.\n\n{LEGEND}");
    text
}

/// What a row's cells say.
#[derive(Debug, PartialEq)]
struct Outcome {
    measured: String,
    medians: String,
    met: bool,
}

impl Row {
    /// `None` when one of the figures was not measured.
    fn outcome(&self, figures: &Figures) -> Option<Outcome> {
        let ours = figures.of(self.ours);
        let our_median = figures.median(self.ours)?;
        let (other, limit) = match self.bar {
            Most(limit, _) => {
                let spread = Spread::of(ours.iter().copied());
                let (measured, met) = (format!("{spread:.2}"), spread.median <= limit);
                return Some(Outcome { measured, medians: "–".into(), met });
            }
            Time(limit, other) | Speed(limit, other) => (other, limit),
        };
        let (theirs, their_median) = (figures.of(other), figures.median(other)?);
        let rounds = ours.iter().zip(theirs);
        let (spread, met) = match self.bar {
            Speed(..) => {
                let spread = Spread::of(rounds.map(|(ours, theirs)| theirs / ours));
                let met = spread.median >= limit;
                (spread, met)
            }
            _ => {
                let spread = Spread::of(rounds.map(|(ours, theirs)| ours / theirs));
                let met = spread.median <= limit;
                (spread, met)
            }
        };
        let medians = format!("{}, {} {}", duration(our_median), last(other), duration(their_median));
        Some(Outcome { measured: format!("{spread:.2}"), medians, met })
    }

    /// The names of all figures that the row needs.
    #[cfg(test)]
    pub(super) fn figures(&self) -> impl Iterator<Item = &'static str> {
        let other = match self.bar {
            Time(_, other) | Speed(_, other) => Some(other),
            Most(..) => None,
        };
        std::iter::once(self.ours).chain(other)
    }
}

impl std::fmt::Display for Bar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Time(limit, other) => write!(f, "time ≤ {limit} × {}", last(other)),
            Speed(limit, other) => write!(f, "speed ≥ {limit} × {}", last(other)),
            Most(limit, unit) => write!(f, "≤ {limit} {unit}"),
        }
    }
}

/// The entrant of a figure's name.
fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// `secs` with the unit that suits it.
fn duration(secs: f64) -> String {
    match secs {
        1.0.. => format!("{secs:.2} s"),
        1e-3.. => format!("{:.2} ms", secs * 1e3),
        _ => format!("{:.2} µs", secs * 1e6),
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn figures(ours: &[f64], theirs: &[f64]) -> Figures {
        let mut figures = Figures::default();
        ours.iter().for_each(|&secs| figures.push("work/ours", secs));
        theirs.iter().for_each(|&secs| figures.push("work/theirs", secs));
        figures
    }

    fn outcome(bar: Bar, ours: &[f64], theirs: &[f64]) -> Option<Outcome> {
        row("work", "work/ours", bar).outcome(&figures(ours, theirs))
    }

    #[test]
    fn a_bar_of_time_is_a_ceiling_on_the_median_of_the_rounds() {
        let slow_twice = outcome(Time(1.1, "work/theirs"), &[1.0, 3.0, 1.0], &[1.0, 1.0, 2.0]).unwrap();
        assert_eq!(slow_twice.measured, "1.00 (0.50–3.00)");
        assert_eq!(slow_twice.medians, "1.00 s, theirs 1.00 s");
        assert!(slow_twice.met);
        assert!(!outcome(Time(1.1, "work/theirs"), &[1.2], &[1.0]).unwrap().met);
    }

    #[test]
    fn a_bar_of_speed_is_a_floor() {
        assert!(outcome(Speed(2.0, "work/theirs"), &[0.001], &[0.002]).unwrap().met);
        let slower = outcome(Speed(0.9, "work/theirs"), &[0.002], &[0.001]).unwrap();
        assert_eq!(
            slower,
            Outcome {
                measured: "0.50 (0.50–0.50)".into(),
                medians: "2.00 ms, theirs 1.00 ms".into(),
                met: false,
            }
        );
    }

    #[test]
    fn a_bar_without_another_is_a_ceiling_on_the_figure() {
        assert!(outcome(Most(3.0, "frames"), &[3.0], &[]).unwrap().met);
        assert!(!outcome(Most(3.0, "frames"), &[3.1], &[]).unwrap().met);
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        assert_eq!(outcome(Time(1.0, "work/theirs"), &[], &[1.0]), None);
        assert_eq!(outcome(Time(1.0, "work/theirs"), &[1.0], &[]), None);
        let rows = [row("a", "work/ours", Time(1.0, "work/theirs")), row("b", "absent", Most(1.0, "ms"))];
        let text = table(&rows, &figures(&[2.0], &[1.0]));
        assert!(
            text.contains("| a | time ≤ 1 × theirs | 2.00 (2.00–2.00) | 2.00 s, theirs 1.00 s | **no** |"),
            "{text}"
        );
        assert!(text.contains("| b | ≤ 1 ms | – | – | not available |"), "{text}");
        assert!(text.contains("0 met, 1 not met, 1 not available"), "{text}");
    }

    #[test]
    fn durations_have_a_unit_that_suits() {
        assert_eq!([1.5, 0.0051, 7e-6].map(duration), ["1.50 s", "5.10 ms", "7.00 µs"]);
    }
}
