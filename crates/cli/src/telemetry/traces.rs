//! Traces by OTLP over HTTP. A span has the names of a job, its agent and a stage, how long it took and how it ended; no event
//! of the log goes along, since what others said stands there.

use std::time::Duration;

use clap::Args;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::exit::{Code, Failure};

/// Whose spans are sent: those of the worker, and none of what it is made of.
const SPANS_OF: &str = "waxwing_delivery::worker";
/// Where a collector takes traces, below its address.
const PATH: &str = "/v1/traces";
/// How long a collector may take to answer.
const EXPORT_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Args)]
pub(crate) struct TraceArgs {
    /// Send traces to the OpenTelemetry collector at this address, by OTLP over HTTP, such as http://127.0.0.1:4318
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp: Option<String>,
}

/// Sends what was traced last, when it is dropped. Not to be dropped by an asynchronous task.
pub(crate) struct Traces(Option<SdkTracerProvider>);

impl TraceArgs {
    pub(crate) fn start<S>(&self) -> Result<(Option<impl Layer<S>>, Traces), Failure>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let Some(url) = &self.otlp else { return Ok((None, Traces(None))) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}{PATH}", url.trim_end_matches('/')))
            .with_timeout(EXPORT_MAX)
            .build()
            .map_err(|err| Failure::new(Code::Usage, "--otlp cannot be used").because(err))?;
        let resource = Resource::builder().with_service_name("waxwing-worker").build();
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("waxwing"))
            .with_location(false)
            .with_threads(false)
            .with_filter(filter_fn(is_ours));
        Ok((Some(layer), Traces(Some(provider))))
    }
}

fn is_ours(meta: &Metadata<'_>) -> bool {
    meta.is_span() && meta.target().starts_with(SPANS_OF)
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take()
            && let Err(err) = provider.shutdown_with_timeout(EXPORT_MAX)
        {
            tracing::warn!(error = %err, "the last traces were not sent");
        }
    }
}
