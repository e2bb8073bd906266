//! The step `arrows`: crates depend downwards only (docs/decisions/0001-walls.md).

use serde_json::Value;

use crate::command::{Error, Result, capture, cargo, findings, spell};

/// The rows from the top; within a row, crates do not know each other. The doc's crypto row is two here, since
/// `aws-lc` lies beneath `core`, and the facade has one of its own above what it re-exports.
const ROWS: &[&[&str]] = &[
    &["waxwing-cli"],
    &["waxwing-aws"],
    &["waxwing-hub", "waxwing-delivery", "waxwing"],
    &["waxwing-engine", "waxwing-store"],
    &["waxwing-keyring"],
    &["waxwing-core"],
    &["waxwing-aws-lc", "waxwing-profiles"],
    &["waxwing-formats"],
];

/// Stand beside the rows. The rows may use test support in their tests alone, and never the automation.
const BESIDE: &[&str] = &["waxwing-testkit", "file-vault", "xtask"];

/// What must not be in a crate's tree of normal dependencies, and why.
const BARRED: &[(&str, &[&str], &str)] = &[
    (
        "waxwing-core",
        &["tokio", "async-std", "async-global-executor", "smol", "hyper", "reqwest"],
        "the core is fed by its caller and never waits",
    ),
    (
        "waxwing-profiles",
        &["aws-lc-rs", "aws-lc-sys", "waxwing-aws-lc", "tokio", "rustix"],
        "profiles are data: they know neither cryptography nor I/O",
    ),
    (
        "waxwing-formats",
        &["aws-lc-rs", "aws-lc-sys", "waxwing-aws-lc", "tokio", "rustix"],
        "formats know neither cryptography nor I/O",
    ),
];

/// Fails on an arrow that points up or sideways, and on a barred crate in a tree.
pub(crate) fn check() -> Result<()> {
    let mut command = cargo();
    command.args(["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    let metadata: Value = serde_json::from_str(&capture(&mut command)?)
        .map_err(|error| Error::Unexpected { command: spell(&command), what: error.to_string() })?;
    let mut found = wrong_arrows(&metadata)?;
    for (krate, barred, why) in BARRED {
        let tree =
            capture(cargo().args(["tree", "--locked", "-e", "normal", "--prefix", "none", "-p", krate]))?;
        found.extend(
            barred_in(&tree, barred).into_iter().map(|dep| format!("{krate} depends on {dep}, but {why}")),
        );
    }
    findings(found)
}

/// The arrows between the workspace's crates that should not be, from what `cargo metadata --no-deps` says.
fn wrong_arrows(metadata: &Value) -> Result<Vec<String>> {
    let malformed = |what: &str| Error::Unexpected { command: "cargo metadata".into(), what: what.into() };
    let packages = metadata["packages"].as_array().ok_or_else(|| malformed("it lists no packages"))?;
    let names = packages.iter().map(|package| package["name"].as_str()).collect::<Option<Vec<&str>>>();
    let names = names.ok_or_else(|| malformed("a package has no name"))?;
    let mut found = Vec::new();
    for (package, from) in packages.iter().zip(&names) {
        if row(from).is_none() && !BESIDE.contains(from) {
            found.push(format!(
                "{from} has no row; give it one in docs/decisions/0001-walls.md and xtask/src/arrows.rs"
            ));
            continue;
        }
        let dependencies = package["dependencies"].as_array().ok_or_else(|| malformed("no dependencies"))?;
        for dependency in dependencies.iter().filter(|dependency| dependency["kind"] != "dev") {
            let to = dependency["name"].as_str().ok_or_else(|| malformed("a dependency has no name"))?;
            if names.contains(&to) {
                found.extend(wrong(from, to));
            }
        }
    }
    Ok(found)
}

/// What is wrong with `from` using `to` outside its tests, if anything.
fn wrong(from: &str, to: &str) -> Option<String> {
    match (row(from), row(to)) {
        (Some(upper), Some(lower)) if upper < lower => None,
        (Some(same), Some(other)) if same == other => {
            Some(format!("{from} uses {to}, which is on its own row"))
        }
        (Some(_), Some(_)) => Some(format!("{from} uses {to}, which is on a row above it")),
        (Some(_), None) => Some(format!("{from} uses {to} outside its tests")),
        (None, _) => None,
    }
}

fn row(name: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&name))
}

