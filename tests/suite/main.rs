//! The suite: every test that looks at the program from outside, in one binary, so that it links once.

mod clocks;
mod crash;
mod embedded;
mod scene;
mod structure;
