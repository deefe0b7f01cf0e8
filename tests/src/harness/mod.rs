//! Running the program: members in this process, processes of their own, and waiting for what they do.

mod cluster;
mod eventually;
mod runs;

pub use cluster::{Cluster, Connections, LEASE, Member};
pub use eventually::{eventually, eventually_some};
pub use runs::{Run, Runs};
