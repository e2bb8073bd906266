//! Independent batches on several threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::batch::Batch;
use crate::{Error, Work};

/// Does batches `0..count`, handed out in order, each thread with a buffer from `buffer`.
///
/// # Errors
///
/// That of the lowest batch that fails, whatever the timing: batches below it are finished, those above are given up.
pub(crate) fn for_each_batch(
    count: u64,
    work: &Work<'_>,
    buffer: impl Fn() -> Batch + Sync,
    each: impl Fn(u64, &mut Batch) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let next = AtomicU64::new(0);
    let end = AtomicU64::new(count);
    let lowest = Mutex::new(None::<(u64, Error)>);
    let run = || {
        let mut batch = buffer();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= end.load(Ordering::Relaxed) {
                return;
            }
            let result = if work.observer.stopped() { Err(Error::Stopped) } else { each(index, &mut batch) };
            if let Err(err) = result {
                end.fetch_min(index, Ordering::Relaxed);
                let mut lowest = lowest.lock().expect("nobody panics while holding it");
                if lowest.as_ref().is_none_or(|(failed, _)| index < *failed) {
                    *lowest = Some((index, err));
                }
            }
        }
    };
    let threads = work.threads.get().min(usize::try_from(count).unwrap_or(usize::MAX));
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(run);
        }
        run();
    });
    match lowest.into_inner().expect("nobody panicked") {
        Some((_, err)) => Err(err),
        None => Ok(()),
    }
}
