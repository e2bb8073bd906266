//! What the AWS SDK and we log while keys are fetched and registered. Alone in its process, since loggers are global.

use std::sync::Arc;
use std::time::Duration;

use waxwing_aws::secrets::{RegistryOptions, SecretsRegistry, private_key, private_keys, private_keys_below};
use waxwing_aws::{AwsCredentials, AwsCredentialsProvider, AwsOptions};
use waxwing_delivery::{Agent, AgentEvent, AgentLedger as _, KeyId, UnixMillis};
use waxwing_keyring::Key;
use waxwing_testkit::logs::printed;
use waxwing_testkit::{keys, logs, server};

const SECRET: &str = "canary+secret+access+key";
const TOKEN: &str = "canary/session/token";
const CANARY: &str = "CANARYhunter2CANARY";
/// By which moto knows the service that is meant.
const SERVICE: &str = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=0";
const START: UnixMillis = UnixMillis::new(1_700_000_000_000);

fn key_id(pem: &str) -> KeyId {
    let key = Key::read(pem.as_bytes(), None).unwrap().into_rsa_public().unwrap();
    key.key_id().to_string().parse().unwrap()
}

#[test]
fn attack_15_no_log_of_the_sdk_holds_a_credential_or_a_key() {
    let Some(mut moto) = server::moto() else { return };
    for (name, text) in [("worker/key", keys::RSA_2048_PKCS8), ("agents/wrong", CANARY)] {
        let body =
            serde_json::json!({ "Name": name, "SecretString": text, "ClientRequestToken": "t".repeat(32) });
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "secretsmanager.CreateSecret"),
            ("authorization", SERVICE),
        ];
        assert_eq!(moto.request("POST", "/", &headers, &body.to_string()).0, 200, "{name}");
    }
    logs::capture();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(|| logs::Capture)
        .init();
    let credentials = AwsCredentials::new("test", SECRET, Some(TOKEN.to_owned()), None, "tests");
    let aws = AwsOptions {
        endpoint: Some(moto.url()),
        region: Some("us-east-1".to_owned()),
        credentials: Some(AwsCredentialsProvider::new(credentials)),
        retries_max: 1,
        call_time_max: Duration::from_secs(10),
    };
    let name = "worker/key".parse().unwrap();
    let file = private_key(&name, &aws).unwrap();
    assert_eq!(file.bytes.as_slice(), keys::RSA_2048_PKCS8.as_bytes());
    assert_eq!(private_keys(&name, &aws).unwrap().len(), 1);
    assert_eq!(private_keys_below("worker/", &aws).unwrap().len(), 1);

    let options = RegistryOptions { aws: aws.clone(), cache_time: Duration::ZERO, ..Default::default() };
    let registry = SecretsRegistry::new("agents/", options, Arc::new(|| Duration::ZERO)).unwrap();
    let (old, new) = (keys::RSA_2048_SPKI, keys::RSA_3072_SPKI);
    let agent = Agent::new("acme".parse().unwrap(), key_id(old), old.to_owned(), None, START).unwrap();
    registry.register(&agent).unwrap();
    let rotate =
        AgentEvent::Rotate { key_id: key_id(new), pem: new.to_owned(), overlap: Duration::from_secs(60) };
    registry.change(agent.id(), rotate, START).unwrap();
    assert_eq!(registry.agents().unwrap().len(), 1);
    // What fails says more than what passes.
    let mut failures = printed(&registry.agent(&"wrong".parse().unwrap()).unwrap_err());
    failures += &printed(&private_key(&"worker/none".parse().unwrap(), &aws).unwrap_err());
    moto.kill();
    failures += &printed(&private_key(&name, &aws).unwrap_err());

    tracing::trace!("the capture works");
    let log = logs::captured() + &failures + &format!("{file:?} {registry:?} {aws:?}");
    assert!(log.contains("the capture works"));
    assert!(log.contains("a secret is called like an agent"), "{log}");
    // Every line of the private key, whatever else a log does with its line ends.
    let lines = keys::RSA_2048_PKCS8.lines().filter(|line| line.len() > 20);
    for canary in [SECRET, TOKEN, CANARY].into_iter().chain(lines) {
        let at = log.find(canary).map(|at| &log[at.saturating_sub(600)..at]);
        assert_eq!(at, None, "{canary}");
    }
}
