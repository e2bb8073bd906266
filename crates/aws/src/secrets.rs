//! Keys in AWS Secrets Manager: the public ones of agents, under their ids, and private ones.
//!
//! # Public keys
//!
//! The secret called `PREFIX` and the agent's id holds the agent's public key as its `SecretString`: PEM of a
//! SubjectPublicKeyInfo, a PKCS#1 public key or an X.509 certificate, and nothing else. So whoever may call `GetSecretValue`
//! can deliver to the agent, also a provider that has never heard of Waxwing; and a secret that such a provider's tools made
//! is an agent here.
//!
//! | [`Agent`] | in Secrets Manager |
//! |---|---|
//! | the key to seal for | the version `AWSCURRENT` |
//! | the key before it | the version `AWSPREVIOUS`; it opens until the moment in its tag `waxwing:key:ID`, in milliseconds since 1970 |
//! | earlier keys | that same tag, as long as it is among the last 32: such a key does not come back |
//! | enabled | the tag `waxwing:state`: `enabled` or `disabled`; without one, enabled |
//! | scheme | the tag `waxwing:scheme`, 256 characters of those that tags take; without one, the record's own |
//!
//! Two keys open at most, for Secrets Manager keeps no more versions on purpose: a second rotation within an overlap ends it.
//! A secret that was changed by other means has no tag for its previous key, which opens for
//! [`RegistryOptions::overlap`] from then on. What `disabled` means is known to Waxwing alone.
//!
//! Registering is `CreateSecret`, which never overwrites. Every other change is one call as well, except a rotation: it first
//! notes until when the old key opens, then puts the new one; if only the first is done, nothing has changed. Two rotations at
//! once both happen, in some order.
//!
//! # Who is believed
//!
//! Whoever may write the secret can exchange the key, and reads what is delivered from then on (attack row 19). Name the keys
//! that are expected of an agent in [`RegistryOptions::expected`], from a list that came another way: another key is refused.
//!
//! # Private keys
//!
//! [`private_key`] and [`private_keys`] fetch them for a worker, which keeps them in memory. What the SDK copies of them on
//! their way through HTTP and JSON is not wiped; what comes out of it is.

mod cache;
mod calls;
mod entry;
mod private;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;
use waxwing_delivery::{
    Agent, AgentError, AgentEvent, AgentId, AgentKey, AgentLedger, KeyId, LedgerError, UnixMillis,
};
use waxwing_keyring::MonotonicClock;

use self::cache::Cache;
use self::calls::{Calls, Facts, tag};
use self::entry::{DISABLED, ENABLED, PublicKey, SCHEME_TAG, STATE_TAG, key_tag, scheme_tag};
use crate::runtime::{Broken, wait};
use crate::{AwsError, AwsOptions};

pub use self::calls::SecretVersion;
pub use self::entry::EntryError;
pub use self::private::{
    PRIVATE_KEYS_MAX, PrivateKeyFile, SecretError, SecretName, SecretNameError, private_key, private_keys,
    private_keys_below,
};

/// How long an agent that was read is believed, unless the caller says otherwise.
pub const CACHE_TIME_DEFAULT: Duration = Duration::from_secs(300);
/// How long a key opens on that was replaced by other means, unless the caller says otherwise.
pub const OVERLAP_DEFAULT: Duration = Duration::from_secs(7 * 86_400);
/// The longest prefix: the name of a secret has 512 characters, and an agent's id 64.
pub const PREFIX_LEN_MAX: usize = 512 - 64;

/// How agents are kept in Secrets Manager.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// How long an agent that was read is believed. A key that was swapped or an agent that was disabled is noticed so much
    /// later.
    pub cache_time: Duration,
    /// How long a key opens on that was replaced by other means than this registry.
    pub overlap: Duration,
    /// The keys that are expected of an agent. For one that is not in here every key is believed.
    pub expected: BTreeMap<AgentId, Vec<KeyId>>,
    /// How Secrets Manager is reached.
    pub aws: AwsOptions,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            cache_time: CACHE_TIME_DEFAULT,
            overlap: OVERLAP_DEFAULT,
            expected: BTreeMap::new(),
            aws: AwsOptions::default(),
        }
    }
}

/// Agents as secrets.
#[derive(Clone)]
pub struct SecretsRegistry(Arc<Inner>);

struct Inner {
    prefix: String,
    overlap: Duration,
    expected: BTreeMap<AgentId, Vec<KeyId>>,
    calls: Calls,
    cache: Cache,
}

/// A secret as it is now.
struct Entry {
    agent: Agent,
    tags: BTreeMap<String, String>,
    updated: UnixMillis,
}

