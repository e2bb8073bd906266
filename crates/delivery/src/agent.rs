//! Agents: who may be delivered to, and with which public key.

use crate::clock::UnixMillis;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use waxwing_formats::names::{AgentId, KeyId};

/// How many keys an agent's history holds. It is append-only, so that a swapped key leaves a trace; at one rotation a
/// day it lasts most of a year.
pub const KEYS_MAX: usize = 256;
/// The longest public key, in bytes of PEM: an RSA-16384 certificate with a long name fits.
pub const PEM_LEN_MAX: usize = 16 * 1024;
/// The longest scheme text, in bytes.
pub const SCHEME_LEN_MAX: usize = 1024;

/// A party that files are sealed for. Only [`Agent::apply`] changes it.
///
/// The last key registered is the one to seal for. Those before it open until their overlap ends, and stay listed
/// for ever. This crate does not read keys: `pem` and `key_id` are the caller's, who must check before sealing that
/// one yields the other (attack row 19, a key swapped in the ledger).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredAgent")]
pub struct Agent {
    id: AgentId,
    enabled: bool,
    scheme: Option<String>,
    keys: Vec<AgentKey>,
    created: UnixMillis,
    updated: UnixMillis,
}

/// One public key of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentKey {
    /// Its identity.
    pub key_id: KeyId,
    /// The key as it was registered.
    pub pem: String,
    /// When it was registered.
    pub added: UnixMillis,
    /// When it stops opening; `None` for the key to seal for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_until: Option<UnixMillis>,
}

/// What happens to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentEvent {
    /// A new key takes over; the old one still opens for `overlap`.
    Rotate {
        /// The new key's identity.
        key_id: KeyId,
        /// The new key.
        pem: String,
        /// How long the old key opens on.
        overlap: Duration,
    },
    /// Records for this agent that state no scheme are in this one.
    SetScheme(Option<String>),
    /// The agent takes jobs again.
    Enable,
    /// The agent takes no new jobs. Jobs already made go on, and its keys still open.
    Disable,
}

/// What a key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStatus {
    /// Seal for it, and open with it.
    Active,
    /// Open with it before this moment; seal for its successor.
    Overlap {
        /// The moment.
        until: UnixMillis,
    },
    /// Refuse it.
    Retired,
    /// It was never the agent's. Refuse it.
    Unknown,
}

/// A change, or a use, that the agent's state does not allow. The agent is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The agent is disabled.
    #[error("the agent is disabled; enable it first")]
    Disabled,
    /// The key is in the agent's history. A key once replaced does not come back.
    #[error("key `{0}` is already in the agent's history; make a new key")]
    KeyKnown(KeyId),
    /// The history is full.
    #[error("the agent has had {KEYS_MAX} keys, the most one id may have; register a new agent id")]
    TooManyKeys,
    /// The key's text is empty or longer than [`PEM_LEN_MAX`].
    #[error("the public key is {len} bytes of PEM; it must be 1 to {PEM_LEN_MAX}")]
    PemLen {
        /// Its length in bytes.
        len: usize,
    },
    /// The scheme's text is longer than [`SCHEME_LEN_MAX`].
    #[error("the scheme is {len} bytes long; the limit is {SCHEME_LEN_MAX}")]
    SchemeLen {
        /// Its length in bytes.
        len: usize,
    },
    /// What the ledger holds is no agent.
    #[error("the agent has no key to seal for")]
    NoKey,
}

impl Agent {
    /// Registers an agent with its first key.
    ///
    /// # Errors
    ///
    /// [`AgentError::PemLen`] and [`AgentError::SchemeLen`].
    pub fn new(
        id: AgentId,
        key_id: KeyId,
        pem: String,
        scheme: Option<String>,
        now: UnixMillis,
    ) -> Result<Self, AgentError> {
        check_pem(&pem)?;
        check_scheme(scheme.as_deref())?;
        let key = AgentKey { key_id, pem, added: now, open_until: None };
        Ok(Self { id, enabled: true, scheme, keys: vec![key], created: now, updated: now })
    }

