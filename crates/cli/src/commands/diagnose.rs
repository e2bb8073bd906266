//! `waxwing diagnose`

use std::path::PathBuf;
use std::sync::Arc;

use waxwing_engine::{DIAGNOSED_LEN_MAX, Diagnosis, Error, ProfileKeys, Verdict, diagnose};
use waxwing_profiles::Profile;

use crate::exit::{Code, Failure, Outcome};
use crate::files::{self, WorkArgs};
use crate::keys::OpenKeyArgs;
use crate::print;
use crate::profile::{self, MessageArgs};

/// Find out why a partner's message does not open
///
/// Tries what partners get wrong: the padding and digests of the wrapped key, the places of IV and tag, encodings, ciphers.
/// It is for you who hold the key, on one message, on a machine of your own: a loop of guesses is an oracle, and the
/// worker never does this.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waxwing diagnose --profile ksef-online -k company.key --part session=session.json invoice.json
  waxwing diagnose --profile ksef-online -k company.key --part session=session.json -o ours.toml invoice.json")]
pub(crate) struct Args {
    /// What the message should be: a preset's id (`waxwing profile list`) or a profile's file
    #[arg(long, value_name = "PROFILE")]
    profile: String,
    #[command(flatten)]
    keys: OpenKeyArgs,
    #[command(flatten)]
    message: MessageArgs,
    /// Where to write the profile that opens it
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    #[command(flatten)]
    work: WorkArgs,
    /// The part of the message that was not named with --part
    #[arg(value_name = "FILE", default_value = "-")]
    input: PathBuf,
}

pub(crate) fn run(args: Args) -> Outcome {
    let profile = profile::find(&args.profile)?;
    let keys = ProfileKeys {
        rsa: args.keys.one_rsa_key()?,
        secrets: Arc::new(args.message.secrets()?),
        service: None,
    };
    for (_, path) in args.message.assign(&profile, &args.input)? {
        check_len(path)?;
    }
    // The files are opened anew for every try; what cannot be opened fails the first time.
    args.message.parts(&profile, &args.input)?;
    let parts = || args.message.parts(&profile, &args.input).map_err(|_| Error::InputChanged);
    let diagnosis = diagnose(&profile, &parts, &keys, &args.work.work(&()))
        .map_err(|err| files::failure(format!("cannot diagnose this message of {}", profile.id), err))?;
    report(&profile, &diagnosis)?;
    match (&diagnosis.profile, &args.output) {
        (Some(mended), Some(path)) => {
            let output = files::output(path, waxwing_engine::Existing::Keep, files::Kind::Text)?;
            waxwing_engine::write(output, mended.to_toml().as_bytes(), &args.work.work(&()))
                .map_err(|err| files::failure("cannot write the profile".to_owned(), err))
        }
        (Some(_), None) => Ok(()),
        (None, _) => {
            let code = match diagnosis.verdict {
                Verdict::WrongKey | Verdict::UnknownWrap => Code::NoUsableKey,
                Verdict::Content => Code::NotAuthentic,
                _ => Code::Failed,
            };
            Err(Failure::new(code, format!("no reading of this message of {} opens it", profile.id)))
        }
    }
}

/// A message is decrypted in many ways, and must be read again for each.
fn check_len(path: &std::path::Path) -> Outcome {
    if files::is_dash(path) {
        let failure =
            Failure::new(Code::Usage, "a message is read many times, and standard input can be read once");
        return Err(failure.hint("keep it in files, and name them"));
    }
    let len = std::fs::metadata(path).map(|found| found.len()).unwrap_or_default();
    if len > DIAGNOSED_LEN_MAX {
        let limit = DIAGNOSED_LEN_MAX >> 20;
        let failure = Failure::new(Code::Failed, format!("{} is longer than {limit} MiB", files::name(path)));
        return Err(failure.hint("it is decrypted in many ways; ask the partner for a small example"));
    }
    Ok(())
}

fn report(profile: &Profile, diagnosis: &Diagnosis) -> Outcome {
    let verdict = match diagnosis.verdict {
        Verdict::Opens => "it opens as the profile says",
        Verdict::OpensChanged => "it opens, if read differently",
        Verdict::WrongKey => "it is for another key, or its wrapped key was damaged",
        Verdict::UnknownWrap => "it is for this key, wrapped in a way that is not known",
        Verdict::Content => "its key unwraps, its content does not open",
        Verdict::OtherScheme => "it is no message of this profile",
    };
    let mut text = format!("{}: {verdict}\n", profile.id);
    for finding in &diagnosis.findings {
        text += &format!("  {finding}\n");
    }
    if let Some(mended) = diagnosis.profile.as_ref().filter(|_| diagnosis.verdict == Verdict::OpensChanged) {
        text += match diagnosis.certain {
            true => "certain: the content proved itself\n",
            false => "likely: nothing proves the content, but it makes sense\n",
        };
        for line in differences(&profile.to_toml(), &mended.to_toml()) {
            text += &format!("{line}\n");
        }
    }
    print(&text)
}

/// The lines of a profile that are different, first as they were, then as they should be.
fn differences(before: &str, after: &str) -> Vec<String> {
    let only = |these: &str, those: &str, sign: char| -> Vec<String> {
        let lines =
            these.lines().filter(|line| !line.is_empty() && !those.lines().any(|other| other == *line));
        lines.map(|line| format!("{sign} {line}")).collect()
    };
    [only(before, after, '-'), only(after, before, '+')].concat()
}
