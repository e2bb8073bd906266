//! Everything that the AWS SDK and we log at the finest level while DEKs are made and unwrapped. Alone in its process, since
//! loggers are global.

use pollster::block_on;
use waxwing_core::SystemRandom;
use waxwing_core::envelope::{Binding, SealOptions};
use waxwing_formats::base64;
use waxwing_keyring::{
    AwsCredentials, AwsCredentialsProvider, AwsKms, AwsKmsOptions, Generated, KeyProvider, NewEnvelope,
};
use waxwing_testkit::{logs, server};

const SECRET: &str = "canary+secret+access+key";
const SESSION: &str = "canary+session+token";

#[test]
fn attack_15_no_log_of_the_sdk_holds_a_dek_or_a_credential() {
    let Some(moto) = server::moto() else { return };
    let target = ("x-amz-target", "TrentService.CreateKey");
    // moto looks for the service in it, and checks nothing.
    let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=0";
    let (_, answer) = moto.request("POST", "/", &[target, ("authorization", scope)], "{}");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    logs::capture();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(|| logs::Capture)
        .init();

    let credentials = AwsCredentials::new("test", SECRET, Some(SESSION.to_owned()), None, "tests");
    let options = AwsKmsOptions {
        endpoint: Some(moto.url()),
        region: Some("us-east-1".to_owned()),
        credentials: Some(AwsCredentialsProvider::new(credentials)),
        ..AwsKmsOptions::default()
    };
    let key = AwsKms::new(answer["KeyMetadata"]["Arn"].as_str().unwrap(), options).unwrap();
    let fixed = SealOptions::default().draw(&SystemRandom).unwrap();
    let binding = Binding { fixed: &fixed, commitment: &[0; 32] };
    let new = NewEnvelope { fixed: &fixed, plaintext_len: None };
    let Generated { dek, recipient } = block_on(key.generate(new)).unwrap().expect("KMS makes DEKs");
    let again = block_on(key.wrap(&dek, binding)).unwrap();
    for recipient in [&recipient, &again] {
        let unwrapped = block_on(key.unwrap(recipient, binding)).unwrap().expect("it is this key's");
        assert_eq!(unwrapped.expose(), dek.expose());
    }
    let mut forged = recipient.clone();
    *forged.wrapped.last_mut().unwrap() ^= 1;
    let refused = block_on(key.unwrap(&forged, binding)).unwrap_err();

    let log = logs::captured() + &logs::printed(&refused) + &format!("{key:?}");
    assert!(log.contains("TrentService.Decrypt") || log.contains("Decrypt"), "the SDK logs what it does");
    let list: Vec<String> = dek.expose().iter().map(u8::to_string).collect();
    let spellings = [
        base64::encode(dek.expose()),
        dek.expose().iter().map(|b| format!("{b:02x}")).collect(),
        list.join(", "),
        SECRET.to_owned(),
        SESSION.to_owned(),
    ];
    for canary in spellings {
        assert!(!log.contains(&canary), "{canary} is in the log");
    }
}
