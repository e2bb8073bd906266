//! Runs the examples of README.md and of the manual as a newcomer would: in order, in an empty folder.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The text of every block that begins with ```sh.
fn shell_blocks(markdown: &str) -> String {
    let mut script = String::new();
    let mut inside = false;
    for line in markdown.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => script += &format!("{line}\n"),
            _ => {}
        }
    }
    script
}

fn run(document: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let examples = shell_blocks(&fs::read_to_string(root.join(document)).unwrap());
    assert!(examples.contains("waxwing "), "{document} has no examples");
    let dir = tempfile::tempdir().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_waxwing"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    // Whatever still runs in the background ends with the script.
    let script = format!("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{examples}");
    let ran = Command::new("bash")
        .args(["-c", &script])
        .current_dir(dir.path())
        .env_clear()
        .env("PATH", path)
        .env("HOME", dir.path().join("nobody"))
        .output()
        .unwrap();
    let (said, complained) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{document}: {}\n{said}\n{complained}", ran.status);
}

#[test]
fn the_tour_of_the_readme_runs() {
    run("README.md");
}

#[test]
fn the_examples_of_the_manual_run() {
    for page in ["keys", "folders", "records", "delivery"] {
        run(&format!("docs/manual/{page}.md"));
    }
}
