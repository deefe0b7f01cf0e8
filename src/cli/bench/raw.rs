//! The broker's own limit: the same work by a plain AMQP loop.
