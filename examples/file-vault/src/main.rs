//! Serves a file vault: `VAULT_PASSPHRASE_FILE=pass cargo run -p file-vault -- DIR [ADDRESS]`.
//!
//! One setting more, and AWS KMS keeps the key: `VAULT_KMS_KEY=arn:aws:kms:… cargo run -p file-vault --features aws-kms -- DIR`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use file_vault::Vault;
use waxwing::{KeyName, Keyring, Keystore, KeystoreFile, NewKey, Passphrase, PassphraseCost, SystemRandom};

/// The key of the keystore that files are sealed for.
const KEY: &str = "documents";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("usage: file-vault DIR [ADDRESS]")?);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8490".to_owned());
    std::fs::create_dir_all(&dir)?;
    let (recipients, openers) = match std::env::var("VAULT_KMS_KEY") {
        Ok(key) => from_kms(&key)?,
        Err(_) => from_keystore(&dir)?,
    };
    let vault = Vault::open(&dir, recipients, openers).map_err(|err| format!("{err:?}"))?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    Ok(axum::serve(listener, vault.router()).await?)
}

/// The keys of a keystore beside the files, which a passphrase opens. It is made on the first start.
fn from_keystore(dir: &Path) -> Result<(Keyring, Keyring), Box<dyn Error>> {
    let named = std::env::var_os("VAULT_PASSPHRASE_FILE").ok_or("VAULT_PASSPHRASE_FILE names no file")?;
    let passphrase =
        Passphrase::new(&std::fs::read(named)?, PassphraseCost::DEFAULT, Arc::new(SystemRandom))?;
    let mut owner = Keyring::default();
    owner.push(passphrase);
    let file = KeystoreFile::new(dir.join("keystore.wax"));
    if !file.exists() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mut keys = Keystore::default();
        keys.create(KEY, NewKey::Aes256, false, now, &SystemRandom)?;
        file.create(&keys, &owner, &SystemRandom)?;
    }
    let keys = file.open(&owner)?.keys;
    let name: KeyName = KEY.parse()?;
    Ok((Keyring::new([keys.sealer(&name)?]), Keyring::new(keys.openers(Some(&name))?)))
}

/// A key of AWS KMS, reached as AWS's own tools reach it: region, endpoint and credentials from the environment.
#[cfg(feature = "aws-kms")]
fn from_kms(key: &str) -> Result<(Keyring, Keyring), Box<dyn Error>> {
    let mut ring = Keyring::default();
    ring.push(waxwing::AwsKms::new(key, waxwing::AwsKmsOptions::default())?);
    Ok((ring.clone(), ring))
}

#[cfg(not(feature = "aws-kms"))]
fn from_kms(_: &str) -> Result<(Keyring, Keyring), Box<dyn Error>> {
    Err("this build has no AWS KMS: add --features aws-kms".into())
}
