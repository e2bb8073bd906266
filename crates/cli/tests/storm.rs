//! Attack row 18 and all its relations at once: hundreds of jobs, real processes that are killed, servers that answer badly,
//! clocks that are wrong. In the end every job is done or failed as it should be, and nothing is left behind. It rages on one machine,
//! with SQLite, a folder and `waxwing serve`, and on stand-ins of AWS: dynalite, SeaweedFS, and moto for a queue.
//!
//! `WAXWING_STORM_SEED` repeats a run as far as the order of events can be; `WAXWING_STORM_JOBS` makes it smaller or larger.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Place, Ran};
use waxwing_delivery::{Job, JobLedger, JobRecord, Policy, SqliteLedger, UnixMillis};
use waxwing_testkit::proxy::{Fault, Faults, Proxy};
use waxwing_testkit::seeded::Seeded;
use waxwing_testkit::server::S3_SECRET_KEY;
use waxwing_testkit::{peers, server};

const JOBS_DEFAULT: usize = 500;
const WORKERS: usize = 3;
/// How often somebody is killed before the workers are left to finish.
const KILLS: usize = 24;
/// How long the whole storm may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// In every plaintext; nowhere else may it be.
const CANARY: &str = "canary-in-the-plaintext";
/// The largest ciphertext that the workers take.
const DOWNLOAD_MAX: u64 = 64 << 10;
/// How far the clock of one worker is off, in seconds. A lease lasts 6 s and is renewed every 2 s.
const SKEWS: [&str; 3] = ["+2s", "-30s", "+3s"];

/// What is to become of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expected {
    /// Published with these contents.
    Done(Vec<u8>),
    /// Failed with one of these classes.
    Failed(&'static [&'static str]),
}

/// Where a storm rages.
enum Ground {
    /// SQLite, a folder, and `waxwing serve` at this address.
    Machine { listen: String, serve: Option<Child> },
    #[cfg(feature = "aws")]
    Aws(Box<aws::Aws>),
}

/// What is done to a ciphertext.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip(usize),
    Cut,
    Remove,
    Grow,
}

struct Storm {
    place: Place,
    seed: u64,
    dice: Seeded,
    ground: Ground,
    proxy: Proxy,
    /// What is expected of each file id.
    expected: BTreeMap<String, Expected>,
}

impl Storm {
    fn new(seed: u64, ground: Ground) -> Self {
        let place = Place::new();
        place.run(&["agent", "register", "acme", "-k", "k.pub"]).ok();
        for folder in ["files", "tmp", "logs", "inbox"] {
            fs::create_dir(place.path(folder)).unwrap();
        }
        let target = match &ground {
            Ground::Machine { listen, .. } => listen.parse().unwrap(),
            #[cfg(feature = "aws")]
            Ground::Aws(aws) => aws.s3.address(),
        };
        let stall = Duration::from_secs(3);
        let proxy = Proxy::start(target, Faults { seed, percent: 20, kinds: Fault::ALL.to_vec(), stall });
        Self { place, seed, dice: Seeded::new(seed), ground, proxy, expected: BTreeMap::new() }
    }

    /// `waxwing`, with everything where the storm rages.
    fn command(&self, arguments: &[&str]) -> Command {
        #[cfg_attr(not(feature = "aws"), expect(unused_mut))]
        let mut command = self.place.command(arguments);
        match &self.ground {
            Ground::Machine { .. } => {}
            #[cfg(feature = "aws")]
            Ground::Aws(aws) => aws.environment(&mut command, &self.proxy.url()),
        }
        command
    }

    fn is_on_one_machine(&self) -> bool {
        matches!(self.ground, Ground::Machine { .. })
    }

    fn ledger(&self) -> Box<dyn JobLedger> {
        match &self.ground {
            Ground::Machine { .. } => {
                let path = self.place.path("home/ledger.sqlite");
                Box::new(SqliteLedger::open(&path, Policy::default()).unwrap())
            }
            #[cfg(feature = "aws")]
            Ground::Aws(aws) => Box::new(aws.ledger()),
        }
    }

