//! The program on Redis, from outside.

use std::path::Path;

use upbeat_tests::conformance::redis::Space;
use upbeat_tests::harness::{Authority, Said, World};
use upbeat_tests::services::{Kind, Server};

/// A world of the program on this ledger, with the embedded broker.
fn world(space: &Space, ledger: &str) -> World {
    let world = World::new(env!("CARGO_BIN_EXE_upbeat"), "");
    world.write(
        "upbeat.toml",
        &format!("namespace = '{}'\ndata = 'data'\n[ledger]\n{ledger}\n", space.namespace),
    );
    world
}

fn on(url: &str) -> String {
    format!("url = '{url}'")
}

async fn doctor(space: &Space, ledger: &str) -> Said {
    world(space, ledger).run(&["doctor"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_says_what_the_server_forgets_and_what_to_do() {
    let server = Server::start(Kind::Redis).await;
    let space = Space::on(server.url().parse().expect("a URL"));
    let said = doctor(&space, &on(server.url())).await.ok().out;
    assert!(said.contains("Redis 8") || said.contains("Redis 7"), "{said}");
    assert!(said.contains("no AOF") && said.contains("set `appendonly yes`"), "{said}");

    space.ask::<()>(&["CONFIG", "SET", "appendonly", "yes"]);
    let said = doctor(&space, &on(server.url())).await.ok().out;
    assert!(said.contains("appendfsync everysec: a crash forgets up to the last second"), "{said}");

    space.ask::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let said = doctor(&space, &on(server.url())).await;
    assert_ne!(said.code, Some(0));
    assert!(said.out.contains("maxmemory-policy noeviction"), "{said:#?}");
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_with_tls_is_known_by_its_authority_and_its_name() {
    let authority = Authority::new();
    let certificate = authority.certificate("localhost");
    let (ca, cert, key) = (read(&authority.file()), read(&certificate.cert), read(&certificate.key));
    let files = [("tls/ca.pem", ca.as_str()), ("tls/server.pem", &cert), ("tls/server.key", &key)];
    let server = Server::start_with(Kind::Redis, &files).await;
    let space = Space::on(server.url().parse().expect("a URL"));
    let trusted = format!("tls_ca = '{}'", authority.file().display());
    let stranger = Authority::new();
    let unknown = format!("tls_ca = '{}'", stranger.file().display());
    let url = server.tls_url();

    doctor(&space, &format!("{}\n{trusted}", on(url))).await.ok();
    let said = doctor(&space, &format!("{}\n{unknown}", on(url))).await;
    assert_ne!(said.code, Some(0), "of an unknown authority: {said:#?}");
    let by_address = url.replace("localhost", "127.0.0.1");
    let said = doctor(&space, &format!("{}\n{trusted}", on(&by_address))).await;
    assert_ne!(said.code, Some(0), "under another name: {said:#?}");
    let said =
        doctor(&space, &format!("{}\n{trusted}", on(&server.url().replace("redis:", "rediss:")))).await;
    assert_ne!(said.code, Some(0), "that speaks no TLS: {said:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_benchmark_runs_every_task_and_leaves_no_key() {
    let server = Server::start(Kind::Redis).await;
    let space = Space::on(server.url().parse().expect("a URL"));
    let world = world(&space, &on(server.url()));

    world.run(&["bench", "--tasks", "3000", "--rate", "200", "--seconds", "1s", "--no-raw"]).await.ok();

    assert_eq!(space.ask::<usize>(&["DBSIZE"]), 0);
}
