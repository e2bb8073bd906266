//! DEKs, suites, key schedule, frames and schemes; sealing and opening as machines without I/O.
