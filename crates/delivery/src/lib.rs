//! Jobs, leases and agents as pure state machines, with the ledgers that keep them.
//!
//! A provider makes a [`Job`] for a registered [`Agent`] and submits it to a [`JobLedger`]; a worker claims it,
//! publishes the plaintext, and says so.
//!
//! ```text
//!            claim             finish
//!  pending ─────────▶ leased ─────────▶ done
//!     ▲                 │ │
//!     └─────────────────┘ └───────────▶ failed
//!   retry, release, expire   fail, or no attempt left
//! ```
//!
//! [`Job::apply`] is that picture: a function of state, event and time, without I/O. Ledgers only store its results, one
//! move at a time, so every ledger obeys the same rules; [`MemoryLedger`] and [`SqliteLedger`] do so here. A store
//! that can write on condition (of the status and [`Job::fence`]) is enough for another.
//!
//! # A worker
//!
//! ```
//! use std::time::Duration;
//! use waxwing_delivery::{Agent, Job, JobLedger, MemoryLedger, Policy, Receipt, JobRecord, Status, UnixMillis};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = UnixMillis::new(1_700_000_000_000);
//! let ledger = MemoryLedger::new(Policy::default());
//!
//! let acme = Agent::new("acme".parse()?, "00ff17ab".parse()?, "-----BEGIN PUBLIC KEY…".into(), None, now)?;
//! let record: JobRecord = serde_json::from_str(r#"{"PresignedURL": "https://h/data/x?sig=…", "FileID": "q3"}"#)?;
//! ledger.submit(&Job::new("job-1".parse()?, &acme, record, now)?)?;
//!
//! let job = ledger.claim(&"worker-1".parse()?, now)?.expect("one job is due");
//! let token = job.token();
//! // Download, open, publish if absent; send a heartbeat now and then.
//! ledger.heartbeat(&token, now.plus(Duration::from_secs(20)))?;
//! let receipt = Receipt { output: "q3.csv".into(), plaintext_bytes: 31, sha256: [0; 32] };
//! let job = ledger.finish(&token, receipt, now.plus(Duration::from_secs(21)))?;
//! assert_eq!(job.status(), Status::Done);
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised, and what is not
//!
//! - **At least once.** A worker that dies loses nothing: when its lease ends another claims the job. The output
//!   appears exactly once if it is put under a name made from the job, *only if absent*, before
//!   [`JobLedger::finish`]; whoever finds it there compares and finishes.
//! - **No zombie writes.** Each claim has a [`Fence`] above all earlier ones, and a holder's write with an older one is
//!   [`JobError::LeaseLost`], however wrong the clocks are. What a zombie can still do is publish: after its last
//!   attempt the output may exist of a job that is `failed` with class `attempts`.
//! - **Nothing goes on for ever.** Claims are counted, and a job that keeps killing workers fails after
//!   [`Policy::attempts_max`].
//! - **Strangers learn little** from a status; see [`FailureClass`]. That `done` and `failed` differ is itself one
//!   bit, so whoever submits many failing jobs must be stopped above this crate.
//! - **The ledger opens nothing.** It holds public keys, wrapped keys and pre-signed URLs, never a private key or
//!   plaintext. Whoever can write to it can swap an agent's public key: check the key against a fingerprint that came
//!   another way.
//!
//! Feature `worker` adds [`worker`], which downloads, opens and publishes. Nothing else here does I/O but the
//! ledgers, and nothing at all reads a clock or draws random numbers. [`JobView`] documents the
//! JSON that commands print.

mod agent;
mod clock;
mod failure;
pub mod fuzzing;
mod job;
mod ledger;
mod memory;
mod policy;
mod record;
mod sqlite;
mod view;
#[cfg(feature = "worker")]
pub mod worker;

pub use agent::{Agent, AgentError, AgentEvent, AgentKey, KEYS_MAX, KeyStatus, PEM_LEN_MAX, SCHEME_LEN_MAX};
pub use clock::UnixMillis;
pub use failure::{DownloadFailure, FailureClass, RetryCause};
pub use job::{
    Entry, Event, Fence, HISTORY_MAX, Happened, Job, JobError, LeaseToken, Receipt, State, Status,
};
pub use ledger::{AgentLedger, JobFilter, JobLedger, LIST_MAX, LedgerError};
pub use memory::MemoryLedger;
pub use policy::Policy;
pub use record::{JobRecord, JobRecordError, NewUrl, RECORD_LEN_MAX};
pub use sqlite::{BUSY_TIMEOUT, SqliteLedger};
pub use view::JobView;
pub use waxwing_formats::names::{AgentId, FileId, JobId, KeyId, NameError, WorkerId};
