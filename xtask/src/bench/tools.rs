//! The tools that are compared, and how each is used.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use super::contest::{Entrant, Payload, Run};
use crate::command::{Error, Result, at_root, capture, root};
use crate::peers::{BenchPeers, version};

macro_rules! words {
    ($($word:expr),* $(,)?) => { vec![$(OsString::from($word)),*] };
}

/// Words of a template that stand for a path: what is read, what is written, and the record beside it.
const IN: &str = "{in}";
const OUT: &str = "{out}";
const RECORD: &str = "{record}";

/// How a tool seals and opens one file.
struct Template {
    name: &'static str,
    note: &'static str,
    seal: Vec<OsString>,
    open: Vec<OsString>,
}

/// The tools and a key for each, all made for this run.
pub(super) struct Keys {
    waxwing: PathBuf,
    waxwing_key: PathBuf,
    waxwing_pub: PathBuf,
    pem_key: PathBuf,
    pem_pub: PathBuf,
    age_key: PathBuf,
    age_recipient: String,
    gpg_home: PathBuf,
    peers: BenchPeers,
}

impl Keys {
    /// Makes the keys in `folder`. RSA keys have 3072 bits throughout.
    pub(super) fn make(folder: &Path, waxwing: &Path, peers: BenchPeers) -> Result<Self> {
        let gpg_home = folder.join("gnupg");
        fs::create_dir_all(&gpg_home).map_err(Error::file("create", &gpg_home))?;
        let keys = Self {
            waxwing: waxwing.to_path_buf(),
            waxwing_key: folder.join("waxwing.key"),
            waxwing_pub: folder.join("waxwing.key.pub"),
            pem_key: folder.join("key.pem"),
            pem_pub: folder.join("pub.pem"),
            age_key: folder.join("age.key"),
            age_recipient: age_key(&peers, &folder.join("age.key"))?,
            gpg_home,
            peers,
        };
        let make = |command: Vec<OsString>| capture(at_root(&command[0]).args(&command[1..]));
        make(words![&keys.waxwing, "keygen", "--type", "rsa-3072", "-o", &keys.waxwing_key])?;
        let openssl = &keys.peers.openssl;
        make(words![
            openssl,
            "genpkey",
            "-quiet",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:3072",
            "-out",
            &keys.pem_key
        ])?;
        make(words![openssl, "pkey", "-in", &keys.pem_key, "-pubout", "-out", &keys.pem_pub])?;
        let parameters = folder.join("gpg.txt");
        fs::write(&parameters, GPG_KEY).map_err(Error::file("write", &parameters))?;
        let mut gpg = keys.gpg();
        gpg.extend(words!["--gen-key", &parameters]);
        make(gpg)?;
        Ok(keys)
    }

    /// `name: version` for each tool.
    pub(super) fn versions(&self) -> Result<Vec<String>> {
        let peers = &self.peers;
        [
            ("waxwing", &self.waxwing, "--version"),
            ("age", &peers.age, "--version"),
            ("rage", &peers.rage, "--version"),
            ("openssl", &peers.openssl, "version"),
            ("gpg", &peers.gpg, "--version"),
            ("node", &peers.node, "--version"),
        ]
        .into_iter()
        .map(|(name, program, flag)| Ok(format!("{name}: {}", version(program, flag)?)))
        .collect()
    }

    fn gpg(&self) -> Vec<OsString> {
        words![
            &self.peers.gpg,
            "--homedir",
            &self.gpg_home,
            "--batch",
            "--quiet",
            "--yes",
            "--trust-model",
            "always"
        ]
    }

    fn gpg_seal(&self) -> Vec<OsString> {
        let mut command = self.gpg();
        command.extend(words!["--compress-algo", "none", "--recipient", "bench"]);
        command
    }

    fn node(&self) -> Vec<OsString> {
        words![&self.peers.node, root().join("xtask/peers/node_record.mjs")]
    }
}

/// gpg starts an agent that would outlive the run.
impl Drop for Keys {
    fn drop(&mut self) {
        let _ =
            capture(at_root("gpgconf").arg("--homedir").arg(&self.gpg_home).args(["--kill", "gpg-agent"]));
    }
}

/// Makes an age identity and returns its recipient, with rage-keygen, whose keys age reads.
fn age_key(peers: &BenchPeers, file: &Path) -> Result<String> {
    let keygen = peers.rage.with_file_name("rage-keygen");
    let identity = capture(at_root(&keygen).stderr(std::process::Stdio::null()))?;
    fs::write(file, &identity).map_err(Error::file("write", file))?;
    let recipient = identity.lines().find_map(|line| line.strip_prefix("# public key: "));
    let missing = || Error::Unexpected { command: "rage-keygen".into(), what: "no public key".into() };
    Ok(recipient.ok_or_else(missing)?.to_owned())
}

