//! `waxwing serve`

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use waxwing_hub::{Hub, serve};

use crate::exit::{Failure, Outcome};
use crate::home::{Home, LISTEN_DEFAULT};

/// Serve the stored objects to holders of pre-signed URLs
#[derive(Debug, clap::Args)]
#[command(
    after_help = "It serves ciphertext only and knows no private key. There is no TLS: off this machine, put a
terminating proxy in front and tell `deliver` its address with --base-url."
)]
pub(crate) struct Args {
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = LISTEN_DEFAULT)]
    listen: SocketAddr,
}

pub(crate) fn run(args: Args, home: &Home) -> Outcome {
    super::runtime()?.block_on(async {
        let bind = |err| {
            Failure::io(format!("cannot listen on {}", args.listen), err).hint("choose another with --listen")
        };
        let listener = TcpListener::bind(args.listen).await.map_err(bind)?;
        let url = format!("http://{}", listener.local_addr().map_err(bind)?);
        let store = home.store(&url)?;
        store.sweep().map_err(|err| {
            Failure::new(crate::exit::Code::Failed, "cannot sweep the object directory").because(err)
        })?;
        let hub = Hub::new(Arc::new(store), home.signing_key()?, Arc::new(SystemTime::now));
        let stop = stop_signal().map_err(|err| Failure::io("cannot wait for signals", err))?;
        home.note_base_url(&url)?;
        eprintln!("serving {} at {url}", home.dir().join("objects").display());
        serve(listener, hub, stop).await;
        eprintln!("stopped");
        Ok(())
    })
}

/// Ends with the first SIGINT or SIGTERM.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
