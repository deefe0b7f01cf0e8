//! The suite: every test that looks at the program from outside, in one binary, so that it links once.

mod amqp;
mod bad_input;
mod cli;
mod clocks;
mod crash;
mod disk;
mod embedded;
mod examples;
mod help;
mod library;
mod members;
mod memory;
mod metrics;
mod once;
mod operators;
mod postgres;
mod production;
mod provisioned;
mod readme;
mod redis;
mod scene;
mod servers;
mod stack;
mod structure;
mod traces;
mod versions;