/// Entrants for one file, Waxwing first.
pub(super) fn one_file(keys: &Keys, payload: &Payload) -> Vec<Entrant> {
    let at = Places::of(payload);
    let mut templates = templates(keys);
    // All the others use one thread, so what Waxwing owes to the machine's other cores is shown apart.
    templates.insert(1, one_thread(&templates[0]));
    templates
        .into_iter()
        .map(|template| {
            let run = |command: &[OsString], input: &Path, output: &Path| Run {
                before: Vec::new(),
                command: command.iter().map(|word| fill(word, input, output, &at.record)).collect(),
            };
            let seal = run(&template.seal, &payload.plain, &at.sealed);
            let open = run(&template.open, &at.sealed, &at.opened);
            at.entrant(template.name, template.note, seal, open)
        })
        .collect()
}

/// Entrants for many files, Waxwing first: each tool once for each file, and those that can take many at once also
/// so, which shows what starting processes costs.
pub(super) fn many_files(keys: &Keys, payload: &Payload) -> Vec<Entrant> {
    let at = Places::of(payload);
    let mut entrants: Vec<Entrant> = templates(keys)
        .into_iter()
        .map(|template| {
            let seal = at.for_each_file(&template.seal, &payload.plain, &at.sealed);
            let open = at.for_each_file(&template.open, &at.sealed, &at.opened);
            at.entrant(template.name, template.note, seal, open)
        })
        .collect();
    let run = |command| Run { before: Vec::new(), command };
    entrants.push(at.entrant(
        "cp, one process",
        "`cp -r`",
        run(words!["cp", "-r", &payload.plain, &at.sealed]),
        run(words!["cp", "-r", &at.sealed, &at.opened]),
    ));
    // gpg writes beside what it reads: into a copy, from which the plaintexts go before it opens.
    let gpg_on = |command: Vec<OsString>, mode: &str, pattern: &str| {
        let script = format!("folder=$1; shift; exec \"$@\" --multifile {mode} \"$folder\"/{pattern}");
        [words!["sh", "-ec", script, "sh", &at.sealed], command].concat()
    };
    let mut gpg = at.entrant(
        "gpg, one process",
        GPG_NOTE,
        Run {
            before: vec![words!["cp", "-r", &payload.plain, &at.sealed]],
            command: gpg_on(keys.gpg_seal(), "--encrypt", "*"),
        },
        Run {
            before: vec![words!["find", &at.sealed, "-type", "f", "!", "-name", "*.gpg", "-delete"]],
            command: gpg_on(keys.gpg(), "--decrypt", "*.gpg"),
        },
    );
    gpg.opened.clone_from(&at.sealed);
    entrants.push(gpg);
    let node = |verb: &str, key: &Path, plain: &Path| {
        run([keys.node(), words![verb, key, plain, &at.sealed, &at.record]].concat())
    };
    entrants.push(at.entrant(
        "node, one process",
        NODE_NOTE,
        node("seal", &keys.pem_pub, &payload.plain),
        node("open", &keys.pem_key, &at.opened),
    ));
    entrants
}

/// The tools that are used alike for one file and for each of many.
fn templates(keys: &Keys) -> Vec<Template> {
    let Keys { waxwing, waxwing_key, waxwing_pub, age_key, age_recipient, .. } = keys;
    let BenchPeers { age, rage, openssl, .. } = &keys.peers;
    let record =
        ["--format", "record", "--wrap", "oaep-sha256", "--cipher", "aes-256-gcm"].map(OsString::from);
    let enc = |more: &[&str]| {
        let mut command =
            words![openssl, "enc", "-aes-256-ctr", "-K", ENC_KEY, "-iv", ENC_IV, "-in", IN, "-out", OUT];
        command.extend(more.iter().map(OsString::from));
        command
    };
    let gpg = |mode: &str, mut command: Vec<OsString>| {
        command.extend(words!["--output", OUT, mode, IN]);
        command
    };
    vec![
        Template {
            name: "waxwing",
            note: "the native envelope, AES-256-GCM in frames of 64 KiB, one RSA-3072 recipient",
            seal: words![waxwing, "seal", "-r", waxwing_pub, "-o", OUT, IN],
            open: words![waxwing, "open", "-k", waxwing_key, "-o", OUT, IN],
        },
        Template {
            name: "waxwing record",
            note: "the record scheme, one-shot AES-256-GCM, RSA-3072 with OAEP-SHA-256; verifies before it decrypts",
            seal: [
                words![waxwing, "seal"],
                record.to_vec(),
                words!["-r", waxwing_pub, "--record", RECORD, "-o", OUT, IN],
            ]
            .concat(),
            open: words![waxwing, "open", "--record", RECORD, "-k", waxwing_key, "-o", OUT, IN],
        },
        Template {
            name: "cp",
            note: "copies, and protects nothing: the floor",
            seal: words!["cp", IN, OUT],
            open: words!["cp", IN, OUT],
        },
        Template {
            name: "age",
            note: "ChaCha20-Poly1305 in chunks of 64 KiB, one X25519 recipient",
            seal: words![age, "-r", age_recipient, "-o", OUT, IN],
            open: words![age, "-d", "-i", age_key, "-o", OUT, IN],
        },
        Template {
            name: "rage",
            note: "the same format as age",
            seal: words![rage, "-r", age_recipient, "-o", OUT, IN],
            open: words![rage, "-d", "-i", age_key, "-o", OUT, IN],
        },
        Template {
            name: "openssl enc",
            note: "AES-256-CTR under a key given outright: neither authenticated nor wrapped for anybody",
            seal: enc(&[]),
            open: enc(&["-d"]),
        },
        Template {
            name: "gpg",
            note: GPG_NOTE,
            seal: gpg("--encrypt", keys.gpg_seal()),
            open: gpg("--decrypt", keys.gpg()),
        },
        Template {
            name: "node",
            note: NODE_NOTE,
            seal: [keys.node(), words!["seal", &keys.pem_pub, IN, OUT, RECORD]].concat(),
            open: [keys.node(), words!["open", &keys.pem_key, OUT, IN, RECORD]].concat(),
        },
    ]
}