    /// Makes one change. An agent that refuses is unchanged.
    ///
    /// # Errors
    ///
    /// [`AgentError`], for keys and schemes that do not fit.
    pub fn apply(&mut self, event: AgentEvent, now: UnixMillis) -> Result<(), AgentError> {
        match event {
            AgentEvent::Rotate { key_id, pem, overlap } => self.rotate(key_id, pem, overlap, now)?,
            AgentEvent::SetScheme(scheme) => {
                check_scheme(scheme.as_deref())?;
                self.scheme = scheme;
            }
            AgentEvent::Enable => self.enabled = true,
            AgentEvent::Disable => self.enabled = false,
        }
        self.updated = self.updated.max(now);
        Ok(())
    }

    /// Its id.
    pub fn id(&self) -> &AgentId {
        &self.id
    }

    /// Whether it takes new jobs.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The scheme of records that state none.
    pub fn scheme(&self) -> Option<&str> {
        self.scheme.as_deref()
    }

    /// All keys it ever had, oldest first. The last one is active.
    pub fn keys(&self) -> &[AgentKey] {
        &self.keys
    }

    /// When it was registered.
    pub fn created(&self) -> UnixMillis {
        self.created
    }

    /// When it last changed.
    pub fn updated(&self) -> UnixMillis {
        self.updated
    }

    /// The key that new files are sealed for.
    ///
    /// # Errors
    ///
    /// [`AgentError::Disabled`].
    pub fn key_to_seal(&self) -> Result<&AgentKey, AgentError> {
        if !self.enabled {
            return Err(AgentError::Disabled);
        }
        self.keys.last().ok_or(AgentError::NoKey)
    }

    /// What the key called `key_id` is good for at `now`. Whether the agent is disabled does not matter: jobs made
    /// before still open.
    pub fn key_status(&self, key_id: &KeyId, now: UnixMillis) -> KeyStatus {
        match self.keys.iter().find(|key| key.key_id == *key_id).map(|key| key.open_until) {
            None => KeyStatus::Unknown,
            Some(None) => KeyStatus::Active,
            Some(Some(until)) if now < until => KeyStatus::Overlap { until },
            Some(Some(_)) => KeyStatus::Retired,
        }
    }

    fn rotate(
        &mut self,
        key_id: KeyId,
        pem: String,
        overlap: Duration,
        now: UnixMillis,
    ) -> Result<(), AgentError> {
        check_pem(&pem)?;
        if self.keys.iter().any(|key| key.key_id == key_id) {
            return Err(AgentError::KeyKnown(key_id));
        }
        if self.keys.len() >= KEYS_MAX {
            return Err(AgentError::TooManyKeys);
        }
        if let Some(old) = self.keys.last_mut() {
            old.open_until = Some(now.plus(overlap));
        }
        self.keys.push(AgentKey { key_id, pem, added: now, open_until: None });
        Ok(())
    }
}

fn check_pem(pem: &str) -> Result<(), AgentError> {
    match pem.len() {
        1..=PEM_LEN_MAX => Ok(()),
        len => Err(AgentError::PemLen { len }),
    }
}

fn check_scheme(scheme: Option<&str>) -> Result<(), AgentError> {
    match scheme.map_or(0, str::len) {
        0..=SCHEME_LEN_MAX => Ok(()),
        len => Err(AgentError::SchemeLen { len }),
    }
}

/// An agent as a ledger holds it, before anyone has looked whether it is one.
#[derive(Deserialize)]
struct StoredAgent {
    id: AgentId,
    enabled: bool,
    scheme: Option<String>,
    keys: Vec<AgentKey>,
    created: UnixMillis,
    updated: UnixMillis,
}

impl TryFrom<StoredAgent> for Agent {
    type Error = AgentError;

