//! Agents' public keys and workers' private ones in Secrets Manager, on moto.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::primitives::Blob;
use waxwing_aws::secrets::{
    EntryError, PRIVATE_KEYS_MAX, RegistryOptions, SecretError, SecretName, SecretVersion, SecretsRegistry,
    private_key, private_keys, private_keys_below,
};
use waxwing_aws::{AwsCredentials, AwsCredentialsProvider, AwsError, AwsOptions};
use waxwing_delivery::{
    Agent, AgentError, AgentEvent, AgentId, AgentLedger, KeyId, KeyStatus, LedgerError, UnixMillis,
};
use waxwing_formats::base64::{self, Reading};
use waxwing_keyring::{KEY_FILE_LEN_MAX, Key};
use waxwing_testkit::keys;
use waxwing_testkit::logs::printed;
use waxwing_testkit::server::{self, Server};

const DAY: Duration = Duration::from_secs(86_400);
const CACHE_TIME: Duration = Duration::from_secs(300);
const PREFIX: &str = "agents/";
const CANARY: &str = "CANARYhunter2CANARY";
/// Says that this process is the test's own child.
const CHILD: &str = "WAXWING_TEST_SECRETS_URL";

fn options(url: &str) -> AwsOptions {
    let credentials = AwsCredentials::new("test", "testsecret", None, None, "tests");
    AwsOptions {
        endpoint: Some(url.to_owned()),
        region: Some("us-east-1".to_owned()),
        credentials: Some(AwsCredentialsProvider::new(credentials)),
        ..AwsOptions::default()
    }
}

/// Secrets Manager as its other users see it.
struct Foreign {
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl Foreign {
    fn new(server: &Server) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let credentials = AwsCredentials::new("test", "testsecret", None, None, "tests");
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("us-east-1"))
            .endpoint_url(server.url())
            .credentials_provider(credentials);
        let client = Client::new(&runtime.block_on(config.load()));
        Self { client, runtime }
    }

    /// Makes a secret and returns its ARN.
    fn make(&self, name: &str, text: &str) -> String {
        let create = self.client.create_secret().name(name).secret_string(text);
        self.runtime.block_on(create.send()).unwrap().arn.unwrap()
    }

    fn make_binary(&self, name: &str, bytes: &[u8]) {
        let create = self.client.create_secret().name(name).secret_binary(Blob::new(bytes));
        self.runtime.block_on(create.send()).unwrap();
    }

    fn make_empty(&self, name: &str) {
        self.runtime.block_on(self.client.create_secret().name(name).send()).unwrap();
    }

    /// Puts a new current version and returns its id.
    fn put(&self, name: &str, text: &str) -> String {
        let put = self.client.put_secret_value().secret_id(name).secret_string(text);
        self.runtime.block_on(put.send()).unwrap().version_id.unwrap()
    }

    fn delete(&self, name: &str, at_once: bool) {
        let delete = self.client.delete_secret().secret_id(name);
        let delete = match at_once {
            true => delete.force_delete_without_recovery(true),
            false => delete.recovery_window_in_days(7),
        };
        self.runtime.block_on(delete.send()).unwrap();
    }
}

/// A registry whose cache's clock is wound by hand.
struct Registry {
    ledger: SecretsRegistry,
    millis: Arc<AtomicU64>,
}

impl Registry {
    fn new(server: &Server) -> Self {
        Self::with(RegistryOptions {
            cache_time: CACHE_TIME,
            aws: options(&server.url()),
            ..Default::default()
        })
    }

    fn with(options: RegistryOptions) -> Self {
        let millis = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&millis);
        let clock = Arc::new(move || Duration::from_millis(clock.load(Ordering::SeqCst)));
        Self { ledger: SecretsRegistry::new(PREFIX, options, clock).unwrap(), millis }
    }

    fn pass(&self, time: Duration) {
        self.millis.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    fn agent(&self, name: &str) -> Result<Option<Agent>, LedgerError> {
        self.ledger.agent(&id(name))
    }

    /// The key to seal for.
    fn key(&self, name: &str) -> KeyId {
        self.agent(name).unwrap().unwrap().key_to_seal().unwrap().key_id.clone()
    }

    /// Why an agent's secret is refused, and all that is said of it.
    fn refusal(&self, name: &str) -> (EntryError, String) {
        let err = self.agent(name).unwrap_err();
        let said = printed(&err);
        let LedgerError::Refused { source, .. } = err else { panic!("{said}") };
        (*source.downcast().unwrap(), said)
    }
}

