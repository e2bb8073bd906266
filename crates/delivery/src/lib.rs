//! Jobs, leases and agents as pure state machines, with the ledgers that keep them.
