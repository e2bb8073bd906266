//! `waxwing profile`

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};
use waxwing_profiles::{Profile, preset, presets};

use crate::commands::test_kit;
use crate::exit::{Code, Failure, Outcome};
use crate::{print, profile};

/// Look at the schemes that partners use: profiles
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the presets
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a preset as it is written: a start for one of your own
    Show {
        /// Which
        preset: String,
    },
    /// Check profiles of your own
    Check {
        /// Their files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Say in words what opening by a profile does, and what that proves
    Explain {
        /// A preset's id, or a file
        profile: String,
    },
    /// Make a folder to hand to a partner: keys, good and bad messages, what each must give
    TestKit(test_kit::Args),
}

pub(crate) fn run(args: Args) -> Outcome {
    match args.action {
        Action::List { json: true } => print(
            &(Value::from(presets().iter().map(|preset| facts(&preset.profile)).collect::<Vec<_>>())
                .to_string()
                + "\n"),
        ),
        Action::List { json: false } => list(),
        Action::Show { preset: id } => match preset(&id) {
            Some(preset) => print(preset.text),
            None => Err(profile::find(&id).err().unwrap_or_else(|| {
                Failure::new(Code::Usage, format!("`{id}` is a file of your own, not a preset"))
            })),
        },
        Action::Check { files } => files.iter().try_for_each(|file| {
            let name = crate::files::name(file);
            let checked = Profile::parse(&profile::text(file)?)
                .map_err(|err| Failure::new(Code::Failed, format!("{name} is no profile")).because(err))?;
            print(&format!("{name}: {} is a profile; it proves {}\n", checked.id, checked.protection()))
        }),
        Action::TestKit(args) => test_kit::run(&args),
        Action::Explain { profile: name } => {
            let profile = profile::find(&name)?;
            print(&format!("{}\n\n{}\n{}", profile.title, profile.explain(), summary(&profile)))
        }
    }
}

fn list() -> Outcome {
    let ids = presets().iter().map(|preset| preset.profile.id.len()).max().unwrap_or_default();
    let mut text = String::new();
    for preset in presets() {
        let profile = &preset.profile;
        let mut marks = Vec::new();
        if profile.peer.is_none() {
            marks.push("no independent peer");
        }
        match (profile.is_always_legacy(), profile.legacy_reasons().is_empty()) {
            (true, _) => marks.push("legacy"),
            (false, false) => marks.push("legacy in part"),
            (false, true) => {}
        }
        let marks = if marks.is_empty() { String::new() } else { format!(" [{}]", marks.join(", ")) };
        text += &format!("{:ids$}  {}{marks}\n", profile.id, profile.title);
    }
    print(&text)
}

/// What stands behind a profile, and what it is worth.
fn summary(profile: &Profile) -> String {
    let mut text = format!("proves: {}\n", profile.protection());
    let reasons = profile.legacy_reasons();
    if !reasons.is_empty() {
        text += &format!("legacy: {}; opens and seals with --legacy alone\n", reasons.join(", "));
    }
    if let Some(remark) = &profile.remark {
        text += &format!("remark: {remark}\n");
    }
    text += &match &profile.peer {
        Some(peer) => format!("vectors: {peer}\n"),
        None => "vectors: made by nobody independent: compare with what your partner sends\n".to_owned(),
    };
    if !profile.evidence.is_empty() {
        text += &format!("evidence: {}\n", profile.evidence.join("; "));
    }
    text
}

fn facts(profile: &Profile) -> Value {
    json!({
        "id": profile.id,
        "title": profile.title,
        "page": profile.page,
        "parts": profile.files().map(|(name, _)| name).collect::<Vec<_>>(),
        "proves": profile.protection().to_string(),
        "authenticated": profile.protection().is_authenticated(),
        "legacy": profile.legacy_reasons(),
        "peer": profile.peer,
        "remark": profile.remark,
    })
}