fn id(name: &str) -> AgentId {
    name.parse().unwrap()
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    UnixMillis::new(u64::try_from(since.as_millis()).unwrap())
}

/// The id of a key in any of its forms.
fn key_id(file: impl AsRef<[u8]>) -> KeyId {
    let key = Key::read(file.as_ref(), None).unwrap().into_rsa_public().unwrap();
    key.key_id().to_string().parse().unwrap()
}

fn der(pem: &str) -> Vec<u8> {
    let lines: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    base64::decode(&lines, Reading::Strict).unwrap().0
}

fn secret(name: &str) -> SecretName {
    name.parse().unwrap()
}

fn registered(name: &str, pem: &str) -> Agent {
    Agent::new(id(name), key_id(pem), pem.to_owned(), None, now()).unwrap()
}

fn rotation(pem: &str) -> AgentEvent {
    AgentEvent::Rotate { key_id: key_id(pem), pem: pem.to_owned(), overlap: DAY }
}

#[test]
fn an_agent_is_read_from_whatever_form_its_key_has() {
    let Some(moto) = server::moto() else { return };
    let (foreign, registry) = (Foreign::new(&moto), Registry::new(&moto));
    let expected = key_id(keys::RSA_2048_PKCS8);
    for (name, pem) in [
        ("spki", keys::RSA_2048_SPKI),
        ("pkcs1", keys::RSA_2048_PKCS1_PUBLIC),
        ("certificate", keys::RSA_2048_CERTIFICATE),
    ] {
        foreign.make(&format!("{PREFIX}{name}"), pem);
        let agent = registry.agent(name).unwrap().unwrap();
        let [key] = agent.keys() else { panic!("{agent:?}") };
        assert_eq!((&key.key_id, key.pem.as_str()), (&expected, pem), "{name}: as it was put");
        assert_eq!((agent.is_enabled(), agent.scheme()), (true, None), "{name}");
    }
    foreign.make_binary(&format!("{PREFIX}binary"), &der(keys::RSA_2048_SPKI));
    let binary = registry.agent("binary").unwrap().unwrap();
    assert_eq!(key_id(&binary.keys()[0].pem), expected, "PEM, however it was kept");
    // A name is a secret's whole name.
    assert_eq!(registry.agent("spk").unwrap(), None);
    let names: Vec<String> =
        registry.ledger.agents().unwrap().iter().map(|agent| agent.id().to_string()).collect();
    assert_eq!(names, ["binary", "certificate", "pkcs1", "spki"]);
}

#[test]
fn an_agent_is_believed_for_a_while_and_then_read_again() {
    let Some(moto) = server::moto() else { return };
    let (foreign, registry) = (Foreign::new(&moto), Registry::new(&moto));
    let (old, new) = (key_id(keys::RSA_2048_SPKI), key_id(keys::RSA_3072_SPKI));
    foreign.make("agents/acme", keys::RSA_2048_SPKI);
    assert_eq!(registry.key("acme"), old);
    // By somebody else's tools, so that no tag says until when the old key opens.
    foreign.put("agents/acme", keys::RSA_3072_CERTIFICATE);
    registry.pass(CACHE_TIME - Duration::from_millis(1));
    assert_eq!(registry.key("acme"), old);
    registry.pass(Duration::from_millis(1));
    assert_eq!(registry.key("acme"), new);
    let agent = registry.agent("acme").unwrap().unwrap();
    assert!(matches!(agent.key_status(&old, now()), KeyStatus::Overlap { .. }));
    assert_eq!(agent.key_status(&old, now().plus(8 * DAY)), KeyStatus::Retired);

    // An agent that is not there is not remembered; one whose key was refused may be read at once.
    assert_eq!(registry.agent("later").unwrap(), None);
    foreign.make("agents/later", keys::RSA_2048_SPKI);
    assert_eq!(registry.key("later"), old);
    foreign.put("agents/later", keys::RSA_4096_SPKI);
    registry.ledger.forget(&id("later"));
    assert_eq!(registry.key("later"), key_id(keys::RSA_4096_SPKI));
}

