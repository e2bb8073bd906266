//! What every key provider keeps to, checked from outside: the same suite for a key in this process and for one behind a
//! network.

use std::sync::Arc;

use pollster::block_on;
use waxwing_core::envelope::{Binding, Draft, LockedHeader, SealOptions};
use waxwing_core::{Dek, SystemRandom};
use waxwing_formats::envelope::{Context, Kind, Recipient};
use waxwing_keyring::{KeyProvider, Keyring, NewEnvelope, UnlockError, UnwrapError};

/// Every kind of `docs/formats/envelope-v1.md`.
const KINDS: [&str; 6] = ["aes-256", "aws-kms", "passphrase", "rsa-oaep-sha256", "vault-transit", "x-wing"];

/// What a wrapping proves by itself, before the header's commitment does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "not every test binary has a provider of every sort")]
pub(crate) enum Binds {
    /// The DEK alone.
    Nothing,
    /// The envelope's context, where it has one.
    Context,
    /// The whole of [`Binding`].
    Envelope,
}

/// How sorts of providers differ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sort {
    pub(crate) binds: Binds,
    /// Whether a recipient names its key, so that another key of the sort knows that it is not meant. A passphrase does not.
    pub(crate) names_its_key: bool,
    /// Whether a forged wrapped key is told from a failure. An emulator may know worse than the service it stands for.
    pub(crate) tells_forgeries: bool,
}

impl Sort {
    /// A provider that says what it means.
    pub(crate) const fn new(binds: Binds, names_its_key: bool) -> Self {
        Self { binds, names_its_key, tells_forgeries: true }
    }
}

/// Checks that what `seals` wraps, `opens` unwraps, that `stranger` (another key of the sort) does not, and that nothing
/// else opens.
///
/// # Panics
///
/// With the law that is broken.
pub(crate) fn check(
    seals: &Arc<dyn KeyProvider>,
    opens: &Arc<dyn KeyProvider>,
    stranger: &Arc<dyn KeyProvider>,
    sort: Sort,
) {
    for context in [Context::default(), context("acme")] {
        let draft = draft(context);
        let recipient = block_on(seals.wrap(draft.dek(), draft.binding())).unwrap();
        let subject = Subject { seals, opens, stranger, sort, draft, recipient };
        subject.comes_back();
        subject.is_refused_by_strangers();
        subject.is_refused_when_changed();
        subject.is_refused_under_another_binding();
        subject.is_printed_nowhere();
        subject.serves_a_header();
    }
    generates(seals, opens);
}

struct Subject<'a> {
    seals: &'a Arc<dyn KeyProvider>,
    opens: &'a Arc<dyn KeyProvider>,
    stranger: &'a Arc<dyn KeyProvider>,
    sort: Sort,
    draft: Draft,
    recipient: Recipient,
}

