//! Codecs and limits of every wire format Waxwing reads or writes; no cryptography, no I/O.