impl SecretsRegistry {
    /// The agents whose secrets' names begin with `prefix`. With an empty prefix [`AgentLedger::agents`] lists only secrets
    /// that this registry made: others may hold anything.
    ///
    /// # Errors
    ///
    /// [`SecretNameError`], for a prefix that no secret's name can begin with.
    pub fn new(
        prefix: &str,
        options: RegistryOptions,
        clock: MonotonicClock,
    ) -> Result<Self, SecretNameError> {
        private::check_name(prefix, 0, PREFIX_LEN_MAX)?;
        let RegistryOptions { cache_time, overlap, expected, aws } = options;
        Ok(Self(Arc::new(Inner {
            prefix: prefix.to_owned(),
            overlap,
            expected,
            calls: Calls::new(aws),
            cache: Cache::new(cache_time, clock),
        })))
    }

    /// Has the agent read anew when it is next asked for: a key of it was refused, or is not known.
    pub fn forget(&self, id: &AgentId) {
        self.0.cache.forget(id);
    }

    /// Runs `call` and waits for it.
    fn wait<T: Send + 'static, F>(&self, call: impl FnOnce(Arc<Inner>) -> F) -> Result<T, LedgerError>
    where
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        wait(call(Arc::clone(&self.0))).map_err(|fault| match fault {
            Fault::Ledger(err) => err,
            Fault::Aws(err) => err.into_ledger("reach Secrets Manager"),
        })
    }
}

impl AgentLedger for SecretsRegistry {
    fn register(&self, agent: &Agent) -> Result<(), LedgerError> {
        let agent = agent.clone();
        self.wait(|inner| async move { inner.register(&agent).await })
    }

    fn agent(&self, id: &AgentId) -> Result<Option<Agent>, LedgerError> {
        if let Some(agent) = self.0.cache.agent(id) {
            return Ok(Some(agent));
        }
        let id = id.clone();
        self.wait(|inner| async move { Ok(inner.read(&id).await?.map(|entry| entry.agent)) })
    }

    /// All agents, by id. A secret that holds no public key is left out.
    fn agents(&self) -> Result<Vec<Agent>, LedgerError> {
        self.wait(|inner| async move { inner.list().await })
    }

    fn change(&self, id: &AgentId, event: AgentEvent, now: UnixMillis) -> Result<Agent, LedgerError> {
        let id = id.clone();
        self.wait(|inner| async move {
            let changed = inner.change(&id, event, now).await;
            // Also after a failure, for it may have been done.
            inner.cache.forget(&id);
            changed
        })
    }
}

impl Inner {
    async fn register(&self, agent: &Agent) -> Result<(), Fault> {
        let refused = |source| refused(agent.id(), source);
        let [AgentKey { key_id, pem, added, .. }] = agent.keys() else {
            return Err(refused(EntryError::History));
        };
        let key = PublicKey::called(pem, key_id, *added).map_err(refused)?;
        key.expect(self.expected(agent.id())).map_err(refused)?;
        let state = if agent.is_enabled() { ENABLED } else { DISABLED };
        let mut tags = vec![tag(STATE_TAG, state)];
        if let Some(scheme) = agent.scheme() {
            tags.push(tag(SCHEME_TAG, scheme_tag(scheme).map_err(refused)?));
        }
        match self.calls.create(&self.name(agent.id()), pem, tags).await? {
            true => Ok(()),
            false => Err(LedgerError::AgentExists(agent.id().clone()).into()),
        }
    }

    async fn read(&self, id: &AgentId) -> Result<Option<Entry>, Fault> {
        match self.calls.describe(&self.name(id)).await? {
            Some(facts) => self.entry(id, facts).await.map(Some),
            None => Ok(None),
        }
    }

    /// Reads the keys to what is known of a secret, and keeps the agent for a while.
    async fn entry(&self, id: &AgentId, facts: Facts) -> Result<Entry, Fault> {
        let refused = |source| refused(id, source);
        let read = self.cache.now();
        let current = self.key(&facts.name, facts.current.as_deref()).await?;
        let current = current.ok_or(EntryError::Empty).and_then(|key| key).map_err(refused)?;
        current.expect(self.expected(id)).map_err(refused)?;
        let previous = self.key(&facts.name, facts.previous.as_deref()).await?.and_then(Result::ok);
        let previous = previous.filter(|key| key.expect(self.expected(id)).is_ok());
        let Facts { tags, updated, .. } = facts;
        let agent = entry::agent(id, &tags, current, previous, self.overlap, updated).map_err(refused)?;
        self.cache.put(read, &agent);
        Ok(Entry { agent, tags, updated })
    }

