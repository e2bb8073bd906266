//! What a message is, told by its looks: no key is used, and nothing is decrypted.
//!
//! The presets are the evidence: each is held against the files, and every place that is there, decodes and has a length that
//! fits speaks for it. What is given without a profile (age, OpenPGP, a key store) is told by its first bytes.

mod evidence;
mod given;
mod magic;

use std::cmp::Reverse;
use std::fmt;

use self::evidence::Evidence;
pub use self::given::{FILES_MAX, Given, READ_MAX};
pub use self::magic::{Known, known};
use crate::model::PartKind;
use crate::presets::{Preset, presets};

/// How sure it is that a message is of a scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// Something speaks for it, and something is missing or against it; or nothing but lengths speaks for it.
    Possible,
    /// All of it fits, but it says little, or another scheme fits as well; or only the body is missing.
    Likely,
    /// All of it fits, and says so by several names or words.
    Certain,
}

impl fmt::Display for Certainty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Certain => "certain",
        })
    }
}

/// What a fact says about a preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// The message has what the preset asks for.
    For,
    /// The message has something else.
    Against,
    /// The message does not have it.
    Missing,
}

/// One observation. It names places and lengths, and no values but words of the scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// For or against.
    pub speaks: Speaks,
    /// What was seen.
    pub text: String,
    /// What it counts: positive only where it speaks for the preset.
    pub weight: i32,
}

/// A preset that the files may be a message of.
#[derive(Debug)]
pub struct Candidate {
    /// The preset.
    pub preset: &'static Preset,
    /// How sure that is.
    pub certainty: Certainty,
    /// The sum of all weights.
    pub score: i32,
    /// Other presets that fit exactly as well: nobody without the key can tell them apart.
    pub tied_with: Vec<&'static str>,
    /// The files by the names of the preset's parts, or by the names that the message has for its bodies. The number is the place
    /// in what was given.
    pub parts: Vec<(String, usize)>,
    /// Files that this scheme has no use for.
    pub unused: Vec<usize>,
    /// Everything that was seen.
    pub facts: Vec<Fact>,
}

impl Candidate {
    /// The facts of one kind.
    pub fn facts(&self, speaks: Speaks) -> impl Iterator<Item = &str> {
        self.facts.iter().filter(move |fact| fact.speaks == speaks).map(|fact| fact.text.as_str())
    }

    /// Whether nothing is missing and nothing speaks against it.
    pub fn is_complete(&self) -> bool {
        self.facts.iter().all(|fact| fact.speaks == Speaks::For)
    }
}

/// What of the weights makes a complete match certain: three names, or two and a word.
const CERTAIN_WEIGHT: i32 = 6;
/// What a file counts that the scheme has no use for.
const UNUSED_WEIGHT: i32 = -2;

/// The presets that `files` may be a message of, best first. Of more than [`FILES_MAX`] files the rest is not looked at.
pub fn identify(files: &[Given]) -> Vec<Candidate> {
    let files = &files[..files.len().min(FILES_MAX)];
    let mut found: Vec<Candidate> =
        presets().iter().filter_map(|preset| best_assignment(preset, files)).collect();
    found.sort_by_key(|candidate| Reverse((candidate.score, candidate.is_complete())));
    for at in 0..found.len() {
        let tied = |other: &&Candidate| {
            other.score == found[at].score && other.is_complete() == found[at].is_complete()
        };
        let ids = found.iter().filter(tied).map(|other| other.preset.profile.id.as_str());
        let ids: Vec<&str> = ids.filter(|&id| id != found[at].preset.profile.id).collect();
        if !ids.is_empty() {
            found[at].certainty = found[at].certainty.min(Certainty::Likely);
        }
        found[at].tied_with = ids;
    }
    found
}

/// The way to give the files to the preset's parts that the most speaks for.
fn best_assignment(preset: &'static Preset, files: &[Given]) -> Option<Candidate> {
    let parts: Vec<(&str, PartKind)> = preset.profile.files().map(|(name, part)| (name, part.kind)).collect();
    let mut best: Option<Candidate> = None;
    assign(preset, &parts, files, &mut Vec::new(), &mut best);
    best.filter(|candidate| candidate.score > 0)
}

fn assign(
    preset: &'static Preset,
    parts: &[(&'static str, PartKind)],
    files: &[Given],
    chosen: &mut Vec<Option<usize>>,
    best: &mut Option<Candidate>,
) {
    let Some(&(name, kind)) = parts.get(chosen.len()) else {
        let candidate = weigh(preset, parts, files, chosen);
        if candidate.as_ref().is_some_and(|new| best.as_ref().is_none_or(|best| new.score > best.score)) {
            *best = candidate;
        }
        return;
    };
    let fits = |at: &usize| {
        !chosen.contains(&Some(*at)) && evidence::may_be(&preset.profile, name, kind, &files[*at])
    };
    let candidates: Vec<usize> = (0..files.len()).filter(fits).collect();
    let choices: Vec<Option<usize>> = match candidates.is_empty() {
        true => vec![None],
        false => candidates.into_iter().map(Some).collect(),
    };
    for choice in choices {
        chosen.push(choice);
        assign(preset, parts, files, chosen, best);
        chosen.pop();
    }
}

/// The preset held against one way to give it the files; nothing where no document says anything for it.
fn weigh(
    preset: &'static Preset,
    parts: &[(&'static str, PartKind)],
    files: &[Given],
    chosen: &[Option<usize>],
) -> Option<Candidate> {
    let mut given: Vec<(String, usize)> = Vec::new();
    for (&(name, _), &file) in parts.iter().zip(chosen) {
        given.extend(file.map(|file| (name.to_owned(), file)));
    }
    let observed = Evidence::observe(&preset.profile, parts, &mut given, files);
    let mut facts = observed.facts;
    let unused: Vec<usize> =
        (0..files.len()).filter(|file| given.iter().all(|(_, given)| given != file)).collect();
    let has_documents = preset.profile.parts.iter().any(|(_, part)| !matches!(part.kind, PartKind::Raw));
    let complete = facts.iter().all(|fact| fact.speaks == Speaks::For);
    if (has_documents && observed.named == 0) || (!has_documents && !complete) {
        return None;
    }
    facts.sort_by_key(|fact| Reverse(fact.weight));
    let speaks_for: i32 = facts.iter().map(|fact| fact.weight.max(0)).sum();
    let only_bodies_missing = !observed.contradicted && observed.only_bodies_missing;
    let certainty = match () {
        () if !has_documents => Certainty::Possible,
        () if complete && speaks_for >= CERTAIN_WEIGHT => Certainty::Certain,
        () if complete || only_bodies_missing => Certainty::Likely,
        () => Certainty::Possible,
    };
    let score = facts.iter().map(|fact| fact.weight).sum::<i32>()
        + UNUSED_WEIGHT * i32::try_from(unused.len()).ok()?;
    Some(Candidate { preset, certainty, score, tied_with: Vec::new(), parts: given, unused, facts })
}

#[cfg(test)]
mod tests;
