//! Jobs per second and peak memory of our worker and of a consumer in Node.js, in turn, on deliveries of the same kind.
//!
//! `cargo bench -p waxwing-cli --bench delivery`, with the peers that `cargo xtask peers` prints in the environment. DynamoDB is
//! moto's and S3 SeaweedFS', on the same cores: what is measured is the consumer together with its share of them, none of which
//! is AWS. `-- --quick` is to see that everything runs.

#[path = "../tests/support.rs"]
mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser as _;
use serde_json::Value;
use support::{Place, Ran};
use waxwing_testkit::server::{self, S3_ACCESS_KEY, S3_BUCKET, S3_OUTPUT_BUCKET, S3_SECRET_KEY, Server};
use waxwing_testkit::{keys, payload, peers};

/// How often a running process is looked at: what it held after the last look is not seen.
const LOOK: Duration = Duration::from_millis(5);
/// Of the times in `/proc/PID/stat`; Linux tells every program the same.
const TICKS_PER_SEC: f64 = 100.0;
const MIB: usize = 1 << 20;

/// How much to measure.
#[derive(Debug, clap::Parser)]
struct Args {
    /// How often each consumer works on each kind of delivery
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How many files of 4 KiB
    #[arg(long, default_value_t = 200)]
    small: usize,
    /// How many files of 64 MiB
    #[arg(long, default_value_t = 6)]
    large: usize,
    /// The length of the one large file, in MiB
    #[arg(long, default_value_t = 1024)]
    huge_mib: usize,
    /// How many jobs Node.js has at hand at once
    #[arg(long, default_value_t = 8)]
    node_jobs: usize,
    /// One round of a few files
    #[arg(long)]
    quick: bool,
    /// What `cargo bench` says, and `cargo test` does not
    #[arg(long, hide = true)]
    bench: bool,
}

/// Files of one length.
#[derive(Debug, Clone)]
struct Load {
    title: String,
    files: usize,
    len: usize,
    rounds: u32,
}

/// Who works on a delivery. A task is a process for one job, as a container service starts it; as many run at once as there are
/// processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Consumer {
    NodeTasks,
    Node,
    WaxwingTasks,
    Waxwing,
}

impl Consumer {
    const ALL: [Self; 4] = [Self::NodeTasks, Self::Node, Self::WaxwingTasks, Self::Waxwing];

    fn name(self) -> &'static str {
        match self {
            Self::NodeTasks => "Node.js, a task a job",
            Self::Node => "Node.js, one process",
            Self::WaxwingTasks => "waxwing, a task a job",
            Self::Waxwing => "waxwing, one process",
        }
    }
}

/// What one run took.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    secs: f64,
    peak_kib: u64,
    /// Processor time of the consumer, and of both services meanwhile.
    own_secs: f64,
    services_secs: f64,
}

/// Services and a place of their own for a round: what earlier rounds left in them would take memory and time.
struct Scene {
    place: Place,
    moto: Server,
    s3: Server,
    node: PathBuf,
    packages: PathBuf,
    node_jobs: usize,
}

fn main() {
    let args = Args::parse();
    if !args.bench {
        return;
    }
    let load = |files, len, rounds| {
        let unit = if len < MIB { format!("{} KiB", len >> 10) } else { format!("{} MiB", len / MIB) };
        let title = if files == 1 { format!("1 file of {unit}") } else { format!("{files} files of {unit}") };
        Load { title, files, len, rounds }
    };
    let loads = if args.quick {
        [load(20, 4096, 1), load(2, 4 * MIB, 1), load(1, 16 * MIB, 1)]
    } else {
        let [small, large] =
            [(args.small, 4096), (args.large, 64 * MIB)].map(|(files, len)| load(files, len, args.rounds));
        [small, large, load(1, args.huge_mib * MIB, 1)]
    };
    println!(
        "Node.js has up to {} jobs at hand, waxwing as many as by default; load before: {}",
        args.node_jobs,
        load_average()
    );
    for load in &loads {
        let Some(report) = contest(load, args.node_jobs) else { return };
        println!("{report}");
    }
    println!("load after: {}", load_average());
}

/// Has both consumers work on as many files, in turn, every other round in reverse order. Nothing where a peer is missing.
fn contest(load: &Load, node_jobs: usize) -> Option<String> {
    let mut samples = Consumer::ALL.map(|_| Vec::new());
    for round in 0..load.rounds {
        let scene = Scene::new(node_jobs)?;
        let mut order = Consumer::ALL;
        if round % 2 == 1 {
            order.reverse();
        }
        for consumer in order {
            samples[consumer as usize].push(scene.sample(consumer, load));
        }
    }
    Some(report(load, &samples))
}

