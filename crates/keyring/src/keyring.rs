use std::fmt::Write as _;
use std::sync::Arc;

use waxwing_core::envelope::{Draft, LockedHeader, VerifiedHeader};
use waxwing_core::{NotAuthentic, OpenError};
use waxwing_formats::envelope::{Kind, Recipient};

use crate::{KeyProvider, UnwrapError, WrapError};

/// The most recipients of one header whose unwrapping is tried.
pub const CANDIDATES_MAX: usize = 16;
/// The most recipients that a message lists.
const LISTED_MAX: usize = 8;
/// The most bytes of a foreign key id that a message shows.
const SHOWN_KEY_ID_LEN_MAX: usize = 64;

/// An ordered set of key providers.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    providers: Vec<Arc<dyn KeyProvider>>,
}

impl Keyring {
    /// A keyring of these providers, in this order.
    pub fn new(providers: impl IntoIterator<Item = Arc<dyn KeyProvider>>) -> Self {
        Self { providers: providers.into_iter().collect() }
    }

    /// Adds a provider behind the others.
    pub fn push(&mut self, provider: impl KeyProvider + 'static) {
        self.providers.push(Arc::new(provider));
    }

    /// Whether there is no provider.
    pub fn is_empty(&self) -> bool {
        self.providers.is_empty()
    }

    /// Wraps the draft's DEK once for every provider.
    ///
    /// # Errors
    ///
    /// The first [`WrapError`]: an envelope that lacks a recipient the caller named is not made.
    pub async fn wrap_all(&self, draft: &Draft) -> Result<Vec<Recipient>, WrapError> {
        let mut recipients = Vec::with_capacity(self.providers.len());
        for provider in &self.providers {
            recipients.push(provider.wrap(draft.dek(), draft.binding()).await?);
        }
        Ok(recipients)
    }

    /// Finds the DEK of a header and proves the header with it.
    ///
    /// Recipients are tried in header order, at most [`CANDIDATES_MAX`] of them; one that nobody here owns, or that is
    /// malformed, is skipped and does not count. The first DEK that the commitment accepts decides.
    ///
    /// # Errors
    ///
    /// [`UnlockError`].
    pub async fn unlock(&self, header: &LockedHeader) -> Result<VerifiedHeader, UnlockError> {
        let mut candidates = 0;
        let mut unavailable = None;
        'recipients: for recipient in &header.unverified().recipients {
            for provider in &self.providers {
                let dek = match provider.unwrap(recipient, header.binding()).await {
                    Ok(None) => continue,
                    Ok(Some(dek)) => Some(dek),
                    Err(UnwrapError::NotAuthentic) => None,
                    Err(err @ UnwrapError::Unavailable { .. }) => {
                        unavailable.get_or_insert(err);
                        None
                    }
                };
                candidates += 1;
                if let Some(dek) = dek
                    && let Some(verified) = header.verify(&dek)?
                {
                    return Ok(verified);
                }
                if candidates == CANDIDATES_MAX {
                    break 'recipients;
                }
            }
        }
        Err(match (unavailable, candidates) {
            (Some(err), _) => UnlockError::Unavailable(err),
            (None, 0) => UnlockError::NoUsableKey { wrapped_for: list(&header.unverified().recipients) },
            (None, _) => UnlockError::NotAuthentic(NotAuthentic),
        })
    }
}

/// Why no key of a keyring opened a header.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// No recipient is for a key in the keyring.
    #[error("no key in this keyring opens it; it is wrapped for {wrapped_for}")]
    NoUsableKey {
        /// The recipients, as people can tell them apart.
        wrapped_for: String,
    },
    /// A key was used, and nothing verified.
    #[error(transparent)]
    NotAuthentic(#[from] NotAuthentic),
    /// A key service could not be asked, and no other key opened.
    #[error("a key that may open it could not be used")]
    Unavailable(#[source] UnwrapError),
}

impl UnlockError {
    /// The failure's name in `docs/formats/envelope-v1.md` and in the vectors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoUsableKey { .. } => "no-usable-key",
            Self::NotAuthentic(err) => OpenError::NotAuthentic(*err).name(),
            Self::Unavailable(_) => "key-service-failed",
        }
    }
}

fn list(recipients: &[Recipient]) -> String {
    let mut text = recipients.iter().take(LISTED_MAX).map(describe).collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = recipients.len().checked_sub(LISTED_MAX) {
        write!(text, " and {more} more").expect("writing to a string succeeds");
    }
    text
}

/// A recipient as people can tell it from others: `kind:key-id`, printable whatever the header holds.
pub fn describe(recipient: &Recipient) -> String {
    let Recipient { kind, key_id, .. } = recipient;
    let shown = &key_id[..key_id.len().min(SHOWN_KEY_ID_LEN_MAX)];
    let key_id = match kind.as_str() {
        Kind::AES_256 => shown.escape_ascii().to_string(),
        _ => shown.iter().map(|b| format!("{b:02x}")).collect(),
    };
    format!("{kind}:{key_id}")
}
