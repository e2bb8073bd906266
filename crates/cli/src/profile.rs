//! Profiles as the command line names them: a preset's id, or a file.

use std::path::{Path, PathBuf};

use clap::Args;
use waxwing_engine::{Parts, Secrets};
use waxwing_profiles::{PROFILE_LEN_MAX, Part, Profile, preset, presets};

use crate::exit::{Code, Failure};
use crate::{files, keys};

/// What belongs to a message of a profile.
#[derive(Debug, Args)]
pub(crate) struct MessageArgs {
    /// A file of the message, by the name that the profile has for it; may be given several times
    #[arg(long = "part", value_name = "NAME=FILE", value_parser = pair)]
    parts: Vec<(String, PathBuf)>,
    /// Where the files lie that the message names itself [default: the folder of its first part]
    #[arg(long, value_name = "DIR")]
    bodies: Option<PathBuf>,
    /// A shared secret, by the name that the profile has for it: a file, fd:N or env:NAME
    #[arg(long = "secret", value_name = "NAME=FILE", value_parser = secret_pair)]
    secrets: Vec<(String, String)>,
}

impl MessageArgs {
    /// Whether any of the options was given.
    pub(crate) fn is_used(&self) -> bool {
        !self.parts.is_empty() || self.bodies.is_some() || !self.secrets.is_empty()
    }

    /// The secrets.
    pub(crate) fn secrets(&self) -> Result<Secrets, Failure> {
        secrets(&self.secrets)
    }

    /// The files to open. `input` is the one part that was not named, if one was not.
    pub(crate) fn parts(&self, profile: &Profile, input: &Path) -> Result<Parts, Failure> {
        let named = self.assign(profile, input)?;
        let mut parts = Parts::default();
        if profile.repeat.is_some() {
            let beside = || named.first().and_then(|(_, path)| path.parent()).map(Path::to_owned);
            let folder = self.bodies.clone().or_else(beside).unwrap_or_default();
            parts.bodies_in(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder });
        }
        for (name, path) in named {
            parts.insert(name, files::input(path)?);
        }
        Ok(parts)
    }

    /// Which file is which part. `other` is the one that was not named.
    pub(crate) fn assign<'a>(
        &'a self,
        profile: &'a Profile,
        other: &'a Path,
    ) -> Result<Vec<(&'a str, &'a Path)>, Failure> {
        assign(profile, &self.parts, other, "--part")
    }
}

/// Shared secrets, each read from where it is.
pub(crate) fn secrets(named: &[(String, String)]) -> Result<Secrets, Failure> {
    let mut secrets = Secrets::default();
    for (name, file) in named {
        secrets.insert(name.clone(), keys::written_secret(file)?);
    }
    Ok(secrets)
}

/// Which file is which part, of those that `option` named. `other` is the one that was not named.
pub(crate) fn assign<'a>(
    profile: &'a Profile,
    parts: &'a [(String, PathBuf)],
    other: &'a Path,
    option: &str,
) -> Result<Vec<(&'a str, &'a Path)>, Failure> {
    let unnamed = |(name, _): &(&str, &Part)| parts.iter().all(|(known, _)| known != name);
    let mut left = profile.files().filter(unnamed).map(|(name, _)| name);
    let mut named: Vec<(&str, &Path)> =
        parts.iter().map(|(name, path)| (name.as_str(), path.as_path())).collect();
    if let Some(name) = left.next() {
        if left.next().is_some() {
            let all: Vec<&str> = profile.files().map(|(name, _)| name).collect();
            let what = format!("a message of {} consists of {}", profile.id, all.join(", "));
            return Err(Failure::new(Code::Usage, what)
                .hint(format!("name all but one of them with {option} NAME=FILE")));
        }
        named.push((name, other));
    } else if !files::is_dash(other) {
        let what = format!("every part was named, and {} is none", files::name(other));
        return Err(Failure::new(Code::Usage, what));
    }
    Ok(named)
}

/// Options of a message were given, but no profile.
pub(crate) fn unnamed() -> Failure {
    Failure::new(Code::Usage, "--part, --bodies and --secret describe a message of a profile")
        .hint("name the profile with --profile")
}

/// The profile of this name: a preset, or a file if the name has a dot or a slash.
pub(crate) fn find(name: &str) -> Result<Profile, Failure> {
    if let Some(preset) = preset(name) {
        return Ok(preset.profile.clone());
    }
    if !name.contains(['.', '/']) {
        let near: Vec<&str> = presets()
            .iter()
            .map(|preset| preset.profile.id.as_str())
            .filter(|id| id.contains(name) || name.contains(id.split('-').next().unwrap_or(id)))
            .collect();
        let failure = Failure::new(Code::NotFound, format!("there is no preset `{}`", name.escape_debug()));
        return Err(match near.as_slice() {
            [] => failure.hint(
                "`waxwing profile list` shows what there is; a profile of your own is a file, PATH/NAME.toml",
            ),
            near => failure.hint(format!("there are {}", near.join(", "))),
        });
    }
    let text = text(Path::new(name))?;
    Profile::parse(&text)
        .map_err(|err| Failure::new(Code::Failed, format!("{name} is no profile")).because(err))
}

/// The text of a profile's file.
pub(crate) fn text(path: &Path) -> Result<String, Failure> {
    let bytes = files::read_small(path, PROFILE_LEN_MAX)?;
    String::from_utf8(bytes)
        .map_err(|err| Failure::new(Code::Failed, format!("cannot read {}", files::name(path))).because(err))
}

pub(crate) fn pair(text: &str) -> Result<(String, PathBuf), String> {
    secret_pair(text).map(|(name, path)| (name, path.into()))
}

pub(crate) fn secret_pair(text: &str) -> Result<(String, String), String> {
    let (name, file) = text.split_once('=').ok_or_else(|| "it must be NAME=FILE".to_owned())?;
    Ok((name.to_owned(), file.to_owned()))
}
