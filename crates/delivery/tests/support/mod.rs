//! What the tests of this crate share.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::time::Duration;
use waxwing_delivery::{Agent, AgentLedger, Job, JobLedger, JobRecord, Policy, Receipt, UnixMillis};

pub(crate) const START: UnixMillis = UnixMillis::new(1_700_000_000_000);

pub(crate) fn after(secs: u64) -> UnixMillis {
    START.plus(Duration::from_secs(secs))
}

/// 60 s leases, 3 attempts, pauses of 5 and 10 s.
pub(crate) fn policy() -> Policy {
    Policy { attempts_max: 3, ..Policy::default() }
}

pub(crate) fn agent(id: &str) -> Agent {
    Agent::new(id.parse().unwrap(), "00ff17ab".parse().unwrap(), "PEM".into(), Some("s".into()), START)
        .unwrap()
}

pub(crate) fn job(id: &str, now: UnixMillis) -> Job {
    let record = format!(
        r#"{{"Zebra":[1],"PresignedURL":"https://h/x?sig=CANARY","FileID":"file-{id}","Apple":null}}"#
    );
    let record: JobRecord = serde_json::from_str(&record).unwrap();
    Job::new(id.parse().unwrap(), &agent("acme"), record, now).unwrap()
}

pub(crate) fn receipt() -> Receipt {
    Receipt { output: "q3.csv".into(), plaintext_bytes: 3, sha256: [7; 32] }
}

/// Everything a ledger keeps.
pub(crate) trait Ledger: JobLedger + AgentLedger {}
impl<L: JobLedger + AgentLedger> Ledger for L {}
