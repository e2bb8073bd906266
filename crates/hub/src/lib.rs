//! The HTTP surface: the object server with pre-signed URLs.
