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

#[test]
fn of_changes_that_are_committed_together_a_bad_one_leaves_nothing() {
    let (_dir, ledger) = ledger();
    let add = |id: &'static str, good: bool| {
        ledger.group.join("add an agent", move |transaction| {
            transaction
                .execute("INSERT INTO agents (id, body) VALUES (?1, '')", [id])
                .map_err(storage("add"))?;
            if good { Ok(id) } else { Err(LedgerError::NoSuchAgent(id.parse().unwrap())) }
        })
    };
    let told = [add("a", true), add("b", false), add("c", true)];
    assert!(told.iter().all(|told| told.ready().is_none()), "nobody has made them");
    ledger.group.commit(&mut ledger.connection());
    let came = told.map(|told| told.ready().unwrap().map_err(|error| error.to_string()));
    assert_eq!(came, [Ok("a"), Err("there is no agent `b`".to_owned()), Ok("c")]);
    let kept: String =
        ledger.connection().query_row("SELECT group_concat(id) FROM agents", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, "a,c");
}

#[test]
fn changes_that_cannot_be_committed_are_all_told_so() {
    let (dir, ledger) = ledger();
    ledger.connection().busy_timeout(std::time::Duration::ZERO).unwrap();
    let told = ["a", "b"].map(|_| ledger.group.join("change it", |_| Ok(())));
    let mut other = Connection::open(dir.path().join("ledger")).unwrap();
    let writing = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    ledger.group.commit(&mut ledger.connection());
    for told in told {
        assert!(matches!(told.ready(), Some(Err(LedgerError::Storage { doing: "change it", .. }))));
    }
    drop(writing);
}

#[test]
fn a_change_that_panics_takes_nobody_along() {
    let (_dir, ledger) = ledger();
    let told = ledger.group.join("change it", |_| Ok(()));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        ledger.write("change it", |_| -> Result<(), LedgerError> { panic!("on purpose") })
    }));
    assert!(panicked.is_err());
    assert!(matches!(told.ready(), Some(Err(LedgerError::Storage { .. }))), "its transaction is gone");
    submit(&ledger);
}
