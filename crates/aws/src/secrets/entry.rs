//! What a secret says of an agent.

use std::collections::BTreeMap;
use std::time::Duration;

use waxwing_delivery::{Agent, AgentError, AgentEvent, AgentId, KeyId, UnixMillis};
use waxwing_keyring::{Key, KeyError};

use super::calls::Value;

/// The tag that says whether the agent takes jobs: [`ENABLED`] or [`DISABLED`]. A secret without it does.
pub(super) const STATE_TAG: &str = "waxwing:state";
pub(super) const ENABLED: &str = "enabled";
pub(super) const DISABLED: &str = "disabled";
/// The tag with the scheme of records that state none.
pub(super) const SCHEME_TAG: &str = "waxwing:scheme";
/// What stands before a replaced key's id in the tag that says until when it opens, in milliseconds since 1970.
pub(super) const KEY_TAG_PREFIX: &str = "waxwing:key:";
/// How many replaced keys are remembered. A secret has 50 tags at most, and its owner may want some.
pub(super) const KEY_TAGS_MAX: usize = 32;
/// The longest value of a tag.
const TAG_VALUE_LEN_MAX: usize = 256;

/// What a secret holds, or should come to hold, is not an agent's key, or not the expected one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The secret has no version that is current.
    #[error("the secret has no value")]
    Empty,
    /// Something else than an RSA public key or certificate.
    #[error("the secret holds no public key that can be sealed for")]
    NotAKey(#[source] KeyError),
    /// A private key where everybody reads who delivers.
    #[error(
        "the secret holds a private key; delete it, make a new key pair, and register the public key alone"
    )]
    PrivateKey,
    /// Another key than the caller expects of this agent (attack row 19).
    #[error(
        "the secret holds the key {found}, which is none of the {expected} expected; deliver nothing, and ask the agent's owner \
         over another channel"
    )]
    NotExpected {
        /// Its fingerprint.
        found: String,
        /// How many are expected.
        expected: usize,
    },
    /// The id that came with a key is not its own.
    #[error("the key is {found}, not the one it was called")]
    OtherKey {
        /// Its fingerprint.
        found: String,
    },
    /// Tags take few characters.
    #[error(
        "the scheme does not fit a secret's tag: at most {TAG_VALUE_LEN_MAX} ASCII letters, digits, spaces and + - = . _ : / @"
    )]
    Scheme,
    /// An agent with more than one key.
    #[error("an agent is registered with one key; rotate to the others")]
    History,
    /// The parts make no agent.
    #[error("the secret describes no agent")]
    Agent(#[source] AgentError),
}

/// A public key, with the text it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicKey {
    pub(super) id: KeyId,
    pub(super) pem: String,
    /// Since when it is in the secret.
    pub(super) added: UnixMillis,
}

impl PublicKey {
    /// Reads SPKI, PKCS#1 or a certificate.
    pub(super) fn read(text: &[u8], added: UnixMillis) -> Result<Self, EntryError> {
        let key = match Key::read(text, None) {
            Ok(Key::RsaPrivate(_) | Key::XWingPrivate(_) | Key::Kek(_)) | Err(KeyError::PassphraseNeeded) => {
                return Err(EntryError::PrivateKey);
            }
            read => read.and_then(Key::into_rsa_public).map_err(EntryError::NotAKey)?,
        };
        let id = key.key_id().to_string().parse().expect("64 hexadecimal digits are a key id");
        let pem = std::str::from_utf8(text).map_or_else(|_| key.to_pem(), str::to_owned);
        Ok(Self { id, pem, added })
    }

    pub(super) fn of(value: &Value) -> Result<Self, EntryError> {
        Self::read(&value.bytes, value.created)
    }

    /// Refuses a key that is not the one called `id`.
    pub(super) fn called(text: &str, id: &KeyId, added: UnixMillis) -> Result<Self, EntryError> {
        let key = Self::read(text.as_bytes(), added)?;
        if key.id != *id {
            return Err(EntryError::OtherKey { found: key.fingerprint() });
        }
        Ok(key)
    }

    /// Refuses a key that is none of those expected, where there are any.
    pub(super) fn expect(&self, expected: Option<&[KeyId]>) -> Result<(), EntryError> {
        match expected {
            Some(expected) if !expected.contains(&self.id) => {
                Err(EntryError::NotExpected { found: self.fingerprint(), expected: expected.len() })
            }
            _ => Ok(()),
        }
    }

    fn fingerprint(&self) -> String {
        format!("sha256:{}", self.id)
    }
}

/// The agent that a secret describes.
///
/// The previous key is believed only as far as the current one's successor to it: what cannot be read, or is not expected, is
/// left out. Where no tag says until when it opens, somebody else replaced it, and it opens for `overlap` from then on.
pub(super) fn agent(
    id: &AgentId,
    tags: &BTreeMap<String, String>,
    current: PublicKey,
    previous: Option<PublicKey>,
    overlap: Duration,
    updated: UnixMillis,
) -> Result<Agent, EntryError> {
    let scheme = tags.get(SCHEME_TAG).filter(|scheme| !scheme.is_empty()).cloned();
    let previous = previous.filter(|previous| previous.id != current.id);
    let mut agent = match previous {
        None => Agent::new(id.clone(), current.id, current.pem, scheme, current.added),
        Some(previous) => {
            let until = tags.get(&key_tag(&previous.id)).and_then(|until| until.parse().ok());
            let until = until.map_or_else(|| current.added.plus(overlap), UnixMillis::new);
            let replaced = AgentEvent::Rotate {
                key_id: current.id,
                pem: current.pem,
                overlap: until.since(current.added),
            };
            Agent::new(id.clone(), previous.id, previous.pem, scheme, previous.added).and_then(|mut agent| {
                agent.apply(replaced, current.added)?;
                Ok(agent)
            })
        }
    }
    .map_err(EntryError::Agent)?;
    let state = match tags.get(STATE_TAG).map(String::as_str) {
        Some(DISABLED) => AgentEvent::Disable,
        _ => AgentEvent::Enable,
    };
    agent.apply(state, updated).map_err(EntryError::Agent)?;
    Ok(agent)
}

