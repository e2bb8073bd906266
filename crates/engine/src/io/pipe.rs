use std::fs::File;

/// The bytes that a pipe holds at most without privileges, unless the system was told otherwise (`fs.pipe-max-size`).
const PIPE_LEN: usize = 1 << 20;

/// Lets a pipe hold more than the usual 64 KiB, so that both its ends run for longer before they wait for each other. Best
/// effort: what is no pipe, or a system that gives no more, stays as it is.
pub(super) fn widen_pipe(file: &File) {
    let _ = rustix::pipe::fcntl_setpipe_size(file, PIPE_LEN);
}
