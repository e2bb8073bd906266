//! `waxwing profile test-kit`

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use waxwing_core::content::Legacy;
use waxwing_core::{Random as _, SystemRandom};
use waxwing_engine::{
    Error, Existing, Input, OpenError, Output, PartOutputs, Parts, ProfileKeys, SealKeys, Secrets, Work,
    diagnose, open_message, seal_message,
};
use waxwing_keyring::{Key, RsaPrivateKey, RsaSize};
use waxwing_profiles::document::{Document, DocumentKind};
use waxwing_profiles::{Encoding, PartKind, Profile, UnwrapAlgorithm};
use zeroize::Zeroizing;

use crate::exit::{Code, Failure, Outcome};
use crate::{files, print, profile};

/// The contents of the good messages, by the names of their folders.
const GOOD: [(&str, usize); 4] =
    [("good-empty", 0), ("good-short", 5), ("good-block", 16), ("good-long", 10_000)];
/// Where a partner puts messages of their own.
const YOURS: &str = "yours";
/// What a message's folder holds beside its parts.
const PLAINTEXT: &str = "plaintext";
/// The kit's own files.
const PRIVATE_KEY: &str = "key.pem";
const PUBLIC_KEY: &str = "key.pub";
const SECRETS: &str = "secrets";
const PROFILE: &str = "profile.toml";
const EXPECTED: &str = "expected.txt";

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waxwing profile test-kit ksef-online -o kit
  waxwing profile test-kit ksef-online --check kit")]
pub(crate) struct Args {
    /// A preset's id, or a profile's file
    profile: String,
    /// The folder to make
    #[arg(short, long, value_name = "DIR", required_unless_present = "check")]
    output: Option<PathBuf>,
    /// Open what the partner put into this kit's folder `yours`
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    check: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let profile = profile::find(&args.profile)?;
    match (&args.output, &args.check) {
        (Some(dir), _) => make(&profile, dir),
        (None, Some(dir)) => check(&profile, dir),
        (None, None) => unreachable!("the command line has one of them"),
    }
}

fn make(profile: &Profile, dir: &Path) -> Outcome {
    let needs_service = || profile.unwrap.algorithm.possible().any(|one| *one == UnwrapAlgorithm::Kms);
    let impossible = match profile.writing() {
        Err(why) => Some(format!("messages of {} cannot be written: {why}", profile.id)),
        // A kit is for somebody who does not share the service.
        Ok(_) if needs_service() => Some(format!("a kit of {} would need its key service", profile.id)),
        Ok(_) => None,
    };
    if let Some(what) = impossible {
        return Err(Failure::new(Code::Failed, what));
    }
    fs::create_dir(dir).map_err(|err| Failure::io(format!("cannot make {}", files::name(dir)), err))?;
    let key = Arc::new(
        RsaPrivateKey::generate(RsaSize::Rsa2048)
            .map_err(|err| Failure::new(Code::Failed, "cannot make a key").because(err))?,
    );
    let secrets = make_secrets(profile)?;
    let kit = Kit { profile, key, secrets };
    kit.write_keys(dir)?;
    let mut expected = String::new();
    for (name, len) in GOOD {
        let plaintext: Vec<u8> = b"Waxwing's test kit. ".iter().copied().cycle().take(len).collect();
        kit.seal(&dir.join(name), &plaintext, &kit.key)?;
        expected += &format!("{name}: opens as {name}/{PLAINTEXT}\n");
    }
    expected += &kit.bad_messages(dir)?;
    write(&dir.join(EXPECTED), expected.as_bytes())?;
    write(&dir.join("README.md"), kit.readme(&expected).as_bytes())?;
    fs::create_dir(dir.join(YOURS)).map_err(|err| Failure::io("cannot make the partner's folder", err))?;
    print(&format!("{}: a test kit of {}; its README says what to do\n", dir.display(), profile.id))
}

struct Kit<'a> {
    profile: &'a Profile,
    key: Arc<RsaPrivateKey>,
    /// As they are written.
    secrets: BTreeMap<String, Zeroizing<Vec<u8>>>,
}

fn make_secrets(profile: &Profile) -> Result<BTreeMap<String, Zeroizing<Vec<u8>>>, Failure> {
    /// Bytes of a secret whose length the profile does not tell.
    const SECRET_LEN: usize = 32;
    let failed = |err| Failure::new(Code::Failed, "cannot make a secret").because(err);
    let mut made = BTreeMap::new();
    for (name, (encoding, len)) in profile.secrets() {
        let mut bytes = Zeroizing::new(vec![0; len.unwrap_or(SECRET_LEN)]);
        SystemRandom.fill(&mut bytes).map_err(failed)?;
        if encoding == Encoding::Utf8 {
            bytes.iter_mut().for_each(|byte| *byte = b'a' + *byte % 26);
        }
        let written = match encoding {
            Encoding::Raw => bytes.to_vec(),
            encoding => encoding.encode(&bytes).expect("letters are text").into_bytes(),
        };
        made.insert(name.to_owned(), Zeroizing::new(written));
    }
    Ok(made)
}

