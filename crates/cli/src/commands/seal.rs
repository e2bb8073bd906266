//! `waxwing seal`

use std::path::PathBuf;

use waxwing_core::SystemRandom;
use waxwing_core::envelope::SealOptions;
use waxwing_engine::{HeaderPlace, seal};
use waxwing_formats::envelope::{Context, FrameLen, Suite};

use crate::exit::{Code, Failure, Outcome};
use crate::files::{self, OutputArgs, WorkArgs};
use crate::keys;
use crate::progress::Progress;
use crate::scheme::SchemeArgs;

/// Seal a file or a pipe for the holders of the given keys
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waxwing seal -r alice.pub -r bob.pub -o report.wax report.csv
  tar c docs | waxwing seal -r backup.key -c host=web1 > docs.tar.wax
  waxwing seal --format record -r partner.pub --record job.json -o body.bin report.csv")]
pub(crate) struct Args {
    /// A public key, certificate or AES-256 key file to seal for; may be given several times
    #[arg(short, long = "recipient", value_name = "PUB", required = true)]
    recipients: Vec<String>,
    /// A named value to bind to the envelope: public, but authenticated
    #[arg(short, long = "context", value_name = "NAME=VALUE", value_parser = keys::pair)]
    context: Vec<(String, String)>,
    /// Keep the header apart from the body
    #[arg(long, value_name = "HEADER")]
    detached: Option<PathBuf>,
    /// The content cipher
    #[arg(long, value_enum, default_value = "aes-256-gcm")]
    suite: SuiteArg,
    /// Plaintext bytes of a frame, as a power of two from 12 (4 KiB) to 24 (16 MiB)
    #[arg(long, value_name = "LOG2", default_value_t = FrameLen::DEFAULT.log2())]
    frame_len_log2: u8,
    #[command(flatten)]
    scheme: SchemeArgs,
    #[command(flatten)]
    out: OutputArgs,
    #[command(flatten)]
    work: WorkArgs,
    /// What to seal; `-` is standard input
    #[arg(value_name = "IN", default_value = "-")]
    input: PathBuf,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum SuiteArg {
    #[value(name = "aes-256-gcm")]
    Aes256Gcm,
    #[value(name = "chacha20-poly1305")]
    ChaCha20Poly1305,
}
