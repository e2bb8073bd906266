//! The tools that are compared, a key for each, and how each is used for one file.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::contest::quietly;
use crate::command::{Error, Result, at_root, capture, root};
use crate::peers::{BenchPeers, version};

/// A command line.
macro_rules! words {
    ($($word:expr),* $(,)?) => { vec![$(std::ffi::OsString::from($word)),*] };
}
pub(super) use words;

/// Words of a template that stand for a path: what is read, what is written, and the record beside it.
pub(super) const IN: &str = "{in}";
pub(super) const OUT: &str = "{out}";
pub(super) const RECORD: &str = "{record}";

/// How a tool seals and opens one file.
pub(super) struct Template {
    pub(super) name: &'static str,
    /// What a reader must know to compare fairly.
    pub(super) note: &'static str,
    pub(super) seal: Vec<OsString>,
    pub(super) open: Vec<OsString>,
}

/// The tools and a key for each, all made for this run.
pub(super) struct Keys {
    pub(super) waxwing: PathBuf,
    pub(super) waxwing_key: PathBuf,
    pub(super) waxwing_pub: PathBuf,
    pub(super) pem_key: PathBuf,
    pub(super) pem_pub: PathBuf,
    /// The same key for `rsa_rate`.
    pub(super) der_key: PathBuf,
    pub(super) rsa_rate: PathBuf,
    pub(super) age_key: PathBuf,
    pub(super) age_recipient: String,
    pub(super) gpg_home: PathBuf,
    /// rclone's password, as its options want it.
    pub(super) rclone_password: String,
    pub(super) peers: BenchPeers,
}

impl Keys {
    /// Makes the keys in `folder`. RSA keys have 3072 bits throughout.
    pub(super) fn make(folder: &Path, waxwing: &Path, rsa_rate: &Path, peers: BenchPeers) -> Result<Self> {
        let gpg_home = folder.join("gnupg");
        fs::create_dir_all(&gpg_home).map_err(Error::file("create", &gpg_home))?;
        let keys = Self {
            waxwing: waxwing.to_path_buf(),
            waxwing_key: folder.join("waxwing.key"),
            waxwing_pub: folder.join("waxwing.key.pub"),
            pem_key: folder.join("key.pem"),
            pem_pub: folder.join("pub.pem"),
            der_key: folder.join("key.der"),
            rsa_rate: rsa_rate.to_path_buf(),
            age_key: folder.join("age.key"),
            age_recipient: age_key(&peers, &folder.join("age.key"))?,
            gpg_home,
            rclone_password: match &peers.rclone {
                Some(rclone) => capture(at_root(rclone).args(["obscure", "bench"]))?.trim().to_owned(),
                None => String::new(),
            },
            peers,
        };
        quietly(words![&keys.waxwing, "keygen", "--type", "rsa-3072", "-o", &keys.waxwing_key])?;
        let openssl = &keys.peers.openssl;
        quietly(words![
            openssl,
            "genpkey",
            "-quiet",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:3072",
            "-out",
            &keys.pem_key
        ])?;
        quietly(words![openssl, "pkey", "-in", &keys.pem_key, "-pubout", "-out", &keys.pem_pub])?;
        let to_der = ["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"].map(OsString::from);
        let files = words!["-in", &keys.pem_key, "-out", &keys.der_key];
        quietly([words![openssl], to_der.to_vec(), files].concat())?;
        let parameters = folder.join("gpg.txt");
        fs::write(&parameters, GPG_KEY).map_err(Error::file("write", &parameters))?;
        let mut gpg = keys.gpg();
        gpg.extend(words!["--gen-key", &parameters]);
        quietly(&gpg)?;
        Ok(keys)
    }

