//! `waxwing seal`

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use waxwing_core::SystemRandom;
use waxwing_core::content::Permitted;
use waxwing_core::envelope::SealOptions;
use waxwing_engine::{
    HeaderPlace, Output, PartOutputs, SealKeys, seal, seal_message, seal_record, seal_tree,
};
use waxwing_formats::envelope::{FrameLen, Suite};
use waxwing_formats::record::RECORD_LEN_MAX;
use waxwing_keyring::RsaRecipientKey;
use waxwing_profiles::policy::{Action, SchemeFacts};

use crate::exit::{Code, Failure, Outcome};
use crate::files::{self, Kind, OutputArgs, WorkArgs};
use crate::keys::{self, ContextArgs, Providers, SecretArgs};
use crate::policy::{self, PolicyArgs};
use crate::profile::{self, MessageArgs};
use crate::progress::Progress;
use crate::remote::Publication;
use crate::scheme::{SchemeArgs, SpellingArg};
use crate::tree::{self, Verb};

/// Seal a file, a pipe or a folder for the holders of the given keys
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waxwing seal -r alice.pub -r bob.pub -o report.wax report.csv
  waxwing seal -r backup.key -o docs.sealed docs
  waxwing seal -r alice.pub -o s3://archive/2026/report.wax report.csv
  tar c docs | waxwing seal -r backup.key -c host=web1 > docs.tar.wax
  waxwing seal --format record -r partner.pub --record job.json -o body.bin report.csv
  waxwing seal --profile jwe-rsa -r partner.pub -o message.json report.json")]
pub(crate) struct Args {
    /// Whom to seal for: a public key, certificate or AES-256 key; `passphrase`; keystore:NAME; aws-kms:ARN;
    /// vault:MOUNT/KEY. May be given several times
    #[arg(short = 'r', long = "recipient", value_name = "PUB", required_unless_present_any = ["profile", "format"])]
    recipients: Vec<String>,
    #[command(flatten)]
    secrets: SecretArgs,
    /// What to write
    #[arg(long, value_enum, default_value = "envelope")]
    format: Format,
    #[command(flatten)]
    context: ContextArgs,
    /// Keep the envelope's header apart from its body
    #[arg(long, value_name = "HEADER")]
    detached: Option<PathBuf>,
    /// The envelope's content cipher
    #[arg(long, value_enum, default_value = "aes-256-gcm")]
    suite: SuiteArg,
    /// Plaintext bytes of an envelope's frame as a power of two: 12 (4 KiB) to 24 (16 MiB)
    #[arg(long, value_name = "LOG2", default_value_t = FrameLen::DEFAULT.log2())]
    frame_len_log2: u8,
    #[command(flatten)]
    scheme: SchemeArgs,
    /// Seal a message of this partner's scheme: a preset's id (`waxwing profile list`) or a profile's file
    #[arg(long, value_name = "PROFILE", conflicts_with_all = ["format", "record", "detached", "file_id"])]
    profile: Option<String>,
    #[command(flatten)]
    message: MessageArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Where to write the record (JSON) that belongs to the ciphertext
    #[arg(long, value_name = "JSON")]
    record: Option<PathBuf>,
    /// How the record spells its fields
    #[arg(long, value_enum, default_value = "job")]
    spelling: SpellingArg,
    /// What the record calls the file
    #[arg(long, value_name = "ID")]
    file_id: Option<String>,
    #[command(flatten)]
    out: OutputArgs,
    #[command(flatten)]
    work: WorkArgs,
    /// What to seal: a file, a URL or `-`, standard input. Of a folder every file is sealed into the folder OUT, as NAME.wax
    #[arg(value_name = "IN", default_value = "-")]
    input: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Waxwing's own: many recipients, context, any range of it opens alone
    Envelope,
    /// A bare ciphertext with a JSON record beside it, as Node and others read it
    Record,
    /// One file with the key that AWS KMS wrapped in front: the same as --profile kms-blob
    KmsBlob,
}

/// The profile of [`Format::KmsBlob`].
const KMS_BLOB: &str = "kms-blob";

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum SuiteArg {
    #[value(name = "aes-256-gcm")]
    Aes256Gcm,
    #[value(name = "chacha20-poly1305")]
    ChaCha20Poly1305,
}

