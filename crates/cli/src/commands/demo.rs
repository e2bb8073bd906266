//! `waxwing demo`: the whole story on one machine, with real processes, real files and a real kill.

mod data;
mod process;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use waxwing_delivery::{Job, JobFilter, JobLedger as _, LIST_MAX, Policy, State, Status, WorkerId};

use self::data::{CsvFile, make_files, same_contents};
use self::process::{Child, Tool};
use crate::exit::{Code, Failure, Outcome};
use crate::home::{Home, ledger_failed};

/// How long anything in the demonstration may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the workers' leases are: short, so that the one that is killed is soon replaced.
const LEASE: &str = "3s";
const AGENT: &str = "acme";

/// Show the whole story on this machine, in a folder of its own
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to play; it must not exist yet [default: a new folder below the one for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How many small and middling files to deliver
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(3..=5000))]
    files: u32,
    /// How large the large file is
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65536))]
    large_mib: u32,
}

pub(crate) fn run(args: Args) -> Outcome {
    let started = Instant::now();
    let dir = match &args.dir {
        Some(dir) => fs::create_dir(dir).map(|()| dir.clone()),
        None => tempfile::Builder::new().prefix("waxwing-demo-").tempdir().map(tempfile::TempDir::keep),
    };
    let dir = dir
        .and_then(|dir| dir.canonicalize())
        .map_err(|err| Failure::io("cannot make a folder to play in", err))?;
    let demo = Demo::new(dir, &args)?;
    println!("Everything happens in {}\n", demo.dir.display());
    demo.try_every_scheme()?;
    let story = demo.play()?;
    story.print();
    demo.print_what_next(started.elapsed());
    Ok(())
}

struct Demo<'a> {
    dir: PathBuf,
    tool: Tool,
    args: &'a Args,
}

