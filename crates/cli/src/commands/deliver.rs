//! `waxwing deliver`

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use waxwing_core::content::Permitted;
use waxwing_core::{Random as _, SystemRandom};
use waxwing_delivery::{
    Agent, AgentId, AgentLedger as _, FileId, Job, JobId, JobLedger as _, JobRecord, JobView, Policy,
    SqliteLedger,
};
use waxwing_engine::{Existing, Output, Work, seal_record};
use waxwing_formats::record::Spelling;
use waxwing_formats::scheme::Scheme;
use waxwing_keyring::{Key, RsaRecipientKey};
use waxwing_store::{DirStore, ObjectName, ObjectStore as _, Put, Upload};

use crate::commands::agent::ledger_id;
use crate::exit::{Code, Failure, Outcome};
use crate::files::{self, WorkArgs};
use crate::home::{Home, duration, ledger_failed, now};
use crate::print;
use crate::progress::Progress;
use crate::scheme::SchemeArgs;

/// Seal files for an agent, store them, and put a job for each into the ledger
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Prints a line for each job: its id, its file id, its file. With --json, all that the recipient needs.

Example:
  waxwing deliver q3.csv --to acme --file-id q3-2026"
)]
pub(crate) struct Args {
    /// What to deliver
    #[arg(required = true, value_name = "FILE")]
    inputs: Vec<PathBuf>,
    /// To whom
    #[arg(long, value_name = "AGENT")]
    to: AgentId,
    /// What the recipient calls the file [default: a random id]
    #[arg(long, value_name = "ID")]
    file_id: Option<FileId>,
    /// How long the URL is good for: 90s, 30m, 12h; at most 7d
    #[arg(long, value_parser = duration, default_value = "1800")]
    ttl: Duration,
    /// What URLs begin with [default: where `waxwing serve` listens]
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    #[command(flatten)]
    scheme: SchemeArgs,
    /// Print the jobs and the provider's results as JSON, a line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    work: WorkArgs,
}

pub(crate) fn run(args: Args, home: &Home, quiet: bool) -> Outcome {
    if args.file_id.is_some() && args.inputs.len() > 1 {
        return Err(Failure::new(Code::Usage, "--file-id names one file, and several are given"));
    }
    let ledger = home.ledger(Policy::default())?;
    let found = ledger.agent(&args.to).map_err(ledger_failed)?;
    let agent = found.ok_or_else(|| {
        Failure::new(Code::NotFound, format!("there is no agent `{}`", args.to))
            .hint("register it with `waxwing agent register`")
    })?;
    let key = key_to_seal(&agent)?;
    let scheme = scheme(&args, &agent)?;
    let base_url = args.base_url.clone().unwrap_or_else(|| home.base_url());
    let store = home.store(&base_url)?;
    let provider = Provider { args: &args, home, ledger, store, agent, key, scheme };
    super::runtime()?.block_on(async {
        for input in &args.inputs {
            provider.deliver(input, quiet).await?;
        }
        Ok(())
    })
}

/// The agent's key. That it is the one whose id the ledger has, is checked: who can write to the ledger is not thereby
/// able to exchange keys unseen.
fn key_to_seal(agent: &Agent) -> Result<RsaRecipientKey, Failure> {
    let refused =
        |why: String| Failure::new(Code::Refused, format!("cannot deliver to `{}`: {why}", agent.id()));
    let registered = agent.key_to_seal().map_err(|err| refused(err.to_string()))?;
    match Key::read(registered.pem.as_bytes(), None) {
        Ok(Key::RsaPublic(key)) if ledger_id(&key) == registered.key_id => Ok(key),
        Ok(_) => Err(refused("the key in the ledger is not the one that was registered".to_owned())
            .hint("somebody exchanged it; compare fingerprints with its owner")),
        Err(err) => Err(refused("its key cannot be used".to_owned()).because(err)),
    }
}

