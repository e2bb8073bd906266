//! Delivery on one machine, with real processes: a provider, a server, workers, and what goes wrong between them.

mod support;

use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Place, Ran};

const PATIENCE: Duration = Duration::from_secs(60);

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

fn wait_for(mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "waited in vain");
        std::thread::sleep(Duration::from_millis(10));
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
