//! What docs/rabbitmq.md tells operators to set up, set up so on real brokers: its permissions are enough and not more than
//! that, and its definitions are what members would declare themselves.

use std::sync::Arc;

use serde_json::{Value, json};
use upbeat_shared::name::QueueName;
use upbeat_shared::transport::amqp::AmqpTransport;
use upbeat_shared::transport::{PublishAnswer, Transport, TransportError};
use upbeat_tests::conformance::amqp::{Tenant, open};
use upbeat_tests::conformance::transport::desk::{ids, outgoing, take};
use upbeat_tests::message::message;
use upbeat_tests::services::amqp::Version;

const PAGE: &str = include_str!("../../docs/rabbitmq.md");
const DEFINITIONS: &str = include_str!("../../deploy/definitions.json");

/// A tenant, and a user of its own with the permissions of a row of the page.
struct Site {
    version: Version,
    tenant: Tenant,
}

impl Site {
    fn new(version: Version) -> Self {
        Self { version, tenant: Tenant::new(version) }
    }

    /// What the page and the definitions say of the namespace `default`, for this one.
    fn here(&self, text: &str) -> String {
        let namespace = self.tenant.namespace().as_str();
        let pattern = text.replace(r"upbeat\.default", &format!(r"upbeat\.{namespace}"));
        pattern.replace("upbeat.default", &format!("upbeat.{namespace}"))
    }

    /// Connects as a user with the permissions of the row that begins so.
    async fn connect_as(&self, row: &str, declare: bool) -> Arc<AmqpTransport> {
        let line = PAGE.lines().find(|line| line.starts_with(&format!("| {row}")));
        let line = line.unwrap_or_else(|| panic!("docs/rabbitmq.md has no row {row:?}"));
        let cells: Vec<String> = line.split('`').skip(1).step_by(2).map(|cell| self.here(cell)).collect();
        let [configure, write, read] = &cells[cells.len() - 3..] else { panic!("three patterns: {line}") };
        let user = self.tenant.namespace().to_string();
        let management = self.tenant.management();
        management.put(&format!("users/{user}"), json!({ "password": "p", "tags": "" })).await;
        let rights = json!({ "configure": configure, "write": write, "read": read });
        management.put(&format!("permissions/%2F/{user}"), rights).await;
        let url = self.version.url();
        let host = url.expose().rsplit('@').next().expect("it has a host").trim_end_matches('/').to_owned();
        let mut options = self.tenant.options();
        options.url = format!("amqp://{user}:p@{host}").parse().expect("a URL");
        options.declare = declare;
        open(options).await
    }

    /// Sets up what the definitions hold, but for the policy, which is for a whole vhost.
    async fn import(&self) {
        let definitions: Value = serde_json::from_str(&self.here(DEFINITIONS)).expect("it is JSON");
        let management = self.tenant.management();
        let all = |kind: &str| definitions[kind].as_array().expect("a list").clone();
        let text = |of: &Value, field: &str| of[field].as_str().expect("a text").to_owned();
        for (kind, what) in [("exchanges", all("exchanges")), ("queues", all("queues"))] {
            for mut one in what {
                let path = format!("{kind}/%2F/{}", text(&one, "name"));
                let fields = one.as_object_mut().expect("an object");
                fields.remove("vhost");
                fields.remove("name");
                management.put(&path, one).await;
            }
        }
        for binding in all("bindings") {
            let (from, to) = (text(&binding, "source"), text(&binding, "destination"));
            let body = json!({ "routing_key": binding["routing_key"], "arguments": binding["arguments"] });
            management.post(&format!("bindings/%2F/e/{from}/q/{to}"), body).await;
        }
    }

    async fn leave(self, transport: &AmqpTransport) {
        transport.close().await;
        self.tenant.management().delete(&format!("users/{}", self.tenant.namespace())).await;
    }
}

fn queues() -> [QueueName; 2] {
    ["default", "critical"].map(|name| QueueName::new(name).expect("a name"))
}

/// Publishes to every queue, and takes what it published.
async fn works(transport: &AmqpTransport) {
    for queue in queues() {
        let message = message();
        let answers = transport.publish(vec![outgoing(&queue, &message)]).await.expect("it may publish");
        assert_eq!(answers, [PublishAnswer::Confirmed]);
        let mut consumer = transport.consume(&queue, 1).await.expect("it may consume");
        let taken = take(&mut *consumer, 1).await;
        assert_eq!(ids(&taken), [message.id]);
        consumer.acknowledger().acknowledge(vec![taken[0].tag]).await.expect("it may acknowledge");
    }
}

fn is_refused<T: std::fmt::Debug>(answer: &Result<T, TransportError>) {
    assert!(matches!(answer, Err(TransportError::Refused(why)) if why.contains("access")), "{answer:?}");
}

async fn members_that_declare_need_no_more_than_the_page_gives(version: Version) {
    let site = Site::new(version);
    let transport = site.connect_as("beats and workers that declare", true).await;
    transport.declare(&queues()).await.expect("it may declare");
    works(&transport).await;
    site.leave(&transport).await;
}

async fn members_on_a_provided_topology_may_use_it_and_make_nothing(version: Version) {
    let site = Site::new(version);
    site.import().await;
    let transport = site.connect_as("beats and workers on a topology", false).await;
    transport.declare(&queues()).await.expect("everything is there");
    works(&transport).await;
    transport.close().await;
    let transport = site.connect_as("beats and workers on a topology", true).await;
    is_refused(&transport.declare(&queues()).await);
    site.leave(&transport).await;
}

async fn a_client_that_only_publishes_may_do_nothing_else(version: Version) {
    let site = Site::new(version);
    site.import().await;
    let transport = site.connect_as("clients that only publish", false).await;
    let [queue, _] = queues();
    let answers = transport.publish(vec![outgoing(&queue, &message())]).await.expect("it may publish");
    assert_eq!(answers, [PublishAnswer::Confirmed]);
    let consumed = match transport.consume(&queue, 1).await {
        Ok(mut consumer) => consumer.next(1).await.map(drop),
        Err(error) => Err(error),
    };
    is_refused(&consumed);
    site.leave(&transport).await;
}

async fn the_definitions_are_what_members_declare(version: Version) {
    let site = Site::new(version);
    site.import().await;
    let transport = site.connect_as("beats and workers that declare", true).await;
    transport.declare(&queues()).await.expect("nothing differs");
    works(&transport).await;
    site.leave(&transport).await;
}

macro_rules! on_every_version {
    ($($case:ident,)+) => {
        mod v4_0 {
            $(#[tokio::test] async fn $case() { super::$case(upbeat_tests::services::amqp::Version::V4_0).await; })+
        }
        mod v4_3 {
            $(#[tokio::test] async fn $case() { super::$case(upbeat_tests::services::amqp::Version::V4_3).await; })+
        }
    };
}

on_every_version! {
    members_that_declare_need_no_more_than_the_page_gives,
    members_on_a_provided_topology_may_use_it_and_make_nothing,
    a_client_that_only_publishes_may_do_nothing_else,
    the_definitions_are_what_members_declare,
}