impl Kit<'_> {
    fn secrets(&self) -> Secrets {
        let mut secrets = Secrets::default();
        for (name, written) in &self.secrets {
            secrets.insert(name.clone(), written.clone());
        }
        secrets
    }

    fn write_keys(&self, dir: &Path) -> Outcome {
        if self.needs_rsa() {
            write_secret(&dir.join(PRIVATE_KEY), self.key.to_pem().as_bytes())?;
            write(&dir.join(PUBLIC_KEY), self.key.public().to_pem().as_bytes())?;
        }
        if !self.secrets.is_empty() {
            let folder = dir.join(SECRETS);
            fs::create_dir(&folder).map_err(|err| Failure::io("cannot make the folder of secrets", err))?;
            for (name, written) in &self.secrets {
                write_secret(&folder.join(name), written)?;
            }
        }
        write(&dir.join(PROFILE), self.profile.to_toml().as_bytes())
    }

    fn needs_rsa(&self) -> bool {
        self.profile.unwrap.algorithm.possible().any(|algorithm| algorithm.is_rsa())
    }

    fn seal(&self, dir: &Path, plaintext: &[u8], key: &RsaPrivateKey) -> Outcome {
        fs::create_dir(dir).map_err(|err| Failure::io(format!("cannot make {}", files::name(dir)), err))?;
        let outputs: PartOutputs =
            self.profile.files().map(|(name, _)| (name.to_owned(), Output::file(dir.join(name)))).collect();
        let keys = SealKeys { recipient: Some(key.public()), secrets: self.secrets(), service: None };
        let input = Input::Stream(Box::new(std::io::Cursor::new(plaintext.to_vec())));
        seal_message(self.profile, input, outputs, &keys, &SystemRandom, Legacy::Accepted, &Work::default())
            .map_err(|err| files::failure(format!("cannot write {}", files::name(dir)), err))?;
        write(&dir.join(PLAINTEXT), plaintext)
    }

    fn parts(&self, dir: &Path) -> Result<Parts, Error> {
        let mut parts = Parts::default();
        for (name, _) in self.profile.files() {
            parts.insert(name, Input::open_file(&dir.join(name))?);
        }
        Ok(parts)
    }

    /// What comes out of a message, held in memory: these are examples.
    fn open(&self, dir: &Path) -> Result<Vec<u8>, Error> {
        let opened = dir.with_extension("opened");
        let keys = ProfileKeys {
            rsa: Some(Arc::clone(&self.key)),
            secrets: Arc::new(self.secrets()),
            service: None,
        };
        open_message(
            self.profile,
            self.parts(dir)?,
            Output::file(&opened),
            &keys,
            Legacy::Accepted,
            &Work::default(),
        )?;
        let bytes = fs::read(&opened);
        let removed = fs::remove_file(&opened);
        bytes
            .and_then(|bytes| removed.map(|()| bytes))
            .map_err(|source| Error::Io { side: waxwing_engine::Side::Output, source })
    }

    /// Messages that must not give their plaintext, and what ours makes of each.
    fn bad_messages(&self, dir: &Path) -> Result<String, Failure> {
        let mut expected = String::new();
        let good = dir.join("good-long");
        let plaintext =
            fs::read(good.join(PLAINTEXT)).map_err(|err| Failure::io("cannot read the kit", err))?;
        if self.needs_rsa() {
            let other = RsaPrivateKey::generate(RsaSize::Rsa2048)
                .map_err(|err| Failure::new(Code::Failed, "cannot make a key").because(err))?;
            self.seal(&dir.join("bad-other-key"), &plaintext, &other)?;
            expected += &self.expect(dir, "bad-other-key", &plaintext, "it is wrapped for another key")?;
        }
        for (name, what, place) in [
            ("bad-ciphertext", "a character or byte in the middle of the ciphertext was changed", 1),
            ("bad-end", "a character or byte at the end of the ciphertext was changed", 2),
        ] {
            let folder = dir.join(name);
            copy(&good, &folder)?;
            self.damage(&folder, place)?;
            expected += &self.expect(dir, name, &plaintext, what)?;
        }
        Ok(expected)
    }

    fn expect(&self, dir: &Path, name: &str, plaintext: &[u8], what: &str) -> Result<String, Failure> {
        Ok(match self.open(&dir.join(name)) {
            Err(Error::Open(OpenError::NotAuthentic(_)) | Error::Message(_)) => {
                format!("{name}: must be refused: {what}\n")
            }
            Ok(opened) if opened != plaintext => {
                format!("{name}: may open as something else, since nothing authenticates it: {what}\n")
            }
            Ok(_) => return Err(Failure::new(Code::Failed, format!("{name} opens as if nothing was wrong"))),
            Err(err) => return Err(files::failure(format!("cannot open {name}"), err)),
        })
    }

    /// Changes the ciphertext in the middle (1) or at its end (2).
    fn damage(&self, dir: &Path, place: usize) -> Outcome {
        let writing = self.profile.writing().expect("the kit was made by it");
        let mut at = writing.body.at.clone();
        // A document inside another is damaged where it is written: in the file.
        let mut part = self.profile.part(&at.part).expect("a checked profile has it");
        let mut text = None;
        if !part.kind.is_unbounded() {
            text = self.ciphertext_text(dir, &at)?;
            while let Some(from) = &part.from {
                at = from.clone();
                part = self.profile.part(&at.part).expect("a checked profile has it");
            }
        }
        let path = dir.join(&at.part);
        let mut bytes = fs::read(&path).map_err(|err| Failure::io("cannot read the kit", err))?;
        let range = match &text {
            None => 0..bytes.len(),
            Some(text) => {
                let found = bytes.windows(text.len()).position(|window| window == text.as_bytes());
                let start = found
                    .ok_or_else(|| Failure::new(Code::Failed, "the ciphertext is not where it should be"))?;
                start..start + text.len()
            }
        };
        let letters = match place {
            1 => range.start + range.len() / 2,
            // The last letters of base64 may hold bits that mean nothing, or be padding.
            _ => range.end.saturating_sub(if text.is_some() { 6 } else { 1 }),
        };
        let changed = &mut bytes[letters];
        *changed = match (text.is_some(), *changed) {
            (false, byte) => byte ^ 1,
            (true, b'0') => b'1',
            (true, _) => b'0',
        };
        fs::write(&path, bytes).map_err(|err| Failure::io("cannot write the kit", err))
    }

    /// The ciphertext as it is written in its document.
    fn ciphertext_text(
        &self,
        dir: &Path,
        at: &waxwing_profiles::Selector,
    ) -> Result<Option<String>, Failure> {
        let part = self.profile.part(&at.part).expect("a checked profile has it");
        let malformed = |err| Failure::new(Code::Failed, "the kit's own message is malformed").because(err);
        let bytes = match &part.from {
            None => fs::read(dir.join(&at.part)).map_err(|err| Failure::io("cannot read the kit", err))?,
            Some(from) => self.ciphertext_text(dir, from)?.unwrap_or_default().into_bytes(),
        };
        let kind = match part.kind {
            PartKind::Json => DocumentKind::Json,
            PartKind::Xml => DocumentKind::Xml,
            PartKind::Headers => DocumentKind::Headers,
            PartKind::Jwe => DocumentKind::Jwe,
            PartKind::Text | PartKind::Raw | PartKind::Zip => DocumentKind::Text,
        };
        let document = Document::parse(kind, &bytes).map_err(malformed)?;
        let found = document.select(&at.path).map_err(malformed)?;
        Ok(found.and_then(|found| found.text().map(std::borrow::Cow::into_owned)))
    }

    fn readme(&self, expected: &str) -> String {
        let profile = self.profile;
        let parts: Vec<&str> = profile.files().map(|(name, _)| name).collect();
        let mut text = format!(
            "# Test kit: {}\n\n{}\n\nA message consists of the files {}. Each folder here holds one, and the plaintext that it was made from.\n\n",
            profile.id,
            profile.title,
            parts.join(", ")
        );
        if self.needs_rsa() {
            text += &format!(
                "`{PRIVATE_KEY}` opens them. It was made for this kit: use it for nothing else. `{PUBLIC_KEY}` is its public half.\n\n"
            );
        }
        if !self.secrets.is_empty() {
            text += &format!("`{SECRETS}/` holds the shared secrets, made for this kit.\n\n");
        }
        text += &format!("What each must give (`{EXPECTED}`):\n\n");
        for line in expected.lines() {
            text += &format!("- {line}\n");
        }
        text += &format!(
            "\nHow a message opens, step by step:\n\n```\n{}```\n\nWhat opening proves: {}.\n\n\
             ## Your turn\n\nMake a folder for each message below `{YOURS}/`, with the files {} sealed for `{PUBLIC_KEY}` or with the secrets, and the file \
             `{PLAINTEXT}` with what it must open as. Send the kit back; `waxwing profile test-kit {} --check DIR` opens them.\n",
            profile.explain(),
            profile.protection(),
            parts.join(", "),
            profile.id
        );
        text
    }
}

