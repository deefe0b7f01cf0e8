//! RabbitMQ and Postgres, members as processes, and everything that can happen to them.

mod foreign;
mod long;
mod members;
mod postgres;
mod producer;
mod program;
mod rabbitmq;
mod scene;
mod tls;