    fn damage(&self, damages: &[(String, Damage)]) {
        match &self.ground {
            Ground::Machine { .. } => {
                for (object, damage) in damages {
                    let path = self.place.path("home/objects").join(object);
                    let mut bytes = fs::read(&path).unwrap();
                    match damage {
                        Damage::Flip(at) => {
                            let at = at % bytes.len();
                            bytes[at] ^= 1;
                        }
                        Damage::Cut => bytes.truncate(bytes.len() / 2),
                        Damage::Remove => {
                            fs::remove_file(&path).unwrap();
                            continue;
                        }
                        Damage::Grow => bytes = vec![0; DOWNLOAD_MAX as usize + 1],
                    }
                    fs::write(&path, bytes).unwrap();
                }
            }
            #[cfg(feature = "aws")]
            Ground::Aws(aws) => aws.damage(damages),
        }
    }

    /// What was published, by name.
    fn outputs(&self) -> BTreeMap<String, Vec<u8>> {
        match &self.ground {
            Ground::Machine { .. } => {
                let names = self.place.names("inbox").into_iter().filter(|name| name != "unauthenticated");
                names.map(|name| (name.clone(), self.place.read(&format!("inbox/{name}")))).collect()
            }
            #[cfg(feature = "aws")]
            Ground::Aws(aws) => aws.outputs(),
        }
    }

    fn serve(&mut self) {
        let log = self.log("serve");
        match &mut self.ground {
            Ground::Machine { listen, serve } => {
                let mut command = self.place.command(&["serve", "--listen", listen]);
                *serve = Some(command.stderr(log).spawn().unwrap());
            }
            #[cfg(feature = "aws")]
            Ground::Aws(aws) => aws.dynamodb.restart(),
        }
    }

    fn log(&self, name: &str) -> Stdio {
        let path = self.place.path("logs").join(name);
        fs::File::options().create(true).append(true).open(path).unwrap().into()
    }

