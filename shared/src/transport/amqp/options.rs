//! What a transport on RabbitMQ is told.

use crate::config::{ServiceUrl, TlsFiles};
use crate::name::Namespace;

/// Where RabbitMQ is, and how it is used.
#[derive(Clone, Debug)]
pub struct AmqpOptions {
    /// `amqp://user:password@host:5672/vhost`, or `amqps://` for TLS. Without a vhost, or with an empty one, it is `/`.
    /// `?heartbeat=SECONDS` changes the heartbeat (10 s), `?auth_mechanism=external` logs in by the client certificate.
    pub url: ServiceUrl,
    /// Whose exchange and queues.
    pub namespace: Namespace,
    /// How the connections are named in RabbitMQ's management, followed by what each is for: `upbeat worker host:123 publish`.
    pub name: String,
    /// Make exchange and queues where they are missing. Otherwise they must be there.
    pub declare: bool,
    /// How the broker is known, and how this program shows who it is. Only for `amqps://`.
    pub tls: TlsFiles,
    /// Where the management API answers; without a user in it, the URL's asks. It tells more of a queue's depth than AMQP
    /// does. Without the feature `management` it is not asked.
    pub management: Option<ServiceUrl>,
    /// What kind of queues are made.
    pub queue_type: QueueType,
}

/// A kind of queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueType {
    /// Replicated, and written to disk before a publish is confirmed. What Upbeat promises, it promises with these.
    #[default]
    Quorum,
    /// On one node, and without a limit to deliveries. For comparisons.
    Classic,
}

impl AmqpOptions {
    /// Connections named `upbeat` that declare quorum queues.
    pub fn new(url: ServiceUrl, namespace: Namespace) -> Self {
        Self {
            url,
            namespace,
            name: "upbeat".to_owned(),
            declare: true,
            tls: TlsFiles::default(),
            management: None,
            queue_type: QueueType::default(),
        }
    }
}

impl QueueType {
    /// As RabbitMQ calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quorum => "quorum",
            Self::Classic => "classic",
        }
    }
}
