//! Delivery with Node.js and the AWS SDK at one end, and ours at the other: `node/provider.mjs` and `node/consumer.mjs` know nothing
//! of Waxwing. Tables and secrets are moto's, objects SeaweedFS'.
#![cfg(feature = "aws")]

mod support;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Place, Ran};
use waxwing_testkit::server::{self, S3_ACCESS_KEY, S3_BUCKET, S3_OUTPUT_BUCKET, S3_SECRET_KEY, Server};
use waxwing_testkit::{keys, peers};

const TABLE: &str = "jobs";
/// What a worker's outputs hold that nothing proves.
const UNPROVEN: &str = "unauthenticated/";

struct Scene {
    place: Place,
    moto: Server,
    s3: Server,
    node: PathBuf,
    packages: PathBuf,
}

impl Scene {
    /// An agent `acme` whose public key is a secret, and files to deliver.
    fn new() -> Option<Self> {
        let (node, packages) = (peers::node()?, peers::node_aws()?);
        let scene =
            Self { place: Place::new(), moto: server::moto()?, s3: server::seaweedfs()?, node, packages };
        scene.place.write("in.csv", "amount\n12\n");
        scene.place.write("big.csv", vec![7; 3 << 20]);
        scene.run(&["jobs", "init"]).ok();
        scene.run(&["agent", "register", "acme", "-k", "k.pub"]).ok();
        Some(scene)
    }

    fn environment(&self, command: &mut Command) {
        command
            .env("AWS_ENDPOINT_URL", self.moto.url())
            .env("AWS_ENDPOINT_URL_S3", self.s3.url())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", S3_ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", S3_SECRET_KEY)
            .env("OUTPUT_BUCKET", S3_OUTPUT_BUCKET);
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.place.command(arguments);
        self.environment(&mut command);
        command
            .env("WAXWING_LEDGER", format!("dynamodb:{TABLE}"))
            .env("WAXWING_REGISTRY", "secrets-manager:agents/")
            .env("WAXWING_STORE", format!("s3://{S3_BUCKET}"))
            .env("WAXWING_ALLOW_URL", self.s3.url());
        Ran(command.output().unwrap())
    }

    /// Works on one job of a provider whose records do not say how they are sealed.
    fn work_on(&self, job: &str, scheme: &str, more: &[&str]) {
        let mut arguments =
            vec!["worker", "--once", job, "-k", "k", "--registry", "none", "--scheme", scheme];
        arguments.extend(more);
        self.run(&arguments).ok();
    }

    fn node(&self, program: &str) -> Command {
        let mut command = Command::new(&self.node);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node").join(program));
        self.environment(&mut command);
        command.env("WAXWING_PEER_NODE_AWS", &self.packages).env("TABLE", TABLE).env("BUCKET", S3_BUCKET);
        command.current_dir(self.place.path("."));
        command
    }

    /// The jobs that the provider in Node.js puts for these deliveries.
    fn provide(&self, deliveries: &Value) -> Vec<String> {
        let mut command = self.node("provider.mjs");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(deliveries.to_string().as_bytes()).unwrap();
        let ran = Ran(child.wait_with_output().unwrap()).ok();
        serde_json::from_str(&ran.stdout()).unwrap()
    }

    /// What the consumer in Node.js made of a job.
    fn consume(&self, job: &str, wrap: &str, cipher: &str) -> Value {
        let mut command = self.node("consumer.mjs");
        command.arg(job).env("PRIVATE_KEY_SECRET_ARN", keys::RSA_2048_PKCS8);
        let ran = Ran(command.env("WRAP", wrap).env("CIPHER", cipher).output().unwrap()).ok();
        serde_json::from_str(&ran.stdout()).unwrap()
    }

    fn job(&self, id: &str) -> Value {
        serde_json::from_str(&self.run(&["jobs", "show", id, "--json"]).ok().stdout()).unwrap()
    }

    /// Asks boto3 about `bucket`: PROGRAM has `s3`, `Bucket`, `Key` and the rest of the arguments, and prints JSON.
    fn boto(&self, bucket: &str, key: &str, program: &str) -> Value {
        let script = format!(
            "import sys, boto3, json\n\
             s3 = boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1')\n\
             Bucket, Key = sys.argv[2:]\n{program}"
        );
        let mut python = Command::new(peers::servers().unwrap());
        self.environment(&mut python);
        let ran = Ran(python.args(["-c", &script, &self.s3.url(), bucket, key]).output().unwrap()).ok();
        serde_json::from_str(&ran.stdout()).unwrap()
    }

    /// An output's type, encryption and contents, if it is there.
    fn output(&self, key: &str) -> Option<(String, String, Vec<u8>)> {
        let read = "if Key not in [o['Key'] for o in s3.list_objects_v2(Bucket=Bucket).get('Contents', [])]: sys.exit(print('null'))\n\
             o = s3.get_object(Bucket=Bucket, Key=Key)\n\
             print(json.dumps([o['ContentType'], o.get('ServerSideEncryption', ''), list(o['Body'].read())]))";
        serde_json::from_value(self.boto(S3_OUTPUT_BUCKET, key, read)).unwrap()
    }

    fn assert_published(&self, key: &str, file: &str) {
        let (kind, encryption, contents) = self.output(key).unwrap_or_else(|| panic!("{key} is not there"));
        assert_eq!((kind.as_str(), encryption.as_str()), ("text/csv", "AES256"), "{key}");
        assert!(contents == self.place.read(file), "{key}");
    }

    /// Changes the ciphertext of a job.
    fn damage(&self, job: &Value, change: &str) {
        let url = job["PresignedURL"].as_str().unwrap();
        let key = &url[url.find("data/").unwrap()..url.find('?').unwrap()];
        let program = format!(
            "b = bytearray(s3.get_object(Bucket=Bucket, Key=Key)['Body'].read())\n{change}\n\
             s3.put_object(Bucket=Bucket, Key=Key, Body=bytes(b))\nprint('null')"
        );
        self.boto(S3_BUCKET, key, &program);
    }
}

