//! What a broker says about itself before anyone logs in, and whether Upbeat works with it.

use lapin::types::parsing::parse_field_table;
use lapin::types::{AMQPValue, FieldTable};

/// The first method of a connection: its frame's type and channel, its class and its number.
const FRAME_HEADER: usize = 7;
const START: [u8; 4] = [0, 10, 0, 10];
/// Major and minor version of the protocol.
const PROTOCOL_VERSION: usize = 2;

/// A broker's name and version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Greeting {
    product: String,
    version: String,
}

/// How far Upbeat works with a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Support {
    Full,
    /// It works, with less than is promised.
    Partial(String),
    /// It must not be used.
    None(String),
}

impl Greeting {
    /// A greeting is a few hundred bytes. What goes on for longer is none.
    pub(super) const MAX_BYTES: usize = 64 * 1024;

    /// Reads the frame `connection.start`; `None` while it is incomplete, or if it is something else.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let body = bytes.get(FRAME_HEADER..)?.strip_prefix(&START)?;
        let (_, table) = parse_field_table(body.get(PROTOCOL_VERSION..)?).ok()?;
        Some(Self { product: text(&table, "product"), version: text(&table, "version") })
    }

    pub(super) fn support(&self) -> Support {
        if self.product != "RabbitMQ" {
            return Support::None(format!(
                "it is {self}, and Upbeat needs RabbitMQ 4: its promises rest on quorum queues"
            ));
        }
        match (self.major(), self.minor()) {
            (4.., _) => Support::Full,
            (3, 13..) => Support::Partial(format!(
                "{self} is older than what Upbeat is made for: no priorities, and mirrored or transient queues would be \
                 allowed; upgrade to RabbitMQ 4"
            )),
            _ => Support::None(format!("it is {self}, which is too old; upgrade to RabbitMQ 4")),
        }
    }

    /// Bytes of a message's body that such a broker takes, unless it was configured otherwise.
    pub(super) fn max_message_bytes(&self) -> usize {
        let mebibytes = if self.major() < 4 { 128 } else { 16 };
        mebibytes * 1024 * 1024
    }

    fn major(&self) -> u32 {
        self.number(0)
    }

    fn minor(&self) -> u32 {
        self.number(1)
    }

    fn number(&self, at: usize) -> u32 {
        let digits = self.version.split(['.', '-', '+']).nth(at).unwrap_or_default();
        digits.parse().unwrap_or(0)
    }
}

/// `RabbitMQ 4.3.6`.
impl std::fmt::Display for Greeting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.product.as_str(), self.version.as_str()) {
            ("", "") => f.write_str("a broker that does not say what it is"),
            (product, "") => f.write_str(product),
            (product, version) => write!(f, "{product} {version}"),
        }
    }
}

/// What a stranger sends is shown to people: no more than a line of it, and nothing that steers a terminal.
fn text(table: &FieldTable, key: &str) -> String {
    match table.inner().get(key) {
        Some(AMQPValue::LongString(value)) => {
            value.to_string().chars().filter(|c| !c.is_control()).take(80).collect()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(product: &str, version: &str) -> Greeting {
        Greeting { product: product.into(), version: version.into() }
    }

    fn frame(product: &str, version: &str) -> Vec<u8> {
        let mut table = Vec::new();
        for (key, value) in [("product", product), ("version", version)] {
            table.push(u8::try_from(key.len()).unwrap());
            table.extend(key.bytes());
            table.push(b'S');
            table.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
            table.extend(value.bytes());
        }
        let mut frame = vec![1, 0, 0, 0, 0, 1, 0, 0, 10, 0, 10, 0, 9];
        frame.extend(u32::try_from(table.len()).unwrap().to_be_bytes());
        frame.extend(table);
        frame
    }

    #[test]
    fn a_greeting_is_read_once_it_is_complete() {
        let frame = frame("RabbitMQ", "4.3.6");
        assert_eq!(Greeting::parse(&frame), Some(greeting("RabbitMQ", "4.3.6")));
        for length in 0..frame.len() {
            assert_eq!(Greeting::parse(&frame[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn four_is_supported_and_what_is_older_than_3_13_is_not() {
        assert_eq!(greeting("RabbitMQ", "4.0.5").support(), Support::Full);
        assert_eq!(greeting("RabbitMQ", "4.3.6-rc.1").support(), Support::Full);
        assert!(matches!(greeting("RabbitMQ", "3.13.7").support(), Support::Partial(_)));
        for old in ["3.12.14", "3.8.9", "2.0.0", "", "next"] {
            assert!(matches!(greeting("RabbitMQ", old).support(), Support::None(_)), "{old}");
        }
    }

    #[test]
    fn another_broker_is_refused_by_its_name() {
        let Support::None(reason) = greeting("LavinMQ", "2.1").support() else {
            panic!("it is not RabbitMQ")
        };
        assert!(reason.starts_with("it is LavinMQ 2.1, "), "{reason}");
        assert!(matches!(Greeting::default().support(), Support::None(_)));
    }
}