#[test]
fn what_one_registry_changes_another_reads() {
    let Some(moto) = server::moto() else { return };
    let (ours, other) = (Registry::new(&moto), Registry::new(&moto));
    let acme = id("acme");
    ours.ledger.register(&registered("acme", keys::RSA_2048_SPKI)).unwrap();
    let again = ours.ledger.register(&registered("acme", keys::RSA_3072_SPKI)).unwrap_err();
    assert!(matches!(again, LedgerError::AgentExists(_)), "{again}");
    assert_eq!(other.key("acme"), key_id(keys::RSA_2048_SPKI));

    let start = now();
    ours.ledger.change(&acme, rotation(keys::RSA_3072_SPKI), start).unwrap();
    let scheme = AgentEvent::SetScheme(Some("oaep-sha1+aes-128-cbc".to_owned()));
    ours.ledger.change(&acme, scheme, start).unwrap();
    ours.ledger.change(&acme, AgentEvent::Disable, start).unwrap();
    other.pass(CACHE_TIME);
    let read = other.agent("acme").unwrap().unwrap();
    assert_eq!(read.scheme(), Some("oaep-sha1+aes-128-cbc"));
    assert!(matches!(read.key_to_seal(), Err(AgentError::Disabled)));
    let until = KeyStatus::Overlap { until: start.plus(DAY) };
    assert_eq!(read.key_status(&key_id(keys::RSA_2048_SPKI), start), until);
    assert_eq!(read.key_status(&key_id(keys::RSA_3072_SPKI), start), KeyStatus::Active);

    // A key that was replaced does not come back, not even when nothing but its tag is left of it.
    ours.ledger.change(&acme, rotation(keys::RSA_4096_SPKI), start.plus(DAY)).unwrap();
    for old in [keys::RSA_2048_SPKI, keys::RSA_3072_SPKI, keys::RSA_4096_SPKI] {
        let back = ours.ledger.change(&acme, rotation(old), start.plus(2 * DAY)).unwrap_err();
        assert!(matches!(back, LedgerError::Agent { source: AgentError::KeyKnown(_), .. }), "{back}");
    }
    let unknown = ours.ledger.change(&id("nobody"), AgentEvent::Enable, start).unwrap_err();
    assert!(matches!(unknown, LedgerError::NoSuchAgent(_)), "{unknown}");
}

#[test]
fn attack_19_a_swapped_key_is_refused_where_another_is_expected() {
    let Some(moto) = server::moto() else { return };
    let foreign = Foreign::new(&moto);
    let expected = BTreeMap::from([(id("acme"), vec![key_id(keys::RSA_2048_SPKI)])]);
    let aws = options(&moto.url());
    let registry =
        Registry::with(RegistryOptions { cache_time: CACHE_TIME, expected, aws, ..Default::default() });
    foreign.make("agents/acme", keys::RSA_2048_SPKI);
    registry.key("acme");
    foreign.put("agents/acme", keys::RSA_3072_SPKI);
    registry.pass(CACHE_TIME);
    let (refused, _) = registry.refusal("acme");
    assert!(matches!(refused, EntryError::NotExpected { expected: 1, .. }), "{refused}");
    assert!(registry.ledger.agents().is_err(), "a list does not leave it out in silence");
    // Back again, the swapped one is no key of the agent's, though Secrets Manager has it as the previous.
    foreign.put("agents/acme", keys::RSA_2048_SPKI);
    let agent = registry.agent("acme").unwrap().unwrap();
    assert_eq!(agent.key_status(&key_id(keys::RSA_3072_SPKI), now()), KeyStatus::Unknown);
}