    /// Delivers `count` files, and spoils a part of them in every way that a provider or a stranger could.
    fn deliver(&mut self, count: usize) {
        for n in 0..count {
            let mut contents = format!("{CANARY};{n}\n").into_bytes();
            let len = self.dice.below(20_000);
            contents.extend(self.dice.vec(len));
            fs::write(self.place.path("files").join(format!("f{n}.csv")), &contents).unwrap();
            self.expected.insert(format!("f{n}"), Expected::Done(contents));
        }
        self.proxy.set_calm(true);
        let url = self.proxy.url();
        let mut arguments = vec!["deliver", "files", "--to", "acme", "--name-ids", "--json"];
        if self.is_on_one_machine() {
            arguments.extend(["--base-url", &url]);
        }
        let delivered = Ran(self.command(&arguments).output().unwrap()).ok().stdout();
        self.proxy.set_calm(false);
        let (ledger, mut damages) = (self.ledger(), Vec::new());
        for line in delivered.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let id = line["job"]["FileID"].as_str().unwrap().to_owned();
            let object = line["object"].as_str().unwrap().to_owned();
            let (damage, class): (_, &[&str]) = match self.dice.below(20) {
                0 => (Damage::Flip(self.dice.below(20_000)), &["rejected"]),
                1 => (Damage::Cut, &["rejected"]),
                2 => (Damage::Remove, &["download"]),
                3 => (Damage::Grow, &["download"]),
                4 => {
                    // Jobs that a stranger made: another's wrapped key, an address inside.
                    for (suffix, field, value, class) in [
                        ("wrap", "EncryptedAESKey", Value::from("A".repeat(342) + "=="), "rejected"),
                        ("url", "PresignedURL", "http://169.254.169.254/latest/meta-data/".into(), "policy"),
                    ] {
                        let mut record = line["job"].as_object().unwrap().clone();
                        record.retain(|name, _| {
                            let known =
                                ["PresignedURL", "EncryptedAESKey", "EncodedAESIV", "AuthTag", "Scheme"];
                            known.contains(&name.as_str())
                        });
                        record.insert("FileID".to_owned(), format!("{id}-{suffix}").into());
                        record.insert(field.to_owned(), value);
                        let record = JobRecord::new(record).unwrap();
                        let now = UnixMillis::from(std::time::SystemTime::now());
                        let job_id = format!("{id}-{suffix}").parse().unwrap();
                        let job = Job::for_agent(job_id, "acme".parse().unwrap(), record, now);
                        ledger.submit(&job).unwrap();
                        let class: &[&str] = if class == "policy" { &["policy"] } else { &["rejected"] };
                        self.expected.insert(format!("{id}-{suffix}"), Expected::Failed(class));
                    }
                    continue;
                }
                _ => continue,
            };
            damages.push((object, damage));
            self.expected.insert(id, Expected::Failed(class));
        }
        self.damage(&damages);
    }

    /// Starts a worker, perhaps with a wrong clock.
    fn worker(&mut self, n: usize) -> Child {
        let (url, download_max) = (self.proxy.url(), DOWNLOAD_MAX.to_string());
        let output = match self.ground {
            Ground::Machine { .. } => "inbox",
            #[cfg(feature = "aws")]
            Ground::Aws(_) => aws::OUTPUT,
        };
        let arguments = [
            "worker",
            "--drain",
            "-k",
            "k",
            "--output",
            output,
            "--allow-url",
            &url,
            "--lease",
            "6s",
            "--attempts",
            "50",
            "--jobs",
            "3",
            "--download-max",
            &download_max,
        ];
        let mut command = self.command(&arguments);
        if self.dice.below(3) == 0
            && let Some(faketime) = peers::faketime()
        {
            let skew = SKEWS[self.dice.below(SKEWS.len())];
            let mut faked = Command::new(faketime);
            faked.args(["-f", skew]).arg(command.get_program()).args(command.get_args());
            for (name, value) in command.get_envs() {
                match value {
                    Some(value) => faked.env(name, value),
                    None => faked.env_remove(name),
                };
            }
            faked.current_dir(command.get_current_dir().unwrap()).stdin(Stdio::null());
            faked.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            command = faked;
        }
        let log = self.log(&format!("worker-{n}"));
        command.env("TMPDIR", self.place.path("tmp")).env("RUST_LOG", "trace").stderr(log).spawn().unwrap()
    }

    /// Kills and starts again, at random, and then waits until every job is settled.
    fn rage(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        self.serve();
        let mut workers: Vec<Child> = (0..WORKERS).map(|n| self.worker(n)).collect();
        for _ in 0..KILLS {
            // Over a network a worker takes longer to begin, and whoever has nothing yet loses nothing.
            let pause = if self.is_on_one_machine() { 50..400 } else { 300..1500 };
            let within = self.dice.below(pause.end - pause.start);
            std::thread::sleep(Duration::from_millis((pause.start + within) as u64));
            if self.dice.below(6) == 0 {
                self.stop_server();
                std::thread::sleep(Duration::from_millis(self.dice.below(300) as u64));
                self.serve();
            } else {
                let victim = self.dice.below(WORKERS);
                workers[victim].kill().unwrap();
                workers[victim].wait().unwrap();
                workers[victim] = self.worker(victim);
            }
        }
        for (n, mut worker) in workers.into_iter().enumerate() {
            loop {
                match worker.try_wait().unwrap() {
                    Some(ended) if ended.success() => break,
                    // It could not begin, or had too much trouble in a row: whoever runs it starts it again.
                    Some(_) => worker = self.worker(n),
                    None => {}
                }
                if Instant::now() > deadline {
                    // It may have ended just now.
                    let _ = worker.kill();
                    panic!("not drained in time; {}\n{}", self.how_to_repeat(), self.how_it_stands());
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        if self.is_on_one_machine() {
            self.stop_server();
        }
    }

    fn stop_server(&mut self) {
        match &mut self.ground {
            Ground::Machine { serve, .. } => {
                if let Some(mut serve) = serve.take() {
                    serve.kill().unwrap();
                    serve.wait().unwrap();
                }
            }
            #[cfg(feature = "aws")]
            Ground::Aws(aws) => aws.dynamodb.kill(),
        }
    }

    fn how_to_repeat(&self) -> String {
        format!("repeat it with WAXWING_STORM_SEED={}", self.seed)
    }

    /// For whoever must find out why it does not end: the jobs that are not settled, and what the workers said last.
    fn how_it_stands(&self) -> String {
        let jobs = self.ledger().list(&waxwing_delivery::JobFilter::default()).unwrap();
        let views = jobs.iter().map(waxwing_delivery::JobView::summary).map(serde_json::to_value);
        let unsettled = views.map(Result::unwrap).filter(|view| {
            let status = view["Status"].as_str();
            status != Some("done") && status != Some("failed")
        });
        let mut lines: Vec<String> = unsettled.take(20).map(|view| view.to_string()).collect();
        for name in self.place.names("logs") {
            let log = fs::read_to_string(self.place.path("logs").join(&name)).unwrap();
            let said: Vec<&str> = log.lines().filter(|line| !line.contains("TRACE")).collect();
            lines.push(format!("{name}:\n{}", said[said.len().saturating_sub(20)..].join("\n")));
        }
        lines.join("\n")
    }

    /// What of the end is not as it should be.
    fn wrongs(&self) -> Vec<String> {
        let mut wrongs = Vec::new();
        let jobs = self.ledger().list(&waxwing_delivery::JobFilter::default()).unwrap();
        let outputs = self.outputs();
        // What a server claims to be the whole cannot be told from what a provider damaged.
        let proxy = &self.proxy;
        let lied: BTreeSet<String> = proxy.done(Fault::ShorterThanTrue).into_iter().collect();
        if let Some(calm) = Fault::ALL.into_iter().find(|fault| proxy.done(*fault).is_empty()) {
            wrongs.push(format!("no request was met by {calm:?}: this was no storm"));
        }
        let again = jobs.iter().filter(|job| job.attempts() > 1).count();
        if again < KILLS / 4 {
            wrongs.push(format!("only {again} jobs were tried again: this was no storm"));
        }
        let (mut published, mut may_be_published) = (BTreeSet::new(), BTreeSet::new());
        for job in &jobs {
            let id = job.record().file_id().to_string();
            let path = job.record().presigned_url().split('?').next().unwrap().to_owned();
            let was_lied_about = lied.iter().any(|lied| path.ends_with(lied.as_str()));
            let view = serde_json::to_value(waxwing_delivery::JobView::summary(job)).unwrap();
            match (&self.expected[&id], view["Status"].as_str().unwrap(), view["Class"].as_str()) {
                (Expected::Done(contents), "done", _) => {
                    published.insert(format!("{id}.csv"));
                    if outputs.get(&format!("{id}.csv")) != Some(contents) {
                        wrongs.push(format!("{id} is done, and its output is another"));
                    }
                }
                (Expected::Failed(classes), "failed", Some(class)) if classes.contains(&class) => {}
                (_, "failed", Some("rejected")) if was_lied_about => {
                    // Perhaps after it was published by a worker that was killed before it could say so.
                    may_be_published.insert(format!("{id}.csv"));
                }
                (expected, status, class) => {
                    let expected = if matches!(expected, Expected::Done(_)) { "done" } else { "failed" };
                    wrongs.push(format!("{id} should be {expected}, and is {status} {class:?}: {view}"));
                }
            }
        }
        if jobs.len() != self.expected.len() {
            wrongs.push(format!("{} jobs of {}", jobs.len(), self.expected.len()));
        }
        let found: BTreeSet<String> = outputs.into_keys().collect();
        // A worker that was killed between publishing and saying so, whose lease then went to another: same bytes.
        for name in found.symmetric_difference(&published).filter(|name| !may_be_published.contains(*name)) {
            wrongs.push(format!("{name} is in one of ledger and outputs only"));
        }
        if self.is_on_one_machine() {
            let unproven = self.place.names("inbox/unauthenticated");
            wrongs.extend(unproven.into_iter().map(|name| format!("unauthenticated/{name}")));
        }
        wrongs.extend(self.place.names("tmp").into_iter().map(|name| format!("left in tmp: {name}")));
        let key = fs::read_to_string(self.place.path("k")).unwrap();
        let key_line = key.lines().nth(2).unwrap();
        for name in self.place.names("logs") {
            let log = fs::read_to_string(self.place.path("logs").join(&name)).unwrap();
            for secret in [CANARY, key_line, "signature=", "Signature=", S3_SECRET_KEY] {
                if log.contains(secret) {
                    wrongs.push(format!("the log {name} holds {secret}"));
                }
            }
        }
        wrongs.extend(self.plaintext_in(self.place.path("home")));
        wrongs
    }

    /// Files below the provider's and the ledger's folder that hold plaintext.
    fn plaintext_in(&self, dir: PathBuf) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(self.plaintext_in(path));
            } else if fs::read(&path).unwrap().windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
            {
                found.push(format!("plaintext in {}", path.display()));
            }
        }
        found
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.stop_server();
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("it is a number"))
}

