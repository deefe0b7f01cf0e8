//! The real services that tests run on.

pub mod amqp;