/// The crates of `barred` that `tree`, printed one crate a line, holds.
fn barred_in<'a>(tree: &str, barred: &[&'a str]) -> Vec<&'a str> {
    let in_tree = |name: &&str| tree.lines().any(|line| line.split(' ').next() == Some(name));
    barred.iter().copied().filter(in_tree).collect()
}

#[cfg(test)]
mod test {
    use super::*;
    use crate::command::root;
    use serde_json::json;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Value {
        let dependencies: Vec<Value> =
            dependencies.iter().map(|(name, kind)| json!({ "name": name, "kind": kind })).collect();
        json!({ "name": name, "dependencies": dependencies })
    }

    fn found(packages: &[Value]) -> Vec<String> {
        wrong_arrows(&json!({ "packages": packages })).unwrap()
    }

    #[test]
    fn arrows_down_and_arrows_of_tests_pass() {
        let none = found(&[
            package("waxwing-cli", &[("waxwing", None), ("waxwing-hub", None), ("tokio", None)]),
            package("waxwing", &[("waxwing-core", None)]),
            package("waxwing-hub", &[("waxwing-delivery", Some("dev")), ("waxwing-testkit", Some("dev"))]),
            package("waxwing-delivery", &[]),
            package("waxwing-core", &[("waxwing-aws-lc", None)]),
            package("waxwing-aws-lc", &[]),
            package("waxwing-testkit", &[]),
            package("xtask", &[("waxwing-testkit", None)]),
        ]);
        assert_eq!(none, [""; 0]);
    }

    #[test]
    fn each_wrong_arrow_is_found() {
        let found = found(&[
            package("waxwing-hub", &[("waxwing-delivery", None)]),
            package("waxwing-delivery", &[]),
            package("waxwing-core", &[("waxwing-keyring", Some("build")), ("waxwing-testkit", None)]),
            package("waxwing-keyring", &[]),
            package("waxwing-testkit", &[]),
            package("waxwing-extra", &[]),
        ]);
        assert_eq!(
            found,
            [
                "waxwing-hub uses waxwing-delivery, which is on its own row",
                "waxwing-core uses waxwing-keyring, which is on a row above it",
                "waxwing-core uses waxwing-testkit outside its tests",
                "waxwing-extra has no row; give it one in docs/decisions/0001-walls.md and xtask/src/arrows.rs",
            ]
        );
    }

    #[test]
    fn metadata_of_another_shape_is_an_error() {
        assert!(wrong_arrows(&json!({})).is_err());
        assert!(wrong_arrows(&json!({ "packages": [{ "name": "waxwing-core" }] })).is_err());
    }

    #[test]
    fn a_runtime_deep_in_the_tree_is_found() {
        let tree =
            "waxwing-core v0.1.0\naws-lc-rs v1.19.0\nsomething v1.0.0\ntokio v1.50.0\ntokio-util v0.7.0\n";
        assert_eq!(barred_in(tree, &["tokio", "smol"]), ["tokio"]);
        assert_eq!(barred_in(tree, &["toki", "hyper"]), [""; 0]);
    }

    #[test]
    fn the_record_and_the_table_name_the_same_crates_in_the_same_order() {
        let record = std::fs::read_to_string(root().join("docs/decisions/0001-walls.md")).unwrap();
        let rows = record.lines().filter(|line| line.starts_with("| ")).filter(|line| line.contains('`'));
        let told: Vec<String> = rows
            .flat_map(|line| line.split('|').nth(2).unwrap_or("").split('`').skip(1).step_by(2))
            .map(|name| format!("waxwing-{name}"))
            .collect();
        let kept: Vec<&str> =
            ROWS.iter().flat_map(|row| row.iter().copied()).filter(|n| *n != "waxwing").collect();
        assert_eq!(told, kept);
    }
}
