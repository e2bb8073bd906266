//! Independent batches on several threads.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::batch::Batch;
use crate::{Error, Work};

/// Does batches `0..count` in no particular order, each thread with a buffer from `buffer`.
///
/// # Errors
///
/// That of the earliest batch among those that failed, so that which error is reported does not hang on timing more
/// than it must. The rest is given up then.
pub(crate) fn for_each_batch(
    count: u64,
    work: &Work<'_>,
    buffer: impl Fn() -> Batch + Sync,
    each: impl Fn(u64, &mut Batch) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let next = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    let first_failure = Mutex::new(None::<(u64, Error)>);
    let run = || {
        let mut batch = buffer();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count || failed.load(Ordering::Relaxed) {
                return;
            }
            let result = if work.observer.stopped() { Err(Error::Stopped) } else { each(index, &mut batch) };
            if let Err(err) = result {
                failed.store(true, Ordering::Relaxed);
                let mut first = first_failure.lock().expect("nobody panics while holding it");
                if first.as_ref().is_none_or(|(earliest, _)| index < *earliest) {
                    *first = Some((index, err));
                }
                return;
            }
        }
    };
    let threads = NonZeroUsize::new(usize::try_from(count).unwrap_or(usize::MAX))
        .map_or(1, |count| count.min(work.threads).get());
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(run);
        }
        run();
    });
    match first_failure.into_inner().expect("nobody panicked") {
        Some((_, err)) => Err(err),
        None => Ok(()),
    }
}
