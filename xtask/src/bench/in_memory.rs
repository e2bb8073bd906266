//! The Criterion benches of waxwing-core, run in rounds: frames in memory.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::figures::{Figures, Spread};
use super::target;
use crate::command::{Error, Result, cargo, run};

/// The benches, as `crates/core/benches/frames.rs` names them, and what they are.
const BENCHES: &[(&str, &str)] = &[
    ("frames/seal", "seal a frame"),
    ("frames/bare seal", "`seal_in_place_separate_tag` of aws-lc-rs on 64 KiB"),
    ("frames/open", "open a frame"),
    ("frames/bare open", "`open_in_place` of aws-lc-rs on 64 KiB"),
    ("threads/one thread", "seal frames on one thread"),
    ("threads/two threads", "seal frames on two threads"),
];

/// Runs all benches once a round.
pub(super) fn measure(rounds: u32, quick: bool, figures: &mut Figures) -> Result<()> {
    let folder = target().join("criterion");
    let (warm_up, secs) = if quick { ("0.1", "0.2") } else { ("0.5", "2") };
    for _ in 0..rounds {
        let mut bench = cargo();
        bench.args(["bench", "--quiet", "--locked", "--package", "waxwing-core", "--bench", "frames", "--"]);
        bench.args(["--noplot", "--quiet", "--sample-size", "10", "--nresamples", "1000"]);
        bench.args(["--warm-up-time", warm_up, "--measurement-time", secs]);
        run(bench.env("CRITERION_HOME", &folder))?;
        for (name, _) in BENCHES {
            figures.push(*name, median_secs(&folder.join(name).join("new/estimates.json"))?);
        }
    }
    Ok(())
}

/// A table of all benches.
pub(super) fn table(figures: &Figures) -> String {
    let mut text = String::from("| work | µs a frame | GiB/s |\n|---|---:|---:|\n");
    for (name, work) in BENCHES {
        let micros = Spread::of(figures.of(name).iter().map(|secs| secs * 1e6));
        let gib_per_sec = FRAME_LEN / micros.median * 1e6 / f64::from(1 << 30);
        let _ = writeln!(text, "| {work} | {micros:.2} | {gib_per_sec:.2} |");
    }
    text
}

fn median_secs(estimates: &Path) -> Result<f64> {
    let text = fs::read_to_string(estimates).map_err(Error::file("read", estimates))?;
    parse(&text).ok_or_else(|| Error::Unexpected {
        command: "cargo bench".into(),
        what: format!("{} has no median", estimates.display()),
    })
}

/// The median of Criterion's estimates.json, which is in nanoseconds.
fn parse(text: &str) -> Option<f64> {
    let estimates: Value = serde_json::from_str(text).ok()?;
    Some(estimates["median"]["point_estimate"].as_f64()? / 1e9)
}

/// Bytes of plaintext in a frame of the benches.
const FRAME_LEN: f64 = 65536.0;

#[cfg(test)]
mod test {
    use super::*;
    use crate::bench::bars::{ROWS, Row};
    use crate::command::root;

    #[test]
    fn the_median_is_read_and_nothing_else() {
        let text = r#"{"mean":{"point_estimate":9000.0},"median":{"confidence_interval":{"lower_bound":1.0},"point_estimate":7500.0}}"#;
        assert_eq!(parse(text), Some(7.5e-6));
        assert_eq!(parse("{}"), None);
        assert_eq!(parse("nothing"), None);
    }

    #[test]
    fn benches_rows_and_the_source_have_the_same_names() {
        let source = fs::read_to_string(root().join("crates/core/benches/frames.rs")).unwrap();
        for (name, _) in BENCHES {
            let (group, function) = name.split_once('/').unwrap();
            for part in [group, function] {
                assert!(source.contains(&format!("\"{part}\"")), "{part}");
            }
        }
        let of_benches = |name: &&str| name.starts_with("frames/") || name.starts_with("threads/");
        for figure in ROWS.iter().flat_map(Row::figures).filter(of_benches) {
            assert!(BENCHES.iter().any(|(name, _)| *name == figure), "{figure}");
        }
    }
}
