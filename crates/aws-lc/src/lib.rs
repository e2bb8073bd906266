//! The one crate with unsafe code: what AWS-LC has and aws-lc-rs does not offer.