    /// `name: version` for each tool.
    pub(super) fn versions(&self) -> Result<Vec<String>> {
        let peers = &self.peers;
        let rclone = peers.rclone.as_ref().map(|rclone| ("rclone", rclone, "version"));
        let tools = [
            ("waxwing", &self.waxwing, "--version"),
            ("age", &peers.age, "--version"),
            ("rage", &peers.rage, "--version"),
            ("openssl", &peers.openssl, "version"),
            ("gpg", &peers.gpg, "--version"),
            ("node", &peers.node, "--version"),
        ];
        tools
            .into_iter()
            .chain(rclone)
            .map(|(name, program, flag)| Ok(format!("{name}: {}", version(program, flag)?)))
            .collect()
    }

    /// gpg without its verb.
    pub(super) fn gpg(&self) -> Vec<OsString> {
        words![
            &self.peers.gpg,
            "--homedir",
            &self.gpg_home,
            "--batch",
            "--quiet",
            "--yes",
            "--trust-model",
            "always"
        ]
    }

    /// The same, with a recipient.
    pub(super) fn gpg_seal(&self) -> Vec<OsString> {
        let mut command = self.gpg();
        command.extend(words!["--compress-algo", "none", "--recipient", "bench"]);
        command
    }

    /// The Node.js peer without its verb.
    pub(super) fn node(&self) -> Vec<OsString> {
        words![&self.peers.node, root().join("xtask/peers/node_record.mjs")]
    }
}

/// gpg starts an agent that would outlive the run.
impl Drop for Keys {
    fn drop(&mut self) {
        if !self.gpg_home.exists() {
            return;
        }
        let _ =
            capture(at_root("gpgconf").arg("--homedir").arg(&self.gpg_home).args(["--kill", "gpg-agent"]));
    }
}

/// Makes an age identity and returns its recipient, with rage-keygen, whose keys age reads.
fn age_key(peers: &BenchPeers, file: &Path) -> Result<String> {
    let keygen = peers.rage.with_file_name("rage-keygen");
    let identity = capture(at_root(&keygen).stderr(std::process::Stdio::null()))?;
    fs::write(file, &identity).map_err(Error::file("write", file))?;
    let recipient = identity.lines().find_map(|line| line.strip_prefix("# public key: "));
    let missing = || Error::Unexpected { command: "rage-keygen".into(), what: "no public key".into() };
    Ok(recipient.ok_or_else(missing)?.to_owned())
}

