//! The project's shape: who may depend on whom, on what terms, and the rules of the house.
//!
//! Each rule is a pure function over text or metadata. It is applied to the project, and to a planted violation, so that
//! a rule that went blind is noticed.

mod containers;
mod errors;
mod files;
mod house;
mod layers;
mod licences;
mod packages;
mod source;

/// Fails with the violations, one per line.
fn none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}
