//! Progress on standard error, when that is a terminal.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use waxwing_engine::Observer;

/// Work that is over sooner shows no bar.
const SILENT_LEN_MAX: u64 = 64 << 20;

/// Shows a bar for long work.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Stands still until there is something long to show.
    shown: AtomicBool,
}

impl Progress {
    /// Says `verb` in front of the bar; shows nothing when `quiet` or without a terminal.
    pub(crate) fn new(verb: &'static str, quiet: bool) -> Self {
        let bar = if quiet || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            ProgressBar::no_length()
        };
        let style = ProgressStyle::with_template(
            "{msg} {bar:28} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left",
        );
        bar.set_style(style.expect("the template is fixed"));
        bar.set_message(verb);
        Self { bar, shown: AtomicBool::new(false) }
    }
}

impl Progress {
    /// Whether anybody sees it.
    pub(crate) fn is_visible(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Says a line without disturbing the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| eprint!("{line}"));
    }

    pub(crate) fn set_total(&self, bytes: u64) {
        self.bar.set_length(bytes);
        if bytes > SILENT_LEN_MAX {
            self.bar.enable_steady_tick(Duration::from_millis(200));
            self.shown.store(true, Ordering::Relaxed);
        }
    }
}

impl Observer for Progress {
    fn total(&self, bytes: u64) {
        self.set_total(bytes);
    }

    fn advance(&self, bytes: u64) {
        if self.shown.load(Ordering::Relaxed) {
            self.bar.inc(bytes);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
