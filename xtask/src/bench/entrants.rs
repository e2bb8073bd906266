//! Who takes part in which contest, and with which commands.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::contest::{Check, Entrant, Payload, Run};
use super::tools::{ENC_IV, ENC_KEY, GPG_NOTE, IN, Keys, NODE_NOTE, OUT, RECORD, Template, templates, words};
use crate::command::{Error, Result, at_root};

/// Which of the templates take part beside rclone; all of them where this is not asked.
pub(super) const ON_DISK: &[&str] = &["waxwing", "cp", "waxwing, 1 thread", "waxwing record", "age"];
pub(super) const PLOTTED: &[&str] = &["waxwing", "cp", "age", "rage", "openssl enc", "gpg"];
const FOR_EACH_OF_MANY: &[&str] = &["waxwing", "cp", "age", "rage", "openssl enc"];
const STARTED: &[&str] =
    &["waxwing", "cp", "waxwing record", "age", "rage", "openssl enc", "gpg", "node", "aws-esdk"];

/// Entrants for one file, Waxwing first: every tool.
pub(super) fn one_file(keys: &Keys, payload: &Payload) -> Vec<Entrant> {
    let at = Places::of(payload);
    let mut entrants: Vec<Entrant> = templates(keys).iter().map(|tool| at.once(tool, payload)).collect();
    entrants.extend(rclone(keys, payload, &at, "copyto", "sealed"));
    entrants
}

/// Entrants for one file, only those that `names` lists.
pub(super) fn some_on_one_file(keys: &Keys, payload: &Payload, names: &[&str]) -> Vec<Entrant> {
    let at = Places::of(payload);
    chosen(keys, names).iter().map(|tool| at.once(tool, payload)).collect()
}

/// Lets what an earlier run has written reach the disk before the next one's time counts.
pub(super) fn sync_before(entrants: &mut [Entrant], folder: &Path) {
    for entrant in entrants {
        for run in [&mut entrant.seal, &mut entrant.open] {
            run.before.push(words!["sync", "-f", folder]);
        }
    }
}

/// Entrants from pipe to pipe: `cat FILE | TOOL | cat > /dev/null`, so that a `cat` in the tool's place is the floor.
pub(super) fn pipes(keys: &Keys, payload: &Payload) -> Vec<Entrant> {
    let Keys { waxwing, waxwing_key, waxwing_pub, age_key, age_recipient, .. } = keys;
    let (age, rage, openssl) = (&keys.peers.age, &keys.peers.rage, &keys.peers.openssl);
    let enc = words![openssl, "enc", "-aes-256-ctr", "-K", ENC_KEY, "-iv", ENC_IV];
    let tools = [
        (
            "waxwing",
            words![waxwing, "seal", "-r", waxwing_pub, "-"],
            words![waxwing, "open", "-k", waxwing_key, "-"],
        ),
        ("cat", words!["cat"], words!["cat"]),
        ("age", words![age, "-r", age_recipient], words![age, "-d", "-i", age_key]),
        ("rage", words![rage, "-r", age_recipient], words![rage, "-d", "-i", age_key]),
        ("openssl enc", enc.clone(), [enc, words!["-d"]].concat()),
    ];
    let at = Places::of(payload);
    let entrant = |(name, seal, open): (&'static str, Vec<OsString>, Vec<OsString>)| {
        let (plain, sealed) = (&payload.plain, &at.sealed);
        let keep = pipeline(&seal, plain, "> \"$other\"", sealed);
        let seal = Run { before: Vec::new(), command: pipeline(&seal, plain, "| cat > /dev/null", sealed) };
        let timed = pipeline(&open, sealed, "| cat > /dev/null", plain);
        let compared = pipeline(&open, sealed, "| cmp - \"$other\"", plain);
        let mut entrant = at.entrant(name, "", seal, Run { before: vec![keep], command: timed });
        entrant.check = Check::Run(compared);
        entrant
    };
    tools.into_iter().map(entrant).collect()
}

/// Entrants for many files in one process, Waxwing first if it takes `directories`: what the bars compare.
pub(super) fn many_files(keys: &Keys, payload: &Payload, directories: bool) -> Vec<Entrant> {
    let at = Places::of(payload);
    let run = |command| Run { before: Vec::new(), command };
    let mut entrants = Vec::new();
    if directories {
        entrants.push(at.entrant(
            ONE_COMMAND,
            "`waxwing seal -r PUB DIR -o DIR` and the same of `open`",
            run(seal_directory(keys, &payload.plain, &at.sealed)),
            run(open_directory(keys, &at.sealed, &at.opened)),
        ));
    }
    entrants.push(at.entrant(
        "cp, one process",
        "`cp -r`",
        run(words!["cp", "-r", &payload.plain, &at.sealed]),
        run(words!["cp", "-r", &at.sealed, &at.opened]),
    ));
    entrants.push(bare_rsa(keys, payload, &at));
    entrants
}

