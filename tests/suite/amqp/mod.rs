//! The transport on RabbitMQ passes the suite of its port on every version, and does not fall into the traps of the broker
//! and of its library.

mod v4_0 {
    upbeat_tests::transport_conformance!(upbeat_tests::conformance::amqp::V4_0);
}

mod v4_3 {
    upbeat_tests::transport_conformance!(upbeat_tests::conformance::amqp::V4_3);
}

/// Makes a test of each function for every version of the broker.
macro_rules! on_every_version {
    ($($case:ident,)+) => {
        mod v4_0 {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(upbeat_tests::services::amqp::Version::V4_0).await;
                }
            )+
        }
        mod v4_3 {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(upbeat_tests::services::amqp::Version::V4_3).await;
                }
            )+
        }
    };
}

mod cancelled;
mod connections;
mod declared;
mod deliveries;
mod login;
mod lost;
mod refused;
mod returned;
mod tls;
