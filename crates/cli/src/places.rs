//! Where delivery keeps its things: jobs, agents, ciphertexts, plaintexts. By default all of it is in this machine's
//! home; a name of another kind (`dynamodb:TABLE`, `s3://BUCKET/PREFIX`, `secrets-manager:PREFIX`) puts it elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};
use waxwing_core::{Random as _, SystemRandom};
use waxwing_delivery::worker::{Agents, DirOutputs, JobSource, Outputs};
use waxwing_delivery::{
    AgentId, AgentLedger, Job, JobId, JobLedger, JobRecord, KeyId, LedgerError, MemoryLedger, Policy,
    WorkerId,
};
use waxwing_store::ObjectStore;

use crate::exit::{Code, Failure, Outcome};
use crate::home::{Home, ledger_failed, now};

#[cfg_attr(not(feature = "aws"), path = "places/no_cloud.rs")]
mod cloud;

pub(crate) use self::cloud::private_keys;

/// The longest nap between two looks at this machine's ledger.
const NAP_HERE: Duration = Duration::from_millis(500);
/// The longest nap between two looks at a ledger elsewhere.
const NAP_ELSEWHERE: Duration = Duration::from_secs(2);
/// The variable in which text 1's consumers find their bucket.
const OUTPUT_BUCKET_VARIABLE: &str = "OUTPUT_BUCKET";
/// What an agent is called that has no name.
const AGENT_DEFAULT: &str = "default";
/// The fields of a job that the environment may have, beside those that every record has.
const ENVIRONMENT_FIELDS: [&str; 10] = [
    "PresignedURL",
    "FileID",
    "EncryptedAESKey",
    "EncodedAESIV",
    "AuthTag",
    "Scheme",
    "Sender",
    "KeyId",
    "CiphertextSHA256",
    "PlaintextSHA256",
];

/// Where jobs and agents are.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlaceArgs {
    /// Where jobs are: dynamodb:TABLE [default: this machine's ledger]
    #[arg(long, global = true, value_name = "LEDGER", env = "WAXWING_LEDGER", hide_env_values = true)]
    ledger: Option<String>,
    /// Where agents are: secrets-manager:PREFIX, or `none` [default: this machine's ledger; with another ledger `none`]
    #[arg(long, global = true, value_name = "REGISTRY", env = "WAXWING_REGISTRY", hide_env_values = true)]
    registry: Option<String>,
    /// A key that is expected of an agent in Secrets Manager, as `waxwing agent show` spells it; another is refused. May be given
    /// several times
    #[arg(long = "pin", global = true, value_name = "AGENT=SHA256:…", env = "WAXWING_PINS", hide_env_values = true, value_delimiter = ',', value_parser = pin)]
    pins: Vec<(AgentId, KeyId)>,
}

/// Where workers hear of jobs, beside the ledger.
#[derive(Debug, Clone, Args)]
pub(crate) struct QueueArgs {
    /// The URL of an SQS queue whose messages name jobs
    #[arg(long, value_name = "URL", env = "WAXWING_QUEUE", hide_env_values = true)]
    queue: Option<String>,
}

/// A ledger, and the one job in it that is meant.
pub(crate) struct LedgerAndJob {
    pub(crate) ledger: Arc<dyn JobLedger>,
    pub(crate) job: Option<JobId>,
}

impl PlaceArgs {
    pub(crate) fn ledger(&self, home: &Home, policy: Policy) -> Result<Arc<dyn JobLedger>, Failure> {
        match &self.ledger {
            None => Ok(Arc::new(home.ledger(policy)?)),
            Some(name) => match name.split_once(':') {
                Some(("dynamodb", table)) => cloud::ledger(table, stranger(), policy),
                _ => Err(unknown("ledger", name, "dynamodb:TABLE")),
            },
        }
    }

    /// Makes the ledger that was named.
    pub(crate) fn create_ledger(&self) -> Result<&str, Failure> {
        let named = self.ledger.as_deref().and_then(|name| name.split_once(':'));
        let Some(("dynamodb", table)) = named else {
            let failure = Failure::new(Code::Usage, "only a ledger in DynamoDB has to be made");
            return Err(failure.hint("name it with --ledger dynamodb:TABLE"));
        };
        cloud::create_ledger(table).map(|()| table)
    }

