//! The servers that tests start for themselves do what the tests rely on.

use upbeat_tests::services::{Kind, Server};

#[tokio::test]
async fn a_postgres_keeps_what_it_committed_when_it_is_killed() {
    let mut server = Server::start(Kind::Postgres).await;
    server.ctl(&["-c", "create table kept (n int); insert into kept values (42)"]).await;
    let address = server.url().to_owned();
    server.kill().await;
    server.start_again().await;
    assert_eq!(server.url(), address);
    assert_eq!(server.ctl(&["-t", "-A", "-c", "select n from kept"]).await.trim(), "42");
}

#[tokio::test]
async fn a_rabbitmq_comes_back_with_its_users_after_a_stop() {
    let mut server = Server::start(Kind::RabbitMq43).await;
    server.ctl(&["add_user", "somebody", "a password"]).await;
    server.stop().await;
    server.start_again().await;
    assert!(server.ctl(&["-q", "list_users"]).await.contains("somebody"));
}
