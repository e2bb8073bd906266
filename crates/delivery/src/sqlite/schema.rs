//! The file: how it is made, recognised and brought up to date.

use super::{BUSY_TIMEOUT, storage};
use crate::ledger::LedgerError;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use std::path::Path;
use std::time::Duration;

/// `WXWG` in `application_id`: tells a ledger from other databases.
const APPLICATION_ID: i32 = 0x5758_5747;

/// What leads from schema version n to n + 1, n counted from 0. A step that was ever released is never edited.
const MIGRATIONS: &[&str] = &[
    // `seq` is the order of submission. The index holds only jobs that are not settled, so that a claim stays quick
    // when most are.
    "CREATE TABLE jobs (
         seq    INTEGER PRIMARY KEY,
         id     TEXT NOT NULL UNIQUE,
         agent  TEXT NOT NULL,
         status TEXT NOT NULL,
         due_at INTEGER, -- milliseconds since the epoch; NULL once settled
         body   TEXT NOT NULL
     ) STRICT;
     CREATE INDEX jobs_open ON jobs (seq, due_at) WHERE due_at IS NOT NULL;
     CREATE INDEX jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL;
     CREATE TABLE agents (
         id   TEXT PRIMARY KEY,
         body TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;",
];

/// How often turning on WAL mode is tried. Processes that open a new file together get in each other's way there, and
/// SQLite does not wait for its busy timeout.
const WAL_ATTEMPTS_MAX: u32 = 500;
const WAL_PAUSE: Duration = Duration::from_millis(10);

const DOING: &str = "open its file";

pub(super) fn open(path: &Path) -> Result<Connection, LedgerError> {
    restrict(path).map_err(|error| LedgerError::Storage { doing: DOING, source: error.into() })?;
    let mut connection = Connection::open(path).map_err(storage(DOING))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(storage(DOING))?;
    recognise(&connection, path)?;
    enter_wal_mode(&connection).map_err(storage(DOING))?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(storage(DOING))?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Makes the file for its owner alone before SQLite opens it; SQLite gives its helper files the same mode.
fn restrict(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let file = options.mode(0o600).open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
    }
    #[cfg(not(unix))]
    options.open(path)?;
    Ok(())
}

/// Refuses another program's database before a byte of it is changed.
///
/// Tables first: another process may be making this ledger now, and its tables appear together with its mark. The
/// other way round, a mark read too early beside tables read later would look like a stranger's.
fn recognise(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(storage(DOING))?;
    let application_id: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(storage(DOING))?;
    match application_id {
        APPLICATION_ID => Ok(()),
        0 if tables == 0 => Ok(()),
        _ => Err(LedgerError::Foreign { path: path.display().to_string() }),
    }
}

fn enter_wal_mode(connection: &Connection) -> rusqlite::Result<()> {
    let mut attempt = 1;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && attempt < WAL_ATTEMPTS_MAX =>
            {
                attempt += 1;
                std::thread::sleep(WAL_PAUSE);
            }
            result => return result,
        }
    }
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), LedgerError> {
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if version(connection)? == known {
        return Ok(());
    }
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(storage(DOING))?;
    recognise(&transaction, path)?;
    // Another process may have migrated while this one waited.
    let found = version(&transaction)?;
    if found > known {
        return Err(LedgerError::TooNew { found, known });
    }
    for step in MIGRATIONS.iter().skip(found as usize) {
        transaction.execute_batch(step).map_err(storage(DOING))?;
    }
    stamp(&transaction, known).map_err(storage(DOING))?;
    transaction.commit().map_err(storage(DOING))
}

fn version(connection: &Connection) -> Result<u32, LedgerError> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(storage(DOING))
}

fn stamp(transaction: &Transaction<'_>, version: u32) -> rusqlite::Result<()> {
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", version)
}
