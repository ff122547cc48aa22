//! gossipd
fn main() {}
