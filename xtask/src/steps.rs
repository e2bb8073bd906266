//! `cargo xtask test`: the steps of CI, in order.

use std::time::{Duration, Instant};

use crate::command::{Error, Result, cargo, chain, run};
use crate::{arrows, deny, hygiene, lints, peers, tests};

/// Which steps to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only these steps, in CI's order; all when none is named
    steps: Vec<String>,
    /// Go on after a step has failed
    #[arg(long)]
    keep_going: bool,
    /// List the steps and stop
    #[arg(long)]
    list: bool,
}

/// One thing that CI checks.
struct Step {
    name: &'static str,
    about: &'static str,
    run: fn() -> Result<()>,
}

/// Quick ones first, so that a slip is told before the long builds.
const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        about: "the code is formatted",
        run: || run(cargo().args(["fmt", "--all", "--check"])),
    },
    Step {
        name: "arrows",
        about: "crates depend downwards only; core has no async runtime",
        run: arrows::check,
    },
    Step { name: "unsafe", about: "every crate but aws-lc forbids unsafe code", run: lints::check },
    Step { name: "hygiene", about: "nothing is committed that should not be", run: hygiene::check },
    Step { name: "peers", about: "the programs that interop tests run are installed", run: peers::check },
    Step { name: "deny", about: "licences, sources, bans and advisories of dependencies", run: deny::check },
    Step {
        name: "clippy",
        about: "no lint fires, whatever the features",
        run: || {
            // The whole, and the binary as it is built by default and at its smallest: features leave other code out.
            let sets = [&["--workspace", "--all-features"][..], &[], &["--no-default-features"]];
            sets.into_iter().try_for_each(|features| {
                let args = ["clippy", "--all-targets", "--locked"];
                run(cargo().args(args).args(features).args(["--", "-D", "warnings"]))
            })
        },
    },
    Step {
        name: "docs",
        about: "the documentation builds without warnings",
        run: || {
            let args = ["doc", "--no-deps", "--workspace", "--all-features", "--locked"];
            run(cargo().args(args).env("RUSTDOCFLAGS", "-D warnings"))
        },
    },
    Step { name: "test", about: "every test and every example in the docs", run: tests::run_all },
];

/// Runs the steps and prints, as the last line, how many passed and failed.
pub(crate) fn main(args: &Args) -> Result<()> {
    if args.list {
        STEPS.iter().for_each(|step| println!("{:8} {}", step.name, step.about));
        return Ok(());
    }
    let chosen = choose(STEPS, &args.steps)?;
    let mut done: Vec<(&str, bool, Duration)> = Vec::new();
    for step in &chosen {
        println!("── {}: {}", step.name, step.about);
        let start = Instant::now();
        let outcome = (step.run)();
        if let Err(error) = &outcome {
            println!("{}", chain(error));
        }
        done.push((step.name, outcome.is_ok(), start.elapsed()));
        println!("── {}: {} in {:.1} s\n", step.name, word(outcome.is_ok()), start.elapsed().as_secs_f64());
        if outcome.is_err() && !args.keep_going {
            break;
        }
    }
    let failed = done.iter().filter(|(_, passed, _)| !passed).count();
    summarise(&chosen, &done);
    println!("{} passed, {failed} failed", done.len() - failed);
    if failed == 0 { Ok(()) } else { Err(Error::Steps) }
}

fn choose<'a>(steps: &'a [Step], names: &[String]) -> Result<Vec<&'a Step>> {
    if let Some(unknown) = names.iter().find(|name| !steps.iter().any(|step| step.name == **name)) {
        let known: Vec<&str> = steps.iter().map(|step| step.name).collect();
        return Err(Error::Usage(format!(
            "there is no step `{unknown}`; the steps are {}",
            known.join(", ")
        )));
    }
    Ok(steps.iter().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name)).collect())
}

fn summarise(chosen: &[&Step], done: &[(&str, bool, Duration)]) {
    for step in chosen {
        match done.iter().find(|(name, ..)| *name == step.name) {
            Some((name, passed, took)) => {
                println!("{name:8} {:6} {:>7.1} s", word(*passed), took.as_secs_f64())
            }
            None => println!("{:8} not run", step.name),
        }
    }
}

fn word(passed: bool) -> &'static str {
    if passed { "passed" } else { "FAILED" }
}

#[cfg(test)]
mod test {
    use super::*;

    fn names(chosen: &[&Step]) -> Vec<&'static str> {
        chosen.iter().map(|step| step.name).collect()
    }

    #[test]
    fn chosen_steps_keep_the_order_of_ci() {
        let chosen = choose(STEPS, &["test".into(), "fmt".into()]).unwrap();
        assert_eq!(names(&chosen), ["fmt", "test"]);
        assert_eq!(choose(STEPS, &[]).unwrap().len(), STEPS.len());
    }

    #[test]
    fn an_unknown_step_is_named_with_those_that_exist() {
        let Err(error) = choose(STEPS, &["tset".into()]) else { panic!("`tset` is no step") };
        let text = error.to_string();
        assert!(text.contains("`tset`") && text.contains("clippy"), "{text}");
    }
}