fn rage(ground: Ground, jobs: usize) {
    let seed = variable("WAXWING_STORM_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_nanos() as u64
    });
    let mut storm = Storm::new(seed, ground);
    storm.deliver(variable("WAXWING_STORM_JOBS").map_or(jobs, |jobs| jobs as usize));
    storm.rage();
    let wrongs = storm.wrongs();
    assert!(wrongs.is_empty(), "{}:\n{}", storm.how_to_repeat(), wrongs.join("\n"));
}

#[test]
fn attack_18_a_storm_loses_nothing_and_doubles_nothing() {
    if peers::faketime().is_none() {
        return;
    }
    let listen = format!("127.0.0.1:{}", server::free_port());
    rage(Ground::Machine { listen, serve: None }, JOBS_DEFAULT);
}

#[cfg(feature = "aws")]
mod aws {
    use std::collections::BTreeMap;
    use std::process::Command;

    use serde_json::{Value, json};
    use waxwing_aws::{AwsCredentials, AwsCredentialsProvider, AwsOptions, DynamoDbLedger};
    use waxwing_delivery::Policy;
    use waxwing_testkit::peers;
    use waxwing_testkit::proxy::{Fault, Faults, Proxy};
    use waxwing_testkit::server::{self, S3_ACCESS_KEY, S3_BUCKET, S3_SECRET_KEY, Server};

