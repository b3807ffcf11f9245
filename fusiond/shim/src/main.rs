//! The program `fusion-shim`: one process per life of an agent.
fn main() {}
