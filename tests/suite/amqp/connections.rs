//! Connections: two of them, named so that an operator knows whose they are.

use upbeat_shared::transport::{Transport, TransportError};
use upbeat_tests::conformance::amqp::Tenant;
use upbeat_tests::conformance::transport::Desk;
use upbeat_tests::conformance::transport::desk::work;
use upbeat_tests::services::amqp::Version;

on_every_version! {
    connections_say_who_they_are_and_what_for_and_end_with_their_transport,
    a_transport_says_what_broker_it_is_on,
}

async fn connections_say_who_they_are_and_what_for_and_end_with_their_transport(version: Version) {
    let tenant = Tenant::new(version);
    let desk = Desk { transport: tenant.connect().await };
    desk.transport.declare(&[work()]).await.expect("the queue can be declared");
    desk.publish_new(1).await;

    let name = tenant.options().name;
    let mut connections = tenant.management().connections(&name, 2).await;

    connections.sort_by_key(|connection| connection["client_properties"]["connection_name"].to_string());
    for (connection, what_for) in connections.iter().zip(["consume", "publish"]) {
        let properties = &connection["client_properties"];
        assert_eq!(properties["connection_name"], format!("{name} {what_for}"));
        assert_eq!(properties["product"], "Upbeat");
        assert_eq!(properties["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(connection["timeout"], 10, "seconds between heartbeats");
    }

    desk.transport.close().await;

    tenant.management().connections(&name, 0).await;
    let closed = desk.transport.declare(&[work()]).await;
    assert!(matches!(closed, Err(TransportError::Closed)), "{closed:?}");
    assert!(matches!(desk.transport.depth(&work()).await, Err(TransportError::Closed)));
}

async fn a_transport_says_what_broker_it_is_on(version: Version) {
    let tenant = Tenant::new(version);
    let transport = tenant.connect().await;
    let overview = tenant.management().get("overview").await.expect("there is an overview");
    let version = overview["rabbitmq_version"].as_str().expect("it has a version");

    let described = transport.describe();

    assert!(described.starts_with(&format!("RabbitMQ {version} at 127.0.0.1:")), "{described}");
    assert!(described.ends_with(" vhost /"), "{described}");
}
