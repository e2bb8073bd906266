use super::*;
use crate::JobRecord;

const NOW: UnixMillis = UnixMillis::new(1_700_000_000_000);

fn ledger() -> (tempfile::TempDir, SqliteLedger) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(&dir.path().join("ledger"), Policy::default()).unwrap();
    (dir, ledger)
}

fn submit(ledger: &SqliteLedger) {
    let agent =
        Agent::new("acme".parse().unwrap(), "00ff17ab".parse().unwrap(), "PEM".into(), None, NOW).unwrap();
    let record: JobRecord = serde_json::from_str(r#"{"PresignedURL":"u","FileID":"q3"}"#).unwrap();
    ledger.submit(&Job::new("j1".parse().unwrap(), &agent, record, NOW).unwrap()).unwrap();
}

#[cfg(unix)]
#[test]
fn the_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, ledger) = ledger();
    submit(&ledger);
    let mut seen = 0;
    for file in std::fs::read_dir(dir.path()).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        seen += 1;
    }
    assert_eq!(seen, 3, "the database, its log and the log's index");
}

#[test]
fn a_ledger_opens_again_with_what_it_held() {
    let (dir, ledger) = ledger();
    submit(&ledger);
    drop(ledger);
    let ledger = SqliteLedger::open(&dir.path().join("ledger"), Policy::default()).unwrap();
    assert!(ledger.job(&"j1".parse().unwrap()).unwrap().is_some());
}

#[test]
fn refuses_another_programs_database_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(SqliteLedger::open(&path, Policy::default()), Err(LedgerError::Foreign { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn refuses_a_file_that_is_no_database() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("text");
    std::fs::write(&path, "x".repeat(4096)).unwrap();
    assert!(matches!(SqliteLedger::open(&path, Policy::default()), Err(LedgerError::Storage { .. })));
}

#[test]
fn refuses_a_later_versions_ledger() {
    let (dir, ledger) = ledger();
    ledger.connection().pragma_update(None, "user_version", 99).unwrap();
    let refused = SqliteLedger::open(&dir.path().join("ledger"), Policy::default()).unwrap_err();
    assert!(matches!(refused, LedgerError::TooNew { found: 99, .. }), "{refused}");
}

#[test]
fn names_the_damaged_entry() {
    let (_dir, ledger) = ledger();
    submit(&ledger);
    ledger.connection().execute("UPDATE jobs SET body = replace(body, '\"q3\"', '\"../q3\"')", []).unwrap();
    let refused = ledger.claim(&"w1".parse().unwrap(), NOW).unwrap_err();
    assert_eq!(refused.to_string(), "the ledger's entry for job `j1` is damaged");
}