/// What happened.
struct Story {
    rows: Vec<Row>,
    outcome: Vec<(&'static str, String)>,
}

/// One process and what it moved.
struct Row {
    what: &'static str,
    bytes: Option<u64>,
    took: Option<Duration>,
    peak_kib: u64,
}

impl<'a> Demo<'a> {
    fn new(dir: PathBuf, args: &'a Args) -> Result<Self, Failure> {
        let tool = Tool::new(dir.join("home")).map_err(|err| Failure::io("cannot find this program", err))?;
        Ok(Self { dir, tool, args })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Seals and opens one small file with every wrap and every cipher of the record scheme.
    fn try_every_scheme(&self) -> Outcome {
        step("a key pair for the consumer (RSA-3072)");
        self.tool.run(&["keygen", "--type", "rsa-3072", "-o", &text(&self.path("acme.key"))])?;
        step("every wrap with every cipher of the record scheme, once there and back");
        let note = self.path("note.txt");
        write(&note, b"sealed with every scheme that partners really send")?;
        let mut count = 0;
        for wrap in
            ["pkcs1", "oaep-sha1", "oaep-sha256", "oaep-sha384", "oaep-sha512", "oaep-sha256-mgf1-sha1"]
        {
            for cipher in ["aes-128-cbc", "aes-256-cbc", "aes-128-gcm", "aes-256-gcm"] {
                self.there_and_back(&note, wrap, cipher)?;
                count += 1;
            }
        }
        println!("   {count} of {count} came back as they were");
        Ok(())
    }

    fn there_and_back(&self, note: &Path, wrap: &str, cipher: &str) -> Outcome {
        let [body, record, back] = ["note.bin", "note.json", "note.back"].map(|name| self.path(name));
        let [body_text, record_text, back_text, note_text] = [&body, &record, &back, note].map(text);
        let key = text(&self.path("acme.key"));
        let public = format!("{key}.pub");
        let how = ["--wrap", wrap, "--cipher", cipher, "--legacy", "--force"];
        let to = [
            "seal",
            "--format",
            "record",
            "-r",
            &public,
            "--record",
            &record_text,
            "-o",
            &body_text,
            &note_text,
        ];
        let from = ["open", "-k", &key, "--record", &record_text, "-o", &back_text, &body_text];
        self.tool.run(&[&to[..], &how].concat())?;
        self.tool.run(&[&from[..], &how].concat())?;
        if !same_contents(note, &back) {
            return Err(Failure::new(Code::Failed, format!("{wrap} with {cipher} did not come back")));
        }
        [body, record, back].iter().try_for_each(|path| remove(path))
    }

    fn play(&self) -> Result<Story, Failure> {
        let files = self.make_files()?;
        let total: u64 = files.iter().map(|file| file.len).sum();

        step("register the consumer under an agent id");
        let public = text(&self.path("acme.key.pub"));
        self.tool.run(&["agent", "register", AGENT, "-k", &public])?;

        step("the object server, which knows no private key");
        let server =
            self.tool.start("serve", &["serve", "--listen", "127.0.0.1:0"], &self.path("serve.log"))?;
        self.wait("the server", || self.path("home/serve.url").exists().then_some(()))?;

        step("the provider seals, stores and announces every file");
        let inputs: Vec<String> = files.iter().map(|file| text(&file.path)).collect();
        let mut arguments = vec!["--quiet", "deliver", "--to", AGENT, "--json"];
        arguments.extend(inputs.iter().map(String::as_str));
        let delivered = self.tool.start("deliver", &arguments, &self.path("jobs.jsonl"))?.finish()?;
        let jobs = self.jobs_by_file(&files)?;

        step("somebody flips one bit in one stored object");
        let tampered = self.tamper(&jobs[&files[1].path].1)?;

        step("two workers; the one that takes the large file is killed (SIGKILL) at it");
        let outcome_started = Instant::now();
        let mut workers = [self.worker("worker-1")?, self.worker("worker-2")?];
        let large = &jobs[&files[files.len() / 2].path].0;
        let victim = self.kill_holder_of(large, &mut workers)?;
        let [first, second] = workers;
        let (killed, survivor) = if victim == 0 { (first, second) } else { (second, first) };
        let killed = killed.reap();
        let survived = survivor.finish()?;
        let drained = outcome_started.elapsed();
        let served = server.stop()?;

        step("compare every output with its original");
        let outcome = self.compare(&files, &jobs, &tampered)?;
        Ok(Story {
            rows: vec![
                Row {
                    what: "deliver",
                    bytes: Some(total),
                    took: Some(delivered.took),
                    peak_kib: delivered.peak_kib,
                },
                Row { what: "worker, killed", bytes: None, took: None, peak_kib: killed.peak_kib },
                Row {
                    what: "both workers, kill included",
                    bytes: Some(total),
                    took: Some(drained),
                    peak_kib: survived.peak_kib,
                },
                Row { what: "serve", bytes: None, took: None, peak_kib: served.peak_kib },
            ],
            outcome,
        })
    }

    fn make_files(&self) -> Result<Vec<CsvFile>, Failure> {
        step(&format!(
            "{} CSV files of mixed sizes, and one of {} MiB",
            self.args.files, self.args.large_mib
        ));
        let dir = self.path("originals");
        let files = fs::create_dir(&dir)
            .and_then(|()| make_files(&dir, self.args.files as usize, u64::from(self.args.large_mib) << 20))
            .map_err(|err| Failure::io("cannot make the files", err))?;
        let total: u64 = files.iter().map(|file| file.len).sum();
        println!("   {} files, {}", files.len(), size(total));
        Ok(files)
    }

    fn worker(&self, id: &str) -> Result<Child, Failure> {
        let (key, output) = (text(&self.path("acme.key")), text(&self.path("inbox")));
        let arguments =
            ["worker", "--drain", "--key", &key, "--output", &output, "--lease", LEASE, "--id", id];
        self.tool.start("worker", &arguments, &self.path(&format!("{id}.log")))
    }

    /// The job and the stored object of each original.
    fn jobs_by_file(&self, files: &[CsvFile]) -> Result<HashMap<PathBuf, (Job, PathBuf)>, Failure> {
        let lines = fs::read_to_string(self.path("jobs.jsonl"))
            .map_err(|err| Failure::io("cannot read what `deliver` printed", err))?;
        let unreadable = || Failure::new(Code::Failed, "`deliver` printed something else than jobs");
        let ledger = self.home()?.ledger(Policy::default())?;
        let mut jobs = HashMap::new();
        for line in lines.lines() {
            let line: serde_json::Value = serde_json::from_str(line).map_err(|_| unreadable())?;
            let word =
                |pointer: &str| line.pointer(pointer).and_then(|value| value.as_str()).ok_or_else(unreadable);
            let id = word("/job/JobID")?.parse().map_err(|_| unreadable())?;
            let job = ledger.job(&id).map_err(ledger_failed)?.ok_or_else(unreadable)?;
            let object = self.path("home/objects").join(word("/object")?);
            jobs.insert(PathBuf::from(word("/file")?), (job, object));
        }
        if jobs.len() == files.len() { Ok(jobs) } else { Err(unreadable()) }
    }

    fn tamper(&self, object: &Path) -> Result<PathBuf, Failure> {
        let failed = |err| Failure::io("cannot tamper with an object", err);
        let file = fs::File::options().read(true).write(true).open(object).map_err(failed)?;
        let mut byte = [0];
        let at = file.metadata().map_err(failed)?.len() / 2;
        file.read_exact_at(&mut byte, at).map_err(failed)?;
        file.write_all_at(&[byte[0] ^ 1], at).map_err(failed)?;
        println!("   byte {at} of {}", object.display());
        Ok(object.to_owned())
    }

    /// Waits until a worker holds the job, and kills that worker. Returns which.
    fn kill_holder_of(&self, job: &Job, workers: &mut [Child; 2]) -> Result<usize, Failure> {
        let ledger = self.home()?.ledger(Policy::default())?;
        let holder: WorkerId =
            self.wait("a worker to take the large file", || match ledger.job(job.id()).ok()??.state() {
                State::Leased { worker, .. } => Some(worker.clone()),
                _ => None,
            })?;
        let victim = usize::from(holder.to_string() != "worker-1");
        workers[victim].kill();
        println!("   killed {holder}; its lease ends in {LEASE}, and the other goes on");
        Ok(victim)
    }

    fn compare(
        &self,
        files: &[CsvFile],
        jobs: &HashMap<PathBuf, (Job, PathBuf)>,
        tampered: &Path,
    ) -> Result<Vec<(&'static str, String)>, Failure> {
        let ledger = self.home()?.ledger(Policy::default())?;
        let all =
            ledger.list(&JobFilter { limit: LIST_MAX, ..JobFilter::default() }).map_err(ledger_failed)?;
        let status: HashMap<_, _> = all.iter().map(|job| (job.id().clone(), job.status())).collect();
        let (mut equal, mut wrong, mut withheld, mut retried) = (0, 0, 0, 0);
        for file in files {
            let (job, object) = &jobs[&file.path];
            let output = self.path("inbox").join(format!("{}.csv", job.record().file_id()));
            match (status.get(job.id()), object == tampered) {
                (Some(Status::Done), false) if same_contents(&file.path, &output) => equal += 1,
                (Some(Status::Failed), true) if !output.exists() => withheld += 1,
                _ => wrong += 1,
            }
        }
        retried += all.iter().filter(|job| job.attempts() > 1).count();
        let published =
            fs::read_dir(self.path("inbox")).map_err(|err| Failure::io("cannot list the outputs", err))?;
        let published = published.filter_map(Result::ok).filter(|entry| entry.path().is_file()).count();
        if wrong > 0 || withheld != 1 || published != equal {
            return Err(Failure::new(
                Code::Failed,
                format!("{wrong} jobs ended wrongly, and {published} outputs are there for {equal} files"),
            )
            .hint(format!("look at the logs in {}", self.dir.display())));
        }
        Ok(vec![
            ("delivered, equal to the original", format!("{equal} of {}", files.len())),
            ("tampered, refused, nothing published", withheld.to_string()),
            ("taken over from the killed worker", retried.to_string()),
            ("outputs that appeared twice, half or wrong", wrong.to_string()),
        ])
    }

    fn home(&self) -> Result<Home, Failure> {
        Home::open(Some(&self.path("home")))
    }

    /// Asks again and again until there is an answer.
    fn wait<T>(&self, what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T, Failure> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(answer) = ask() {
                return Ok(answer);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(Failure::new(Code::Failed, format!("waited for {what} in vain"))
            .hint(format!("look at the logs in {}", self.dir.display())))
    }

    fn print_what_next(&self, took: Duration) {
        let (dir, tool) = (self.dir.display(), self.tool.path().display());
        println!("\nAll of it took {:.1} s. Go on by hand:\n", took.as_secs_f64());
        println!("  export WAXWING_HOME={dir}/home");
        println!("  {tool} jobs list --status failed");
        println!("  {tool} agent show {AGENT}");
        println!("  {tool} inspect --help");
        println!("  {tool} serve --listen 127.0.0.1:0 &");
        println!("  {tool} deliver {dir}/note.txt --to {AGENT}");
        println!("  {tool} worker --drain --key {dir}/acme.key --output {dir}/inbox");
        println!(
            "\nOriginals lie in originals/, outputs in inbox/, ciphertext in home/objects/, logs beside them."
        );
        println!("When you have seen enough: rm -r {dir}");
    }
}

impl Story {
    fn print(&self) {
        println!("\n{:<30}{:>12}{:>10}{:>12}{:>14}", "", "bytes", "seconds", "MiB/s", "peak memory");
        for Row { what, bytes, took, peak_kib } in &self.rows {
            let secs = took.map(|took| took.as_secs_f64());
            let rate = bytes.zip(secs).map(|(bytes, secs)| bytes as f64 / secs / f64::from(1 << 20));
            println!(
                "{what:<30}{:>12}{:>10}{:>12}{:>10.1} MiB",
                bytes.map_or_else(String::new, size),
                secs.map_or_else(String::new, |secs| format!("{secs:.2}")),
                rate.map_or_else(String::new, |rate| format!("{rate:.0}")),
                *peak_kib as f64 / 1024.0,
            );
        }
        println!();
        for (what, count) in &self.outcome {
            println!("{what:<46}{count:>12}");
        }
    }
}

fn step(what: &str) {
    println!("-- {what}");
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn size(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn write(path: &Path, bytes: &[u8]) -> Outcome {
    fs::write(path, bytes).map_err(|err| Failure::io(format!("cannot write `{}`", path.display()), err))
}

fn remove(path: &Path) -> Outcome {
    fs::remove_file(path).map_err(|err| Failure::io(format!("cannot remove `{}`", path.display()), err))
}
