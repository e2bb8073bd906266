//! One file per command.

pub(crate) mod agent;
pub(crate) mod completions;
pub(crate) mod deliver;
pub(crate) mod demo;
pub(crate) mod inspect;
pub(crate) mod jobs;
pub(crate) mod keygen;
pub(crate) mod open;
pub(crate) mod seal;
pub(crate) mod serve;
pub(crate) mod worker;

use tokio::runtime::{Builder, Runtime};

use crate::exit::Failure;

/// The runtime of the commands that talk to a network. The others start none.
fn runtime() -> Result<Runtime, Failure> {
    let built = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    built.map_err(|err| Failure::io("cannot start the runtime", err))
}
