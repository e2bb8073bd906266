//! What the fuzz target `presigned_query` runs, also on the committed corpus. See `fuzz/README.md`.

use std::time::{Duration, SystemTime};

use crate::presign::{parse_query, query_text};
use crate::{ObjectName, SignedMethod, SigningKey};

/// A query that is accepted is spelled in the one way that this project writes, and no query verifies that was not signed.
pub fn presigned_query(bytes: &[u8]) {
    let Ok(query) = std::str::from_utf8(bytes) else { return };
    if let Some((expires, signature)) = parse_query(query) {
        assert_eq!(query_text(expires, &signature), query);
    }
    let name = ObjectName::from_random([1; 12]);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    assert!(SigningKey::from_bytes([9; 32]).verify(SignedMethod::Get, &name, query, now).is_err());
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_breaks_no_law() {
        waxwing_testkit::corpus::replay_corpus("presigned_query", super::presigned_query);
    }
}