fn delivery(file: &str, id: &str, wrap: &str, cipher: &str) -> Value {
    json!({ "agent": "agents/acme", "file": file, "id": id, "wrap": wrap, "cipher": cipher })
}

#[test]
fn what_a_provider_in_node_delivers_our_worker_publishes() {
    let Some(scene) = Scene::new() else { return };
    let mut schemes = Vec::new();
    for wrap in ["oaep-sha1", "oaep-sha256", "pkcs1"] {
        for cipher in ["aes-128-cbc", "aes-256-cbc", "aes-256-gcm"] {
            schemes.push((wrap, cipher));
        }
    }
    let deliveries =
        schemes.iter().map(|(wrap, cipher)| delivery("in.csv", &format!("{wrap}.{cipher}"), wrap, cipher));
    let jobs = scene.provide(&deliveries.collect());
    for ((wrap, cipher), job) in schemes.iter().zip(&jobs) {
        let (legacy, proven) = (*wrap == "pkcs1" || cipher.ends_with("cbc"), cipher.ends_with("gcm"));
        let scheme = format!("{wrap}+{cipher}");
        if legacy {
            scene.work_on(job, &scheme, &["--legacy"]);
        } else {
            scene.work_on(job, &scheme, &[]);
        }
        let settled = scene.job(job);
        assert_eq!(
            (&settled["Status"], &settled["Priority"]),
            (&json!("done"), &json!(3)),
            "{scheme}: {settled}"
        );
        let name = format!("{}{wrap}.{cipher}.csv", if proven { "" } else { UNPROVEN });
        scene.assert_published(&name, "in.csv");
    }
}

#[test]
fn jobs_of_a_provider_in_node_are_found_in_the_index() {
    let Some(scene) = Scene::new() else { return };
    let mut deliveries = json!([
        delivery("in.csv", "a", "oaep-sha256", "aes-256-gcm"),
        delivery("big.csv", "b", "oaep-sha256", "aes-256-gcm"),
    ]);
    for delivery in deliveries.as_array_mut().unwrap() {
        delivery["indexed"] = json!(true);
    }
    scene.provide(&deliveries);
    let scheme = "oaep-sha256+aes-256-gcm";
    scene.run(&["worker", "--drain", "-k", "k", "--registry", "none", "--scheme", scheme]).ok();
    scene.assert_published("a.csv", "in.csv");
    scene.assert_published("b.csv", "big.csv");
}

