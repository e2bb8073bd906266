//! `waxwing demo`

/// Show the whole story on this machine, in a folder of its own
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: Args) -> crate::exit::Outcome {
    Ok(())
}
