//! `waxwing inspect`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use waxwing_core::frames::BodyShape;
use waxwing_engine::{Input, read_attached_header};
use waxwing_formats::base64::Reading;
use waxwing_formats::envelope::{Header, MAGIC};
use waxwing_formats::record::{RECORD_LEN_MAX, Record};
use waxwing_formats::scheme::{Scheme, Wrap};
use waxwing_keyring::describe;

use crate::exit::{Code, Failure, Outcome};
use crate::{files, print};

/// Show what a file is, for whom it was sealed, and what that protects; needs no key
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// An envelope, a detached header or a record
    file: PathBuf,
}

pub(crate) fn run(args: Args) -> Outcome {
    let mut input = files::input(&args.file)?;
    let seen = match begins_with_magic(&mut input) {
        Ok(true) => inspect_envelope(&args.file, input)?,
        Ok(false) => inspect_record(&args.file)?,
        Err(err) => return Err(Failure::io(format!("cannot read {}", files::name(&args.file)), err)),
    };
    match args.json {
        true => print(&format!("{:#}\n", seen.to_json())),
        false => print(&seen.to_text()),
    }
}

/// What was found, in the order in which it is shown.
struct Seen {
    what: &'static str,
    facts: Vec<(&'static str, Value)>,
    protects: Vec<&'static str>,
    does_not: Vec<&'static str>,
}

impl Seen {
    fn to_json(&self) -> Value {
        let mut object = serde_json::Map::new();
        object.insert("what".to_owned(), self.what.into());
        object.extend(self.facts.iter().map(|(name, value)| (name.replace(' ', "_"), value.clone())));
        object.insert("protects".to_owned(), self.protects.clone().into());
        object.insert("does_not_protect".to_owned(), self.does_not.clone().into());
        object.into()
    }

    fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.what);
        for (name, value) in &self.facts {
            let lines: Vec<String> = match value {
                Value::Array(values) => values.iter().map(plain).collect(),
                Value::Object(map) => map
                    .iter()
                    .map(|(key, value)| format!("{} = {}", key.escape_debug(), plain(value)))
                    .collect(),
                value => vec![plain(value)],
            };
            for (i, line) in lines.iter().enumerate() {
                let name = if i == 0 { name } else { "" };
                writeln!(text, "  {name:<14}{line}").expect("writing to a string succeeds");
            }
        }
        for (title, lines) in [("protects", &self.protects), ("does not protect", &self.does_not)] {
            writeln!(text, "{title}").expect("writing to a string succeeds");
            for line in lines {
                writeln!(text, "  {line}").expect("writing to a string succeeds");
            }
        }
        text
    }
}

/// A value without quotes and without control characters.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'"),
        value => value.to_string(),
    }
}

fn begins_with_magic(input: &mut Input) -> std::io::Result<bool> {
    use std::os::unix::fs::FileExt as _;
    let Input::File { file, .. } = input else { return Ok(false) };
    let mut front = [0; MAGIC.len()];
    let read = file.read_at(&mut front, 0)?;
    Ok(read > 0 && front[..read] == MAGIC[..read])
}