    use super::{DOWNLOAD_MAX, Damage, Duration, Ground, KILLS, rage};
    use crate::support::Ran;

    pub(super) const OUTPUT: &str = "s3://outbox";
    const JOBS_DEFAULT: usize = 500;

    /// Jobs in dynalite, whose updates are atomic, behind a proxy of its own; objects in SeaweedFS.
    pub(super) struct Aws {
        pub(super) dynamodb: Server,
        tables: Proxy,
        pub(super) s3: Server,
    }

    impl Aws {
        fn start() -> Option<Self> {
            let (dynamodb, s3) = (server::dynalite()?, server::seaweedfs()?);
            let kinds = vec![Fault::InternalError, Fault::Unavailable, Fault::ResetBefore, Fault::Delay];
            let faults = Faults { seed: 7, percent: 3, kinds, stall: Duration::from_secs(1) };
            let tables = Proxy::start(dynamodb.address(), faults);
            let aws = Self { dynamodb, tables, s3 };
            aws.ledger().create_table().unwrap();
            // Every write to the outputs is a version. The buckets come a moment after the port.
            let program = "
import time
for _ in range(100):
    try:
        s3.put_bucket_versioning(Bucket='outbox', VersioningConfiguration={'Status': 'Enabled'})
        break
    except s3.exceptions.NoSuchBucket:
        time.sleep(.1)";
            aws.boto(program, &Value::Null);
            Some(aws)
        }

        pub(super) fn environment(&self, command: &mut Command, s3: &str) {
            command
                .env("AWS_ENDPOINT_URL_DYNAMODB", self.tables.url())
                .env("AWS_ENDPOINT_URL_S3", s3)
                .env("AWS_REGION", "us-east-1")
                .env("AWS_ACCESS_KEY_ID", S3_ACCESS_KEY)
                .env("AWS_SECRET_ACCESS_KEY", S3_SECRET_KEY)
                .env("WAXWING_LEDGER", "dynamodb:jobs")
                .env("WAXWING_STORE", format!("s3://{S3_BUCKET}"));
        }