impl Scene {
    fn new(node_jobs: usize) -> Option<Self> {
        let (node, packages) = (peers::node()?, peers::node_aws()?);
        let (place, moto, s3) = (Place::new(), server::moto()?, server::seaweedfs()?);
        place.run(&["agent", "register", "acme", "-k", "k.pub"]).ok();
        Some(Self { place, moto, s3, node, packages, node_jobs })
    }

    /// Delivers, has `consumer` work on it, and sees that all was done.
    fn sample(&self, consumer: Consumer, load: &Load) -> Sample {
        // Each run has its own table, in which nothing but its jobs is.
        let run = format!("run{}", consumer as usize);
        self.waxwing(&run, &["jobs", "init"]).ok();
        let jobs = self.deliver(&run, load);
        let services = || cpu_secs(self.moto.pid()) + cpu_secs(self.s3.pid());
        let before = services();
        let worker = ["worker", "--quiet", "-k", "k"];
        let mut sample = match consumer {
            Consumer::NodeTasks => self.tasks(&run, &jobs, |job| {
                let mut command = self.node(&run);
                command.arg(job);
                command
            }),
            Consumer::Node => watch(&mut self.node(&run), &self.log(&run)),
            Consumer::WaxwingTasks => self.tasks(&run, &jobs, |job| {
                self.waxwing_command(&run, &[&worker[..], &["--once", job]].concat())
            }),
            Consumer::Waxwing => {
                let mut command = self.waxwing_command(&run, &[&worker[..], &["--drain"]].concat());
                watch(&mut command, &self.log(&run))
            }
        };
        sample.services_secs = services() - before;
        self.check(&run, load);
        sample
    }

    fn log(&self, name: &str) -> PathBuf {
        self.place.path(&format!("{name}.log"))
    }

    /// A process for each job, some at once.
    fn tasks(&self, run: &str, jobs: &[String], task: impl Fn(&str) -> Command + Sync) -> Sample {
        let next = AtomicUsize::new(0);
        let start = Instant::now();
        let mut all = Sample::default();
        thread::scope(|scope| {
            let lane = |n: usize| {
                let (next, task, log) = (&next, &task, self.log(&format!("{run}-{n}")));
                scope.spawn(move || {
                    let mut lane = Sample::default();
                    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let one = watch(&mut task(job), &log);
                        lane.peak_kib = lane.peak_kib.max(one.peak_kib);
                        lane.own_secs += one.own_secs;
                    }
                    lane
                })
            };
            let lanes: Vec<_> =
                (0..thread::available_parallelism().map_or(1, usize::from)).map(lane).collect();
            for lane in lanes.into_iter().map(|lane| lane.join().unwrap()) {
                all.peak_kib = all.peak_kib.max(lane.peak_kib);
                all.own_secs += lane.own_secs;
            }
        });
        all.secs = start.elapsed().as_secs_f64();
        all
    }

    /// The ids of the jobs.
    fn deliver(&self, run: &str, load: &Load) -> Vec<String> {
        let folder = self.place.path(run);
        fs::create_dir(&folder).unwrap();
        let contents = payload(load.len);
        for file in 0..load.files {
            fs::write(folder.join(format!("{run}-{file}.csv")), &contents).unwrap();
        }
        let delivered = ["deliver", run, "--to", "acme", "--name-ids", "--quiet", "--json"];
        let said = self.waxwing(run, &delivered).ok().stdout();
        fs::remove_dir_all(&folder).unwrap();
        let job = |line: &str| {
            serde_json::from_str::<Value>(line).unwrap()["job"]["JobID"].as_str().unwrap().to_owned()
        };
        said.lines().map(job).collect()
    }

    /// A consumer that skipped a job would be fast.
    fn check(&self, run: &str, load: &Load) {
        let limit = load.files.to_string();
        let listed = self.waxwing(run, &["jobs", "list", "--json", "--limit", &limit]).ok().stdout();
        let jobs: Value = serde_json::from_str(&listed).unwrap();
        let done = jobs.as_array().unwrap().iter().filter(|job| job["Status"] == "done").count();
        assert_eq!(done, load.files, "{run}: {jobs}");
        let script = "import sys, boto3\n\
            s3 = boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1')\n\
            pages = s3.get_paginator('list_objects_v2').paginate(Bucket=sys.argv[2], Prefix=sys.argv[3])\n\
            print(*[o['Size'] for page in pages for o in page.get('Contents', [])])";
        let mut python = Command::new(peers::servers().unwrap());
        self.environment(&mut python);
        python.args(["-c", script, &self.s3.url(), S3_OUTPUT_BUCKET, &format!("{run}-")]);
        let lens = Ran(python.output().unwrap()).ok().stdout();
        let lens: Vec<usize> = lens.split_whitespace().map(|len| len.parse().unwrap()).collect();
        assert_eq!(lens, vec![load.len; load.files], "{run}");
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

    fn waxwing_command(&self, table: &str, arguments: &[&str]) -> Command {
        let mut command = self.place.command(arguments);
        self.environment(&mut command);
        command
            .env("WAXWING_LEDGER", format!("dynamodb:{table}"))
            .env("WAXWING_STORE", format!("s3://{S3_BUCKET}"))
            .env("WAXWING_ALLOW_URL", self.s3.url());
        command
    }

    fn waxwing(&self, table: &str, arguments: &[&str]) -> Ran {
        Ran(self.waxwing_command(table, arguments).output().unwrap())
    }

    /// The consumer of the interop tests: one process, a loop with some jobs at hand.
    fn node(&self, table: &str) -> Command {
        let mut command = Command::new(&self.node);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/consumer.mjs"));
        self.environment(&mut command);
        command
            .env("WAXWING_PEER_NODE_AWS", &self.packages)
            .env("PRIVATE_KEY_SECRET_ARN", keys::RSA_2048_PKCS8)
            .env("TABLE", table)
            .env("WRAP", "oaep-sha256")
            .env("CIPHER", "aes-256-gcm")
            .env("JOBS", self.node_jobs.to_string());
        command
    }
}

