//! URLs as inputs and outputs: what the environment says about them, and their way into the engine.

#[cfg(feature = "connectors")]
#[path = "remote/connected.rs"]
mod connection;
#[cfg(not(feature = "connectors"))]
#[path = "remote/unconnected.rs"]
mod connection;

pub(crate) use connection::{Publication, input, name, open_range, output, read_small, rewrap};
