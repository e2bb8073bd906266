//! `waxwing convert`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use waxwing_core::SystemRandom;
use waxwing_core::envelope::SealOptions;
use waxwing_engine::{
    Error, HeaderPlace, Input, Output, PartOutputs, ProfileKeys, SealKeys, open, open_message, relay, seal,
    seal_message,
};
use waxwing_formats::envelope::{Context, FrameLen, Suite};
use waxwing_profiles::Profile;
use waxwing_profiles::policy::{Action, SchemeFacts};

use crate::commands::seal::rsa_recipient;
use crate::exit::{Code, Failure, Outcome};
use crate::files::{self, Kind, OutputArgs, WorkArgs};
use crate::keys::{OpenKeyArgs, Providers};
use crate::policy::{self, PolicyArgs};
use crate::profile::{self, MessageArgs};
use crate::progress::Progress;
use crate::remote::Publication;
use crate::scheme::legacy_from;

/// The word for our own format.
const WAXWING: &str = "waxwing";

/// Open in one scheme and seal in another, in one go: the plaintext is on no disk
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waxwing convert --from ms-graph -k company.key --to waxwing -r archive.pub -o item.wax message.json
  waxwing convert -k archive.key --to jwe-rsa -r partner.pub -o message.json item.wax")]
pub(crate) struct Args {
    /// The scheme to open: `waxwing`, a preset's id or a profile's file
    #[arg(long, value_name = "PROFILE", default_value = WAXWING)]
    from: String,
    /// The scheme to seal in: `waxwing`, a preset's id or a profile's file
    #[arg(long, value_name = "PROFILE")]
    to: String,
    #[command(flatten)]
    keys: OpenKeyArgs,
    #[command(flatten)]
    message: MessageArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    /// A public key, certificate or AES-256 key to seal for; several for `waxwing`
    #[arg(short = 'r', long = "recipient", value_name = "PUB")]
    recipients: Vec<String>,
    /// Where a part of the new message goes, by the name that its profile has for it; may be given several times
    #[arg(long = "out-part", value_name = "NAME=FILE", value_parser = profile::pair)]
    out_parts: Vec<(String, PathBuf)>,
    /// Accept schemes that protect too little, on either side
    #[arg(long)]
    legacy: bool,
    #[command(flatten)]
    out: OutputArgs,
    #[command(flatten)]
    work: WorkArgs,
    /// What to open; `-` is standard input
    #[arg(value_name = "IN", default_value = "-")]
    input: PathBuf,
}

/// A scheme: our own, or a partner's.
enum Scheme {
    Waxwing,
    Profile(Box<Profile>),
}

impl Scheme {
    fn facts(&self) -> SchemeFacts {
        match self {
            Self::Waxwing => SchemeFacts::envelope(),
            Self::Profile(profile) => SchemeFacts::from(profile.as_ref()),
        }
    }
}

fn scheme(name: &str) -> Result<Scheme, Failure> {
    match name {
        WAXWING => Ok(Scheme::Waxwing),
        name => profile::find(name).map(|profile| Scheme::Profile(Box::new(profile))),
    }
}

pub(crate) fn run(args: Args, home: Option<&Path>, quiet: bool) -> Outcome {
    let (from, to) = (scheme(&args.from)?, scheme(&args.to)?);
    let rules = args.policy.load(home)?;
    for (action, scheme) in [(Action::Open, &from), (Action::Seal, &to)] {
        policy::check(rules.as_ref(), action, &scheme.facts(), None)?;
    }
    if matches!(from, Scheme::Waxwing) && args.message.is_used() {
        return Err(profile::unnamed());
    }
    if matches!(to, Scheme::Waxwing) && !args.out_parts.is_empty() {
        return Err(Failure::new(Code::Usage, "an envelope has no parts").hint("name it with -o"));
    }
    let progress = Progress::new("converting", quiet);
    let work = args.work.work(&progress);
    let legacy = legacy_from(args.legacy);
    let what = || format!("cannot convert {} from {} to {}", files::name(&args.input), args.from, args.to);
    let mut publication = Publication::default();
    // Everything that may be wrong on our side is known before anything is opened.
    let sealing: Box<dyn FnOnce(Input) -> Result<(), Error>> = match &to {
        Scheme::Waxwing => {
            if args.recipients.is_empty() {
                let failure = Failure::new(Code::Usage, "nobody was named to seal for");
                return Err(failure.hint("name a key with -r"));
            }
            let keyring = Providers::new(args.keys.secrets(), home).recipients(&args.recipients)?;
            let output;
            (output, publication) = args.out.open(Kind::Sealed, None)?;
            Box::new(move |input| {
                let options = SealOptions {
                    suite: Suite::Aes256Gcm,
                    frame_len: FrameLen::DEFAULT,
                    context: Context::default(),
                };
                seal(input, output, HeaderPlace::Attached, &keyring, options, &SystemRandom, &work)
                    .map(|_| ())
            })
        }
        Scheme::Profile(profile) => {
            let recipient = match args.recipients.as_slice() {
                [] => None,
                [name] => Some(rsa_recipient(name)?),
                _ => return Err(Failure::new(Code::Usage, "a message of a profile has one recipient")),
            };
            let mut outputs = PartOutputs::new();
            for (part, path) in profile::assign(profile, &args.out_parts, &args.out.output, "--out-part")? {
                outputs.insert(part.to_owned(), files::output(path, args.out.existing(), Kind::Text)?);
            }
            let secrets = args.message.secrets()?;
            Box::new(move |input| {
                let keys = SealKeys { recipient: recipient.as_ref(), secrets, service: None };
                seal_message(profile, input, outputs, &keys, &SystemRandom, legacy, &work)
            })
        }
    };
    let opening: Box<dyn FnOnce(Output) -> Result<(), Error> + Send> = match &from {
        Scheme::Waxwing => {
            let (keyring, input) = (args.keys.keyring(home)?, files::input(&args.input)?);
            Box::new(move |output| {
                open(input, None, output, &keyring, &Context::default(), &work).map(|_| ())
            })
        }
        Scheme::Profile(profile) => {
            let parts = args.message.parts(profile, &args.input)?;
            let keys = ProfileKeys {
                rsa: args.keys.one_rsa_key()?,
                secrets: Arc::new(args.message.secrets()?),
                service: None,
            };
            Box::new(move |output| open_message(profile, parts, output, &keys, legacy, &work).map(|_| ()))
        }
    };
    relay(opening, sealing).map_err(|err| files::failure(what(), err))?;
    publication.publish()?;
    drop(progress);
    if let Scheme::Profile(profile) = &from
        && !profile.protection().is_authenticated()
    {
        eprintln!(
            "warning: {} proves {}: what was sealed is UNAUTHENTICATED",
            profile.id,
            profile.protection()
        );
    }
    Ok(())
}