impl From<SuiteArg> for Suite {
    fn from(suite: SuiteArg) -> Self {
        match suite {
            SuiteArg::Aes256Gcm => Self::Aes256Gcm,
            SuiteArg::ChaCha20Poly1305 => Self::ChaCha20Poly1305,
        }
    }
}

const SEAL: Verb = Verb { base: "seal", doing: "sealing", done: "sealed" };

pub(crate) fn run(args: Args, home: Option<&Path>, quiet: bool) -> Outcome {
    let rules = args.policy.load(home)?;
    let may = |scheme: &SchemeFacts| policy::check(rules.as_ref(), Action::Seal, scheme, None);
    match (&args.profile, args.format) {
        (Some(name), _) => seal_by_profile(&args, name, &may, quiet),
        (None, _) if args.message.is_used() => Err(profile::unnamed()),
        (None, Format::KmsBlob) => seal_by_profile(&args, KMS_BLOB, &may, quiet),
        (None, _) if args.recipients.is_empty() => {
            Err(Failure::new(Code::Usage, "nobody is named to seal for").hint("name a key with -r"))
        }
        (None, Format::Envelope) => {
            may(&SchemeFacts::envelope()).and_then(|()| seal_envelope(&args, home, quiet))
        }
        (None, Format::Record) => {
            may(&SchemeFacts::from(args.scheme.to_write()?))?;
            seal_with_record(&args, quiet)
        }
    }
}

fn seal_by_profile(args: &Args, name: &str, may: &dyn Fn(&SchemeFacts) -> Outcome, quiet: bool) -> Outcome {
    if !args.context.is_empty() || args.scheme.is_stated() {
        let failure = Failure::new(Code::Usage, "a profile says itself how its messages are made");
        return Err(failure.hint("leave out --context, --wrap, --cipher and --tag"));
    }
    let profile = profile::find(name)?;
    may(&SchemeFacts::from(&profile))?;
    let service = args.secrets.service(&profile, &args.recipients)?;
    let recipient = match args.recipients.as_slice() {
        [] => None,
        [_] if service.is_some() => None,
        [name] => Some(rsa_recipient(name)?),
        _ => return Err(Failure::new(Code::Usage, "a message of a profile has one recipient")),
    };
    let mut outputs = PartOutputs::new();
    for (part, path) in args.message.assign(&profile, &args.out.output)? {
        outputs.insert(part.to_owned(), files::output(path, args.out.existing(), Kind::Text)?);
    }
    let secrets = args.message.secrets()?;
    let keys = SealKeys { recipient: recipient.as_ref(), secrets, service: service.as_deref() };
    let input = files::input(&args.input)?;
    let progress = Progress::new("sealing", quiet);
    let work = args.work.work(&progress);
    seal_message(&profile, input, outputs, &keys, &SystemRandom, args.scheme.legacy(), &work).map_err(|err| {
        files::failure(format!("cannot seal {} as {}", files::name(&args.input), profile.id), err)
    })
}

/// The key that RSA wraps for.
pub(crate) fn rsa_recipient(name: &str) -> Result<RsaRecipientKey, Failure> {
    keys::recipient(name)?.into_rsa_public().map_err(|err| keys::refused(name, err))
}

