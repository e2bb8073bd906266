//! Object stores: put, get, ranged get, pre-signed URLs.