/// Waxwing's `template`, kept to one thread.
fn one_thread(template: &Template) -> Template {
    let flag = ["--threads", "1"].map(OsString::from);
    let with = |command: &[OsString]| [&command[..2], &flag, &command[2..]].concat();
    Template {
        name: "waxwing, 1 thread",
        note: "the same with `--threads 1`",
        seal: with(&template.seal),
        open: with(&template.open),
    }
}

/// Where the entrants of a contest put what they make.
struct Places {
    sealed: PathBuf,
    opened: PathBuf,
    record: PathBuf,
}

impl Places {
    fn of(payload: &Payload) -> Self {
        let place = |name| payload.folder.join(name);
        Self { sealed: place("sealed"), opened: place("opened"), record: place("record") }
    }

    fn entrant(&self, name: &'static str, note: &'static str, seal: Run, open: Run) -> Entrant {
        let leftovers = vec![self.sealed.clone(), self.opened.clone(), self.record.clone()];
        Entrant { name, note, seal, open, opened: self.opened.clone(), leftovers }
    }

    /// Runs `template` once for each file of `from`, into `to`.
    fn for_each_file(&self, template: &[OsString], from: &Path, to: &Path) -> Run {
        let in_folder = |folder: &Path| OsString::from(format!("{}/$name", folder.display()));
        let words: Vec<String> = template
            .iter()
            .map(|word| {
                let filled = fill(word, in_folder(from), in_folder(to), in_folder(&self.record));
                // Only what was filled in holds the shell's variable; nothing else that we pass has a quote or a `$`.
                format!("\"{}\"", filled.to_string_lossy())
            })
            .collect();
        let script = format!("for file in \"$1\"/*; do name=${{file##*/}}; {}; done", words.join(" "));
        Run {
            before: vec![words!["mkdir", "-p", to, &self.record]],
            command: words!["sh", "-ec", script, "sh", from],
        }
    }
}

/// `word`, or the path that it stands for.
fn fill(
    word: &OsStr,
    input: impl Into<OsString>,
    output: impl Into<OsString>,
    record: impl Into<OsString>,
) -> OsString {
    match word.to_str() {
        Some(IN) => input.into(),
        Some(OUT) => output.into(),
        Some(RECORD) => record.into(),
        _ => word.to_owned(),
    }
}

/// What precedes the tables for many files.
pub(super) const MANY_FILES: &str = "One process for each file, started by the loop of a shell, except in the rows that say \"one process\". Waxwing has no\n\
     such row yet: it takes one file a call.";

const GPG_NOTE: &str =
    "one RSA-3072 recipient, AES-256 in OpenPGP's CFB with a SHA-1 integrity check, no compression";
const NODE_NOTE: &str = "node:crypto, streamed: one-shot AES-256-GCM, RSA-3072 with OAEP-SHA-256, like `waxwing record`; \
     decrypts beside the target and renames it once the tag has verified";

/// A key and IV for `openssl enc`, which takes them on its command line. They protect random bytes.
const ENC_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const ENC_IV: &str = "00000000000000000000000000000000";

const GPG_KEY: &str = "%no-protection\nKey-Type: RSA\nKey-Length: 3072\nKey-Usage: sign\nSubkey-Type: RSA\n\
     Subkey-Length: 3072\nSubkey-Usage: encrypt\nName-Real: bench\nExpire-Date: 0\n%commit\n";

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_loop_runs_the_tool_once_for_each_file() {
        let folder = std::env::temp_dir().join(format!("waxwing-tools-{}", std::process::id()));
        let payload = Payload::many_files(&folder, 5, 10).unwrap();
        let at = Places::of(&payload);
        let copy = ["cp", IN, OUT].map(OsString::from);
        let run = at.for_each_file(&copy, &payload.plain, &at.sealed);
        for command in run.before.iter().chain([&run.command]) {
            capture(at_root(&command[0]).args(&command[1..])).unwrap();
        }
        assert_eq!(fs::read_dir(&at.sealed).unwrap().count(), 5);
        assert_eq!(
            fs::read(at.sealed.join("00003")).unwrap(),
            fs::read(payload.plain.join("00003")).unwrap()
        );
        fs::remove_dir_all(&folder).unwrap();
    }
}