fn copy(from: &Path, to: &Path) -> Outcome {
    let copied = fs::create_dir(to).and_then(|()| {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
        Ok(())
    });
    copied.map_err(|err| Failure::io(format!("cannot make {}", files::name(to)), err))
}

fn write(path: &Path, bytes: &[u8]) -> Outcome {
    fs::write(path, bytes).map_err(|err| Failure::io(format!("cannot write {}", files::name(path)), err))
}

fn write_secret(path: &Path, bytes: &[u8]) -> Outcome {
    let output = Output::File { path: path.to_owned(), existing: Existing::Keep };
    waxwing_engine::write_secret(output, bytes, &Work::default())
        .map_err(|err| files::failure(format!("cannot write {}", files::name(path)), err))
}

/// Opens every message that the partner put into the kit.
fn check(profile: &Profile, dir: &Path) -> Outcome {
    /// The most messages that are looked at.
    const MESSAGES_MAX: usize = 1000;
    let kit = Kit { profile, key: kit_key(dir)?, secrets: kit_secrets(profile, dir)? };
    let yours = dir.join(YOURS);
    let entries = fs::read_dir(&yours).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut folders: Vec<PathBuf> = entries
        .map_err(|err| Failure::io(format!("cannot read {}", files::name(&yours)), err))?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .take(MESSAGES_MAX)
        .collect();
    folders.sort();
    if folders.is_empty() {
        let failure = Failure::new(Code::NotFound, format!("{} holds no message", files::name(&yours)));
        return Err(failure.hint("the partner makes a folder for each message there"));
    }
    let mut wrong = 0;
    for folder in &folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().escape_debug().to_string();
        let (fine, said) = kit.verdict(folder);
        wrong += usize::from(!fine);
        print(&format!("{name}: {said}\n"))?;
    }
    match wrong {
        0 => Ok(()),
        _ => Err(Failure::new(
            Code::Failed,
            format!("{wrong} of {} messages are not as they should be", folders.len()),
        )),
    }
}

