//! The binary tagrail.
fn main() {}