#[test]
fn attack_04_what_a_provider_in_node_got_wrong_fails_in_one_class() {
    let Some(scene) = Scene::new() else { return };
    scene.run(&["keygen", "--type", "rsa-2048", "-o", "other"]).ok();
    scene.run(&["agent", "register", "other", "-k", "other.pub"]).ok();
    let good = |id: &str| delivery("in.csv", id, "oaep-sha256", "aes-256-gcm");
    let (mut other_key, mut expired) = (good("other-key"), good("expired"));
    other_key["agent"] = json!("agents/other");
    expired["expiresIn"] = json!(1);
    let jobs = scene.provide(&json!([good("flipped"), good("cut"), other_key, expired]));
    scene.damage(&scene.job(&jobs[0]), "b[3] ^= 1");
    scene.damage(&scene.job(&jobs[1]), "del b[-1]");
    thread::sleep(Duration::from_secs(3)); // until the URL has ended
    for job in &jobs {
        scene.work_on(job, "oaep-sha256+aes-256-gcm", &[]);
    }
    let settled: Vec<Value> = jobs.iter().map(|job| scene.job(job)).collect();
    assert!(settled.iter().all(|job| job["Status"] == "failed"), "{settled:?}");
    let classes: Vec<&str> = settled.iter().map(|job| job["Class"].as_str().unwrap()).collect();
    assert_eq!(classes, ["rejected", "rejected", "rejected", "download"]);
    assert_eq!(settled[3]["Message"], "Download failed: 403");
    for id in ["flipped", "cut", "other-key", "expired"] {
        assert!(scene.output(&format!("{id}.csv")).is_none(), "{id}");
    }
}

#[test]
fn what_we_deliver_a_consumer_in_node_publishes() {
    let Some(scene) = Scene::new() else { return };
    for (wrap, cipher) in [
        ("oaep-sha256", "aes-256-gcm"),
        ("oaep-sha256", "aes-256-cbc"),
        ("oaep-sha1", "aes-256-gcm"),
        ("oaep-sha1", "aes-128-cbc"),
    ] {
        let id = format!("{wrap}.{cipher}");
        let mut arguments = vec![
            "deliver",
            "big.csv",
            "--to",
            "acme",
            "--file-id",
            &id,
            "--wrap",
            wrap,
            "--cipher",
            cipher,
            "--json",
        ];
        if cipher.ends_with("cbc") {
            arguments.push("--legacy");
        }
        let told: Value = serde_json::from_str(&scene.run(&arguments).ok().stdout()).unwrap();
        let job = told["job"]["JobID"].as_str().unwrap();
        assert_eq!(scene.consume(job, wrap, cipher)["done"], 1, "{id}");
        scene.assert_published(&format!("{id}.csv"), "big.csv");
        assert_eq!(scene.job(job)["Status"], "done");
    }
    // What Node.js has settled is settled for our workers, which would wait for it otherwise.
    scene.run(&["worker", "--drain", "-k", "k"]).ok();
}

/// Why, the consumer says on standard error; here it matters that nothing is published.
#[test]
fn what_is_not_for_it_or_changed_on_its_way_a_consumer_in_node_refuses() {
    let Some(scene) = Scene::new() else { return };
    scene.run(&["keygen", "--type", "rsa-2048", "-o", "other"]).ok();
    scene.run(&["agent", "register", "other", "-k", "other.pub"]).ok();
    let deliver = |id: &str, to: &str, ttl: &str| {
        let deliver = ["deliver", "in.csv", "--to", to, "--file-id", id, "--ttl", ttl, "--json"];
        let told: Value = serde_json::from_str(&scene.run(&deliver).ok().stdout()).unwrap();
        told["job"]["JobID"].as_str().unwrap().to_owned()
    };
    let jobs = [
        ("flipped", deliver("flipped", "acme", "30m")),
        ("cut", deliver("cut", "acme", "30m")),
        ("other-key", deliver("other-key", "other", "30m")),
        ("expired", deliver("expired", "acme", "1s")),
        ("good", deliver("good", "acme", "30m")),
    ];
    scene.damage(&scene.job(&jobs[0].1), "b[3] ^= 1");
    scene.damage(&scene.job(&jobs[1].1), "del b[-1]");
    thread::sleep(Duration::from_secs(3)); // until the URL has ended
    for (id, job) in &jobs {
        let good = *id == "good";
        let status = if good { "done" } else { "failed" };
        assert_eq!(scene.consume(job, "oaep-sha256", "aes-256-gcm")[status], 1, "{id}");
        assert_eq!(scene.output(&format!("{id}.csv")).is_some(), good, "{id}");
        assert_eq!(scene.job(job)["Status"], status, "{id}");
    }
}
