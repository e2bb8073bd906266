//! Changes that are committed together.

use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::ledger::LedgerError;

/// Changes that wait for the connection. Whoever gets it next makes all of them.
#[derive(Default)]
pub(super) struct Group(Mutex<Vec<Change>>);

struct Change {
    make: Make,
    fail: Fail,
}

type Make = Box<dyn FnOnce(&Connection) -> Made + Send>;

/// What a change came to, before it is committed.
struct Made {
    /// Whether it is to be kept.
    good: bool,
    tell: Box<dyn FnOnce()>,
}

/// Tells whoever waits for a change that nothing came of it.
type Fail = Box<dyn Fn(&rusqlite::Error) + Send>;

/// Where the result of a change will be.
pub(super) struct Told<T> {
    doing: &'static str,
    result: Receiver<Result<T, LedgerError>>,
}

impl<T> Told<T> {
    /// The result, if it is there.
    pub(super) fn ready(&self) -> Option<Result<T, LedgerError>> {
        match self.result.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            // Another thread panicked while it made the changes, and its transaction is gone.
            Err(TryRecvError::Disconnected) => {
                let source = "the transaction broke off".into();
                Some(Err(LedgerError::Storage { doing: self.doing, source }))
            }
        }
    }
}

impl Group {
    /// Has a change wait for the next [`commit`](Self::commit).
    pub(super) fn join<T: Send + 'static>(
        &self,
        doing: &'static str,
        change: impl FnOnce(&Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Told<T> {
        let (sender, result) = sync_channel(1);
        let failed = sender.clone();
        let make = move |connection: &Connection| {
            let result = change(connection);
            // Nobody may wait any more; that is as good.
            Made { good: result.is_ok(), tell: Box::new(move || drop(sender.try_send(result))) }
        };
        let fail = move |error: &rusqlite::Error| {
            let source = error.to_string().into();
            drop(failed.try_send(Err(LedgerError::Storage { doing, source })));
        };
        self.waiting().push(Change { make: Box::new(make), fail: Box::new(fail) });
        Told { doing, result }
    }

    /// Makes all changes that wait, each wholly or not at all, and commits them.
    pub(super) fn commit(&self, connection: &mut Connection) {
        let changes = std::mem::take(&mut *self.waiting());
        let (makes, fails): (Vec<_>, Vec<_>) =
            changes.into_iter().map(|change| (change.make, change.fail)).unzip();
        let made = connection.transaction_with_behavior(TransactionBehavior::Immediate).and_then(
            |mut transaction| {
                let made: Result<Vec<Made>, _> =
                    makes.into_iter().map(|make| make_one(&mut transaction, make)).collect();
                let made = made?;
                transaction.commit()?;
                Ok(made)
            },
        );
        match made {
            Ok(made) => made.into_iter().for_each(|made| (made.tell)()),
            Err(error) => fails.iter().for_each(|fail| fail(&error)),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Change>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes one change among others: one that fails leaves nothing of itself.
fn make_one(transaction: &mut Transaction<'_>, make: Make) -> rusqlite::Result<Made> {
    let savepoint = transaction.savepoint()?;
    let made = make(&savepoint);
    if made.good {
        savepoint.commit()?;
    }
    Ok(made)
}
