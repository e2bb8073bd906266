//! Delivery on one machine, with real processes: a provider, a server, workers, and what goes wrong between them.

mod support;

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Place, Ran, wait_for};
use waxwing_delivery::{Job, JobLedger as _, JobRecord, LedgerError, Policy, SqliteLedger, UnixMillis};

/// A place with a registered agent and a running server.
struct Scene {
    place: Place,
    server: Option<Child>,
}

impl Scene {
    fn new() -> Self {
        let place = Place::new();
        place.run(&["agent", "register", "acme", "-k", "k.pub"]).ok();
        place.write("in.csv", "amount\n12\n");
        let mut scene = Self { place, server: None };
        scene.serve("127.0.0.1:0");
        scene
    }

    fn serve(&mut self, listen: &str) {
        let _ = std::fs::remove_file(self.place.path("home/serve.url"));
        let mut command = self.place.command(&["serve", "--listen", listen]);
        self.server = Some(command.stderr(Stdio::null()).spawn().unwrap());
        wait_for(|| {
            std::fs::read_to_string(self.place.path("home/serve.url")).is_ok_and(|url| url.ends_with('\n'))
        });
    }

    fn stop_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Delivers `in.csv` and returns what `deliver --json` prints.
    fn deliver(&self, more: &[&str]) -> Value {
        let ran = self.place.run(&[&["deliver", "in.csv", "--to", "acme", "--json"], more].concat()).ok();
        serde_json::from_str(&ran.stdout()).unwrap()
    }

    fn worker(&self, more: &[&str]) -> Ran {
        self.place.run(&[&["worker", "--drain", "-k", "k", "--output", "inbox"], more].concat())
    }

    fn job(&self, delivered: &Value) -> Value {
        let id = delivered["job"]["JobID"].as_str().unwrap();
        serde_json::from_str(&self.place.run(&["jobs", "show", id, "--json"]).ok().stdout()).unwrap()
    }

    fn object(&self, delivered: &Value) -> std::path::PathBuf {
        self.place.path("home/objects").join(delivered["object"].as_str().unwrap())
    }

    fn outputs(&self) -> Vec<String> {
        let mut names = self.place.names("inbox");
        names.retain(|name| name != "unauthenticated");
        names
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop_server();
    }
}

#[test]
fn a_file_arrives_with_the_names_that_partners_know() {
    let scene = Scene::new();
    let delivered = scene.deliver(&["--file-id", "q3"]);
    let job = &delivered["job"];
    for name in ["PresignedURL", "EncryptedAESKey", "EncodedAESIV", "FileID"] {
        assert!(job[name].is_string(), "{name}");
        assert!(!delivered["provider"].as_object().unwrap().contains_key(name));
    }
    for name in ["presignedUrl", "encryptedKey", "encodedIV"] {
        assert!(delivered["provider"][name].is_string(), "{name}");
    }
    let object = delivered["object"].as_str().unwrap().strip_prefix("data/").unwrap().to_owned();
    assert!(
        object.len() == 16 && object.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
        "{object}"
    );
    scene.worker(&[]).ok();
    assert_eq!(scene.place.read("inbox/q3.csv"), scene.place.read("in.csv"));
    let job = scene.job(&delivered);
    assert_eq!(
        (&job["Status"], &job["Attempts"], &job["Output"]),
        (&"done".into(), &1.into(), &"q3.csv".into())
    );
}

