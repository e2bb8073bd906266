//! Another set of recipients for the same DEK: the header is written anew, the body stays byte for byte.

use waxwing_core::envelope::LockedHeader;
use waxwing_formats::envelope::{HeaderError, Kind, Recipient};

use crate::{Keyring, UnlockError, WrapError};

/// Who may open besides, and who no longer.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Gets a wrapped key, unless there is one for it already; a passphrase gets one in any case, with a fresh salt.
    pub add: Keyring,
    /// Loses every wrapped key that looks like its own. A passphrase loses those of all passphrases: they look alike.
    pub remove: Keyring,
    /// Loses every wrapped key that is not in [`add`](Self::add).
    pub remove_others: bool,
}

/// What a rewrap gave.
#[derive(Debug)]
pub struct Rewrapped {
    /// The new header, all of it.
    pub header: Vec<u8>,
    /// Recipients that stayed as they were, unknown kinds included.
    pub kept: Vec<Recipient>,
    /// Recipients that were added.
    pub added: Vec<Recipient>,
    /// Recipients that were removed.
    pub removed: Vec<Recipient>,
}

/// Why a header was not written anew.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RewrapError {
    /// It did not open.
    #[error(transparent)]
    Unlock(#[from] UnlockError),
    /// A new recipient's key did not wrap.
    #[error("the data key could not be wrapped for every recipient")]
    Wrap(#[from] WrapError),
    /// Nobody would be left, or more than fit.
    #[error("the header cannot be written")]
    Header(#[from] HeaderError),
}

/// Opens `header` with `keyring` and writes it anew with the change. Kept recipients are copied as they are.
///
/// What is taken away is one copy of the DEK: who held it, or an old header, can still open the body.
///
/// # Errors
///
/// [`RewrapError`].
pub async fn rewrap(
    header: &LockedHeader,
    keyring: &Keyring,
    change: &Change,
) -> Result<Rewrapped, RewrapError> {
    let rewrap = keyring.unlock_to_rewrap(header).await?;
    let stays = |recipient: &Recipient| match change.remove_others {
        true => change.add.knows(recipient) && !is_passphrase(recipient),
        false => !change.remove.knows(recipient),
    };
    let (kept, removed): (Vec<_>, Vec<_>) = rewrap.header().recipients.iter().cloned().partition(stays);
    let mut added = Vec::new();
    for provider in change.add.providers() {
        let there = kept.iter().any(|recipient| provider.is_for(recipient) && !is_passphrase(recipient));
        if !there {
            added.push(provider.wrap(rewrap.dek(), rewrap.binding()).await?);
        }
    }
    let all: Vec<Recipient> = kept.iter().chain(&added).cloned().collect();
    Ok(Rewrapped { header: rewrap.with_recipients(&all)?, kept, added, removed })
}

fn is_passphrase(recipient: &Recipient) -> bool {
    recipient.kind.as_str() == Kind::PASSPHRASE
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use waxwing_core::SystemRandom;
    use waxwing_core::envelope::SealOptions;
    use waxwing_formats::envelope::PassphraseCost;

    use super::*;
    use crate::{Kek, KeyProvider, Passphrase};

    fn kek(name: &str) -> Arc<dyn KeyProvider> {
        Arc::new(Kek::generate(name, &SystemRandom).unwrap())
    }

    fn passphrase(text: &str) -> Arc<dyn KeyProvider> {
        Arc::new(Passphrase::new(text.as_bytes(), PassphraseCost::MIN, Arc::new(SystemRandom)).unwrap())
    }

    fn sealed(recipients: &Keyring) -> LockedHeader {
        let drafted = recipients.draft(SealOptions::default(), None, &SystemRandom);
        let (draft, wrapped) = pollster::block_on(drafted).unwrap();
        LockedHeader::decode(&draft.seal_header(&wrapped).unwrap().0).unwrap()
    }

    fn change(header: &LockedHeader, keyring: &Keyring, change: &Change) -> LockedHeader {
        let rewrapped = pollster::block_on(rewrap(header, keyring, change)).unwrap();
        LockedHeader::decode(&rewrapped.header).unwrap()
    }

    fn opens(header: &LockedHeader, provider: &Arc<dyn KeyProvider>) -> bool {
        pollster::block_on(Keyring::new([provider.clone()]).unlock(header)).is_ok()
    }

    #[test]
    fn attack_32_a_rewrapped_header_opens_for_exactly_the_stated_keys() {
        let (a, b, c) = (kek("a/1"), kek("b/1"), kek("c/1"));
        let old = sealed(&Keyring::new([a.clone(), b.clone()]));
        let with = |add: &[&Arc<dyn KeyProvider>], remove: &[&Arc<dyn KeyProvider>]| Change {
            add: Keyring::new(add.iter().map(|&p| p.clone())),
            remove: Keyring::new(remove.iter().map(|&p| p.clone())),
            remove_others: false,
        };
        let by_a = Keyring::new([a.clone()]);
        let swapped = change(&old, &by_a, &with(&[&c], &[&b]));
        assert_eq!([&a, &b, &c].map(|key| opens(&swapped, key)), [true, false, true]);
        let only_c = change(&old, &by_a, &Change { remove_others: true, ..with(&[&c], &[]) });
        assert_eq!([&a, &b, &c].map(|key| opens(&only_c, key)), [false, false, true]);
        // Both headers are of one body.
        assert_eq!(only_c.unverified().fixed, old.unverified().fixed);
        assert_eq!(only_c.unverified().commitment, old.unverified().commitment);
        let again = change(&old, &by_a, &with(&[&b], &[]));
        assert_eq!(again.unverified().recipients, old.unverified().recipients, "b was there already");
        let nobody = pollster::block_on(rewrap(&old, &by_a, &with(&[], &[&a, &b])));
        assert!(matches!(nobody, Err(RewrapError::Header(HeaderError::RecipientCount { count: 0 }))));
        let stranger = pollster::block_on(rewrap(&old, &Keyring::new([c]), &with(&[], &[&a])));
        assert!(matches!(stranger, Err(RewrapError::Unlock(UnlockError::NoUsableKey { .. }))));
    }

    #[test]
    fn a_passphrase_is_replaced_and_its_salt_is_fresh() {
        let (old, new) = (passphrase("old"), passphrase("new"));
        let header = sealed(&Keyring::new([old.clone()]));
        let both = Change { add: Keyring::new([new.clone()]), ..Change::default() };
        let both = change(&header, &Keyring::new([old.clone()]), &both);
        assert!(opens(&both, &old) && opens(&both, &new));
        let only = Change { add: Keyring::new([new.clone()]), remove_others: true, ..Change::default() };
        let only = change(&header, &Keyring::new([old.clone()]), &only);
        assert!(!opens(&only, &old) && opens(&only, &new));
        let [before, after] = [&header, &only].map(|header| header.unverified().recipients[0].key_id.clone());
        assert_ne!(before[..16], after[..16]);
    }
}
