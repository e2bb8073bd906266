//! What a worker counts of its own work, for [`Metrics::render`], and the spans of it.
//!
//! Labels are words of this file and nothing else: no job, agent or file has a time series, so that their number is
//! fixed and none of them can be named by whoever submits jobs. How long the opening of one file took can be read from
//! the histograms all the same, when a worker has little to do: the page is the operator's, not the submitters'.

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tracing::{Span, debug_span};

use crate::{Happened, Job, RetryCause, State};

/// What the page of [`Metrics::render`] is, as an HTTP `Content-Type`.
pub const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Counts what a worker and its clones do since they were made.
#[derive(Debug, Default)]
pub struct Metrics {
    done: AtomicU64,
    failed: [AtomicU64; CLASSES.len()],
    retried: [AtomicU64; CAUSES.len()],
    released: AtomicU64,
    leases_lost: AtomicU64,
    ledger_failures: AtomicU64,
    in_flight: AtomicU64,
    ciphertext_bytes: AtomicU64,
    plaintext_bytes: AtomicU64,
    stages: [Histogram; Stage::ALL.len()],
    ledger_is_lost: AtomicBool,
}

/// A part of the work on a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Asking the source, when it had a job.
    Claim,
    /// Fetching the ciphertext, with what is asked again.
    Download,
    /// Unwrapping the key, verifying, decrypting into the staged output.
    Open,
    /// Making the output appear.
    Publish,
    /// Telling the ledger.
    Settle,
}

impl Stage {
    const ALL: [Self; 5] = [Self::Claim, Self::Download, Self::Open, Self::Publish, Self::Settle];

    fn word(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Download => "download",
            Self::Open => "open",
            Self::Publish => "publish",
            Self::Settle => "settle",
        }
    }

    /// A span of this stage, within the present one.
    pub(super) fn span(self) -> Span {
        debug_span!("stage", otel.name = self.word())
    }
}

/// The span of all work on one claimed job. It names the job, which the log does as well, and nothing of its record.
pub(super) fn job_span(job: &Job) -> Span {
    let status = tracing::field::Empty;
    debug_span!("job", job = %job.id(), agent = %job.agent(), attempt = job.attempts(), status)
}

impl Metrics {
    /// All of it in Prometheus' text format, version 0.0.4.
    pub fn render(&self) -> String {
        let mut page = Page::default();
        let jobs = "Jobs that this worker settled, by state and class of failure.";
        page.family("waxwing_jobs_settled_total", "counter", jobs);
        page.sample("{state=\"done\",class=\"\"}", self.done.load(Relaxed));
        for (class, count) in CLASSES.iter().zip(&self.failed) {
            page.sample(&format!("{{state=\"failed\",class=\"{class}\"}}"), count.load(Relaxed));
        }
        let retries = "Attempts that ended in a retry, by cause.";
        page.family("waxwing_retries_total", "counter", retries);
        for (cause, count) in CAUSES.iter().zip(&self.retried) {
            page.sample(&format!("{{cause=\"{cause}\"}}"), count.load(Relaxed));
        }
        let counters = [
            ("waxwing_releases_total", "Jobs given back unfinished, at the worker's end.", &self.released),
            ("waxwing_lease_losses_total", "Jobs that another worker had taken over.", &self.leases_lost),
            (
                "waxwing_ledger_failures_total",
                "Calls of the ledger or the queue that failed.",
                &self.ledger_failures,
            ),
            ("waxwing_ciphertext_bytes_total", "Bytes of ciphertext downloaded.", &self.ciphertext_bytes),
            (
                "waxwing_plaintext_bytes_total",
                "Bytes of plaintext in published outputs.",
                &self.plaintext_bytes,
            ),
        ];
        for (name, help, counter) in counters {
            page.family(name, "counter", help);
            page.sample("", counter.load(Relaxed));
        }
        page.family("waxwing_jobs_in_flight", "gauge", "Jobs that the worker works on now.");
        page.sample("", self.in_flight.load(Relaxed));
        page.family("waxwing_stage_seconds", "histogram", "Time that a stage of a job's work took.");
        for (stage, histogram) in Stage::ALL.iter().zip(&self.stages) {
            histogram.render(stage.word(), &mut page);
        }
        page.text
    }

    /// Whether the ledger answered when the worker last asked it for work. A worker that has not asked yet is well.
    pub fn is_healthy(&self) -> bool {
        !self.ledger_is_lost.load(Relaxed)
    }

