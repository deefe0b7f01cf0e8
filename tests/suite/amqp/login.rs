//! Brokers that do not let us in, and what is no broker: said in words that help, and never waited for without end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use upbeat_shared::clock::SystemClock;
use upbeat_shared::name::Namespace;
use upbeat_shared::transport::amqp::{AmqpOptions, AmqpTransport};
use upbeat_shared::transport::{Transport, TransportError};
use upbeat_tests::conformance::amqp::{Tenant, open, url_of};
use upbeat_tests::conformance::transport::desk::work;
use upbeat_tests::services::amqp::Version;

on_every_version! {
    a_wrong_password_is_refused_without_showing_it,
    an_unknown_vhost_is_refused_by_its_name,
    a_user_without_rights_is_told_which,
}

async fn failure(url: &str) -> TransportError {
    let options = AmqpOptions::new(url.parse().expect("a URL"), Namespace::default());
    let opened = AmqpTransport::open(options, Arc::new(SystemClock::default()));
    let opened =
        tokio::time::timeout(Duration::from_secs(20), opened).await.expect("it does not wait for ever");
    opened.expect_err("nobody can log in there")
}

async fn a_wrong_password_is_refused_without_showing_it(version: Version) {
    let error = failure(url_of(version, "guest:open-sesame").expose()).await;
    let TransportError::Refused(reason) = &error else { panic!("{error:?}") };
    assert!(reason.contains("the user \"guest\" may not log in at 127.0.0.1:"), "{reason}");
    assert!(!format!("{error} {error:?}").contains("open-sesame"), "{error:?}");
}

async fn an_unknown_vhost_is_refused_by_its_name(version: Version) {
    let error = failure(&format!("{}/nowhere", url_of(version, "guest:guest").expose())).await;
    let TransportError::Refused(reason) = &error else { panic!("{error:?}") };
    assert!(reason.contains("the vhost \"nowhere\" at 127.0.0.1:"), "{reason}");
    assert!(reason.contains("add_vhost"), "{reason}");
}

async fn a_user_without_rights_is_told_which(version: Version) {
    let tenant = Tenant::new(version);
    let name = tenant.namespace().to_string();
    let management = tenant.management();
    management.put(&format!("users/{name}"), json!({ "password": "p", "tags": "" })).await;
    let rights = json!({ "configure": "^$", "write": "^$", "read": "^$" });
    management.put(&format!("permissions/%2F/{name}"), rights).await;
    let mut options = tenant.options();
    options.url = url_of(version, &format!("{name}:p"));
    let transport = open(options).await;

    let refused = transport.declare(&[work()]).await;

    transport.close().await;
    management.delete(&format!("users/{name}")).await;
    let Err(TransportError::Refused(reason)) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("configure access"), "{reason}");
}

#[tokio::test]
async fn a_port_without_a_listener_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has one");
    drop(listener);
    let error = failure(&format!("amqp://{address}")).await;
    assert!(
        matches!(&error, TransportError::Unavailable(reason) if reason.contains("nothing listens there")),
        "{error}"
    );
}

#[tokio::test]
async fn a_host_without_an_address_is_unavailable() {
    let error = failure("amqp://nowhere.invalid").await;
    assert!(
        matches!(&error, TransportError::Unavailable(reason) if reason.contains("host's name")),
        "{error}"
    );
}

/// Answers every connection with the same bytes, and keeps it open.
async fn speaker(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(bytes).await.expect("the client listens");
            open.push(stream);
        }
    });
    format!("amqp://{address}")
}

#[tokio::test]
async fn what_speaks_something_else_is_refused() {
    let error = failure(&speaker(b"HTTP/1.1 400 Bad Request\r\n\r\n").await).await;
    assert!(
        matches!(&error, TransportError::Refused(reason) if reason.contains("does not speak AMQP")),
        "{error}"
    );
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for_without_end() {
    let error = failure(&speaker(b"").await).await;
    assert!(matches!(&error, TransportError::Unavailable(_)), "{error}");
    assert!(error.to_string().contains("10 s"), "{error}");
}
