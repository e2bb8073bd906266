//! Everything that a process logs, to look for what must not be there. Loggers are global: a test that uses this is alone in
//! its process.

use std::error::Error;
use std::io;
use std::sync::Mutex;

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Writes to the captured log: for loggers that are given a writer.
#[derive(Debug, Clone, Copy)]
pub struct Capture;

/// Captures what goes through the crate `log`, at every level.
///
/// # Panics
///
/// When there is a logger already.
pub fn capture() {
    log::set_logger(&Capture).expect("nobody else logs");
    log::set_max_level(log::LevelFilter::Trace);
}

/// What was captured so far.
#[must_use]
pub fn captured() -> String {
    String::from_utf8_lossy(&lock()).into_owned()
}

/// The error as people see it: the debug form, and the chain.
#[must_use]
pub fn printed(error: &dyn Error) -> String {
    let mut text = format!("\n{error:?}");
    let mut cause = Some(error);
    while let Some(error) = cause {
        text += &format!("\n{error}");
        cause = error.source();
    }
    text
}

impl io::Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl log::Log for Capture {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        lock().extend(format!("{} {}\n", record.target(), record.args()).bytes());
    }

    fn flush(&self) {}
}

fn lock() -> std::sync::MutexGuard<'static, Vec<u8>> {
    LOG.lock().expect("nobody panics while logging")
}