    /// The ledger or the source of jobs was asked.
    pub(super) fn asked<T, E>(&self, answer: &Result<T, E>) {
        self.ledger_is_lost.store(answer.is_err(), Relaxed);
        if answer.is_err() {
            self.ledger_failures.fetch_add(1, Relaxed);
        }
    }

    /// A job counts as one that is worked on until what this returns is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(Arc::clone(self))
    }

    pub(super) fn downloaded(&self, bytes: u64) {
        self.ciphertext_bytes.fetch_add(bytes, Relaxed);
    }

    /// The ledger took what this worker said of a job.
    pub(super) fn told(&self, job: &Job) {
        match job.state() {
            State::Done { receipt } => {
                self.done.fetch_add(1, Relaxed);
                self.plaintext_bytes.fetch_add(receipt.plaintext_bytes, Relaxed);
            }
            State::Failed { failure } => count(&CLASSES, &self.failed, failure.word()),
            State::Pending { .. } | State::Leased { .. } => {}
        }
        match job.history().last().map(|entry| entry.what) {
            Some(Happened::Retried(RetryCause::Download(_))) => count(&CAUSES, &self.retried, CAUSES[0]),
            Some(Happened::Retried(RetryCause::Worker)) => count(&CAUSES, &self.retried, CAUSES[1]),
            Some(Happened::Released) => drop(self.released.fetch_add(1, Relaxed)),
            _ => {}
        }
    }

    pub(super) fn lease_lost(&self) {
        self.leases_lost.fetch_add(1, Relaxed);
    }

    pub(super) fn took(&self, stage: Stage, time: Duration) {
        self.stages[stage as usize].add(time);
    }

    /// Does the work of a stage, in its span, and notes how long it took.
    pub(super) fn timed<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = stage.span().in_scope(work);
        self.took(stage, started.elapsed());
        done
    }
}

