//! The schema: made once, shared with the next version's programs, refused when nobody here could read it.

use upbeat_shared::config::ServiceUrl;
use upbeat_shared::ledger::postgres::{PostgresLedger, PostgresOptions, migrations_sql};
use upbeat_shared::ledger::{Inspect, Ledger, LedgerError, Schema, TaskFilter};
use upbeat_shared::name::Namespace;
use upbeat_tests::conformance::postgres::{Space, connect};

/// Says that the store is at this version, which programs since `reads_from` can work with.
async fn pretend(space: &Space, version: u32, reads_from: u32) {
    let sql = format!(
        "insert into {}.schema_version (version, reads_from) values ({version}, {reads_from})",
        space.schema()
    );
    connect(&space.url).await.batch_execute(&sql).await.expect("the version is written");
}

#[tokio::test]
async fn a_newer_store_that_this_version_can_read_is_opened() {
    let space = Space::random();
    let known = space.open(1).await.status().await.expect("it has a version").known;
    pretend(&space, known + 1, known).await;

    let ledger = space.open(1).await;

    let status = ledger.status().await.expect("it has a version");
    assert_eq!((status.found, status.known), (known + 1, known));
    assert_eq!(ledger.up().await.expect("there is nothing to do"), Vec::<u32>::new());
    ledger.list(TaskFilter::default(), None, 10).await.expect("it works");
}

#[tokio::test]
async fn a_newer_store_that_this_version_cannot_read_is_refused() {
    let space = Space::random();
    let ledger = space.open(1).await;
    let known = ledger.status().await.expect("it has a version").known;
    pretend(&space, known + 1, known + 1).await;

    let refused = PostgresLedger::open(space.options(1)).await.expect_err("nobody here can read it");
    let not_raised = ledger.up().await.expect_err("nobody here can raise it");

    for error in [refused, not_raised] {
        let LedgerError::NewerSchema { found, known: mine } = error else { panic!("{error}") };
        assert_eq!((found, mine), (known + 1, known));
    }
}

#[tokio::test]
async fn processes_that_open_an_empty_database_at_once_share_one_schema() {
    let space = Space::random();

    let opened: Vec<_> = (0..6).map(|_| tokio::spawn(PostgresLedger::open(space.options(1)))).collect();

    for ledger in opened {
        let ledger = ledger.await.expect("it does not panic").expect("each can be opened");
        ledger.now().await.expect("and works");
    }
    let sql = format!("select array_agg(version order by version) from {}.schema_version", space.schema());
    let versions = connect(&space.url).await.query_one(&sql, &[]).await.expect("there are versions");
    let known = space.open(1).await.status().await.expect("it has a version").known;
    let each_once: Vec<_> = (1..=i32::try_from(known).expect("it is small")).collect();
    assert_eq!(versions.get::<_, Vec<i32>>(0), each_once, "each migration was applied once");
}

#[tokio::test]
async fn a_store_of_the_first_version_is_brought_up_with_what_it_holds() {
    let space = Space::random();
    let client = connect(&space.url).await;
    let sql = migrations_sql(&space.namespace);
    let (first, _) = sql.split_once("commit;\n").expect("a transaction a version");
    let schema = space.schema();
    // What functions of ours took then, and one of the operator's own.
    let functions = format!(
        "create function {schema}.claim_1() returns void language sql as ''; \
         create function {schema}.publish(name text, args jsonb default null, unique_key text default null) \
         returns uuid language sql as 'select null::uuid'; \
         create function {schema}.of_the_operator() returns integer language sql as 'select 7'; commit"
    );
    client.batch_execute(&format!("{first}{functions}")).await.expect("it is what Postgres understands");
    let pause = format!("insert into {schema}.paused (queue) values ('billing')");
    client.batch_execute(&pause).await.expect("it has a table of paused queues");

    let ledger = space.open(1).await;

    let status = ledger.status().await.expect("it has a version");
    assert_eq!(status.found, status.known);
    let queues = ledger.queues().await.expect("the functions are new");
    assert!(queues.iter().any(|queue| queue.paused && queue.name.as_str() == "billing"), "{queues:?}");
    let kept = client.query_one(&format!("select {schema}.of_the_operator()"), &[]).await;
    assert_eq!(kept.expect("the operator's function is left alone").get::<_, i32>(0), 7);
    for old in ["claim_1()", "publish(text, jsonb, text)"] {
        let gone = client.query_one(&format!("select to_regprocedure('{schema}.{old}') is null"), &[]).await;
        assert!(gone.expect("it can be asked").get::<_, bool>(0), "{old} is still there");
    }
}

#[tokio::test]
async fn the_printed_migrations_make_the_same_schema() {
    let space = Space::random();
    let client = connect(&space.url).await;

    client.batch_execute(&migrations_sql(&space.namespace)).await.expect("it is what Postgres understands");

    let ledger = space.open(1).await;
    let status = ledger.status().await.expect("it has a version");
    assert_eq!(status.found, status.known);
    assert_eq!(ledger.up().await.expect("there is nothing to do"), Vec::<u32>::new());
}

#[tokio::test]
async fn a_user_who_may_not_make_the_schema_is_told_what_to_do() {
    let space = Space::random();
    let client = connect(&space.url).await;
    let role = format!("nobody_{}", space.namespace);
    client.batch_execute(&format!("create role {role} login")).await.expect("a role can be made");
    let url: ServiceUrl =
        space.url.expose().replacen("upbeat@", &format!("{role}@"), 1).parse().expect("still a URL");
    let open = || PostgresLedger::open(PostgresOptions::new(url.clone(), space.namespace.clone()));

    let refused = open().await.expect_err("it may not make a schema").to_string();
    space.open(1).await;
    let unseen = open().await.expect_err("it may not look into the schema").to_string();

    assert!(refused.contains("upbeat migrate"), "{refused}");
    assert!(refused.contains(&space.schema()), "{refused}");
    assert!(unseen.contains("permission denied"), "{unseen}");
    client.batch_execute(&format!("drop role {role}")).await.expect("the role can be dropped");
}

#[tokio::test]
async fn a_schema_that_was_dropped_is_missed_by_name() {
    let space = Space::random();
    let ledger = space.open(1).await;
    let client = connect(&space.url).await;
    client
        .batch_execute(&format!("drop schema {} cascade", space.schema()))
        .await
        .expect("it can be dropped");

    let error = ledger.queues().await.expect_err("nothing is there");

    assert!(matches!(&error, LedgerError::Invalid(why) if why.contains("upbeat migrate")), "{error}");
}

#[tokio::test]
async fn a_namespace_whose_schema_would_have_too_long_a_name_is_refused() {
    let space = Space::random();
    let namespace = Namespace::new("n".repeat(60)).expect("60 letters are a namespace");

    let error = PostgresLedger::open(PostgresOptions::new(space.url.clone(), namespace)).await;

    let error = error.expect_err("Postgres would cut the name").to_string();
    assert!(error.contains("63 bytes") && error.contains("at most 56"), "{error}");
}

#[tokio::test]
async fn a_description_shows_no_password() {
    let space = Space::random();
    let url: ServiceUrl =
        space.url.expose().replacen("upbeat@", "upbeat:s3cret@", 1).parse().expect("still a URL");

    let ledger = PostgresLedger::open(PostgresOptions::new(url, space.namespace.clone())).await;

    let shown = ledger.expect("nobody asks for the password").describe();
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(shown.starts_with("Postgres 1"), "the server's version: {shown}");
    assert!(shown.contains(&format!("upbeat_{}", space.namespace)), "{shown}");
}