fn seal_envelope(args: &Args, home: Option<&Path>, quiet: bool) -> Outcome {
    if args.scheme.is_used() || args.record.is_some() || args.file_id.is_some() {
        let failure = Failure::new(
            Code::Usage,
            "--wrap, --cipher, --tag, --legacy, --record and --file-id describe a record",
        );
        return Err(failure.hint("add --format record"));
    }
    let frame_len = FrameLen::from_log2(args.frame_len_log2).ok_or_else(|| {
        Failure::new(
            Code::Usage,
            format!("a frame of 2^{} bytes is not possible; 12 to 24 are", args.frame_len_log2),
        )
    })?;
    let recipients = Providers::new(&args.secrets, home).recipients(&args.recipients)?;
    let options = SealOptions { suite: args.suite.into(), frame_len, context: args.context.context()? };
    if tree::is_folder(&args.input) {
        if args.detached.is_some() {
            return Err(Failure::new(
                Code::Usage,
                "--detached keeps one header apart, not those of a folder",
            ));
        }
        return tree::run(&SEAL, &args.input, &args.out, &args.work, quiet, |tree, work, report| {
            seal_tree(tree, &recipients, &options, &SystemRandom, work, report)
        });
    }
    let input = files::input(&args.input)?;
    let (output, publication) = args.out.open(Kind::Sealed, input.known_len())?;
    let (header, header_publication) = match &args.detached {
        None => (HeaderPlace::Attached, Publication::default()),
        Some(path) => {
            let (output, publication) = files::target(path, args.out.existing(), Kind::Sealed, None)?;
            (HeaderPlace::Detached(output), publication)
        }
    };
    let progress = Progress::new("sealing", quiet);
    let work = args.work.work(&progress);
    seal(input, output, header, &recipients, options, &SystemRandom, &work)
        .map_err(|err| files::failure(format!("cannot seal {}", files::name(&args.input)), err))?;
    publication.publish()?;
    header_publication.publish()
}

fn seal_with_record(args: &Args, quiet: bool) -> Outcome {
    if !args.context.is_empty() || args.detached.is_some() {
        return Err(Failure::new(Code::Usage, "a record has neither a context nor a detached header"));
    }
    let Some(record_path) = &args.record else {
        return Err(Failure::new(Code::Usage, "--format record needs --record, where the record goes"));
    };
    let [name] = args.recipients.as_slice() else {
        return Err(Failure::new(Code::Usage, "a record has one recipient")
            .hint("seal an envelope for several, or once for each"));
    };
    let scheme = Permitted::check(args.scheme.to_write()?, args.scheme.legacy())
        .map_err(|err| files::failure("cannot seal".to_owned(), waxwing_engine::Error::Plan(err)))?;
    let key = rsa_recipient(name)?;
    let input = files::input(&args.input)?;
    let (record_output, record_publication) =
        files::target(record_path, args.out.existing(), Kind::Text, None)?;
    let inline = InlineBody::default();
    let (output, publication) = match args.spelling {
        SpellingArg::Inline if args.out.is_given() => {
            let failure = Failure::new(Code::Usage, "an inline record holds its ciphertext");
            return Err(failure.hint("leave out -o"));
        }
        SpellingArg::Inline => (Output::Stream(Box::new(inline.clone())), Publication::default()),
        SpellingArg::Job | SpellingArg::Provider => args.out.open(Kind::Sealed, input.known_len())?,
    };
    let progress = Progress::new("sealing", quiet);
    let work = args.work.work(&progress);
    let failed = |err| files::failure(format!("cannot seal {}", files::name(&args.input)), err);
    let mut sealed = seal_record(input, output, scheme, &key, &SystemRandom, &work).map_err(failed)?;
    sealed.record.file_id.clone_from(&args.file_id);
    if args.spelling == SpellingArg::Inline {
        sealed.record.body = Some(inline.into_bytes());
    }
    write_record(record_output, &(sealed.record.to_json(args.spelling.into()) + "\n"), &work)?;
    publication.publish()?;
    record_publication.publish()
}

/// A ciphertext on its way into its record.
#[derive(Default, Clone)]
struct InlineBody(Arc<Mutex<Vec<u8>>>);

/// The longest ciphertext that a record holds: in base64, with what stands around it, it is below what readers take.
const INLINE_BODY_LEN_MAX: usize = RECORD_LEN_MAX / 2;

impl InlineBody {
    fn into_bytes(self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().expect("nobody panics while holding it"))
    }
}

impl Write for InlineBody {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut body = self.0.lock().expect("nobody panics while holding it");
        if body.len() + bytes.len() > INLINE_BODY_LEN_MAX {
            let limit = INLINE_BODY_LEN_MAX >> 20;
            return Err(io::Error::other(format!("a record holds at most {limit} MiB of ciphertext")));
        }
        body.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_record(output: Output, json: &str, work: &waxwing_engine::Work<'_>) -> Outcome {
    waxwing_engine::write(output, json.as_bytes(), work)
        .map_err(|err| files::failure("cannot write the record".to_owned(), err))
}