    /// The registry, for commands that cannot do without.
    pub(crate) fn registry(&self, home: &Home) -> Result<Arc<dyn AgentLedger>, Failure> {
        match self.registry.as_deref() {
            None => Ok(Arc::new(home.ledger(Policy::default())?)),
            Some(name) => match name.split_once(':') {
                Some(("secrets-manager", prefix)) => {
                    let mut expected = BTreeMap::<AgentId, Vec<KeyId>>::new();
                    for (agent, key) in &self.pins {
                        expected.entry(agent.clone()).or_default().push(key.clone());
                    }
                    cloud::registry(prefix, expected)
                }
                _ => Err(unknown("registry", name, "secrets-manager:PREFIX")),
            },
        }
    }

    /// Who a worker's jobs may be for.
    pub(crate) fn agents(&self, home: &Home, scheme: Option<String>) -> Result<Agents, Failure> {
        match (&self.registry, &self.ledger) {
            (Some(none), _) if none == "none" => Ok(Agents::Unregistered { scheme }),
            (None, Some(_)) => Ok(Agents::Unregistered { scheme }),
            _ if scheme.is_some() => {
                let failure = Failure::new(Code::Usage, "--scheme is for a worker without a registry");
                Err(failure.hint("the agent's registration says how its files are sealed"))
            }
            _ => Ok(Agents::Registered(self.registry(home)?)),
        }
    }

    /// The longest nap between two looks at the ledger.
    pub(crate) fn nap(&self) -> Duration {
        if self.ledger.is_some() { NAP_ELSEWHERE } else { NAP_HERE }
    }

    /// The job that the environment describes, in the ledger that was named or in one of its own.
    pub(crate) fn ledger_with_job_of_environment(
        &self,
        home: &Home,
        policy: Policy,
    ) -> Result<LedgerAndJob, Failure> {
        let unusable = || Failure::new(Code::Usage, "the environment describes no job");
        let id = match variable("JobID")? {
            Some(id) => Some(id.parse::<JobId>().map_err(|err| unusable().because(err))?),
            None => None,
        };
        if let (Some(id), Some(_)) = (&id, &self.ledger) {
            return Ok(LedgerAndJob { ledger: self.ledger(home, policy)?, job: Some(id.clone()) });
        }
        let mut fields = Map::new();
        for name in ENVIRONMENT_FIELDS {
            fields.extend(variable(name)?.map(|text| (name.to_owned(), Value::String(text))));
        }
        let record = JobRecord::new(fields).map_err(|err| unusable().because(err))?;
        let agent = variable("AgentID")?.unwrap_or_else(|| AGENT_DEFAULT.to_owned());
        let agent: AgentId =
            agent.parse().map_err(|err: waxwing_delivery::NameError| unusable().because(err))?;
        let id = id.map_or_else(|| random_16().map(JobId::from_random), Ok)?;
        let job = Job::for_agent(id.clone(), agent, record, now());
        let ledger = MemoryLedger::new(policy);
        ledger.submit(&job).map_err(ledger_failed)?;
        Ok(LedgerAndJob { ledger: Arc::new(ledger), job: Some(id) })
    }
}

impl QueueArgs {
    /// The queue that names jobs of `ledger`, if there is one.
    pub(crate) fn source(
        &self,
        ledger: Arc<dyn JobLedger>,
        lease: Duration,
    ) -> Result<Option<Arc<dyn JobSource>>, Failure> {
        let Some(url) = self.queue.as_deref() else { return Ok(None) };
        // Taken for a ledger that is denied, messages would come nearer to the dead letters.
        if let Err(denied @ LedgerError::Denied { .. }) = ledger.job(&JobId::from_random([0; 16])) {
            return Err(ledger_failed(denied));
        }
        cloud::queue(url, ledger, lease).map(Some)
    }

