//! The transport on RabbitMQ passes the suite of its port on every version, and does not fall into the traps of the broker
//! and of its library.

mod v4_0 {
    upbeat_tests::transport_conformance!(upbeat_tests::conformance::amqp::V4_0);
}

mod v4_3 {
    upbeat_tests::transport_conformance!(upbeat_tests::conformance::amqp::V4_3);
}
