use std::fmt::{self, Write as _};
use std::sync::Arc;

use waxwing_core::envelope::{Binding, Draft, LockedHeader, Rewrap, SealOptions, VerifiedHeader};
use waxwing_core::{Dek, NotAuthentic, OpenError, Random};
use waxwing_formats::envelope::{Kind, Recipient};

use crate::{BoxFuture, KeyProvider, NewEnvelope, ServiceError, UnwrapError, WrapError};

/// The most recipients of one header whose unwrapping is tried.
pub const CANDIDATES_MAX: usize = 16;
/// The most of them that are passphrases: each may cost a GiB and seconds.
pub const PASSPHRASES_TRIED_MAX: usize = 4;
/// The most recipients that a message lists.
const LISTED_MAX: usize = 8;
/// The most bytes of a foreign key id that a message shows.
const SHOWN_KEY_ID_LEN_MAX: usize = 128;

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

    /// Adds a provider that others hold too.
    pub fn push_shared(&mut self, provider: Arc<dyn KeyProvider>) {
        self.providers.push(provider);
    }

    /// Whether there is no provider.
    pub fn is_empty(&self) -> bool {
        self.providers.is_empty()
    }

    /// Whether these are the recipients that this keyring wraps for, in its order. Uses no key and asks nobody.
    pub fn is_for(&self, recipients: &[Recipient]) -> bool {
        self.providers.len() == recipients.len()
            && self.providers.iter().zip(recipients).all(|(provider, recipient)| provider.is_for(recipient))
    }

    /// Whether one of the providers would wrap for a recipient like this. Uses no key and asks nobody.
    pub fn knows(&self, recipient: &Recipient) -> bool {
        self.providers.iter().any(|provider| provider.is_for(recipient))
    }

    pub(crate) fn providers(&self) -> &[Arc<dyn KeyProvider>] {
        &self.providers
    }

    /// Begins an envelope: a fresh DEK, wrapped once for every provider.
    ///
    /// The first provider that makes DEKs itself makes this one; without such a provider it is drawn here.
    ///
    /// # Errors
    ///
    /// The first [`WrapError`]: an envelope that lacks a recipient the caller named is not made.
    pub async fn draft(
        &self,
        options: SealOptions,
        plaintext_len: Option<u64>,
        random: &dyn Random,
    ) -> Result<(Draft, Vec<Recipient>), WrapError> {
        let fixed = options.draw(random)?;
        let mut generated = None;
        for (index, provider) in self.providers.iter().enumerate() {
            let made = provider.generate(NewEnvelope { fixed: &fixed, plaintext_len }).await?;
            if let Some(made) = made {
                generated = Some((index, made));
                break;
            }
        }
        let (dek, mut wrapped) = match generated {
            Some((index, made)) => (made.dek, Some((index, made.recipient))),
            None => (Dek::generate(random)?, None),
        };
        let draft = Draft::with_dek(fixed, dek);
        let mut recipients = Vec::with_capacity(self.providers.len());
        for (index, provider) in self.providers.iter().enumerate() {
            recipients.push(match wrapped.take_if(|(made_by, _)| *made_by == index) {
                Some((_, recipient)) => recipient,
                None => provider.wrap(draft.dek(), draft.binding()).await?,
            });
        }
        Ok((draft, recipients))
    }

    /// Finds the DEK of a header and proves the header with it.
    ///
    /// Recipients are tried in header order, at most [`CANDIDATES_MAX`] of them and [`PASSPHRASES_TRIED_MAX`] passphrases;
    /// one that nobody here owns, or that is malformed, is skipped and does not count. The first DEK that the commitment
    /// accepts decides.
    ///
    /// # Errors
    ///
    /// [`UnlockError`].
    pub async fn unlock(&self, header: &LockedHeader) -> Result<VerifiedHeader, UnlockError> {
        self.find(header, |dek| header.verify(&dek)).await
    }

    /// [`Self::unlock`], to write the header anew.
    ///
    /// # Errors
    ///
    /// [`UnlockError`].
    pub async fn unlock_to_rewrap(&self, header: &LockedHeader) -> Result<Rewrap, UnlockError> {
        self.find(header, |dek| header.verify_to_rewrap(dek)).await
    }

    /// The first thing that `verify` makes of a DEK.
    async fn find<T>(
        &self,
        header: &LockedHeader,
        verify: impl Fn(Dek) -> Result<Option<T>, NotAuthentic>,
    ) -> Result<T, UnlockError> {
        let (mut candidates, mut passphrases) = (0, 0);
        let mut failed = Vec::new();
        'recipients: for recipient in &header.unverified().recipients {
            let is_passphrase = recipient.kind.as_str() == Kind::PASSPHRASE;
            for provider in &self.providers {
                if is_passphrase && passphrases == PASSPHRASES_TRIED_MAX {
                    continue 'recipients;
                }
                let dek = match provider.unwrap(recipient, header.binding()).await {
                    Ok(None) => continue,
                    Ok(Some(dek)) => Some(dek),
                    Err(UnwrapError::NotAuthentic) => None,
                    Err(UnwrapError::Service { key, source }) => {
                        failed.push(FailedKey { key, source });
                        None
                    }
                };
                candidates += 1;
                passphrases += usize::from(is_passphrase);
                if let Some(dek) = dek
                    && let Some(verified) = verify(dek)?
                {
                    return Ok(verified);
                }
                if candidates == CANDIDATES_MAX {
                    break 'recipients;
                }
            }
        }
        Err(match (failed.is_empty(), candidates) {
            (false, _) => UnlockError::Unavailable(FailedKeys(failed)),
            (true, 0) => UnlockError::NoUsableKey { wrapped_for: list(&header.unverified().recipients) },
            (true, _) => UnlockError::NotAuthentic(NotAuthentic),
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
    /// Services that keep keys for it could not be asked or refused, and no other key opened.
    #[error("a key that may open it could not be used: {0}")]
    Unavailable(FailedKeys),
}

/// A key whose service did not unwrap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedKey {
    /// The provider, as people know it.
    pub key: String,
    /// What its service or the network said.
    pub source: ServiceError,
}

