//! Transactional work, as whole programs do it: effects that happen exactly once, whoever dies when.

mod crash;
mod elsewhere;
mod keys;
mod other_clients;
mod program;
mod runs;
mod scene;
mod sql;