/// See [`Metrics::begin`].
pub(super) struct InFlight(Arc<Metrics>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// Times, counted by the smallest bound that is not below them.
#[derive(Debug, Default)]
struct Histogram {
    /// One for each of [`BOUNDS`], and one for what is above.
    counts: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Histogram {
    fn add(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.counts[bucket].fetch_add(1, Relaxed);
        self.micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    fn render(&self, stage: &str, page: &mut Page) {
        let seconds = Duration::from_micros(self.micros.load(Relaxed)).as_secs_f64();
        let mut total = 0;
        let bounds = BOUNDS.iter().map(|bound| bound.to_string()).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(&self.counts) {
            total += count.load(Relaxed);
            page.sample(&format!("_bucket{{stage=\"{stage}\",le=\"{bound}\"}}"), total);
        }
        page.sample(&format!("_sum{{stage=\"{stage}\"}}"), seconds);
        page.sample(&format!("_count{{stage=\"{stage}\"}}"), total);
    }
}

/// A page in the making.
#[derive(Default)]
struct Page {
    text: String,
    name: &'static str,
}

impl Page {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// A value of the family, under its name and what is to stand behind it.
    fn sample(&mut self, rest: &str, value: impl Display) {
        let name = self.name;
        self.line(format_args!("{name}{rest} {value}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("a string takes everything");
    }
}

fn count(words: &[&str], counters: &[AtomicU64], word: &str) {
    let at = words.iter().position(|known| *known == word).expect("the words are all that there are");
    counters[at].fetch_add(1, Relaxed);
}

/// The words of [`FailureClass`](crate::FailureClass).
const CLASSES: [&str; 4] = ["download", "policy", "rejected", "attempts"];
/// The words of [`RetryCause`].
const CAUSES: [&str; 2] = ["download", "worker"];
/// In seconds, from a small file on this machine to a large one from far away.
const BOUNDS: [f64; 15] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0];

#[cfg(test)]
mod tests {
    use waxwing_testkit::exposition;

    use super::*;
    use crate::{DownloadFailure, Event, FailureClass, Policy, Receipt, UnixMillis};

    const NOW: UnixMillis = UnixMillis::new(1_700_000_000_000);

    /// A job that a worker holds, after this was said of it.
    fn job_after(say: impl FnOnce(crate::Fence) -> Event) -> Job {
        let record = r#"{"PresignedURL": "https://h/data/canary?sig=canary", "FileID": "canary"}"#;
        let record = serde_json::from_str(record).unwrap();
        let mut job = Job::for_agent("job-1".parse().unwrap(), "acme".parse().unwrap(), record, NOW);
        let policy = Policy::default();
        job.apply(Event::Claim { worker: "w".parse().unwrap() }, NOW, &policy).unwrap();
        job.apply(say(job.fence()), NOW, &policy).unwrap();
        job
    }

    #[test]
    fn a_new_page_has_every_sample_and_all_are_zero() {
        let samples = exposition::read(&Metrics::default().render()).unwrap();
        assert!(samples.values().all(|value| *value == 0.0));
        // 5 of settled jobs, 2 of retries, 5 counters, 1 gauge; buckets, sum and count for each stage.
        assert_eq!(samples.len(), 13 + Stage::ALL.len() * (BOUNDS.len() + 3));
    }

    #[test]
    fn what_was_told_is_counted() {
        let metrics = Arc::new(Metrics::default());
        let receipt = Receipt { output: "canary.csv".into(), plaintext_bytes: 31, sha256: [0; 32] };
        metrics.told(&job_after(|fence| Event::Finish(fence, receipt)));
        metrics.told(&job_after(|fence| Event::Fail(fence, FailureClass::Rejected)));
        let gone = DownloadFailure::Status(404);
        metrics.told(&job_after(|fence| Event::Fail(fence, FailureClass::Download(gone))));
        metrics.told(&job_after(|fence| Event::Fail(fence, FailureClass::Policy)));
        metrics.told(&job_after(|fence| Event::Fail(fence, FailureClass::Attempts)));
        metrics.told(&job_after(|fence| Event::Retry(fence, RetryCause::Download(gone))));
        metrics.told(&job_after(|fence| Event::Retry(fence, RetryCause::Worker)));
        metrics.told(&job_after(Event::Release));
        metrics.lease_lost();
        metrics.downloaded(47);
        metrics.asked::<(), ()>(&Err(()));
        let _held = metrics.begin();
        drop(metrics.begin());
        for millis in [1, 40, 3_000_000] {
            metrics.took(Stage::Open, Duration::from_millis(millis));
        }
        let page = metrics.render();
        let samples = exposition::read(&page).unwrap();
        for (name, value) in [
            ("waxwing_jobs_settled_total{state=\"done\",class=\"\"}", 1.0),
            ("waxwing_jobs_settled_total{state=\"failed\",class=\"download\"}", 1.0),
            ("waxwing_jobs_settled_total{state=\"failed\",class=\"policy\"}", 1.0),
            ("waxwing_jobs_settled_total{state=\"failed\",class=\"rejected\"}", 1.0),
            ("waxwing_jobs_settled_total{state=\"failed\",class=\"attempts\"}", 1.0),
            ("waxwing_retries_total{cause=\"download\"}", 1.0),
            ("waxwing_retries_total{cause=\"worker\"}", 1.0),
            ("waxwing_releases_total", 1.0),
            ("waxwing_lease_losses_total", 1.0),
            ("waxwing_ledger_failures_total", 1.0),
            ("waxwing_ciphertext_bytes_total", 47.0),
            ("waxwing_plaintext_bytes_total", 31.0),
            ("waxwing_jobs_in_flight", 1.0),
            ("waxwing_stage_seconds_bucket{stage=\"open\",le=\"0.001\"}", 1.0),
            ("waxwing_stage_seconds_bucket{stage=\"open\",le=\"0.05\"}", 2.0),
            ("waxwing_stage_seconds_bucket{stage=\"open\",le=\"1800\"}", 2.0),
            ("waxwing_stage_seconds_bucket{stage=\"open\",le=\"+Inf\"}", 3.0),
            ("waxwing_stage_seconds_sum{stage=\"open\"}", 3000.041),
        ] {
            assert_eq!(samples.get(name), Some(&value), "{name}");
        }
        assert!(!page.contains("canary"));
    }

    #[test]
    fn a_worker_is_well_until_its_ledger_fails_and_again_when_it_answers() {
        let metrics = Metrics::default();
        assert!(metrics.is_healthy());
        metrics.asked::<(), ()>(&Err(()));
        assert!(!metrics.is_healthy());
        metrics.asked::<(), ()>(&Ok(()));
        assert!(metrics.is_healthy());
    }
}
