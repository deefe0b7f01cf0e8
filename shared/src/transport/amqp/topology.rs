//! Exchange, queues and what they are declared with. Never deletes anything by itself.

use std::fmt::Write as _;

use lapin::options::{
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::options::QueueType;
use super::{explain, in_time, in_time_raw};
use crate::name::{Namespace, QueueName};
use crate::transport::TransportError;

/// Deliveries of one message before the broker lays it aside. The ledger counts failures and crashes, and judges much
/// earlier: this is for messages that it never gets to see.
const DELIVERY_LIMIT: i32 = 10_000;
/// Where undeliverable messages go, nothing is laid aside: they would have nowhere to go from there.
const NO_DELIVERY_LIMIT: i32 = 1_000_000_000;

/// What the exchange and the queues of a namespace are called, and how they are made.
#[derive(Clone, Debug)]
pub(super) struct Topology {
    namespace: Namespace,
    queue_type: QueueType,
    declare: bool,
}

impl Topology {
    pub(super) fn new(namespace: Namespace, queue_type: QueueType, declare: bool) -> Self {
        Self { namespace, queue_type, declare }
    }

    pub(super) fn exchange(&self) -> String {
        format!("upbeat.{}", self.namespace)
    }

    pub(super) fn queue(&self, queue: &QueueName) -> String {
        format!("upbeat.{}.{queue}", self.namespace)
    }

    /// Makes what is missing, or checks that nothing is. A queue's namesake that is otherwise is left as it is.
    pub(super) async fn declare(
        &self,
        channel: &Channel,
        queues: &[QueueName],
    ) -> Result<(), TransportError> {
        self.declare_exchange(channel).await?;
        let undeliverable = QueueName::undeliverable();
        // First, so that no queue ever dead-letters to nowhere.
        self.declare_queue(channel, &undeliverable).await?;
        for queue in queues.iter().filter(|queue| **queue != undeliverable) {
            self.declare_queue(channel, queue).await?;
        }
        Ok(())
    }

    async fn declare_exchange(&self, channel: &Channel) -> Result<(), TransportError> {
        let name = self.exchange();
        let options = ExchangeDeclareOptions {
            durable: true,
            passive: !self.declare,
            ..ExchangeDeclareOptions::default()
        };
        let doing = format!("declaring the exchange {name}");
        let declaring = channel.exchange_declare(
            name.as_str().into(),
            ExchangeKind::Direct,
            options,
            FieldTable::default(),
        );
        match in_time_raw(&doing, declaring).await? {
            Ok(()) => Ok(()),
            Err(error) if explain::is_missing(&error) => Err(TransportError::Refused(format!(
                "the exchange {name} is missing, and nothing may be declared (`broker.declare` is off); make it: type \
                 direct, durable, no alternate exchange"
            ))),
            Err(error) => match explain::conflict(&error) {
                Some(said) => Err(TransportError::Refused(format!(
                    "the exchange {name} is there already, and not a durable one of type direct; delete it, or use another \
                     namespace. The broker says: {said}"
                ))),
                None => Err(explain::call(&error, &doing)),
            },
        }
    }

    async fn declare_queue(&self, channel: &Channel, queue: &QueueName) -> Result<(), TransportError> {
        let name = self.queue(queue);
        let options =
            QueueDeclareOptions { durable: true, passive: !self.declare, ..QueueDeclareOptions::default() };
        let doing = format!("declaring the queue {name}");
        let declaring = channel.queue_declare(name.as_str().into(), options, self.table(queue));
        match in_time_raw(&doing, declaring).await? {
            Ok(_) if self.declare => self.bind(channel, queue, &name).await,
            Ok(_) => Ok(()),
            Err(error) if explain::is_missing(&error) => Err(self.missing(queue)),
            Err(error) => match explain::conflict(&error) {
                Some(said) => Err(TransportError::Refused(conflict(&name, &said))),
                None => Err(explain::call(&error, &doing)),
            },
        }
    }

    /// Deletes queues with everything that is in them, and the exchange. What is not there need not be deleted.
    pub(super) async fn remove(&self, channel: &Channel, queues: &[QueueName]) -> Result<(), TransportError> {
        for queue in queues.iter().chain([&QueueName::undeliverable()]) {
            let name = self.queue(queue);
            let deleting = channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default());
            in_time(&format!("deleting the queue {name}"), deleting).await?;
        }
        let name = self.exchange();
        let deleting = channel.exchange_delete(name.as_str().into(), ExchangeDeleteOptions::default());
        in_time(&format!("deleting the exchange {name}"), deleting).await
    }

    async fn bind(&self, channel: &Channel, queue: &QueueName, name: &str) -> Result<(), TransportError> {
        let binding = channel.queue_bind(
            name.into(),
            self.exchange().into(),
            queue.as_str().into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        in_time(&format!("binding the queue {name}"), binding).await
    }

    /// For a queue that should be there.
    pub(super) fn missing(&self, queue: &QueueName) -> TransportError {
        let name = self.queue(queue);
        if self.declare {
            return TransportError::Refused(format!("there is no queue {name}; declare it first"));
        }
        TransportError::Refused(format!(
            "the queue {name} is missing, and nothing may be declared (`broker.declare` is off); make it durable, with the \
             arguments {}, and bind it to the exchange {} by the routing key `{queue}`",
            self.shown_arguments(queue),
            self.exchange()
        ))
    }

    /// The same on every version of the broker, so that members of any age declare alike.
    fn arguments(&self, queue: &QueueName) -> Vec<(&'static str, AMQPValue)> {
        let text = |value: &str| AMQPValue::LongString(value.into());
        let mut arguments = vec![
            ("x-queue-type", text(self.queue_type.as_str())),
            // A message is refused rather than that another one is dropped for it.
            ("x-overflow", text("reject-publish")),
        ];
        let quorum = self.queue_type == QueueType::Quorum;
        if *queue == QueueName::undeliverable() {
            if quorum {
                arguments.push(("x-delivery-limit", AMQPValue::LongInt(NO_DELIVERY_LIMIT)));
            }
            return arguments;
        }
        arguments.push(("x-dead-letter-exchange", text(&self.exchange())));
        arguments.push(("x-dead-letter-routing-key", text(QueueName::undeliverable().as_str())));
        if quorum {
            arguments.push(("x-delivery-limit", AMQPValue::LongInt(DELIVERY_LIMIT)));
            arguments.push(("x-dead-letter-strategy", text("at-least-once")));
        }
        arguments
    }

    pub(super) fn table(&self, queue: &QueueName) -> FieldTable {
        let mut table = FieldTable::default();
        for (key, value) in self.arguments(queue) {
            table.insert(key.into(), value);
        }
        table
    }

    fn shown_arguments(&self, queue: &QueueName) -> String {
        let mut shown = String::new();
        for (key, value) in self.arguments(queue) {
            let comma = if shown.is_empty() { "" } else { ", " };
            let written = match value {
                AMQPValue::LongString(text) => write!(shown, "{comma}{key}={text}"),
                AMQPValue::LongInt(number) => write!(shown, "{comma}{key}={number}"),
                other => write!(shown, "{comma}{key}={other:?}"),
            };
            written.expect("a text can always be written to");
        }
        shown
    }
}

fn conflict(name: &str, said: &str) -> String {
    let advice = "its arguments cannot be changed: delete it once it is empty, and it is made again, or use another \
                  namespace";
    match Difference::parse(said) {
        Some(Difference { argument, wanted, found }) => format!(
            "the queue {name} is there already, and otherwise: its {argument} is {found}, and must be {wanted}; {advice}"
        ),
        None => format!("the queue {name} is there already, and otherwise ({said}); {advice}"),
    }
}

/// The argument that differs between a queue that is there and one that is declared.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    argument: String,
    wanted: String,
    found: String,
}