        /// The table itself, past the proxy.
        pub(super) fn ledger(&self) -> DynamoDbLedger {
            let credentials = AwsCredentials::new(S3_ACCESS_KEY, S3_SECRET_KEY, None, None, "tests");
            let options = AwsOptions {
                endpoint: Some(self.dynamodb.url()),
                region: Some("us-east-1".to_owned()),
                credentials: Some(AwsCredentialsProvider::new(credentials)),
                ..AwsOptions::default()
            };
            DynamoDbLedger::new("jobs", "default".parse().unwrap(), Policy::default(), options)
        }

        pub(super) fn damage(&self, damages: &[(String, Damage)]) {
            let damages = damages.iter().map(|(object, damage)| match damage {
                Damage::Flip(at) => json!([object, "flip", at]),
                Damage::Cut => json!([object, "cut", 0]),
                Damage::Remove => json!([object, "remove", 0]),
                Damage::Grow => json!([object, "grow", DOWNLOAD_MAX + 1]),
            });
            let program = "
for key, kind, number in data:
    if kind == 'remove':
        s3.delete_object(Bucket='inbox', Key=key)
        continue
    b = bytearray(s3.get_object(Bucket='inbox', Key=key)['Body'].read())
    if kind == 'flip': b[number % len(b)] ^= 1
    if kind == 'cut': b = b[:len(b) // 2]
    if kind == 'grow': b = bytes(number)
    s3.put_object(Bucket='inbox', Key=key, Body=bytes(b))";
            self.boto(program, &damages.collect());
        }

        /// What was published, where each has one version, and is as outputs should be. Of those who were killed while they tried the
        /// store an upload may be left, which a lifecycle rule ends on AWS.
        pub(super) fn outputs(&self) -> BTreeMap<String, Vec<u8>> {
            let program = "
found = {}
for page in s3.get_paginator('list_object_versions').paginate(Bucket='outbox'):
    assert not page.get('DeleteMarkers')
    for version in page.get('Versions', []):
        key = version['Key']
        if key == '.waxwing-probe': continue
        assert key not in found, f'{key} was published twice'
        object = s3.get_object(Bucket='outbox', Key=key)
        assert (object['ContentType'], object['ServerSideEncryption']) == ('text/csv', 'AES256'), key
        found[key] = object['Body'].read().decode('latin-1')
left = [upload['Key'] for upload in s3.list_multipart_uploads(Bucket='outbox').get('Uploads', [])]
assert len(left) <= data and set(left) <= {'.waxwing-probe'}, left
print(json.dumps(found))";
            let found: BTreeMap<String, String> =
                serde_json::from_value(self.boto(program, &json!(KILLS))).unwrap();
            found
                .into_iter()
                .map(|(name, text)| (name, text.chars().map(|byte| byte as u8).collect()))
                .collect()
        }

        /// Runs a program with boto3's `s3`, past the proxy, and `data`.
        fn boto(&self, program: &str, data: &Value) -> Value {
            let script = format!(
                "import sys, boto3, json\ns3 = boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1', \
                 aws_access_key_id='{S3_ACCESS_KEY}', aws_secret_access_key='{S3_SECRET_KEY}')\n\
                 data = json.loads(sys.argv[2])\n{program}"
            );
            let mut python = Command::new(peers::servers().unwrap());
            let ran =
                Ran(python.args(["-c", &script, &self.s3.url(), &data.to_string()]).output().unwrap()).ok();
            serde_json::from_str(&ran.stdout()).unwrap_or_default()
        }
    }

    #[test]
    fn attack_18_a_storm_over_aws_loses_nothing_and_doubles_nothing() {
        if peers::faketime().is_none() {
            return;
        }
        let Some(aws) = Aws::start() else { return };
        rage(Ground::Aws(Box::new(aws)), JOBS_DEFAULT);
    }
}
