//! A build without connectors: it knows a URL, and says what it lacks.

use std::ops::Range;

use waxwing_engine::{Existing, HeaderKind, Input, Opened, Output, Work};
use waxwing_formats::envelope::Context;
use waxwing_keyring::{Change, Keyring, Rewrapped};

use crate::exit::{Code, Failure, Outcome};
use crate::files::Kind;

/// Nothing is ever to be published.
#[derive(Debug, Default)]
pub(crate) struct Publication(());

impl Publication {
    pub(crate) fn publish(self) -> Outcome {
        Ok(())
    }
}

fn lacking<T>(url: &str) -> Result<T, Failure> {
    let failure =
        Failure::new(Code::Usage, format!("this build reads and writes no URLs, as `{}` is", name(url)));
    Err(failure
        .hint("build it with the feature `connectors`; a path that looks like a URL needs ./ in front"))
}

pub(crate) fn input(url: &str) -> Result<Input, Failure> {
    lacking(url)
}

pub(crate) fn read_small(url: &str, _limit: usize) -> Result<Vec<u8>, Failure> {
    lacking(url)
}

pub(crate) fn output(
    url: &str,
    _existing: Existing,
    _kind: Kind,
    _len: Option<u64>,
) -> Result<(Output, Publication), Failure> {
    lacking(url)
}

pub(crate) fn open_range(
    url: &str,
    _header: Option<Input>,
    _range: Range<u64>,
    _output: Output,
    _keyring: &Keyring,
    _required: &Context,
    _work: &Work<'_>,
) -> Result<Opened, Failure> {
    lacking(url)
}

pub(crate) fn rewrap(
    url: &str,
    _kind: HeaderKind,
    _keyring: &Keyring,
    _change: &Change,
) -> Result<Rewrapped, Failure> {
    lacking(url)
}

/// The URL's scheme: the rest may hold a password.
pub(crate) fn name(url: &str) -> String {
    format!("{}://…", waxwing_store::url_scheme(url).unwrap_or_default())
}
