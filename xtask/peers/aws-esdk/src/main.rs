//! `aws-esdk-peer seal|open KEY IN OUT`: one file with the AWS Encryption SDK, which has all of it in memory. KEY is an RSA key in PEM.

use std::error::Error;

use aws_esdk::client::Client;
use aws_esdk::material_providers::client::Client as MaterialProviders;
use aws_esdk::material_providers::types::material_providers_config::MaterialProvidersConfig;
use aws_esdk::material_providers::types::{EsdkAlgorithmSuiteId, PaddingScheme};
use aws_esdk::types::aws_encryption_sdk_config::AwsEncryptionSdkConfig;

/// Waxwing's own; the SDK's default is 4 KiB.
const FRAME_LEN: i64 = 64 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [verb, key, input, output] = arguments.as_slice() else { return Err("seal|open KEY IN OUT".into()) };
    let runtime = tokio::runtime::Runtime::new()?;
    let bytes = runtime.block_on(transform(verb == "seal", std::fs::read(key)?, std::fs::read(input)?))?;
    Ok(std::fs::write(output, bytes)?)
}

async fn transform(seal: bool, key: Vec<u8>, input: Vec<u8>) -> Result<Vec<u8>, Box<dyn Error>> {
    let client = Client::from_conf(AwsEncryptionSdkConfig::builder().build()?)?;
    let providers = MaterialProviders::from_conf(MaterialProvidersConfig::builder().build()?)?;
    let keyring = providers.create_raw_rsa_keyring().key_namespace("waxwing").key_name("bench");
    let keyring = keyring.padding_scheme(PaddingScheme::OaepSha256Mgf1);
    let keyring = if seal { keyring.public_key(key) } else { keyring.private_key(key) }.send().await?;
    let done = if seal {
        // Without the signature that the default suite adds: ours has none.
        let suite = EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKey;
        let call = client.encrypt().plaintext(input).keyring(keyring).algorithm_suite_id(suite);
        call.frame_length(FRAME_LEN).send().await?.ciphertext
    } else {
        client.decrypt().ciphertext(input).keyring(keyring).send().await?.plaintext
    };
    Ok(done.ok_or("the SDK gave no answer")?.into_inner())
}
