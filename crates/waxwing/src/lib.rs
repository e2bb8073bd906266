//! Envelope encryption and delivery: the facade.
