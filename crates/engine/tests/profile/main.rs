//! Profiles over messages: the presets against the vectors that others made, and what goes wrong.

mod diagnosis;
mod hostile;
mod mutation;
mod sealing;
mod support;
mod vectors;
