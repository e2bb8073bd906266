//! The step `hygiene`: nothing is committed that should not be.

use std::fs;
use std::path::Path;

use crate::command::{Error, Result, at_root, capture, findings, root};

/// The most that a committed file may weigh.
const FILE_LEN_MAX: usize = 1 << 20;

/// Where larger files may lie: the vectors of the formats.
const VECTORS: &str = "docs/formats/";

/// Where private keys may lie: those of the tests, the fuzz corpus and the vectors, which protect nothing.
const KEY_FOLDERS: &[&str] =
    &["crates/testkit/keys/", "crates/profiles/vectors/", "fuzz/corpus/pem/", VECTORS];

/// Hosts of package registries, which differ from one place of work to the next. In two parts, lest this file be found.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("deb.debian", ".org"),
    concat!("security.debian", ".org"),
];

/// Folders of one machine. Tests may name them, since a test may use what a machine happens to have.
const MACHINE_PATHS: &[&str] = &[concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("../sha", "red/")];

/// A line of base64 at least this long after a private key's first line is a key and not a placeholder.
const KEY_BASE64_MIN: usize = 60;

/// How far after a private key's first line its base64 may begin: RFC 1421 headers may come first.
const KEY_HEADERS_MAX: usize = 200;

/// Fails on a registry's host, a machine's path, a large file or a private key out of its place.
pub(crate) fn check() -> Result<()> {
    let mut found = Vec::new();
    for file in committed_files()? {
        let path = root().join(&file);
        if path.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
            found.extend(problems(&file, &fs::read(&path).map_err(Error::file("read", &path))?));
        }
    }
    findings(found)
}

/// What git keeps, or would keep with the next `git add`: paths from the root, with `/`.
pub(crate) fn committed_files() -> Result<Vec<String>> {
    let listed =
        capture(at_root("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
    let exists = |file: &&str| !file.is_empty() && root().join(Path::new(file)).exists();
    Ok(listed.split('\0').filter(exists).map(str::to_owned).collect())
}

fn problems(file: &str, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    if bytes.len() > FILE_LEN_MAX && !file.starts_with(VECTORS) {
        found.push(format!("{file}: {} bytes; the limit is {FILE_LEN_MAX} outside {VECTORS}", bytes.len()));
    }
    let text = String::from_utf8_lossy(bytes);
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        if let Some(host) = REGISTRY_HOSTS.iter().find(|host| line.contains(*host)) {
            found.push(format!("{file}:{number}: names the registry host {host}"));
        }
        if let Some(path) = MACHINE_PATHS.iter().find(|path| has_path(line, path)).filter(|_| !is_test(file))
        {
            found.push(format!("{file}:{number}: names the machine's path {path}"));
        }
    }
    if holds_private_key(&text) && !KEY_FOLDERS.iter().any(|folder| file.starts_with(folder)) {
        found
            .push(format!("{file}: holds a private key; keys for tests lie in {}", KEY_FOLDERS.join(" or ")));
    }
    found
}

/// Whether `line` has `path` as the start of a path, not as a part of a longer one such as a URL.
fn has_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~}".contains(c))
    })
}

fn is_test(file: &str) -> bool {
    file.contains("/tests/") || file.ends_with("/tests.rs") || file.ends_with("_test.py")
}

fn holds_private_key(text: &str) -> bool {
    text.match_indices("PRIVATE KEY-----").filter(|(at, _)| begins_a_line_of_begin(text, *at)).any(
        |(at, marker)| {
            let mut run = 0;
            let after = text[at + marker.len()..].chars().enumerate();
            after.take(KEY_HEADERS_MAX + KEY_BASE64_MIN).any(|(_, c)| {
                run = if c.is_ascii_alphanumeric() || c == '+' || c == '/' { run + 1 } else { 0 };
                run >= KEY_BASE64_MIN
            })
        },
    )
}

/// Whether what ends in the marker at `at` is a BEGIN line and not an END line.
fn begins_a_line_of_begin(text: &str, at: usize) -> bool {
    text[..at].rsplit("-----").next().is_some_and(|label| label.starts_with("BEGIN "))
}

#[cfg(test)]
mod test {
    use super::*;

    fn key() -> String {
        let base64 = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
        ["-----BEGIN ", "PRIVATE KEY-----\n", base64, "\n-----END ", "PRIVATE KEY-----\n"].concat()
    }

    #[test]
    fn private_keys_have_their_places() {
        assert_eq!(problems("crates/testkit/keys/rsa.pem", key().as_bytes()), [""; 0]);
        assert_eq!(problems("crates/core/src/lib.rs", key().as_bytes()).len(), 1);
        let escaped = key().replace('\n', "\\n");
        assert_eq!(problems("README.md", escaped.as_bytes()).len(), 1);
    }

    #[test]
    fn a_placeholder_is_no_key() {
        let shown = ["-----BEGIN ", "PRIVATE KEY-----\nMIIE...\n-----END ", "PRIVATE KEY-----\n"].concat();
        assert_eq!(problems("README.md", shown.as_bytes()), [""; 0]);
    }

    #[test]
    fn hosts_and_paths_are_found_with_their_lines() {
        let text = format!("fine\nindex-url = https://{}/simple\n", REGISTRY_HOSTS[0]);
        assert_eq!(
            problems("pip.conf", text.as_bytes()),
            [format!("pip.conf:2: names the registry host {}", REGISTRY_HOSTS[0])]
        );
        let text = format!("see {}notes", MACHINE_PATHS[0]);
        assert_eq!(problems("README.md", text.as_bytes()).len(), 1);
        assert_eq!(problems("crates/core/tests/peers.rs", text.as_bytes()), [""; 0]);
    }

    #[test]
    fn a_path_inside_a_longer_one_is_no_machine_path() {
        let longer = format!("https://example.test{}page", MACHINE_PATHS[1]);
        assert_eq!(problems("README.md", longer.as_bytes()), [""; 0]);
    }

    #[test]
    fn large_files_are_for_vectors() {
        let large = vec![b'\n'; FILE_LEN_MAX + 1];
        assert_eq!(problems("docs/formats/vectors/large.bin", &large), [""; 0]);
        assert_eq!(problems("demo.csv", &large).len(), 1);
    }
}