/// More entrants for many files: some tools once for each file, and those that take many at once so.
pub(super) fn many_files_by_others(keys: &Keys, payload: &Payload) -> Vec<Entrant> {
    let at = Places::of(payload);
    let run = |command| Run { before: Vec::new(), command };
    let mut entrants = Vec::new();
    entrants.extend(chosen(keys, FOR_EACH_OF_MANY).iter().map(|tool| at.once_for_each_file(tool, payload)));
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
    gpg.check = Check::Compare(at.sealed.clone());
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
    entrants.extend(rclone(keys, payload, &at, "copy", ""));
    entrants
}

/// Entrants for a process each on some very small files.
pub(super) fn starts(keys: &Keys, payload: &Payload) -> Vec<Entrant> {
    let at = Places::of(payload);
    chosen(keys, STARTED).iter().map(|tool| at.once_for_each_file(tool, payload)).collect()
}

/// Whether this Waxwing seals and opens folders: what it does with a small one, or why it does not.
pub(super) fn takes_directories(keys: &Keys, folder: &Path) -> Result<()> {
    let payload = Payload::many_files(folder, 2, 10)?;
    let at = Places::of(&payload);
    for command in
        [seal_directory(keys, &payload.plain, &at.sealed), open_directory(keys, &at.sealed, &at.opened)]
    {
        let output = at_root(&command[0])
            .args(&command[1..])
            .stdin(Stdio::null())
            .output()
            .map_err(Error::file("run", &keys.waxwing))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or("it said nothing").to_owned();
            return Err(Error::Missing(said));
        }
    }
    payload.compare(ONE_COMMAND, &at.opened)
}

fn seal_directory(keys: &Keys, from: &Path, to: &Path) -> Vec<OsString> {
    words![&keys.waxwing, "seal", "-r", &keys.waxwing_pub, from, "-o", to]
}

fn open_directory(keys: &Keys, from: &Path, to: &Path) -> Vec<OsString> {
    words![&keys.waxwing, "open", "-k", &keys.waxwing_key, from, "-o", to]
}

/// The RSA operations that many files need and nothing else, on one thread and only the files of one core: as long as all
/// cores would take if nothing held them up.
fn bare_rsa(keys: &Keys, payload: &Payload, at: &Places) -> Entrant {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let count = (payload.files as usize).div_ceil(cores).to_string();
    let run =
        |verb: &str| Run { before: Vec::new(), command: words![&keys.rsa_rate, verb, &count, &keys.der_key] };
    let note =
        "one RSA-3072 OAEP operation in memory for each file, on one thread, divided by the number of cores";
    let mut entrant = at.entrant("bare RSA", note, run("wrap"), run("unwrap"));
    entrant.check = Check::Nothing;
    entrant
}

/// rclone's crypt remote over a local folder, if there is an rclone.
fn rclone(keys: &Keys, payload: &Payload, at: &Places, verb: &str, name: &str) -> Option<Entrant> {
    let rclone = keys.peers.rclone.as_ref()?;
    let remote = format!(
        ":crypt,remote=\"{}\",password={},filename_encryption=off:{name}",
        at.sealed.display(),
        keys.rclone_password
    );
    let run = |from: &OsStr, to: &OsStr| Run {
        before: Vec::new(),
        command: words![rclone, "--config", "", "--ignore-checksum", verb, from, to],
    };
    let seal = run(payload.plain.as_os_str(), remote.as_ref());
    let open = run(remote.as_ref(), at.opened.as_os_str());
    let note = "a crypt remote over a local folder: XSalsa20-Poly1305 in chunks of 64 KiB under a key from a password, names not encrypted, \
         `--ignore-checksum`, 4 files at a time";
    Some(at.entrant("rclone", note, seal, open))
}

/// The templates of these names, in this order.
fn chosen(keys: &Keys, names: &[&str]) -> Vec<Template> {
    let mut templates = templates(keys);
    templates.retain(|template| names.contains(&template.name));
    templates
}

