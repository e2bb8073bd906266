//! Fixed keys, a clock wound by hand, streams that split and fail.

pub mod keys;