/// Runs `command` to its end, which must be a good one. Both consumers log into the file `log`.
fn watch(command: &mut Command, log: &Path) -> Sample {
    let mut sample = Sample::default();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(log).unwrap());
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let status = loop {
        // Before the child is waited for: then it is gone from /proc.
        sample.peak_kib = peak_kib(child.id()).unwrap_or(sample.peak_kib);
        sample.own_secs = cpu_secs(child.id()).max(sample.own_secs);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        thread::sleep(LOOK);
    };
    sample.secs = start.elapsed().as_secs_f64();
    // Without its environment, where a key is.
    let program = command.get_program();
    assert!(status.success(), "{program:?}: {status}\n{}", fs::read_to_string(log).unwrap());
    sample
}

/// The most memory that a process has had: `VmHWM`, which begins anew with each program.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The processor time of a process and its threads, for itself and in the kernel.
fn cpu_secs(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, which ends with the last parenthesis, may hold anything; user and system time are 12th and 13th after it.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ');
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SEC
}

fn report(load: &Load, samples: &[Vec<Sample>; 4]) -> String {
    let mut text = format!(
        "\n{}, rounds: {}\n\n| consumer | jobs/s | waxwing in one process is faster by | its CPU, s | services' CPU, s | peak of a process, MiB |\n\
         |---|---|---|---|---|---|\n",
        load.title, load.rounds
    );
    let ours = &samples[Consumer::Waxwing as usize];
    for consumer in Consumer::ALL {
        let samples = &samples[consumer as usize];
        let rates: Vec<f64> = samples.iter().map(|sample| load.files as f64 / sample.secs).collect();
        let of = |figure: fn(&Sample) -> f64| median(samples.iter().map(figure).collect());
        let (least, most) = rates.iter().fold((f64::MAX, 0.0_f64), |(a, b), r| (a.min(*r), b.max(*r)));
        let peak = samples.iter().map(|sample| sample.peak_kib).max().unwrap_or_default() as f64 / 1024.0;
        let ratio = median(samples.iter().zip(ours).map(|(theirs, ours)| theirs.secs / ours.secs).collect());
        let _ = writeln!(
            text,
            "| {} | {:.2} ({least:.2}–{most:.2}) | {ratio:.2} | {:.2} | {:.2} | {peak:.1} |",
            consumer.name(),
            median(rates),
            of(|sample| sample.own_secs),
            of(|sample| sample.services_secs),
        );
    }
    text
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