/// `cat INPUT | TOOL REST`; `rest` may name `other`. A tool that fails fails it all.
fn pipeline(tool: &[OsString], input: &Path, rest: &str, other: &Path) -> Vec<OsString> {
    let script = format!("input=$1 other=$2; shift 2; cat \"$input\" | \"$@\" {rest}");
    let bash = words!["bash", "-o", "pipefail", "-ec", script, "bash", input, other];
    [bash, tool.to_vec()].concat()
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
        Entrant { name, note, seal, open, check: Check::Compare(self.opened.clone()), leftovers }
    }

    /// `tool` on a payload of one file.
    fn once(&self, tool: &Template, payload: &Payload) -> Entrant {
        let run = |template: &[OsString], input: &Path, output: &Path| Run {
            before: Vec::new(),
            command: template.iter().map(|word| fill(word, input, output, &self.record)).collect(),
        };
        let seal = run(&tool.seal, &payload.plain, &self.sealed);
        let open = run(&tool.open, &self.sealed, &self.opened);
        self.entrant(tool.name, tool.note, seal, open)
    }

    /// `tool`, started anew for each file of a payload of many.
    fn once_for_each_file(&self, tool: &Template, payload: &Payload) -> Entrant {
        let seal = self.for_each_file(&tool.seal, &payload.plain, &self.sealed);
        let open = self.for_each_file(&tool.open, &self.sealed, &self.opened);
        self.entrant(tool.name, tool.note, seal, open)
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

/// Waxwing's name among those that take many files at once.
const ONE_COMMAND: &str = "waxwing, one process";

#[cfg(test)]
mod test {
    use std::fs;

    use super::*;
    use crate::bench::bars::{ROWS, Row};
    use crate::bench::contest::quietly;
    use crate::peers::BenchPeers;

    #[test]
    fn a_loop_runs_the_tool_once_for_each_file() {
        let folder = std::env::temp_dir().join(format!("waxwing-tools-{}", std::process::id()));
        let payload = Payload::many_files(&folder, 5, 10).unwrap();
        let at = Places::of(&payload);
        let copy = ["cp", IN, OUT].map(OsString::from);
        let run = at.for_each_file(&copy, &payload.plain, &at.sealed);
        run.before.iter().chain([&run.command]).for_each(|command| quietly(command).unwrap());
        assert_eq!(fs::read_dir(&at.sealed).unwrap().count(), 5);
        assert_eq!(
            fs::read(at.sealed.join("00003")).unwrap(),
            fs::read(payload.plain.join("00003")).unwrap()
        );
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_pipeline_fails_when_its_tool_does() {
        let input = Path::new(env!("CARGO_MANIFEST_PATH"));
        quietly(pipeline(&["cat".into()], input, "| cmp - \"$other\"", input)).unwrap();
        assert!(quietly(pipeline(&["false".into()], input, "| cat > /dev/null", input)).is_err());
        assert!(
            quietly(pipeline(&["tr", "a", "b"].map(Into::into), input, "| cmp - \"$other\"", input)).is_err()
        );
    }

    /// A name that is spelt in two ways would be a row that is never measured.
    #[test]
    fn every_bar_of_a_contest_names_its_entrants() {
        let path = PathBuf::new;
        let peers = BenchPeers {
            age: path(),
            rage: path(),
            openssl: path(),
            gpg: path(),
            node: path(),
            rclone: None,
            aws_esdk: None,
        };
        let keys = Keys {
            waxwing: path(),
            waxwing_key: path(),
            waxwing_pub: path(),
            pem_key: path(),
            pem_pub: path(),
            der_key: path(),
            rsa_rate: path(),
            age_key: path(),
            age_recipient: String::new(),
            gpg_home: path(),
            rclone_password: String::new(),
            peers,
        };
        let payload = Payload { folder: path(), plain: path(), len: 0, files: 1 };
        let contests = [
            ("memory", one_file(&keys, &payload)),
            ("disk", some_on_one_file(&keys, &payload, ON_DISK)),
            ("pipes", pipes(&keys, &payload)),
            ("many", many_files(&keys, &payload, true)),
            ("others", many_files_by_others(&keys, &payload)),
            ("start", starts(&keys, &payload)),
        ];
        let mut seen = 0;
        for figure in ROWS.iter().flat_map(Row::figures) {
            let mut parts = figure.splitn(3, '/');
            let key = parts.next();
            let Some((_, entrants)) = contests.iter().find(|(name, _)| Some(*name) == key) else { continue };
            assert!(matches!(parts.next(), Some("seal" | "open")), "{figure}");
            let name = parts.next().unwrap();
            let known = name == "bound" || entrants.iter().any(|entrant| entrant.name == name);
            assert!(known, "nobody is called {name} in {figure}");
            seen += 1;
        }
        assert!(seen > 40, "only {seen} figures of contests");
    }
}
