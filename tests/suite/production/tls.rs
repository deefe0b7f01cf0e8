//! The servers' own TLS: the program knows them by their authority and their name, and shows who it is.

use std::path::Path;

use upbeat_tests::harness::{Authority, World};
use upbeat_tests::services::{Kind, Server};

/// RabbitMQ asks for a certificate, and goes on with nobody who has none.
const ASKS_FOR_A_CERTIFICATE: &str =
    "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n";

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// A server whose certificate is for `localhost`, with a configuration of its own.
async fn start(kind: Kind, authority: &Authority, configuration: &str) -> Server {
    let server = authority.certificate("localhost");
    let (ca, cert, key) = (read(&authority.file()), read(&server.cert), read(&server.key));
    let files = [
        ("tls/ca.pem", ca.as_str()),
        ("tls/server.pem", &cert),
        ("tls/server.key", &key),
        ("extra.conf", configuration),
        ("pg_hba.conf", "hostssl all all all trust\n"),
    ];
    Server::start_with(kind, &files).await
}

/// What `doctor` says where broker and ledger have these tables.
async fn doctor(broker: &str, ledger: &str) -> (Option<i32>, String) {
    let world = World::new(env!("CARGO_BIN_EXE_upbeat"), "");
    world.write("upbeat.toml", &format!("data = 'data'\n[broker]\n{broker}\n[ledger]\n{ledger}\n"));
    let said = world.run(&["doctor"]).await;
    (said.code, said.out + &said.err)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rabbitmq_that_asks_for_certificates_is_known_and_knows_us() {
    let authority = Authority::new();
    let rabbitmq = start(Kind::RabbitMq43, &authority, ASKS_FOR_A_CERTIFICATE).await;
    let postgres = Server::start(Kind::Postgres).await;
    let ours = authority.certificate("upbeat");
    let ca = format!("tls_ca = '{}'", authority.file().display());
    let own = format!("tls_cert = '{}'\ntls_key = '{}'", ours.cert.display(), ours.key.display());
    let ledger = format!("url = '{}'", postgres.url());
    let url = rabbitmq.tls_url();

    let (code, said) = doctor(&format!("url = '{url}'\n{ca}\n{own}"), &ledger).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("RabbitMQ 4.3"), "{said}");

    let (code, said) = doctor(&format!("url = '{url}'\n{ca}"), &ledger).await;
    assert_eq!(code, Some(3), "without a certificate: {said}");
    let (code, said) = doctor(&format!("url = '{url}'\n{own}"), &ledger).await;
    assert_eq!(code, Some(3), "of an unknown authority: {said}");
    let by_address = url.replace("localhost", "127.0.0.1");
    let (code, said) = doctor(&format!("url = '{by_address}'\n{ca}\n{own}"), &ledger).await;
    assert_eq!(code, Some(3), "under another name: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_is_known_by_its_authority_and_its_name() {
    let authority = Authority::new();
    let postgres = start(Kind::Postgres, &authority, "").await;
    let ca = format!("tls_ca = '{}'", authority.file().display());
    let unknown = Authority::new();
    let stranger = format!("tls_ca = '{}'", unknown.file().display());
    let by_name = postgres.url().replace("127.0.0.1", "localhost");
    let required = |url: &str| format!("url = '{url}?sslmode=require'");

    let (code, said) = doctor("", &format!("{}\n{ca}", required(&by_name))).await;
    assert_eq!(code, Some(0), "{said}");
    // The server takes nobody without TLS.
    let (code, said) = doctor("", &format!("url = '{by_name}?sslmode=disable'")).await;
    assert_ne!(code, Some(0), "{said}");
    let (code, said) = doctor("", &format!("{}\n{stranger}", required(&by_name))).await;
    assert_ne!(code, Some(0), "of an unknown authority: {said}");
    let (code, said) = doctor("", &format!("{}\n{ca}", required(postgres.url()))).await;
    assert_ne!(code, Some(0), "under another name: {said}");
    let plain = Server::start(Kind::Postgres).await;
    let (code, said) = doctor("", &format!("{}\n{ca}", required(plain.url()))).await;
    assert_ne!(code, Some(0), "that speaks no TLS: {said}");
}