#[test]
fn attack_16_text_in_a_secret_is_in_no_error() {
    let Some(moto) = server::moto() else { return };
    let (foreign, registry) = (Foreign::new(&moto), Registry::new(&moto));
    let wrong = [
        ("plain", CANARY.to_owned()),
        ("json", format!(r#"{{"pem":"{CANARY}"}}"#)),
        ("pem", format!("-----BEGIN PUBLIC KEY-----\n{CANARY}\n-----END PUBLIC KEY-----\n")),
        ("label", format!("-----BEGIN {CANARY}-----\nAAAA\n-----END {CANARY}-----\n")),
        ("header", keys::RSA_2048_ENCRYPTED_PKCS1.replace("AES-256-CBC", CANARY)),
        ("private", format!("{CANARY}\n{}", keys::RSA_2048_PKCS8)),
        ("kek", format!("waxwing-kek {CANARY}")),
    ];
    let mut said = String::new();
    for (name, text) in &wrong {
        let arn = foreign.make(&format!("{PREFIX}{name}"), text);
        let (_, refused) = registry.refusal(name);
        said += &refused;
        // As a private key it comes as it is, and who reads it says nothing of it either.
        let file = private_key(&secret(&arn), &options(&moto.url())).unwrap();
        assert_eq!(file.bytes.as_slice(), text.as_bytes(), "{name}");
        said += &format!("{file:?}");
        if let Err(err) = Key::read(&file.bytes, None) {
            said += &printed(&err);
        }
    }
    // More than a key file may have, in fewer characters than Secrets Manager allows.
    let long = CANARY.to_owned() + &"\u{e9}".repeat(KEY_FILE_LEN_MAX / 2);
    foreign.make(&format!("{PREFIX}long"), &long);
    let too_long = registry.agent("long").unwrap_err();
    said += &printed(&too_long);
    assert!(said.contains(&format!("a secret of {} bytes", long.len())), "{said}");
    let too_long = private_key(&secret("agents/long"), &options(&moto.url())).unwrap_err();
    assert!(matches!(too_long, SecretError::Aws(AwsError::Unexpected(_))), "{too_long}");
    said += &printed(&too_long);
    said += &format!("{:?}", registry.ledger);
    assert!(!said.contains("CANARY"), "{said}");
}

#[test]
fn a_secret_that_is_no_agent_s_is_told_apart() {
    let Some(moto) = server::moto() else { return };
    let (foreign, registry) = (Foreign::new(&moto), Registry::new(&moto));
    foreign.make("agents/private", keys::RSA_2048_PKCS8);
    foreign.make("agents/elliptic", keys::EC_SPKI);
    foreign.make("agents/weak", keys::WEAK_1024_BITS_SPKI);
    foreign.make_empty("agents/empty");
    foreign.make("agents/good", keys::RSA_2048_SPKI);
    assert!(matches!(registry.refusal("private").0, EntryError::PrivateKey));
    assert!(matches!(registry.refusal("elliptic").0, EntryError::NotAKey(_)));
    assert!(matches!(registry.refusal("weak").0, EntryError::NotAKey(_)));
    assert!(matches!(registry.refusal("empty").0, EntryError::Empty));
    let listed = registry.ledger.agents().unwrap();
    assert_eq!(listed.iter().map(|agent| agent.id().as_str()).collect::<Vec<_>>(), ["good"]);
}

#[test]
fn a_deleted_secret_is_no_agent_and_no_key() {
    let Some(moto) = server::moto() else { return };
    let (foreign, registry) = (Foreign::new(&moto), Registry::new(&moto));
    for (name, at_once) in [("gone", true), ("going", false)] {
        let full = format!("{PREFIX}{name}");
        foreign.make(&full, keys::RSA_2048_SPKI);
        registry.key(name);
        foreign.delete(&full, at_once);
        // Until the agent is read again.
        registry.key(name);
        registry.pass(CACHE_TIME);
        assert_eq!(registry.agent(name).unwrap(), None, "{name}");
        let key = private_key(&secret(&full), &options(&moto.url())).unwrap_err();
        match at_once {
            true => assert_eq!(key, SecretError::NotFound(full)),
            // Which is worth knowing: it can be had back.
            false => assert!(matches!(key, SecretError::Aws(AwsError::Answered { .. })), "{key}"),
        }
    }
    assert_eq!(registry.ledger.agents().unwrap(), []);
}

#[test]
fn private_keys_come_in_every_version_that_opens() {
    let Some(moto) = server::moto() else { return };
    let (foreign, aws) = (Foreign::new(&moto), options(&moto.url()));
    let arn = foreign.make("worker/key", keys::RSA_2048_PKCS8);
    let one = private_keys(&secret("worker/key"), &aws).unwrap();
    assert_eq!(one.len(), 1);
    let second = foreign.put("worker/key", keys::RSA_3072_PKCS8);
    let ids = [keys::RSA_3072_PKCS8, keys::RSA_2048_PKCS8].map(key_id);
    let both = private_keys(&secret("worker/key"), &aws).unwrap();
    assert_eq!(both.iter().map(|file| key_id(&*file.bytes)).collect::<Vec<_>>(), ids, "the current first");
    assert!(both.iter().all(|file| file.name == "worker/key"));

    // One of them: by name, by ARN, and as ECS writes it in a task definition.
    let of = |name: SecretName| key_id(&*private_key(&name, &aws).unwrap().bytes);
    let stage = |stage: &str| SecretVersion::Stage(stage.to_owned());
    assert_eq!(of(secret("worker/key")), ids[0]);
    assert_eq!(of(secret(&arn)), ids[0]);
    assert_eq!(of(secret(&format!("{arn}::AWSPREVIOUS:"))), ids[1]);
    assert_eq!(of(secret(&format!("{arn}:::{second}"))), ids[0]);
    assert_eq!(of(secret("worker/key").with_version(SecretVersion::Id(one[0].version.clone()))), ids[1]);
    assert_eq!(of(secret("worker/key").with_version(stage("AWSPREVIOUS"))), ids[1]);

    // The version before the last two has no label, and opens no more.
    foreign.put("worker/key", keys::RSA_4096_PKCS8);
    let last = private_keys(&secret(&arn), &aws).unwrap();
    assert_eq!(
        last.iter().map(|file| key_id(&*file.bytes)).collect::<Vec<_>>(),
        [keys::RSA_4096_PKCS8, keys::RSA_3072_PKCS8].map(key_id)
    );

    foreign.make_binary("worker/binary", &der(keys::RSA_2048_PKCS8));
    assert_eq!(of(secret("worker/binary")), ids[1]);
    foreign.make_empty("worker/empty");
    let gone = |name: SecretName| private_key(&name, &aws).unwrap_err();
    for name in ["worker/none", "worker/empty"] {
        assert_eq!(gone(secret(name)), SecretError::NotFound(name.to_owned()));
        assert_eq!(private_keys(&secret(name), &aws).unwrap_err(), SecretError::NotFound(name.to_owned()));
    }
    let unlabelled = secret("worker/key").with_version(stage("nobodys"));
    assert_eq!(gone(unlabelled), SecretError::NotFound("worker/key".to_owned()));
}

#[test]
fn private_keys_below_a_prefix_are_few() {
    let Some(moto) = server::moto() else { return };
    let (foreign, aws) = (Foreign::new(&moto), options(&moto.url()));
    foreign.make("worker/a", keys::RSA_2048_PKCS8);
    foreign.make("worker/b", keys::RSA_3072_PKCS8);
    foreign.put("worker/b", keys::RSA_4096_PKCS8);
    foreign.make("other/worker/a", CANARY);
    let files = private_keys_below("worker/", &aws).unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["worker/a", "worker/b", "worker/b"]);
    let none = private_keys_below("nobody/", &aws).unwrap_err();
    assert_eq!(none, SecretError::NotFound("nobody/".to_owned()));
    for n in 0..=PRIVATE_KEYS_MAX {
        foreign.make(&format!("many/{n}"), "x");
    }
    let many = private_keys_below("many/", &aws).unwrap_err();
    assert_eq!(many, SecretError::TooMany { found: PRIVATE_KEYS_MAX + 1 });
}

#[test]
fn a_service_that_is_away_is_a_passing_fault() {
    let Some(mut moto) = server::moto() else { return };
    let aws = AwsOptions { retries_max: 0, call_time_max: Duration::from_secs(5), ..options(&moto.url()) };
    let registry =
        Registry::with(RegistryOptions { cache_time: CACHE_TIME, aws: aws.clone(), ..Default::default() });
    Foreign::new(&moto).make("agents/acme", keys::RSA_2048_SPKI);
    registry.key("acme");
    moto.kill();
    registry.key("acme");
    registry.pass(CACHE_TIME);
    let away = registry.agent("acme").unwrap_err();
    assert!(matches!(away, LedgerError::Storage { .. }), "{away}");
    let away = private_key(&secret("agents/acme"), &aws).unwrap_err();
    assert!(matches!(away, SecretError::Aws(AwsError::Unreachable(_))), "{away}");
}

/// A process without a region: it is told so, and the region of an ARN is as good as any.
#[test]
fn a_region_is_set_or_stands_in_the_arn() {
    let Ok(url) = std::env::var(CHILD) else {
        let Some(moto) = server::moto() else { return };
        let arn = Foreign::new(&moto).make("worker/key", keys::RSA_2048_PKCS8);
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "a_region_is_set_or_stands_in_the_arn", "--nocapture"]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                child.env_remove(name);
            }
        }
        child.env(CHILD, format!("{} {arn}", moto.url())).env("AWS_EC2_METADATA_DISABLED", "true");
        child.env("AWS_CONFIG_FILE", moto.dir().join("none"));
        let ran = child.output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        return;
    };
    let (url, arn) = url.split_once(' ').unwrap();
    let aws = AwsOptions { region: None, ..options(url) };
    let told = private_key(&secret("worker/key"), &aws).unwrap_err();
    assert!(printed(&told).contains("no region is set"), "{told:?}");
    let registry = Registry::with(RegistryOptions { aws: aws.clone(), ..Default::default() });
    let told = registry.agent("acme").unwrap_err();
    assert!(printed(&told).contains("no region is set"), "{told:?}");
    assert_eq!(key_id(&*private_key(&secret(arn), &aws).unwrap().bytes), key_id(keys::RSA_2048_PKCS8));
}
