//! Running the program: members in this process, processes of their own, and waiting for what they do.

mod authority;
mod cluster;
mod endpoint;
mod eventually;
mod journal;
mod management;
mod metrics;
mod process;
mod program;
mod queue;
mod runs;
mod world;

pub use authority::{Authority, Certificate, tls_in_front_of};
pub use cluster::{Cluster, Connections, LEASE, Member};
pub use endpoint::{Endpoint, Request};
pub use eventually::{eventually, eventually_some};
pub use journal::Journal;
pub use management::Management;
pub use metrics::{Metrics, listening};
pub use process::Process;
pub use program::{enter, note};
pub use queue::Queue;
pub use runs::{Run, Runs};
pub use world::{Said, World, count, tasks};