    /// The key in one version of a secret.
    async fn key(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Result<Option<Result<PublicKey, EntryError>>, AwsError> {
        let Some(version) = version else { return Ok(None) };
        let value = self.calls.value(name, &SecretVersion::Id(version.to_owned())).await?;
        Ok(value.as_ref().map(PublicKey::of))
    }

    async fn list(&self) -> Result<Vec<Agent>, Fault> {
        let mut agents = Vec::new();
        for facts in self.calls.list(&self.prefix).await? {
            let id = facts.name.strip_prefix(&self.prefix).and_then(|id| id.parse::<AgentId>().ok());
            let is_ours = !self.prefix.is_empty() || facts.tags.contains_key(STATE_TAG);
            let Some(id) = id.filter(|_| is_ours) else { continue };
            match self.entry(&id, facts).await {
                Ok(entry) => agents.push(entry.agent),
                Err(Fault::Ledger(LedgerError::Refused { source, .. })) if is_something_else(&*source) => {
                    warn!(agent = %id, "a secret is called like an agent and holds no public key");
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(agents)
    }

    async fn change(&self, id: &AgentId, event: AgentEvent, now: UnixMillis) -> Result<Agent, Fault> {
        let Some(entry) = self.read(id).await? else {
            return Err(LedgerError::NoSuchAgent(id.clone()).into());
        };
        let name = self.name(id);
        let mut agent = entry.agent.clone();
        agent.apply(event.clone(), now).map_err(|source| unchanged(id, source))?;
        match event {
            AgentEvent::Rotate { key_id, pem, .. } => {
                return self.rotate(&name, entry, agent, key_id, pem).await;
            }
            AgentEvent::SetScheme(None) => self.calls.untag(&name, vec![SCHEME_TAG.to_owned()]).await?,
            AgentEvent::SetScheme(Some(scheme)) => {
                let scheme = scheme_tag(&scheme).map_err(|source| refused(id, source))?;
                self.calls.tag(&name, vec![tag(SCHEME_TAG, scheme)]).await?;
            }
            AgentEvent::Enable => self.calls.tag(&name, vec![tag(STATE_TAG, ENABLED)]).await?,
            AgentEvent::Disable => self.calls.tag(&name, vec![tag(STATE_TAG, DISABLED)]).await?,
        }
        Ok(agent)
    }

    /// Puts the last key of `rotated`, and notes until when the one before it opens.
    async fn rotate(
        &self,
        name: &str,
        entry: Entry,
        rotated: Agent,
        key_id: KeyId,
        pem: String,
    ) -> Result<Agent, Fault> {
        let id = rotated.id();
        let key_known = || unchanged(id, AgentError::KeyKnown(key_id.clone()));
        let [.., old, new] = rotated.keys() else { return Err(refused(id, EntryError::Empty)) };
        let key = PublicKey::called(&pem, &key_id, new.added).map_err(|source| refused(id, source))?;
        key.expect(self.expected(id)).map_err(|source| refused(id, source))?;
        if entry.tags.contains_key(&key_tag(&key_id)) {
            return Err(key_known());
        }
        let until = old.open_until.unwrap_or(new.added).as_millis().to_string();
        let mut tags = entry.tags;
        let forgotten = entry::forgotten(&tags);
        if !forgotten.is_empty() {
            self.calls.untag(name, forgotten).await?;
        }
        self.calls.tag(name, vec![tag(key_tag(&old.key_id), until.as_str())]).await?;
        // The key's id as the version's makes saying it twice harmless, and an older version with this key shows.
        if !self.calls.put(name, &pem, key_id.as_str()).await? {
            return Err(key_known());
        }
        tags.insert(key_tag(&old.key_id), until);
        let old = PublicKey { id: old.key_id.clone(), pem: old.pem.clone(), added: old.added };
        entry::agent(id, &tags, key, Some(old), self.overlap, entry.updated.max(new.added))
            .map_err(|source| refused(id, source))
    }

    fn name(&self, id: &AgentId) -> String {
        format!("{}{id}", self.prefix)
    }

    fn expected(&self, id: &AgentId) -> Option<&[KeyId]> {
        self.expected.get(id).map(Vec::as_slice)
    }
}

impl fmt::Debug for SecretsRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretsRegistry").field("prefix", &self.0.prefix).finish_non_exhaustive()
    }
}

/// Why a call did not do what it should.
enum Fault {
    Ledger(LedgerError),
    Aws(AwsError),
}

impl From<LedgerError> for Fault {
    fn from(err: LedgerError) -> Self {
        Self::Ledger(err)
    }
}

impl From<AwsError> for Fault {
    fn from(err: AwsError) -> Self {
        Self::Aws(err)
    }
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Self {
        Self::Aws(broken.into())
    }
}

fn refused(agent: &AgentId, source: EntryError) -> Fault {
    LedgerError::Refused { agent: agent.clone(), source: source.into() }.into()
}

fn unchanged(agent: &AgentId, source: AgentError) -> Fault {
    LedgerError::Agent { agent: agent.clone(), source }.into()
}

/// Whether a secret is no agent's at all, rather than an agent's that must not be believed.
fn is_something_else(err: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    matches!(err.downcast_ref(), Some(EntryError::Empty | EntryError::NotAKey(_) | EntryError::PrivateKey))
}