fn scheme(args: &Args, agent: &Agent) -> Result<Permitted, Failure> {
    let scheme = match (args.scheme.is_stated(), agent.scheme()) {
        (true, _) | (false, None) => args.scheme.to_write()?,
        (false, Some(text)) => text.parse::<Scheme>().map_err(|err| {
            Failure::new(Code::Failed, format!("the scheme of `{}` cannot be used", agent.id())).because(err)
        })?,
    };
    Permitted::check(scheme, args.scheme.legacy())
        .map_err(|err| files::failure("cannot deliver".to_owned(), waxwing_engine::Error::Plan(err)))
}

struct Provider<'a> {
    args: &'a Args,
    home: &'a Home,
    ledger: SqliteLedger,
    store: DirStore,
    agent: Agent,
    key: RsaRecipientKey,
    scheme: Permitted,
}

impl Provider<'_> {
    async fn deliver(&self, path: &Path, quiet: bool) -> Outcome {
        let what = || format!("cannot deliver {}", files::name(path));
        let file_id = match &self.args.file_id {
            Some(id) => id.clone(),
            None => random_file_id()?,
        };
        // Ciphertext beside the objects, so that storing it is quick.
        let staging = tempfile::Builder::new()
            .prefix("deliver-")
            .tempdir_in(self.home.dir())
            .map_err(|err| Failure::io(what(), err))?;
        let sealed_path = staging.path().join("body");
        let progress = Progress::new("sealing", quiet);
        let work = Work { durable: false, ..self.args.work.work(&progress) };
        let output = Output::File { path: sealed_path.clone(), existing: Existing::Keep };
        let sealed = seal_record(files::input(path)?, output, self.scheme, &self.key, &SystemRandom, &work)
            .map_err(|err| files::failure(what(), err))?;
        drop(progress);
        let name = self.store_once(&sealed_path, &what).await?;
        let url = self
            .store
            .presign_get(&name, self.args.ttl, SystemTime::now())
            .await
            .map_err(|err| Failure::new(Code::Usage, what()).because(err))?;
        let mut record = sealed.record;
        record.url = Some(url.expose().to_owned());
        record.file_id = Some(file_id.to_string());
        let provider_result = record.to_json(Spelling::Provider);
        let fields = JobRecord::new(record.to_map(Spelling::Job))
            .map_err(|err| Failure::new(Code::Failed, what()).because(err))?;
        let job = Job::new(random_job_id()?, &self.agent, fields, now())
            .map_err(|err| Failure::new(Code::Refused, what()).because(err))?;
        self.ledger.submit(&job).map_err(ledger_failed)?;
        if self.args.json {
            let result: Value = serde_json::from_str(&provider_result).unwrap_or(Value::Null);
            let line = json!({ "job": JobView::full(&job), "provider": result, "object": name.to_string() });
            return print(&format!("{line}\n"));
        }
        print(&format!("{} {file_id} {}\n", job.id(), files::name(path)))
    }

    async fn store_once(&self, body: &Path, what: &impl Fn() -> String) -> Result<ObjectName, Failure> {
        let failed = |err| Failure::new(Code::Failed, what()).because(err);
        loop {
            let name = ObjectName::random().map_err(|err| Failure::new(Code::Failed, what()).because(err))?;
            match self.store.put(&name, Upload::file(body)).await.map_err(failed)? {
                Put::Stored(_) => return Ok(name),
                // Of 2^96 names this one is taken: once, perhaps, in the life of the universe.
                Put::AlreadyThere => {}
            }
        }
    }
}

fn random_file_id() -> Result<FileId, Failure> {
    let bytes = random_16()?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(text.parse().expect("hex digits are a file id"))
}

fn random_job_id() -> Result<JobId, Failure> {
    Ok(JobId::from_random(random_16()?))
}

fn random_16() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    SystemRandom
        .fill(&mut bytes)
        .map_err(|err| Failure::new(Code::Failed, "no id could be made").because(err))?;
    Ok(bytes)
}