fn inspect_envelope(path: &Path, mut input: Input) -> Result<Seen, Failure> {
    let (locked, header_len) = read_attached_header(&mut input)
        .map_err(|err| files::failure(format!("cannot read {}", files::name(path)), err))?;
    let Header { fixed, recipients, .. } = locked.unverified();
    let mut facts = vec![
        ("suite", fixed.suite.name().into()),
        ("frame length", fixed.frame_len.bytes().into()),
        ("recipients", recipients.iter().map(describe).collect::<Vec<_>>().into()),
    ];
    if !fixed.context.is_empty() {
        let entries = fixed.context.iter().map(|(key, value)| (key.to_owned(), Value::from(value)));
        facts.push(("context", Value::Object(entries.collect())));
    }
    facts.push(("header bytes", header_len.into()));
    let body_len = input.known_len().map(|len| len.saturating_sub(header_len));
    match body_len {
        None | Some(0) => facts.push(("body", "none here: a detached header, or cut off".into())),
        Some(len) => {
            facts.push(("body bytes", len.into()));
            match BodyShape::of_body(fixed.frame_len, len) {
                Ok(shape) => facts.push(("plaintext", shape.plaintext_len().into())),
                Err(err) => facts.push(("plaintext", err.to_string().into())),
            }
        }
    }
    Ok(Seen {
        what: "Waxwing envelope, version 1 (nothing here is proven until a key opens it)",
        facts,
        protects: vec![
            "contents: nobody without one of the recipients' keys can read them",
            "every byte: a change, cut, swap or splice is noticed before its plaintext comes out",
            "context, suite and recipients: authenticated with the contents",
            "one reading: the header commits to its data key, so all recipients see the same contents",
        ],
        does_not: vec![
            "who sealed it: every recipient could have; sign it if that matters",
            "against a stolen private key: it opens every file ever sealed for it (no forward secrecy)",
            "the size, the context and the recipients' key ids, which anybody can read",
        ],
    })
}

fn inspect_record(path: &Path) -> Result<Seen, Failure> {
    let json = files::read_small(path, RECORD_LEN_MAX)?;
    let (record, tolerated) = Record::decode(&json, Reading::Strict).map_err(|err| {
        Failure::new(Code::Failed, format!("{} is neither an envelope nor a record", files::name(path)))
            .because(err)
    })?;
    let mut facts =
        vec![("scheme", record.scheme.map_or("not stated".into(), |scheme| scheme.to_string().into()))];
    if let Some(key_id) = record.key_id {
        facts.push(("recipient", format!("rsa:{}", waxwing_keyring::KeyId::new(key_id)).into()));
    }
    if let Some(file_id) = &record.file_id {
        facts.push(("file id", file_id.as_str().into()));
    }
    facts.push(("wrapped key", format!("{} bytes", record.wrapped_key.len()).into()));
    facts.push(("IV", format!("{} bytes", record.iv.len()).into()));
    facts.push(("tag", if record.tag.is_some() { "in the record" } else { "not in the record" }.into()));
    if let Some(body) = &record.body {
        facts.push(("body bytes", body.len().into()));
    }
    if !tolerated.is_empty() {
        let fields: Vec<_> = tolerated.iter().map(|(field, _)| *field).collect();
        facts.push(("odd base64", fields.into()));
    }
    if !record.others.is_empty() {
        facts.push(("other fields", record.others.keys().cloned().collect::<Vec<_>>().into()));
    }
    let (protects, does_not) = protection(record.scheme);
    Ok(Seen { what: "record of an RSA-wrapped AES key", facts, protects, does_not })
}

/// What a scheme protects, and what it does not.
fn protection(scheme: Option<Scheme>) -> (Vec<&'static str>, Vec<&'static str>) {
    let mut does_not = vec![
        "who sent it: anybody with the public key can make such a record",
        "against a stolen private key: it opens every file ever sent (a key per file is not forward secrecy)",
        "against replay: a URL that expires only limits the download, not a second submission",
        "the binding of key and file: nothing ties this record to a name, job or tenant",
    ];
    let Some(scheme) = scheme else {
        return (vec!["unknown: the record does not state its scheme"], does_not);
    };
    let mut protects = vec!["contents: nobody without the private key can read them"];
    if scheme.cipher.is_authenticated() {
        protects.push(
            "every byte of the ciphertext: a change or cut is noticed before plaintext comes out (GCM)",
        );
    } else {
        does_not.insert(
            0,
            "the contents against change: CBC proves nothing, blocks can be cut and bits flipped unseen",
        );
        does_not.insert(1, "against padding oracles, if anybody can learn whether opening succeeded (CBC)");
    }
    match scheme.wrap {
        Wrap::Pkcs1 => {
            does_not.insert(0, "the key against Bleichenbacher's attack in careless readers (PKCS#1 v1.5)")
        }
        Wrap::Oaep { .. } => protects.push("the wrapped key against chosen-ciphertext attacks (OAEP)"),
    }
    (protects, does_not)
}
