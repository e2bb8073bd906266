//! What the fuzz target `job_record` runs, also on the committed corpus. See `fuzz/README.md`.

use crate::JobRecord;

/// A job record that is accepted comes back from its JSON as it was.
pub fn job_record(bytes: &[u8]) {
    let Ok(record) = serde_json::from_slice::<JobRecord>(bytes) else { return };
    let json = serde_json::to_vec(&record).expect("a record is JSON");
    let again: JobRecord = serde_json::from_slice(&json).expect("what was accepted is accepted again");
    assert_eq!(again, record);
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_breaks_no_law() {
        waxwing_testkit::corpus::replay_corpus("job_record", super::job_record);
    }
}
