//! Automation for the Waxwing workspace.
fn main() {}
