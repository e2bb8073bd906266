//! Agents that were read a moment ago.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use waxwing_delivery::{Agent, AgentId};
use waxwing_keyring::MonotonicClock;

/// How many agents are kept. When there are more all are forgotten, and read again as they are needed.
const ENTRIES_MAX: usize = 10_000;

pub(super) struct Cache {
    age_max: Duration,
    clock: MonotonicClock,
    /// With the time of reading.
    agents: Mutex<HashMap<AgentId, (Duration, Agent)>>,
}

impl Cache {
    pub(super) fn new(age_max: Duration, clock: MonotonicClock) -> Self {
        Self { age_max, clock, agents: Mutex::default() }
    }

    pub(super) fn agent(&self, id: &AgentId) -> Option<Agent> {
        let now = (self.clock)();
        let agents = self.agents();
        let (read, agent) = agents.get(id)?;
        (now.saturating_sub(*read) < self.age_max).then(|| agent.clone())
    }

    /// When a reading begins that [`put`](Self::put) will end.
    pub(super) fn now(&self) -> Duration {
        (self.clock)()
    }

    pub(super) fn put(&self, read: Duration, agent: &Agent) {
        let mut agents = self.agents();
        if agents.len() >= ENTRIES_MAX && !agents.contains_key(agent.id()) {
            agents.clear();
        }
        agents.insert(agent.id().clone(), (read, agent.clone()));
    }

    pub(super) fn forget(&self, id: &AgentId) {
        self.agents().remove(id);
    }

    /// A panic elsewhere cannot leave the map half changed.
    fn agents(&self) -> MutexGuard<'_, HashMap<AgentId, (Duration, Agent)>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