/// The tag of a key that was replaced.
pub(super) fn key_tag(id: &KeyId) -> String {
    format!("{KEY_TAG_PREFIX}{id}")
}

/// The tags to give up so that one more key finds room: those of the keys whose overlap ended first.
pub(super) fn forgotten(tags: &BTreeMap<String, String>) -> Vec<String> {
    let mut keys: Vec<(u64, &String)> = tags
        .iter()
        .filter(|(key, _)| key.starts_with(KEY_TAG_PREFIX))
        .map(|(key, until)| (until.parse().unwrap_or(0), key))
        .collect();
    keys.sort_unstable();
    let too_many = (keys.len() + 1).saturating_sub(KEY_TAGS_MAX);
    keys.into_iter().take(too_many).map(|(_, key)| key.clone()).collect()
}

/// A scheme as a tag's value.
pub(super) fn scheme_tag(scheme: &str) -> Result<&str, EntryError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b" +-=._:/@".contains(&b);
    match scheme.len() <= TAG_VALUE_LEN_MAX && scheme.bytes().all(fits) {
        true => Ok(scheme),
        false => Err(EntryError::Scheme),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_delivery::KeyStatus;
    use waxwing_testkit::keys;

    const DAY: Duration = Duration::from_secs(86_400);
    const START: UnixMillis = UnixMillis::new(1_700_000_000_000);

    fn read(pem: &[u8]) -> PublicKey {
        PublicKey::read(pem, START).unwrap()
    }

    #[test]
    fn reads_all_three_forms_of_one_key_and_no_private_one() {
        let ids = [keys::RSA_2048_SPKI, keys::RSA_2048_PKCS1_PUBLIC, keys::RSA_2048_CERTIFICATE];
        let ids = ids.map(|pem| read(pem.as_bytes()).id);
        assert!(ids.iter().all(|id| *id == ids[0]));
        for private in [keys::RSA_2048_PKCS8, keys::RSA_2048_ENCRYPTED_PKCS8] {
            let refused = PublicKey::read(private.as_bytes(), START).unwrap_err();
            assert!(matches!(refused, EntryError::PrivateKey), "{refused}");
        }
        assert!(matches!(PublicKey::read(b"hunter2", START), Err(EntryError::NotAKey(_))));
        assert!(matches!(PublicKey::read(keys::EC_SPKI.as_bytes(), START), Err(EntryError::NotAKey(_))));
    }

    #[test]
    fn attack_19_previous_key_opens_as_long_as_its_tag_says() {
        let (old, new) = (read(keys::RSA_2048_SPKI.as_bytes()), read(keys::RSA_3072_SPKI.as_bytes()));
        let id = "acme".parse().unwrap();
        let of = |tags: &BTreeMap<_, _>, previous| agent(&id, tags, new.clone(), previous, 7 * DAY, START);
        let mut tags = BTreeMap::new();
        let unsaid = of(&tags, Some(old.clone())).unwrap();
        assert_eq!(unsaid.key_status(&old.id, START), KeyStatus::Overlap { until: START.plus(7 * DAY) });
        tags.insert(key_tag(&old.id), START.plus(DAY).as_millis().to_string());
        let said = of(&tags, Some(old.clone())).unwrap();
        assert_eq!(said.key_status(&old.id, START), KeyStatus::Overlap { until: START.plus(DAY) });
        assert_eq!(said.key_status(&old.id, START.plus(DAY)), KeyStatus::Retired);
        assert_eq!(said.key_to_seal().unwrap().key_id, new.id);
        assert_eq!(of(&tags, None).unwrap().key_status(&old.id, START), KeyStatus::Unknown);
    }

    #[test]
    fn tags_say_state_and_scheme_and_forget_the_oldest_keys() {
        let id = "acme".parse().unwrap();
        let mut tags = BTreeMap::from([
            (STATE_TAG.to_owned(), DISABLED.to_owned()),
            (SCHEME_TAG.to_owned(), "oaep-sha1+aes-128-cbc".to_owned()),
        ]);
        let agent = agent(&id, &tags, read(keys::RSA_2048_SPKI.as_bytes()), None, DAY, START).unwrap();
        assert!(!agent.is_enabled());
        assert_eq!(agent.scheme(), Some("oaep-sha1+aes-128-cbc"));
        for n in 0..KEY_TAGS_MAX {
            tags.insert(format!("{KEY_TAG_PREFIX}{n:08x}"), (1000 - n).to_string());
        }
        assert_eq!(forgotten(&tags), [format!("{KEY_TAG_PREFIX}{:08x}", KEY_TAGS_MAX - 1)]);
        assert!(matches!(scheme_tag("a,b"), Err(EntryError::Scheme)));
        assert!(matches!(scheme_tag(&"x".repeat(257)), Err(EntryError::Scheme)));
    }
}
