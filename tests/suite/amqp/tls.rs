//! TLS in front of a real broker: whom we believe, and who we are.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

use upbeat_shared::clock::SystemClock;
use upbeat_shared::config::TlsFiles;
use upbeat_shared::transport::amqp::AmqpTransport;
use upbeat_shared::transport::{Transport, TransportError};
use upbeat_tests::conformance::amqp::Tenant;
use upbeat_tests::conformance::transport::Desk;
use upbeat_tests::conformance::transport::desk::{ids, ids_of, take, work};
use upbeat_tests::harness::{Authority, Certificate, tls_in_front_of};
use upbeat_tests::services::amqp::Version;

/// The broker behind the test's TLS.
fn broker() -> SocketAddr {
    let url = Version::V4_3.url();
    let host = url.expose().rsplit('@').next().expect("it has a host").trim_end_matches('/').to_owned();
    let mut addresses = host.to_socket_addrs().expect("its host has an address");
    addresses.next().expect("its host has an address")
}

async fn connect(
    tenant: &Tenant,
    host: &str,
    address: SocketAddr,
    tls: TlsFiles,
) -> Result<Arc<AmqpTransport>, TransportError> {
    let mut options = tenant.options();
    let url = format!("amqps://guest:guest@{host}:{}", address.port());
    options.url = url.parse().expect("a URL");
    options.tls = tls;
    AmqpTransport::open(options, Arc::new(SystemClock::default())).await
}

fn trusting(authority: &Authority) -> TlsFiles {
    TlsFiles { ca: Some(authority.file()), ..TlsFiles::default() }
}

fn showing(authority: &Authority, own: &Certificate) -> TlsFiles {
    TlsFiles { cert: Some(own.cert.clone()), key: Some(own.key.clone()), ..trusting(authority) }
}

fn refusal(opened: Result<Arc<AmqpTransport>, TransportError>) -> String {
    match opened {
        Err(TransportError::Refused(reason)) => reason,
        other => panic!("it should be refused, and is {other:?}"),
    }
}

#[tokio::test]
async fn messages_travel_over_tls_by_name_and_by_address() {
    let tenant = Tenant::new(Version::V4_3);
    let authority = Authority::new();
    for host in ["localhost", "127.0.0.1"] {
        let address = tls_in_front_of(broker(), &authority.certificate(host), None).await;
        let transport = connect(&tenant, host, address, trusting(&authority)).await;
        let desk = Desk { transport: transport.expect("its authority is known") };
        assert!(desk.transport.describe().starts_with("RabbitMQ 4.3"), "{}", desk.transport.describe());
        desk.transport.declare(&[work()]).await.expect("the queue can be declared");
        let messages = desk.publish_new(100).await;
        let mut consumer = desk.consume(100).await;
        let deliveries = take(&mut *consumer, 100).await;
        assert_eq!(ids(&deliveries), ids_of(&messages));
        let tags = deliveries.iter().map(|delivery| delivery.tag).collect();
        consumer.acknowledger().acknowledge(tags).await.expect("the broker takes the acknowledgement");
        drop(consumer);
        desk.transport.close().await;
    }
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let tenant = Tenant::new(Version::V4_3);
    let authority = Authority::new();
    let address = tls_in_front_of(broker(), &authority.certificate("mq.example.org"), None).await;
    let reason = refusal(connect(&tenant, "localhost", address, trusting(&authority)).await);
    assert!(reason.contains("its certificate is for another name than localhost"), "{reason}");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let tenant = Tenant::new(Version::V4_3);
    let (authority, stranger) = (Authority::new(), Authority::new());
    let address = tls_in_front_of(broker(), &stranger.certificate("localhost"), None).await;
    let reason = refusal(connect(&tenant, "localhost", address, trusting(&authority)).await);
    assert!(reason.contains("name the authority's certificate in `ca`"), "{reason}");
}

#[tokio::test]
async fn a_broker_that_asks_who_we_are_is_shown_our_certificate() {
    let tenant = Tenant::new(Version::V4_3);
    let (authority, clients) = (Authority::new(), Authority::new());
    let server = authority.certificate("localhost");
    let address = tls_in_front_of(broker(), &server, Some(&clients)).await;

    let own = clients.certificate("worker.example.org");
    let transport = connect(&tenant, "localhost", address, showing(&authority, &own)).await;
    transport.expect("it knows us").ping().await.expect("the broker answers");

    let reason = refusal(connect(&tenant, "localhost", address, trusting(&authority)).await);
    assert!(reason.contains("name one in `cert` and `key`"), "{reason}");
    let strange = authority.certificate("stranger.example.org");
    let reason = refusal(connect(&tenant, "localhost", address, showing(&authority, &strange)).await);
    assert!(reason.contains("it ended the handshake"), "{reason}");
}

#[tokio::test]
async fn a_broker_without_tls_and_files_that_are_none_are_refused() {
    let tenant = Tenant::new(Version::V4_3);
    let authority = Authority::new();
    let reason = refusal(connect(&tenant, "localhost", broker(), trusting(&authority)).await);
    assert!(reason.contains("it does not speak TLS on that port"), "{reason}");
    let nowhere = TlsFiles { ca: Some(PathBuf::from("nowhere.pem")), ..TlsFiles::default() };
    let reason = refusal(connect(&tenant, "localhost", broker(), nowhere).await);
    assert!(reason.starts_with("cannot read nowhere.pem"), "{reason}");
}