#[test]
fn a_folder_is_delivered_once() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.place.path("reports/eu")).unwrap();
    for name in ["q1.csv", "q2.csv", "eu/q3.csv"] {
        scene.place.write(&format!("reports/{name}"), name);
    }
    std::os::unix::fs::symlink("q1.csv", scene.place.path("reports/link")).unwrap();
    let run = |more: &[&str]| {
        scene.place.run(&[&["deliver", "reports", "--to", "acme", "--name-ids"], more].concat())
    };
    let told = run(&[]).ok().stderr();
    assert!(told.contains("delivered 3 files; 1 left out"), "{told}");
    let told = run(&[]).ok().stderr();
    assert!(told.contains("delivered 0 files; 3 were delivered before; 1 left out"), "{told}");
    scene.worker(&["--jobs", "3"]).ok();
    assert_eq!(scene.outputs(), ["q1.csv", "q2.csv", "q3.csv"]);
    assert_eq!(scene.place.read("inbox/q3.csv"), b"eu/q3.csv");

    // A file that has changed, a new one, and one that fails: the others go on.
    scene.place.write("reports/q1.csv", "longer than before");
    scene.place.write("reports/q4.csv", "q4");
    scene.place.write("reports/q 5.csv", "its name is no id");
    let told = run(&[]);
    assert_eq!(told.code(), 2, "the one that failed has no usable name");
    let told = told.stderr();
    assert!(told.contains("delivered 2 files; 2 were delivered before; 1 left out; 1 failed"), "{told}");
    assert!(told.contains("1 of 5 files were not delivered"), "{told}");
    // Another batch is another delivery; a list is as good as a folder.
    scene.place.write("list", "reports/q2.csv\n\nreports/eu/q3.csv\n");
    let told =
        scene.place.run(&["deliver", "--list", "list", "--to", "acme", "--batch", "again"]).ok().stderr();
    assert!(told.contains("delivered 2 files"), "{told}");
}

