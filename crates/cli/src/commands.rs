//! One file per command.

pub(crate) mod agent;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod deliver;
pub(crate) mod demo;
pub(crate) mod diagnose;
pub(crate) mod identify;
pub(crate) mod inspect;
pub(crate) mod inventory;
pub(crate) mod jobs;
pub(crate) mod keygen;
pub(crate) mod keys;
pub(crate) mod open;
pub(crate) mod policy;
pub(crate) mod profile;
pub(crate) mod rewrap;
pub(crate) mod seal;
pub(crate) mod serve;
pub(crate) mod test_kit;
pub(crate) mod worker;

use tokio::runtime::{Builder, Runtime};

use crate::exit::Failure;

/// The runtime of the commands that talk to a network. The others start none.
fn runtime() -> Result<Runtime, Failure> {
    let built = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    built.map_err(|err| Failure::io("cannot start the runtime", err))
}
