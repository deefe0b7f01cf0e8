//! Guards taken away one at a time: whether the tests that look for each go red. `tests/guards.toml` names them,
//! `just mutations` tries them.

mod guard;
mod report;
mod tree;
mod trial;

pub use guard::{Edit, Guard, Guards, Where};
pub use report::table;
pub use tree::Tree;
pub use trial::{Outcome, Trial};