impl Subject<'_> {
    fn comes_back(&self) {
        let dek = self.unwrap(&self.recipient, self.draft.binding());
        let dek = dek.unwrap().expect("the recipient is the opener's");
        assert_eq!(dek.expose(), self.draft.dek().expose());
        for provider in [self.seals, self.opens] {
            assert!(provider.is_for(&self.recipient), "{provider:?} does not know its own recipient");
        }
    }

    fn is_refused_by_strangers(&self) {
        let binding = self.draft.binding();
        let theirs = block_on(self.stranger.wrap(self.draft.dek(), binding)).unwrap();
        let pairs = [(self.stranger, &self.recipient), (self.opens, &theirs)];
        for (provider, recipient) in pairs {
            assert_eq!(provider.is_for(recipient), !self.sort.names_its_key);
            match block_on(provider.unwrap(recipient, binding)) {
                Ok(None) if self.sort.names_its_key => {}
                Err(UnwrapError::NotAuthentic) if !self.sort.names_its_key => {}
                other => panic!("{provider:?} made {other:?} of another key's recipient"),
            }
        }
    }

    fn is_refused_when_changed(&self) {
        let Recipient { kind, key_id, wrapped } = &self.recipient;
        for other in KINDS.into_iter().filter(|other| *other != kind.as_str()) {
            let changed = Recipient { kind: Kind::new(other).unwrap(), ..self.recipient.clone() };
            self.is_not_mine(&changed, "another kind");
        }
        for key_id in [&[], &key_id[1..], &key_id[..key_id.len() - 1], &[key_id.as_slice(), b"/"].concat()] {
            self.is_not_mine(
                &Recipient { key_id: key_id.to_vec(), ..self.recipient.clone() },
                "a key id of another length",
            );
        }
        if self.sort.names_its_key {
            let changed = Recipient { key_id: flipped(key_id, key_id.len() - 1), ..self.recipient.clone() };
            self.is_not_mine(&changed, "another key id");
        }
        self.is_not_mine(&Recipient { wrapped: Vec::new(), ..self.recipient.clone() }, "nothing wrapped");
        let cut = &wrapped[..wrapped.len() - 1];
        let longer = [wrapped.as_slice(), b"A"].concat();
        for wrapped in [cut.to_vec(), longer, flipped(wrapped, wrapped.len() / 2)] {
            let changed = Recipient { wrapped, ..self.recipient.clone() };
            match self.unwrap(&changed, self.draft.binding()) {
                Ok(None) | Err(UnwrapError::NotAuthentic) => {}
                Err(UnwrapError::Service { .. }) if !self.sort.tells_forgeries => {}
                other => panic!("a changed wrapped key gave {other:?}"),
            }
        }
        let last = Recipient { wrapped: flipped(wrapped, wrapped.len() - 1), ..self.recipient.clone() };
        if self.sort.tells_forgeries {
            self.is_not_authentic(&last, self.draft.binding(), "a flipped bit");
        }
        // What a service makes begins with what it needs to find its key: it may have words of its own for that.
        let first = Recipient { wrapped: flipped(wrapped, 0), ..self.recipient.clone() };
        let result = self.unwrap(&first, self.draft.binding());
        assert!(!matches!(result, Ok(Some(_))), "a wrapped key opened that begins with another byte");
    }

    fn is_refused_under_another_binding(&self) {
        let Binding { fixed, commitment } = self.draft.binding();
        let mut foreign = vec![context("globex")];
        if !fixed.context.is_empty() {
            foreign.push(Context::default());
        }
        for context in foreign {
            let fixed = waxwing_formats::envelope::Fixed { context, ..fixed.clone() };
            self.is_bound(Binds::Context, Binding { fixed: &fixed, commitment });
        }
        let mut other = fixed.clone();
        other.message_id[0] ^= 1;
        self.is_bound(Binds::Envelope, Binding { fixed: &other, commitment });
        let commitment = &[7; 32];
        self.is_bound(Binds::Envelope, Binding { fixed, commitment });
    }

    /// A provider that promises to bind this much refuses; one that does not gives a candidate, which the header refuses.
    fn is_bound(&self, needed: Binds, binding: Binding<'_>) {
        let promised = match self.sort.binds {
            Binds::Nothing => false,
            Binds::Context => needed == Binds::Context,
            Binds::Envelope => true,
        };
        if promised {
            self.is_not_authentic(&self.recipient, binding, "another binding");
        } else {
            assert!(matches!(self.unwrap(&self.recipient, binding), Ok(Some(_))));
        }
    }

    fn is_printed_nowhere(&self) {
        let printed = format!("{:?} {:?} {:?}", self.seals, self.opens, self.draft.dek());
        is_printed_nowhere(&printed, self.draft.dek());
    }

    /// A keyring opens the header with it, and refuses a header into which the recipient was moved.
    fn serves_a_header(&self) {
        let recipients = [self.recipient.clone()];
        let again = Draft::with_dek(self.draft.binding().fixed.clone(), copied(self.draft.dek()));
        let header = locked(again, &recipients);
        unlock(self.opens, &header).unwrap();
        let refused = unlock(self.stranger, &header).unwrap_err();
        match self.sort.names_its_key {
            true => assert!(matches!(refused, UnlockError::NoUsableKey { .. }), "{refused}"),
            false => assert!(matches!(refused, UnlockError::NotAuthentic(_)), "{refused}"),
        }
        let moved = locked(draft(self.draft.binding().fixed.context.clone()), &recipients);
        let refused = unlock(self.opens, &moved).unwrap_err();
        assert!(matches!(refused, UnlockError::NotAuthentic(_)), "{refused}");
    }

    fn unwrap(&self, recipient: &Recipient, binding: Binding<'_>) -> Result<Option<Dek>, UnwrapError> {
        block_on(self.opens.unwrap(recipient, binding))
    }

    fn is_not_mine(&self, recipient: &Recipient, what: &str) {
        let result = self.unwrap(recipient, self.draft.binding());
        let refused = matches!(result, Ok(None));
        let tried = !self.sort.names_its_key && matches!(result, Err(UnwrapError::NotAuthentic));
        assert!(refused || tried, "{what} gave {result:?}");
    }

    fn is_not_authentic(&self, recipient: &Recipient, binding: Binding<'_>, what: &str) {
        let result = self.unwrap(recipient, binding);
        assert!(matches!(result, Err(UnwrapError::NotAuthentic)), "{what} gave {result:?}");
    }
}

/// What a service makes by itself opens like what it wrapped, and no two are alike.
fn generates(seals: &Arc<dyn KeyProvider>, opens: &Arc<dyn KeyProvider>) {
    let draft = draft(context("acme"));
    let fixed = draft.binding().fixed;
    let new = NewEnvelope { fixed, plaintext_len: Some(5) };
    let (Some(one), Some(other)) =
        (block_on(seals.generate(new)).unwrap(), block_on(seals.generate(new)).unwrap())
    else {
        return;
    };
    assert_ne!(one.dek.expose(), other.dek.expose());
    is_printed_nowhere(&format!("{one:?}"), &one.dek);
    let again = Draft::with_dek(fixed.clone(), copied(&one.dek));
    let dek = block_on(opens.unwrap(&one.recipient, again.binding())).unwrap().unwrap();
    assert_eq!(dek.expose(), one.dek.expose());
    assert!(seals.is_for(&one.recipient));
}

/// Opens `header` with one provider.
fn unlock(provider: &Arc<dyn KeyProvider>, header: &LockedHeader) -> Result<(), UnlockError> {
    block_on(Keyring::new([provider.clone()]).unlock(header)).map(|_| ())
}

fn draft(context: Context) -> Draft {
    Draft::new(SealOptions { context, ..SealOptions::default() }, &SystemRandom).unwrap()
}

fn context(tenant: &str) -> Context {
    Context::new([("tenant", tenant), ("file", "q3.csv")]).unwrap()
}

fn locked(draft: Draft, recipients: &[Recipient]) -> LockedHeader {
    let (header, _) = draft.seal_header(recipients).unwrap();
    LockedHeader::decode(&header).unwrap()
}

fn copied(dek: &Dek) -> Dek {
    Dek::from_unwrapped(dek.expose()).unwrap()
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

fn is_printed_nowhere(printed: &str, dek: &Dek) {
    let dek = dek.expose();
    let hex: String = dek.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{dek:?}");
    let base64 = waxwing_formats::base64::encode(dek);
    for secret in [hex.as_str(), list.trim_matches(['[', ']']), base64.as_str()] {
        assert!(!printed.contains(secret), "a DEK is printed");
    }
}