#[test]
fn two_workers_share_thirty_jobs() {
    let scene = Scene::new();
    for _ in 0..30 {
        scene.deliver(&[]);
    }
    let start = |id: &str| {
        let arguments = ["worker", "--drain", "-k", "k", "--output", "inbox", "--id", id];
        scene.place.command(&arguments).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut workers = [start("w1"), start("w2")];
    assert!(workers.iter_mut().all(|worker| worker.wait().unwrap().success()));
    assert_eq!(scene.outputs().len(), 30);
    let listed: Value =
        serde_json::from_str(&scene.place.run(&["jobs", "list", "--json"]).ok().stdout()).unwrap();
    assert!(listed.as_array().unwrap().iter().all(|job| job["Status"] == "done" && job["Attempts"] == 1));
}

/// A worker that dies loses nothing: its lease ends, another finishes, the output appears once.
#[test]
fn attack_18_a_killed_worker_is_replaced() {
    let scene = Scene::new();
    scene.place.shell("head -c 150000000 /dev/zero | tr '\\0' 'x' > in.csv").ok();
    let delivered = scene.deliver(&["--file-id", "big"]);
    let arguments = ["worker", "--drain", "-k", "k", "--output", "inbox", "--lease", "2s"];
    let mut doomed = scene.place.command(&arguments).stderr(Stdio::null()).spawn().unwrap();
    wait_for(|| scene.job(&delivered)["Status"] != "pending");
    doomed.kill().unwrap();
    doomed.wait().unwrap();
    assert_eq!(scene.job(&delivered)["Status"], "leased", "it was over before it was killed");
    scene.worker(&["--lease", "2s"]).ok();
    let job = scene.job(&delivered);
    assert_eq!((&job["Status"], &job["Attempts"]), (&"done".into(), &2.into()));
    assert_eq!(scene.outputs(), ["big.csv"]);
    assert!(scene.place.read("inbox/big.csv") == scene.place.read("in.csv"));
}

/// Whatever was done to what is stored, strangers see one and the same failure; nothing is published.
#[test]
fn attack_04_poisoned_files_are_rejected_alike() {
    let scene = Scene::new();
    let flipped = scene.deliver(&["--file-id", "a"]);
    let cut = scene.deliver(&["--file-id", "b"]);
    let (one, other) = (scene.deliver(&["--file-id", "c"]), scene.deliver(&["--file-id", "d"]));
    let mut bytes = std::fs::read(scene.object(&flipped)).unwrap();
    bytes[3] ^= 1;
    std::fs::write(scene.object(&flipped), &bytes).unwrap();
    std::fs::write(scene.object(&cut), &bytes[..4]).unwrap();
    std::fs::rename(scene.object(&one), scene.place.path("x")).unwrap();
    std::fs::rename(scene.object(&other), scene.object(&one)).unwrap();
    std::fs::rename(scene.place.path("x"), scene.object(&other)).unwrap();
    scene.worker(&[]).ok();
    let seen: Vec<Value> = [&flipped, &cut, &one, &other].map(|job| scene.job(job)).to_vec();
    for job in &seen {
        assert_eq!(
            (&job["Status"], &job["Class"], &job["Message"]),
            (&"failed".into(), &"rejected".into(), &"Rejected".into())
        );
        let fields: Vec<&String> = job.as_object().unwrap().keys().collect();
        assert_eq!(fields, seen[0].as_object().unwrap().keys().collect::<Vec<_>>());
    }
    assert_eq!(scene.outputs(), Vec::<String>::new());
}

/// At the most talkative level no log has a URL's signature, a key or contents.
#[test]
fn attack_15_no_log_holds_a_secret() {
    let scene = Scene::new();
    scene.place.write("in.csv", "canary-in-the-contents");
    let good = scene.deliver(&[]);
    let bad = scene.deliver(&[]);
    std::fs::write(scene.object(&bad), "xx").unwrap();
    let arguments = ["worker", "--drain", "-k", "k", "--output", "inbox"];
    let ran = Ran(scene.place.command(&arguments).env("RUST_LOG", "trace").output().unwrap()).ok();
    let log = ran.stderr() + &ran.stdout();
    assert!(log.contains("settled"), "the log says something");
    let pem = String::from_utf8(scene.place.read("k")).unwrap();
    for secret in [pem.lines().nth(3).unwrap(), "canary-in-the-contents", "signature="] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
    for job in [good, bad] {
        let url = job["job"]["PresignedURL"].as_str().unwrap();
        let (_, query) = url.split_once('?').unwrap();
        assert!(!log.contains(query) && !log.contains(job["job"]["EncryptedAESKey"].as_str().unwrap()));
    }
}

#[test]
fn an_expired_url_fails_as_partners_know_it() {
    let scene = Scene::new();
    let delivered = scene.deliver(&["--ttl", "1s"]);
    std::thread::sleep(Duration::from_millis(2100));
    scene.worker(&[]).ok();
    let job = scene.job(&delivered);
    assert_eq!((&job["Class"], &job["Message"]), (&"download".into(), &"Download failed: 403".into()));
}

#[test]
fn a_job_is_given_a_new_url() {
    let scene = Scene::new();
    let delivered = scene.deliver(&["--ttl", "1s"]);
    std::thread::sleep(Duration::from_millis(2100));
    let id = delivered["job"]["JobID"].as_str().unwrap();
    scene.place.run(&["jobs", "renew", id]).ok();
    scene.worker(&[]).ok();
    let job = scene.job(&delivered);
    assert_eq!(job["Status"], "done");
    assert_ne!(job["PresignedURL"], delivered["job"]["PresignedURL"]);
    scene.place.run(&["jobs", "renew", id]).code_is(1);
}

/// As a container platform starts a worker for one job: all that it needs is in the environment.
#[test]
fn a_job_may_come_from_the_environment() {
    let scene = Scene::new();
    let delivered = scene.deliver(&["--file-id", "q3"]);
    let run = |change: &dyn Fn(&mut std::process::Command)| {
        let mut command = scene.place.command(&["worker", "--job-env", "-k", "k", "--output", "inbox"]);
        for name in ["PresignedURL", "EncryptedAESKey", "EncodedAESIV", "AuthTag", "FileID", "Scheme"] {
            if let Some(text) = delivered["job"][name].as_str() {
                command.env(name, text);
            }
        }
        change(command.env("WAXWING_REGISTRY", "none"));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, told) = run(&|_| {});
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(scene.place.read("inbox/q3.csv"), scene.place.read("in.csv"));
    let (code, told) = run(&|command| {
        command.env("AuthTag", "AAAAAAAAAAAAAAAAAAAAAA==").env("FileID", "q4");
    });
    assert!(code == Some(1) && told.ends_with(" failed: Rejected\n"), "{code:?} {told}");
    let (code, told) = run(&|command| {
        command.env_remove("FileID");
    });
    assert!(code == Some(2) && told.contains("the environment describes no job"), "{code:?} {told}");
    assert_eq!(scene.outputs(), ["q3.csv"]);
}

/// A worker that is told to end gives back what it cannot finish in time, at once and not as an attempt.
#[test]
fn a_slow_job_is_given_back() {
    let scene = Scene::new();
    // It accepts, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", silent.local_addr().unwrap());
    let delivered = scene.deliver(&["--base-url", &base]);
    let arguments = ["worker", "-k", "k", "--output", "inbox", "--grace", "1s", "--allow-url", &base];
    let mut worker = scene.place.command(&arguments).stderr(Stdio::null()).spawn().unwrap();
    wait_for(|| scene.job(&delivered)["Status"] == "leased");
    scene.place.shell(&format!("kill -TERM {}", worker.id())).ok();
    assert!(worker.wait().unwrap().success());
    let job = scene.job(&delivered);
    assert_eq!((&job["Status"], &job["Attempts"]), (&"pending".into(), &0.into()));
}

#[test]
fn a_server_that_is_away_is_waited_for() {
    let mut scene = Scene::new();
    let delivered = scene.deliver(&[]);
    let url = std::fs::read_to_string(scene.place.path("home/serve.url")).unwrap();
    scene.stop_server();
    let arguments = ["worker", "--drain", "-k", "k", "--output", "inbox"];
    let mut worker = scene.place.command(&arguments).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    scene.serve(url.trim().trim_start_matches("http://"));
    assert!(worker.wait().unwrap().success());
    assert_eq!(scene.job(&delivered)["Status"], "done");
}

/// A URL that leads elsewhere is not even connected to.
#[test]
fn attack_14_other_addresses_are_never_connected_to() {
    let scene = Scene::new();
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let base = format!("http://{}", canary.local_addr().unwrap());
    let delivered = scene.deliver(&["--base-url", &base]);
    scene.worker(&[]).ok();
    assert_eq!(scene.job(&delivered)["Class"], "policy");
    assert!(canary.accept().is_err(), "somebody connected");
    assert_eq!(scene.worker(&["--allow-url", "http://10.0.0.1"]).code(), 2);
}

#[test]
fn keys_rotate_with_an_overlap() {
    let scene = Scene::new();
    scene.place.run(&["keygen", "--type", "rsa-2048", "-o", "k2"]).ok();
    let before = scene.deliver(&["--file-id", "before"]);
    scene.place.run(&["agent", "rotate", "acme", "-k", "k2.pub", "--overlap", "7d"]).ok();
    let after = scene.deliver(&["--file-id", "after"]);
    assert_ne!(before["job"]["KeyId"], after["job"]["KeyId"]);
    scene.worker(&["-k", "k2"]).ok();
    assert_eq!(scene.outputs(), ["after.csv", "before.csv"]);
    // Behind the overlap, the old key is refused, though the worker still has it.
    let late = scene.deliver(&["--file-id", "late"]);
    scene.place.run(&["keygen", "--type", "rsa-2048", "-o", "k3"]).ok();
    scene.place.run(&["agent", "rotate", "acme", "-k", "k3.pub", "--overlap", "0s"]).ok();
    scene.worker(&["-k", "k2", "-k", "k3"]).ok();
    assert_eq!(scene.job(&late)["Class"], "policy");
    let said = scene.place.run(&["agent", "rotate", "acme", "-k", "k2.pub"]);
    assert!(
        said.code() == 1 && said.stderr().contains("already in the agent's history"),
        "{}",
        said.stderr()
    );
}

#[test]
fn attack_19_keys_are_not_exchanged_unseen() {
    let scene = Scene::new();
    scene.place.run(&["keygen", "--type", "rsa-2048", "-o", "k2"]).ok();
    let again = scene.place.run(&["agent", "register", "acme", "-k", "k2.pub"]);
    assert!(again.code() == 1 && again.stderr().contains("acme"), "{}", again.stderr());
    let wrong = format!("sha256:{}", "0".repeat(64));
    let refused = scene.place.run(&["agent", "register", "other", "-k", "k2.pub", "--fingerprint", &wrong]);
    assert_eq!(refused.code(), 6, "{}", refused.stderr());
    // Somebody who can write to the ledger puts another key under the same id.
    let exchanged = scene.place.shell(
        "command -v python3 >/dev/null || exit 77
         python3 - <<'PY'
import sqlite3
new = open('k2.pub').read()
old = open('k.pub').read()
db = sqlite3.connect('home/ledger.sqlite')
changed = 0
for (table,) in db.execute(\"select name from sqlite_master where type='table'\").fetchall():
    for column in [row[1] for row in db.execute(f'pragma table_info({table})')]:
        for form in (str, lambda text: text.replace('\\n', '\\\\n')):
            changed += db.execute(f'update {table} set {column} = replace({column}, ?, ?) where typeof({column}) = \"text\" and instr({column}, ?) > 0', (form(old), form(new), form(old))).rowcount
db.commit()
assert changed > 0
PY",
    );
    assert_eq!(exchanged.code(), 0, "{}", exchanged.stderr());
    let refused = scene.place.run(&["deliver", "in.csv", "--to", "acme"]);
    assert_eq!(refused.code(), 6, "{}", refused.stderr());
    assert!(refused.stderr().contains("not the one that was registered"), "{}", refused.stderr());
}

#[test]
fn a_disabled_agent_gets_nothing() {
    let scene = Scene::new();
    scene.place.run(&["agent", "disable", "acme"]).ok();
    let refused = scene.place.run(&["deliver", "in.csv", "--to", "acme"]);
    assert!(refused.code() == 6 && refused.stderr().contains("disabled"), "{}", refused.stderr());
    assert_eq!(scene.place.run(&["deliver", "in.csv", "--to", "nobody"]).code(), 7);
    assert_eq!(scene.place.run(&["agent", "show", "nobody"]).code(), 7);
}

#[test]
fn attack_23_a_file_id_leads_nowhere() {
    let scene = Scene::new();
    for id in ["../../x", "a/b", "%2e%2e", "a\nb", "\u{1b}[2J", "", &"x".repeat(1 << 16)] {
        let refused = scene.place.run(&["deliver", "in.csv", "--to", "acme", "--file-id", id]);
        assert_eq!(refused.code(), 2, "{id:?}");
        assert!(!refused.stderr().contains('\u{1b}'), "a control character reaches the terminal");
    }
}

/// Legacy records are opened only with consent, and what nothing proves does not lie among what was proven.
#[test]
fn attack_05_legacy_needs_consent_at_the_worker_too() {
    let scene = Scene::new();
    let legacy = ["--wrap", "pkcs1", "--cipher", "aes-128-cbc", "--legacy"];
    let refused = scene.deliver(&[&legacy[..], &["--file-id", "one"]].concat());
    scene.worker(&[]).ok();
    assert_eq!(scene.job(&refused)["Class"], "policy");
    scene.deliver(&[&legacy[..], &["--file-id", "two"]].concat());
    scene.worker(&["--legacy"]).ok();
    assert_eq!(scene.outputs(), ["two.csv"], "the record's digest vouches for the ciphertext");
    assert_eq!(scene.place.read("inbox/two.csv"), scene.place.read("in.csv"));
}

/// An output name that somebody else took is left alone, and one that an earlier attempt published is taken over.
#[test]
fn an_output_is_published_once() {
    let scene = Scene::new();
    let mine = scene.deliver(&["--file-id", "mine"]);
    std::fs::create_dir(scene.place.path("inbox")).unwrap();
    scene.place.write("inbox/mine.csv", scene.place.read("in.csv"));
    scene.worker(&[]).ok();
    assert_eq!(scene.job(&mine)["Status"], "done");
    let taken = scene.deliver(&["--file-id", "taken"]);
    scene.place.write("inbox/taken.csv", "somebody else's");
    scene.place.run(&["worker", "--once", "-k", "k", "--output", "inbox"]).ok();
    assert_eq!(scene.job(&taken)["Status"], "pending", "it is tried again, in case the name becomes free");
    assert_eq!(scene.place.read("inbox/taken.csv"), b"somebody else's");
}

/// There is no memory of what was seen (SECURITY.md): a replay is harmless because names are published once.
#[test]
fn attack_17_a_replayed_job_doubles_and_overwrites_nothing() {
    let scene = Scene::new();
    let delivered = scene.deliver(&["--file-id", "q3"]);
    scene.worker(&[]).ok();
    let inode = || std::fs::metadata(scene.place.path("inbox/q3.csv")).unwrap().ino();
    let published = inode();
    let ledger = SqliteLedger::open(&scene.place.path("home/ledger.sqlite"), Policy::default()).unwrap();
    let mut record = delivered["job"].as_object().unwrap().clone();
    record.retain(|name, _| {
        ["PresignedURL", "FileID", "EncryptedAESKey", "EncodedAESIV", "AuthTag", "Scheme"]
            .contains(&name.as_str())
    });
    let replay = |id: &str| {
        let record = JobRecord::new(record.clone()).unwrap();
        let now = UnixMillis::from(std::time::SystemTime::now());
        ledger.submit(&Job::for_agent(id.parse().unwrap(), "acme".parse().unwrap(), record, now))
    };
    let same = replay(delivered["job"]["JobID"].as_str().unwrap());
    assert!(matches!(same, Err(LedgerError::JobExists(_))), "{same:?}");
    replay("again").unwrap();
    scene.worker(&[]).ok();
    assert_eq!((scene.outputs(), inode()), (vec!["q3.csv".to_owned()], published));
}

#[test]
fn attack_24_all_that_a_provider_and_its_ledger_keep_opens_nothing() {
    let scene = Scene::new();
    let delivered = scene.deliver(&["--file-id", "q3"]);
    scene.place.write("record.json", delivered["job"].to_string());
    let body = scene.object(&delivered);
    let open = |key: &str| {
        scene.place.run(&[
            "open",
            "-k",
            key,
            "--record",
            "record.json",
            "-o",
            "opened.csv",
            body.to_str().unwrap(),
        ])
    };
    open("k").ok();
    std::fs::remove_file(scene.place.path("opened.csv")).unwrap();
    let mut folders = vec![scene.place.path("home")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            for secret in ["amount", "PRIVATE KEY"] {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{secret} in {}", path.display());
            }
            assert_ne!(open(path.to_str().unwrap()).code(), 0, "{}", path.display());
            assert!(!scene.place.path("opened.csv").exists());
        }
    }
    assert!(files >= 4, "the ledger, the object, the key of URLs, where it serves: {files}");
}

#[test]
fn a_worker_ends_when_it_is_told() {
    let scene = Scene::new();
    let mut worker = scene
        .place
        .command(&["worker", "-k", "k", "--output", "inbox"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(|| scene.place.path("inbox").exists());
    std::thread::sleep(Duration::from_millis(200));
    scene.place.shell(&format!("kill -TERM {}", worker.id())).ok();
    let started = Instant::now();
    assert!(worker.wait().unwrap().success());
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// A partner with a scheme of their own: what is delivered and opened is a message of it.
#[test]
fn an_agent_may_have_a_profile() {
    let scene = Scene::new();
    for (agent, profile, more) in [
        ("azure", "azure-cse-v2", &[][..]),
        ("bank", "jwe-rsa", &[][..]),
        ("text-1", "record-oaep-sha1-gcm", &[][..]),
        ("card", "mastercard-fle-hex", &["--legacy"][..]),
    ] {
        scene.place.run(&["agent", "register", agent, "-k", "k.pub", "--profile", profile]).ok();
        let deliver = ["deliver", "in.csv", "--to", agent, "--file-id", agent];
        scene.place.run(&[&deliver[..], more].concat()).ok();
    }
    let log = scene.worker(&["--legacy"]).ok().stderr();
    assert_eq!(log.matches("done").count(), 4, "{log}");
    for output in ["azure.csv", "bank.csv", "text-1.csv", "unauthenticated/card.csv"] {
        assert_eq!(scene.place.read(&format!("inbox/{output}")), b"amount\n12\n", "{output}");
    }
}

/// Attack 04: whatever is wrong with a message after a key was used, and whatever its scheme, the job says the same.
#[test]
fn attack_04_messages_of_any_profile_fail_alike() {
    let scene = Scene::new();
    let mut states = Vec::new();
    for (agent, profile) in
        [("azure", "azure-cse-v2"), ("bank", "jwe-rsa"), ("text-1", "record-oaep-sha1-gcm")]
    {
        scene.place.run(&["agent", "register", agent, "-k", "k.pub", "--profile", profile]).ok();
        let ran = scene.place.run(&["deliver", "in.csv", "--to", agent, "--json"]).ok();
        let delivered: Value = serde_json::from_str(&ran.stdout()).unwrap();
        let object = scene.object(&delivered);
        let mut bytes = std::fs::read(&object).unwrap();
        let at = bytes.len() - 8;
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        std::fs::write(&object, bytes).unwrap();
        states.push(delivered);
    }
    scene.worker(&[]).ok();
    let failures: std::collections::BTreeSet<String> =
        states.iter().map(|delivered| scene.job(delivered)["Status"].to_string()).collect();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(scene.outputs(), Vec::<String>::new());
}
