//! Drives sealing and opening over files, pipes and async bodies.