/// Keys whose services did not unwrap: never none, at most [`CANDIDATES_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedKeys(pub Vec<FailedKey>);

impl fmt::Display for FailedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, FailedKey { key, source }) in self.0.iter().enumerate() {
            write!(f, "{}`{key}`: {source}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
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

/// A recipient by the text that [`describe`] gives it: for taking away keys that nobody here has. Neither wraps nor
/// unwraps.
#[derive(Debug, Clone)]
pub struct RecipientText(pub String);

impl KeyProvider for RecipientText {
    fn is_for(&self, recipient: &Recipient) -> bool {
        describe(recipient) == self.0
    }

    fn wrap<'a>(&'a self, _: &'a Dek, _: Binding<'a>) -> BoxFuture<'a, Result<Recipient, WrapError>> {
        Box::pin(async { Err(WrapError::CannotWrap { key: self.0.clone() }) })
    }

    fn unwrap<'a>(
        &'a self,
        _: &'a Recipient,
        _: Binding<'a>,
    ) -> BoxFuture<'a, Result<Option<Dek>, UnwrapError>> {
        Box::pin(async { Ok(None) })
    }
}

/// A recipient as people can tell it from others: `kind:key-id`, printable whatever the header holds.
pub fn describe(recipient: &Recipient) -> String {
    let Recipient { kind, key_id, .. } = recipient;
    let shown = &key_id[..key_id.len().min(SHOWN_KEY_ID_LEN_MAX)];
    let key_id = match kind.as_str() {
        Kind::AES_256 | Kind::AWS_KMS | Kind::VAULT_TRANSIT => shown.escape_ascii().to_string(),
        // The salt tells nobody anything.
        Kind::PASSPHRASE => return kind.to_string(),
        _ => shown.iter().map(|b| format!("{b:02x}")).collect(),
    };
    format!("{kind}:{key_id}")
}