    /// Exactly the last key is active. Anything else was not written by [`Agent::apply`].
    fn try_from(stored: StoredAgent) -> Result<Self, AgentError> {
        let StoredAgent { id, enabled, scheme, keys, created, updated } = stored;
        let active = keys.iter().filter(|key| key.open_until.is_none()).count();
        if active != 1 || keys.last().is_none_or(|key| key.open_until.is_some()) {
            return Err(AgentError::NoKey);
        }
        Ok(Self { id, enabled, scheme, keys, created, updated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const START: UnixMillis = UnixMillis::new(1_700_000_000_000);

    fn key(n: usize) -> KeyId {
        format!("{n:08x}").parse().unwrap()
    }

    fn rotation(n: usize, overlap: Duration) -> AgentEvent {
        AgentEvent::Rotate { key_id: key(n), pem: format!("PEM {n}"), overlap }
    }

    fn agent() -> Agent {
        Agent::new("acme".parse().unwrap(), key(0), "PEM 0".into(), None, START).unwrap()
    }

    /// Attack row 19: rotated properly, both keys work during the overlap, and the old one is refused after it.
    #[test]
    fn row_19_old_key_opens_until_the_overlap_ends() {
        let mut agent = agent();
        agent.apply(rotation(1, DAY), START).unwrap();
        let end = START.plus(DAY);
        assert_eq!(agent.key_to_seal().unwrap().key_id, key(1));
        assert_eq!(agent.key_status(&key(0), START), KeyStatus::Overlap { until: end });
        assert_eq!(
            agent.key_status(&key(0), UnixMillis::new(end.as_millis() - 1)),
            KeyStatus::Overlap { until: end }
        );
        assert_eq!(agent.key_status(&key(0), end), KeyStatus::Retired);
        assert_eq!(agent.key_status(&key(1), end), KeyStatus::Active);
        assert_eq!(agent.key_status(&key(2), end), KeyStatus::Unknown);
    }

    #[test]
    fn row_19_history_is_append_only() {
        let mut agent = agent();
        agent.apply(rotation(1, Duration::ZERO), START).unwrap();
        let before = agent.clone();
        assert_eq!(agent.apply(rotation(0, DAY), START), Err(AgentError::KeyKnown(key(0))));
        assert_eq!(agent.apply(rotation(1, DAY), START), Err(AgentError::KeyKnown(key(1))));
        assert_eq!(agent, before);
        assert_eq!(agent.keys().iter().map(|k| k.pem.as_str()).collect::<Vec<_>>(), ["PEM 0", "PEM 1"]);
    }

    #[test]
    fn history_ends_at_its_limit() {
        let mut agent = agent();
        for n in 1..KEYS_MAX {
            agent.apply(rotation(n, DAY), START).unwrap();
        }
        assert_eq!(agent.apply(rotation(KEYS_MAX, DAY), START), Err(AgentError::TooManyKeys));
    }

    #[test]
    fn a_disabled_agent_has_no_key_to_seal_for_but_opens() {
        let mut agent = agent();
        agent.apply(AgentEvent::Disable, START).unwrap();
        assert_eq!(agent.key_to_seal(), Err(AgentError::Disabled));
        assert_eq!(agent.key_status(&key(0), START), KeyStatus::Active);
        agent.apply(AgentEvent::Enable, START).unwrap();
        assert_eq!(agent.key_to_seal().unwrap().key_id, key(0));
    }

    #[test]
    fn refuses_texts_that_do_not_fit() {
        let mut agent = agent();
        let long = AgentEvent::SetScheme(Some("x".repeat(SCHEME_LEN_MAX + 1)));
        assert_eq!(agent.apply(long, START), Err(AgentError::SchemeLen { len: SCHEME_LEN_MAX + 1 }));
        let new = |pem| Agent::new("acme".parse().unwrap(), key(0), pem, None, START).unwrap_err();
        assert_eq!(new(String::new()), AgentError::PemLen { len: 0 });
        assert_eq!(new("x".repeat(PEM_LEN_MAX + 1)), AgentError::PemLen { len: PEM_LEN_MAX + 1 });
    }

    #[test]
    fn a_stored_agent_has_exactly_one_active_key_the_last() {
        let mut agent = agent();
        agent.apply(rotation(1, DAY), START).unwrap();
        let stored = serde_json::to_value(&agent).unwrap();
        assert_eq!(serde_json::from_value::<Agent>(stored.clone()).unwrap(), agent);
        let mut swapped = stored.clone();
        swapped["keys"].as_array_mut().unwrap().reverse();
        let mut empty = stored;
        empty["keys"] = serde_json::json!([]);
        for broken in [swapped, empty] {
            assert!(serde_json::from_value::<Agent>(broken).is_err());
        }
    }
}
