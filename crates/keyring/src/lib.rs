//! The KeyProvider trait and its implementations; reading and making keys.
