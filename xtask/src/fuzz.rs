//! `cargo xtask fuzz`: cargo-fuzz on the stable toolchain.

use crate::command::{Error, Result, at_root, root, run};
use crate::peers;

/// What to fuzz, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A target of fuzz/Cargo.toml; all, one after the other, when none is named
    target: Option<String>,
    /// Stop after this many seconds for each target
    #[arg(long, default_value_t = 60)]
    secs: u32,
}

/// Fuzzes. New inputs that reach new code are kept in `fuzz/found/`, which git ignores; what is worth keeping is
/// copied into `fuzz/corpus/` by hand.
pub(crate) fn main(args: &Args) -> Result<()> {
    let targets = targets()?;
    let chosen: Vec<&String> =
        targets.iter().filter(|target| args.target.as_ref().is_none_or(|wanted| wanted == *target)).collect();
    if chosen.is_empty() {
        return Err(Error::Usage(format!("there is no such target; the targets are {}", targets.join(", "))));
    }
    let cargo_fuzz = peers::cargo_fuzz()?;
    for target in chosen {
        let limits = [format!("-max_total_time={}", args.secs), format!("-rss_limit_mb={RSS_MAX_MIB}")];
        let found = root().join("fuzz/found").join(target);
        std::fs::create_dir_all(&found).map_err(Error::file("create", &found))?;
        let mut command = at_root(&cargo_fuzz);
        // Sanitizers are unstable options of rustc; this lets the stable toolchain take them, for this build alone.
        command.env("RUSTC_BOOTSTRAP", "1").args(["run", target]);
        // libFuzzer writes into the first folder and only reads the second.
        command.arg(found).arg(root().join("fuzz/corpus").join(target)).arg("--").args(limits);
        run(&mut command)?;
    }
    Ok(())
}

/// The targets that fuzz/Cargo.toml declares.
fn targets() -> Result<Vec<String>> {
    let path = root().join("fuzz/Cargo.toml");
    let manifest = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let unexpected = |what: String| Error::Unexpected { command: "fuzz/Cargo.toml".into(), what };
    let table: toml::Table = toml::from_str(&manifest).map_err(|error| unexpected(error.to_string()))?;
    let bins =
        table.get("bin").and_then(toml::Value::as_array).ok_or_else(|| unexpected("no [[bin]]".into()))?;
    Ok(bins.iter().filter_map(|bin| bin.get("name")?.as_str()).map(str::to_owned).collect())
}

/// A codec that needs more than this for one input allocates before it checks.
const RSS_MAX_MIB: u32 = 512;

#[cfg(test)]
mod test {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;

    #[test]
    fn every_target_has_a_source_and_a_corpus_and_nothing_is_left_over() {
        let targets: BTreeSet<String> = targets().unwrap().into_iter().collect();
        let stems = |folder: &str| -> BTreeSet<String> {
            let entries = fs::read_dir(root().join("fuzz").join(folder)).unwrap();
            entries
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(stems("fuzz_targets"), targets);
        assert_eq!(stems("corpus"), targets);
        for target in &targets {
            let corpus = root().join("fuzz/corpus").join(target);
            assert!(fs::read_dir(&corpus).unwrap().next().is_some(), "{} is empty", corpus.display());
        }
    }
}