    /// Tells the queue of a job, if there is one.
    pub(crate) fn announce(&self, job: &JobId) -> Outcome {
        self.queue.as_deref().map_or(Ok(()), |url| cloud::announce(url, job))
    }
}

/// Where plaintext goes.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutputArgs {
    /// Where to publish: a folder, or s3://BUCKET/PREFIX [default: s3://$OUTPUT_BUCKET, if that is set]
    #[arg(long, value_name = "OUTPUT")]
    output: Option<String>,
    #[command(flatten)]
    bucket: cloud::BucketArgs,
}

impl OutputArgs {
    /// The place, and where ciphertext is kept while it is opened.
    pub(crate) fn open(&self, spool: Option<&Path>) -> Result<(Arc<dyn Outputs>, PathBuf), Failure> {
        let output = match (&self.output, variable(OUTPUT_BUCKET_VARIABLE)?) {
            (Some(output), _) => output.clone(),
            (None, Some(bucket)) => format!("s3://{bucket}"),
            (None, None) => {
                let failure = Failure::new(Code::Usage, "no place for outputs was given");
                return Err(
                    failure.hint(format!("name one with --output, or a bucket in {OUTPUT_BUCKET_VARIABLE}"))
                );
            }
        };
        let spool_or = |default: PathBuf| spool.map_or(default, Path::to_owned);
        if let Some(place) = output.strip_prefix("s3://") {
            return Ok((cloud::outputs(place, &self.bucket)?, spool_or(std::env::temp_dir())));
        }
        let outputs = DirOutputs::open(Path::new(&output))
            .map_err(|err| Failure::io(format!("cannot write to `{output}`"), err))?;
        Ok((Arc::new(outputs), spool_or(output.into())))
    }
}

/// Where ciphertext goes.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArgs {
    /// Where to store: s3://BUCKET/PREFIX [default: this machine's objects, which `waxwing serve` serves]
    #[arg(long, value_name = "STORE", env = "WAXWING_STORE", hide_env_values = true)]
    store: Option<String>,
    /// What URLs of this machine's objects begin with [default: where `waxwing serve` listens]
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    #[command(flatten)]
    style: cloud::StyleArgs,
}

impl StoreArgs {
    pub(crate) fn open(&self, home: &Home, ttl: Duration) -> Result<Arc<dyn ObjectStore>, Failure> {
        match &self.store {
            None => {
                let base_url = self.base_url.clone().unwrap_or_else(|| home.base_url());
                Ok(Arc::new(home.store(&base_url)?))
            }
            Some(name) => match name.strip_prefix("s3://") {
                Some(place) => cloud::store(place, &self.style, ttl),
                None => Err(unknown("store", name, "s3://BUCKET/PREFIX")),
            },
        }
    }
}

/// Whom a job is for that does not say so.
fn stranger() -> AgentId {
    AGENT_DEFAULT.parse().expect("it is an agent's id")
}

/// `AGENT=FINGERPRINT`
fn pin(text: &str) -> Result<(AgentId, KeyId), String> {
    let (agent, key) = text.split_once('=').ok_or("it must be AGENT=SHA256:…")?;
    let hex = key.get(..7).filter(|prefix| prefix.eq_ignore_ascii_case("sha256:")).map_or(key, |_| &key[7..]);
    let agent = agent.parse::<AgentId>().map_err(|err| err.to_string())?;
    Ok((agent, hex.to_lowercase().parse::<KeyId>().map_err(|err| err.to_string())?))
}

fn unknown(what: &str, name: &str, known: &str) -> Failure {
    Failure::new(Code::Usage, format!("`{name}` names no {what}")).hint(format!("it is {known}"))
}

/// An environment variable that is not empty.
fn variable(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Failure::new(Code::Usage, format!("the variable {name} is not UTF-8")))
        }
    }
}

pub(crate) fn random_worker_id() -> Result<WorkerId, Failure> {
    let letters: String = random_16()?[..5].iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("worker-{letters}").parse().expect("it is a worker id"))
}

pub(crate) fn random_16() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    SystemRandom
        .fill(&mut bytes)
        .map_err(|err| Failure::new(Code::Failed, "no id could be made").because(err))?;
    Ok(bytes)
}
