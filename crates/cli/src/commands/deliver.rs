//! `waxwing deliver`

mod batch;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use waxwing_core::SystemRandom;
use waxwing_core::content::Permitted;
use waxwing_delivery::worker::PROFILE_PREFIX;
use waxwing_delivery::{Agent, AgentId, FileId, Job, JobId, JobLedger, JobRecord, JobView, Policy};
use waxwing_engine::{Output, PartOutputs, SealKeys, Work, seal_message, seal_record};
use waxwing_formats::record::{RECORD_LEN_MAX, Record, Spelling};
use waxwing_formats::scheme::Scheme;
use waxwing_keyring::{Key, RsaRecipientKey};
use waxwing_profiles::policy::{Action, Policy as Rules, SchemeFacts};
use waxwing_profiles::{PartKind, Profile, preset};
use waxwing_store::{ObjectName, ObjectStore, Put, Upload};

use crate::commands::agent::ledger_id;
use crate::exit::{Code, Failure, Outcome};
use crate::files::{self, WorkArgs};
use crate::home::{Home, duration, ledger_failed, now};
use crate::places::{PlaceArgs, QueueArgs, StoreArgs, random_16};
use crate::policy::{self, PolicyArgs};
use crate::print;
use crate::profile;
use crate::scheme::SchemeArgs;

/// What a recipient's link should manage, in bytes a second, before we warn of a URL's end.
const SLOW_LINK: u64 = 4 << 20;

/// Seal files for an agent, store them, and put a job for each into the ledger
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Prints a line for each job: its id, its file id, its file. With --json, all that the recipient needs.
Folders, lists and batches with a name go on where a run was stopped: a file that was delivered, and
has not changed since, is not delivered again.

Examples:
  waxwing deliver q3.csv --to acme --file-id q3-2026
  waxwing deliver reports/ --to acme --name-ids --batch 2026-q3"
)]
pub(crate) struct Args {
    /// What to deliver: files, and folders with all that is in them
    #[arg(required_unless_present = "list", value_name = "FILE")]
    inputs: Vec<PathBuf>,
    /// A file that names what to deliver, a path on each line; - is standard input
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// What this run is called: under another name the same files are delivered again [default: no name]
    #[arg(long, value_name = "NAME")]
    batch: Option<String>,
    /// How many files to work on at once [default: one for each processor]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// To whom
    #[arg(long, value_name = "AGENT")]
    to: AgentId,
    /// What the recipient calls the file [default: a random id]
    #[arg(long, value_name = "ID")]
    file_id: Option<FileId>,
    /// The recipient calls files by their names, without the last dot and what follows it
    #[arg(long, conflicts_with = "file_id")]
    name_ids: bool,
    /// How long the URL is good for: 90s, 30m, 12h; at most 7d
    #[arg(long, value_parser = duration, default_value = "1800")]
    ttl: Duration,
    #[command(flatten)]
    places: PlaceArgs,
    #[command(flatten)]
    queue: QueueArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    scheme: SchemeArgs,
    /// A shared secret of the agent's profile: a file, fd:N or env:NAME; may be given several times
    #[arg(long = "secret", value_name = "NAME=FILE", value_parser = profile::secret_pair)]
    secrets: Vec<(String, String)>,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Print the jobs and the provider's results as JSON, a line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    work: WorkArgs,
}