/// The tools that are used alike for one file and for each of many.
pub(super) fn templates(keys: &Keys) -> Vec<Template> {
    let Keys { waxwing, waxwing_key, waxwing_pub, age_key, age_recipient, .. } = keys;
    let BenchPeers { age, rage, openssl, .. } = &keys.peers;
    let record = |cipher: &[&str]| {
        let flags = ["--format", "record", "--wrap", "oaep-sha256", "--cipher"].map(OsString::from);
        let cipher = cipher.iter().map(OsString::from).collect();
        let files = words!["-r", waxwing_pub, "--record", RECORD, "-o", OUT, IN];
        [words![waxwing, "seal"], flags.to_vec(), cipher, files].concat()
    };
    let enc = |cipher: &str, more: &[&str]| {
        let mut command =
            words![openssl, "enc", cipher, "-K", ENC_KEY, "-iv", ENC_IV, "-in", IN, "-out", OUT];
        command.extend(more.iter().map(OsString::from));
        command
    };
    let gpg = |mode: &str, mut command: Vec<OsString>| {
        command.extend(words!["--output", OUT, mode, IN]);
        command
    };
    let envelope = Template {
        name: "waxwing",
        note: "the native envelope, AES-256-GCM in frames of 64 KiB, one RSA-3072 recipient",
        seal: words![waxwing, "seal", "-r", waxwing_pub, "-o", OUT, IN],
        open: words![waxwing, "open", "-k", waxwing_key, "-o", OUT, IN],
    };
    let cp = Template {
        name: "cp",
        note: "copies, and protects nothing: the floor",
        seal: words!["cp", IN, OUT],
        open: words!["cp", IN, OUT],
    };
    let one_thread = one_thread(&envelope);
    let mut templates = vec![
        envelope,
        cp,
        one_thread,
        Template {
            name: "waxwing record",
            note: "the record scheme, one-shot AES-256-GCM, RSA-3072 with OAEP-SHA-256; verifies before it decrypts",
            seal: record(&["aes-256-gcm"]),
            open: words![waxwing, "open", "--record", RECORD, "-k", waxwing_key, "-o", OUT, IN],
        },
        Template {
            name: "waxwing record, CBC",
            note: "the record scheme as old partners have it, AES-256-CBC, which proves nothing",
            seal: record(&["aes-256-cbc", "--legacy"]),
            open: words![waxwing, "open", "--legacy", "--record", RECORD, "-k", waxwing_key, "-o", OUT, IN],
        },
        Template {
            name: "openssl enc, CBC",
            note: "AES-256-CBC under a key given outright",
            seal: enc("-aes-256-cbc", &[]),
            open: enc("-aes-256-cbc", &["-d"]),
        },
        Template {
            name: "age",
            note: "ChaCha20-Poly1305 in chunks of 64 KiB, one X25519 recipient",
            seal: words![age, "-r", age_recipient, "-o", OUT, IN],
            open: words![age, "-d", "-i", age_key, "-o", OUT, IN],
        },
        Template {
            name: "rage",
            note: "the same format as age",
            seal: words![rage, "-r", age_recipient, "-o", OUT, IN],
            open: words![rage, "-d", "-i", age_key, "-o", OUT, IN],
        },
        Template {
            name: "openssl enc",
            note: "AES-256-CTR under a key given outright: neither authenticated nor wrapped for anybody",
            seal: enc("-aes-256-ctr", &[]),
            open: enc("-aes-256-ctr", &["-d"]),
        },
        Template {
            name: "gpg",
            note: GPG_NOTE,
            seal: gpg("--encrypt", keys.gpg_seal()),
            open: gpg("--decrypt", keys.gpg()),
        },
        Template {
            name: "node",
            note: NODE_NOTE,
            seal: [keys.node(), words!["seal", &keys.pem_pub, IN, OUT, RECORD]].concat(),
            open: [keys.node(), words!["open", &keys.pem_key, OUT, IN, RECORD]].concat(),
        },
    ];
    templates.extend(keys.peers.aws_esdk.as_ref().map(|aws_esdk| Template {
        name: "aws-esdk",
        note: "AWS Encryption SDK for Rust 1.2.1, all in memory: AES-256-GCM with commitment in frames of 64 KiB, RSA-3072",
        seal: words![aws_esdk, "seal", &keys.pem_pub, IN, OUT],
        open: words![aws_esdk, "open", &keys.pem_key, IN, OUT],
    }));
    templates
}

/// Waxwing's `template`, kept to one thread.
fn one_thread(template: &Template) -> Template {
    let flag = ["--threads", "1"].map(OsString::from);
    let with = |command: &[OsString]| [&command[..2], &flag, &command[2..]].concat();
    Template {
        name: "waxwing, 1 thread",
        note: "the same with `--threads 1`",
        seal: with(&template.seal),
        open: with(&template.open),
    }
}

pub(super) const GPG_NOTE: &str =
    "one RSA-3072 recipient, AES-256 in OpenPGP's CFB with a SHA-1 integrity check, no compression";
pub(super) const NODE_NOTE: &str = "node:crypto, streamed: one-shot AES-256-GCM, RSA-3072 with OAEP-SHA-256, like `waxwing record`; \
     decrypts beside the target and renames it once the tag has verified";

/// A key and IV for `openssl enc`, which takes them on its command line. They protect random bytes.
pub(super) const ENC_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
pub(super) const ENC_IV: &str = "00000000000000000000000000000000";

const GPG_KEY: &str = "%no-protection\nKey-Type: RSA\nKey-Length: 3072\nKey-Usage: sign\nSubkey-Type: RSA\n\
     Subkey-Length: 3072\nSubkey-Usage: encrypt\nName-Real: bench\nExpire-Date: 0\n%commit\n";
