use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::OnceLock;

/// How work is to be done, and who watches.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// How many threads seal or open files; pipes use two however many there are.
    pub threads: NonZeroUsize,
    /// Where ciphertext is kept that can only be read once and must be read twice.
    pub spool_dir: &'a Path,
    /// Whether an output is on the disk before it gets its name.
    pub durable: bool,
    /// Told what was done, and asked whether to go on.
    pub observer: &'a dyn Observer,
}

/// Watches work from outside, from any thread.
pub trait Observer: Sync {
    /// How many bytes of input there will be, when that is known. Told once.
    fn total(&self, _bytes: u64) {}

    /// So many more bytes of input are done.
    fn advance(&self, _bytes: u64) {}

    /// Whether to stop. Asked between batches; nothing is left of the output then.
    fn stopped(&self) -> bool {
        false
    }
}

/// Watches nothing.
impl Observer for () {}

impl Default for Work<'_> {
    /// As many threads as there are cores, at most [`THREADS_DEFAULT_MAX`]; spools below `/tmp`; not durable.
    fn default() -> Self {
        // Asking the system takes it a dozen calls.
        static CORES: OnceLock<NonZeroUsize> = OnceLock::new();
        let cores = *CORES.get_or_init(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
        Self {
            threads: cores.min(THREADS_DEFAULT_MAX),
            spool_dir: Path::new("/tmp"),
            durable: false,
            observer: &(),
        }
    }
}

/// The most threads that are used unless told otherwise: more do not help where memory is the limit.
pub const THREADS_DEFAULT_MAX: NonZeroUsize = NonZeroUsize::new(8).unwrap();