impl Difference {
    /// Reads the broker's words: `… inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received 'quorum' but
    /// current is 'classic'`, in one of the forms `'quorum'`, `the value 'quorum' of type 'longstr'` and `none`.
    fn parse(said: &str) -> Option<Self> {
        let (_, rest) = said.split_once("inequivalent arg '")?;
        let (argument, rest) = rest.split_once('\'')?;
        let (_, rest) = rest.split_once("received ")?;
        let (wanted, found) = rest.split_once(" but current is ")?;
        Some(Self { argument: argument.to_owned(), wanted: value(wanted), found: value(found) })
    }
}

fn value(said: &str) -> String {
    let quoted = said.split_once('\'').and_then(|(_, rest)| rest.split_once('\''));
    match quoted {
        Some((value, _)) => format!("`{value}`"),
        None => said.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(declare: bool) -> Topology {
        Topology::new(Namespace::new("shop").unwrap(), QueueType::Quorum, declare)
    }

    #[test]
    fn a_queue_is_declared_so_that_nothing_is_dropped() {
        assert_eq!(
            topology(true).shown_arguments(&QueueName::new("mail").unwrap()),
            "x-queue-type=quorum, x-overflow=reject-publish, x-dead-letter-exchange=upbeat.shop, \
             x-dead-letter-routing-key=undeliverable, x-delivery-limit=10000, x-dead-letter-strategy=at-least-once"
        );
        assert_eq!(
            topology(true).shown_arguments(&QueueName::undeliverable()),
            "x-queue-type=quorum, x-overflow=reject-publish, x-delivery-limit=1000000000"
        );
    }

    #[test]
    fn a_missing_queue_that_may_not_be_made_is_described() {
        let text = topology(false).missing(&QueueName::new("mail").unwrap()).to_string();
        assert!(text.contains("the queue upbeat.shop.mail is missing"), "{text}");
        assert!(text.contains("x-dead-letter-routing-key=undeliverable"), "{text}");
        assert!(text.contains("the exchange upbeat.shop by the routing key `mail`"), "{text}");
    }

    #[test]
    fn the_brokers_words_about_a_conflict_are_understood() {
        let difference = |argument: &str, wanted: &str, found: &str| {
            Some(Difference { argument: argument.into(), wanted: wanted.into(), found: found.into() })
        };
        let start = "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': ";
        assert_eq!(
            Difference::parse(&format!("{start}received 'quorum' but current is 'classic'")),
            difference("x-queue-type", "`quorum`", "`classic`")
        );
        assert_eq!(
            Difference::parse(
                "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'q' in vhost '/': received the value \
                 '10000' of type 'signedint' but current is none"
            ),
            difference("x-delivery-limit", "`10000`", "none")
        );
        assert_eq!(Difference::parse("PRECONDITION_FAILED - something else"), None);
    }
}