pub(crate) fn run(args: Args, home: &Home, quiet: bool) -> Outcome {
    let batch = batch::Batch::find(&args)?;
    if args.file_id.is_some() && !batch.is_one_file() {
        return Err(Failure::new(Code::Usage, "--file-id names one file, and several are given"));
    }
    let found = args.places.registry(home)?.agent(&args.to).map_err(ledger_failed)?;
    let agent = found.ok_or_else(|| {
        Failure::new(Code::NotFound, format!("there is no agent `{}`", args.to))
            .hint("register it with `waxwing agent register`")
    })?;
    let key = key_to_seal(&agent)?;
    let rules = args.policy.load(Some(home.dir()))?;
    let recipe = recipe(&args, &agent, rules.as_ref())?;
    let ledger = args.places.ledger(home, Policy::default())?;
    let store = args.store.open(home, args.ttl)?;
    let provider = Provider { args: &args, home, ledger, store, agent, key, recipe };
    batch.deliver(&provider, quiet)
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

/// How an agent's files are sealed.
enum Recipe {
    /// As a record of our own.
    Record(Permitted),
    /// As a message of the partner's scheme.
    Message(&'static Profile),
}

fn recipe(args: &Args, agent: &Agent, rules: Option<&Rules>) -> Result<Recipe, Failure> {
    let profile = agent.scheme().and_then(|scheme| scheme.strip_prefix(PROFILE_PREFIX));
    match profile {
        Some(id) if !args.scheme.is_stated() => {
            let unknown = || {
                Failure::new(
                    Code::Failed,
                    format!("`{}` has the profile {id}, which is no preset", agent.id()),
                )
            };
            let profile = &preset(id).ok_or_else(unknown)?.profile;
            policy::check(rules, Action::Seal, &SchemeFacts::from(profile), Some(agent.id().as_str()))?;
            Ok(Recipe::Message(profile))
        }
        _ => scheme(args, agent, rules).map(Recipe::Record),
    }
}

fn scheme(args: &Args, agent: &Agent, rules: Option<&Rules>) -> Result<Permitted, Failure> {
    let scheme = match (args.scheme.is_stated(), agent.scheme()) {
        (true, _) | (false, None) => args.scheme.to_write()?,
        (false, Some(text)) => text.parse::<Scheme>().map_err(|err| {
            Failure::new(Code::Failed, format!("the scheme of `{}` cannot be used", agent.id())).because(err)
        })?,
    };
    policy::check(rules, Action::Seal, &scheme.into(), Some(agent.id().as_ref()))?;
    Permitted::check(scheme, args.scheme.legacy())
        .map_err(|err| files::failure("cannot deliver".to_owned(), waxwing_engine::Error::Plan(err)))
}

/// What must reach the recipient beside the ciphertext.
enum Beside {
    Record(Box<Record>),
    /// The fields of the message's document; none where the message is one file.
    Document(Map<String, Value>),
}

struct Provider<'a> {
    args: &'a Args,
    home: &'a Home,
    ledger: Arc<dyn JobLedger>,
    store: Arc<dyn ObjectStore>,
    agent: Agent,
    key: RsaRecipientKey,
    recipe: Recipe,
}

impl Provider<'_> {
    /// Delivers one file as the job `id`.
    async fn deliver(&self, path: &Path, id: JobId, work: &Work<'_>) -> Outcome {
        let what = || format!("cannot deliver {}", files::name(path));
        let file_id = self.file_id(path)?;
        // Ciphertext beside the objects, so that storing it is quick.
        let staging = tempfile::Builder::new()
            .prefix("deliver-")
            .tempdir_in(self.home.dir())
            .map_err(|err| Failure::io(what(), err))?;
        let sealed_path = staging.path().join("body");
        let beside = self.seal(path, &sealed_path, work)?;
        self.warn_of_slow_links(path, &sealed_path);
        let name = self.store_once(&sealed_path, &what).await?;
        let url = self
            .store
            .presign_get(&name, self.args.ttl, SystemTime::now())
            .await
            .map_err(|err| Failure::new(Code::Usage, what()).because(err))?;
        let (provider_result, fields) = self.fields(beside, url.expose(), &file_id);
        let fields = JobRecord::new(fields).map_err(|err| Failure::new(Code::Failed, what()).because(err))?;
        let job = Job::new(id, &self.agent, fields, now())
            .map_err(|err| Failure::new(Code::Refused, what()).because(err))?;
        self.ledger.submit(&job).map_err(ledger_failed)?;
        self.args.queue.announce(job.id())?;
        if self.args.json {
            let (job, object) = (JobView::full(&job), name.to_string());
            let line = json!({ "file": path.to_string_lossy(), "job": job, "provider": provider_result, "object": object });
            return print(&format!("{line}\n"));
        }
        print(&format!("{} {file_id} {}\n", job.id(), files::name(path)))
    }

    /// A URL that has ended cannot be fetched, nor asked for the rest.
    fn warn_of_slow_links(&self, path: &Path, sealed: &Path) {
        let len = sealed.metadata().map_or(0, |metadata| metadata.len());
        if len / SLOW_LINK > self.args.ttl.as_secs() {
            eprintln!(
                "warning: at {} MiB/s {} takes longer than its URL is good for; see --ttl",
                SLOW_LINK >> 20,
                files::name(path)
            );
        }
    }

    /// What the recipient calls a file.
    fn file_id(&self, path: &Path) -> Result<FileId, Failure> {
        if let Some(id) = &self.args.file_id {
            return Ok(id.clone());
        }
        if !self.args.name_ids {
            let text: String = random_16()?.iter().map(|byte| format!("{byte:02x}")).collect();
            return Ok(text.parse().expect("hex digits are a file id"));
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        FileId::try_from(name).map_err(|err| {
            let what = format!("cannot deliver {} under its name", files::name(path));
            Failure::new(Code::Usage, what).because(err)
        })
    }

    /// What the recipient is told: as our own provider spells it, and as the job holds it.
    fn fields(&self, beside: Beside, url: &str, file_id: &FileId) -> (Value, Map<String, Value>) {
        match beside {
            Beside::Record(mut record) => {
                record.url = Some(url.to_owned());
                record.file_id = Some(file_id.to_string());
                (Value::Object(record.to_map(Spelling::Provider)), record.to_map(Spelling::Job))
            }
            Beside::Document(mut fields) => {
                let known = [
                    ("PresignedURL", url.to_owned()),
                    ("FileID", file_id.to_string()),
                    ("KeyId", self.key.key_id().to_string()),
                ];
                fields.extend(known.map(|(name, text)| (name.to_owned(), text.into())));
                (Value::Object(fields.clone()), fields)
            }
        }
    }

    /// Seals a file into `body`.
    fn seal(&self, path: &Path, body: &Path, work: &Work<'_>) -> Result<Beside, Failure> {
        let what = || format!("cannot deliver {}", files::name(path));
        let failed = |err| files::failure(what(), err);
        let (input, output) = (files::input(path)?, Output::file(body));
        let profile = match self.recipe {
            Recipe::Record(scheme) => {
                let sealed =
                    seal_record(input, output, scheme, &self.key, &SystemRandom, work).map_err(failed)?;
                return Ok(Beside::Record(Box::new(sealed.record)));
            }
            Recipe::Message(profile) => profile,
        };
        let parts: Vec<(&str, PartKind)> = profile.files().map(|(name, part)| (name, part.kind)).collect();
        let document = parts.iter().find(|(_, kind)| *kind == PartKind::Json).filter(|_| parts.len() > 1);
        let document_path = body.with_extension("json");
        let mut outputs = PartOutputs::from_iter(
            document.map(|(name, _)| ((*name).to_owned(), Output::file(&document_path))),
        );
        let body_part = parts.iter().find(|(name, _)| !outputs.contains_key(*name));
        let (name, _) = body_part.expect("a message is more than its document");
        outputs.insert((*name).to_owned(), output);
        let keys = SealKeys {
            recipient: Some(&self.key),
            secrets: profile::secrets(&self.args.secrets)?,
            service: None,
        };
        seal_message(profile, input, outputs, &keys, &SystemRandom, self.args.scheme.legacy(), work)
            .map_err(failed)?;
        if document.is_none() {
            return Ok(Beside::Document(Map::new()));
        }
        let json = files::read_small(&document_path, RECORD_LEN_MAX)?;
        let fields = serde_json::from_slice(&json);
        fields.map(Beside::Document).map_err(|err| Failure::new(Code::Failed, what()).because(err))
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
