//! Running the program from outside: processes, files, and waiting for what they do.

mod eventually;

pub use eventually::{eventually, eventually_some};