impl Kit<'_> {
    fn verdict(&self, folder: &Path) -> (bool, String) {
        let Ok(wanted) = fs::read(folder.join(PLAINTEXT)) else {
            return (false, format!("it has no file `{PLAINTEXT}` to compare with"));
        };
        match self.open(folder) {
            Ok(opened) if opened == wanted => (true, "opens as it should".to_owned()),
            Ok(_) => (false, format!("opens, but not as its `{PLAINTEXT}`")),
            Err(err) => {
                let keys = ProfileKeys {
                    rsa: Some(Arc::clone(&self.key)),
                    secrets: Arc::new(self.secrets()),
                    service: None,
                };
                let parts = || self.parts(folder);
                let findings = diagnose(self.profile, &parts, &keys, &Work::default())
                    .map(|diagnosis| diagnosis.findings.join("; "))
                    .unwrap_or_default();
                (false, if findings.is_empty() { err.to_string() } else { findings })
            }
        }
    }
}

fn kit_key(dir: &Path) -> Result<Arc<RsaPrivateKey>, Failure> {
    let path = dir.join(PRIVATE_KEY);
    if !path.exists() {
        // A scheme without RSA never uses it.
        return RsaPrivateKey::generate(RsaSize::Rsa2048)
            .map(Arc::new)
            .map_err(|err| Failure::new(Code::Failed, "cannot make a key").because(err));
    }
    let unusable =
        |err| Failure::new(Code::NoUsableKey, format!("cannot use {}", files::name(&path))).because(err);
    let pem = Zeroizing::new(files::read_small(&path, waxwing_keyring::KEY_FILE_LEN_MAX)?);
    Key::read(&pem, None).and_then(Key::into_rsa_private).map(Arc::new).map_err(unusable)
}

fn kit_secrets(profile: &Profile, dir: &Path) -> Result<BTreeMap<String, Zeroizing<Vec<u8>>>, Failure> {
    let read = |name: &str| {
        let path = dir.join(SECRETS).join(name);
        Ok((name.to_owned(), Zeroizing::new(files::read_small(&path, waxwing_keyring::KEY_FILE_LEN_MAX)?)))
    };
    profile.secrets().into_keys().map(read).collect()
}
