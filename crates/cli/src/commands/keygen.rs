//! `waxwing keygen`

use std::path::{Path, PathBuf};

use waxwing_core::SystemRandom;
use waxwing_engine::{Existing, Output, Work};
use waxwing_formats::scheme::{Digest, Wrap};
use waxwing_keyring::{Kek, KeyError, KeyId, RsaPrivateKey, RsaSize, XWingPrivateKey};

use crate::exit::{Code, Failure, Outcome};
use crate::files;

/// Make a key
#[derive(Debug, clap::Args)]
#[command(
    after_help = "An RSA or X-Wing key is written as KEY (PKCS#8, mode 0600) and KEY.pub (to give away).
An AES-256 key both seals and opens, and is written as KEY alone.

Examples:
  waxwing keygen -o alice
  waxwing keygen --type x-wing -o alice
  waxwing keygen --type aes-256 --name backup/1 -o backup.key"
)]
pub(crate) struct Args {
    /// What kind of key
    #[arg(long = "type", value_enum, default_value = "rsa-3072")]
    kind: Kind,
    /// What headers call an AES-256 key [default: the file's name and /1]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Replace the files if they exist. What was sealed for the old key is lost without it
    #[arg(long)]
    force: bool,
    /// Where to write the key
    #[arg(short, long, value_name = "KEY")]
    output: PathBuf,
}

/// The kinds of key that can be made.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Kind {
    #[value(name = "rsa-2048")]
    Rsa2048,
    #[value(name = "rsa-3072")]
    Rsa3072,
    #[value(name = "rsa-4096")]
    Rsa4096,
    #[value(name = "aes-256")]
    Aes256,
    /// X25519 and ML-KEM-768: safe from quantum computers too
    #[value(name = "x-wing")]
    XWing,
}

pub(crate) fn run(args: Args) -> Outcome {
    let size = match args.kind {
        Kind::Rsa2048 => RsaSize::Rsa2048,
        Kind::Rsa3072 => RsaSize::Rsa3072,
        Kind::Rsa4096 => RsaSize::Rsa4096,
        Kind::Aes256 => return make_kek(&args),
        Kind::XWing => {
            let key = XWingPrivateKey::generate(&SystemRandom).map_err(failed)?;
            return write_pair(&args, &key.to_pem(), &key.public().to_pem(), key.public().key_id());
        }
    };
    let key = RsaPrivateKey::generate(size).map_err(failed)?;
    write_pair(&args, &key.to_pem(), &key.public().to_pem(), key.key_id())?;
    let max = |wrap: Wrap| wrap.plaintext_len_max(key.modulus_len());
    eprintln!(
        "wraps up to: {} bytes (oaep-sha256), {} (oaep-sha1), {} (pkcs1)",
        max(Wrap::oaep(Digest::Sha256)),
        max(Wrap::oaep(Digest::Sha1)),
        max(Wrap::Pkcs1)
    );
    Ok(())
}

fn write_pair(args: &Args, private: &str, public: &str, id: KeyId) -> Outcome {
    if args.name.is_some() {
        let what = "only an AES-256 key has a name; a key pair has its fingerprint";
        return Err(Failure::new(Code::Usage, what));
    }
    let public_path = with_suffix(&args.output, ".pub");
    if !args.force && public_path.exists() {
        return Err(taken(&public_path));
    }
    write(&args.output, private.as_bytes(), args.force, Secrecy::Secret)?;
    write(&public_path, public.as_bytes(), args.force, Secrecy::Public)?;
    eprintln!("private key: {}", args.output.display());
    eprintln!("public key:  {}", public_path.display());
    eprintln!("fingerprint: {}", id.fingerprint());
    Ok(())
}

fn make_kek(args: &Args) -> Outcome {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => format!("{}/1", args.output.file_stem().unwrap_or_default().to_string_lossy()),
    };
    let key = Kek::generate(&name, &SystemRandom).map_err(failed)?;
    write(&args.output, key.to_text().as_bytes(), args.force, Secrecy::Secret)?;
    eprintln!("key:  {} (keep it secret: it seals and opens)", args.output.display());
    eprintln!("name: {}", key.name());
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Secret,
    Public,
}

fn write(path: &Path, bytes: &[u8], force: bool, secrecy: Secrecy) -> Outcome {
    let existing = if force { Existing::Replace } else { Existing::Keep };
    let output = Output::File { path: path.to_owned(), existing };
    let work = Work { durable: true, ..Work::default() };
    let written = match secrecy {
        Secrecy::Secret => waxwing_engine::write_secret(output, bytes, &work),
        Secrecy::Public => waxwing_engine::write(output, bytes, &work),
    };
    written.map_err(|err| match err {
        waxwing_engine::Error::OutputExists => taken(path),
        err => files::failure(format!("cannot write {}", files::name(path)), err),
    })
}

fn taken(path: &Path) -> Failure {
    Failure::new(Code::Failed, format!("{} exists already", files::name(path))).hint(
        "choose another name; --force replaces it, and what was sealed for the old key is lost without it",
    )
}

fn failed(err: KeyError) -> Failure {
    let code = if err == KeyError::KekName { Code::Usage } else { Code::Failed };
    Failure::new(code, "cannot make the key").because(err)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
