//! How values are written down in the provenance: as TOML, secrets masked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use upbeat_schedule::{CatchUp, DayOff, Fold, Gap, OnHoliday};

use super::secret::{MASK, Secret};
use super::settings::{Ack, LogFormat};
use super::url::{BrokerUrl, LedgerUrl, ServiceUrl};
use super::value::show_duration;
use crate::client::Record;
use crate::limit::Rate;
use crate::name::{Namespace, QueueName, ScheduleId, TaskKey, TaskName};
use crate::retry::{Backoff, Jitter};

/// Writes a value as TOML.
pub(super) trait Show {
    fn show(&self) -> String;
}

/// A text in quotes. JSON's escapes are among those of TOML, but for the one character that JSON leaves as it is.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A key as it has to be written in a header or before a `=`.
pub(super) fn bare_or_quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { key.to_owned() } else { quoted(key) }
}

macro_rules! by_text {
    ($($type:ty),*) => {$(
        impl Show for $type {
            fn show(&self) -> String {
                quoted(&self.to_string())
            }
        }
    )*};
}

by_text!(
    String, &str, Namespace, QueueName, Rate, ScheduleId, TaskKey, TaskName, BrokerUrl, LedgerUrl,
    ServiceUrl, SocketAddr
);

macro_rules! as_is {
    ($($type:ty),*) => {$(
        impl Show for $type {
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

as_is!(bool, u8, u32);

macro_rules! by_serde {
    ($($type:ty),*) => {$(
        impl Show for $type {
            fn show(&self) -> String {
                serde_json::to_string(self).expect("a choice is a text")
            }
        }
    )*};
}

by_serde!(Backoff, Jitter, Record, Gap, Fold, CatchUp, DayOff, OnHoliday);

impl Show for Ack {
    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

/// A number of bytes.
pub(super) struct Bytes(pub(super) usize);

impl Show for Bytes {
    fn show(&self) -> String {
        quoted(&super::value::show_size(self.0 as u64))
    }
}

impl Show for Duration {
    fn show(&self) -> String {
        quoted(&show_duration(*self))
    }
}

impl Show for PathBuf {
    fn show(&self) -> String {
        quoted(&self.display().to_string())
    }
}

impl Show for Secret {
    fn show(&self) -> String {
        quoted(MASK)
    }
}

impl Show for LogFormat {
    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

impl<T: Show> Show for Vec<T> {
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(Show::show).collect::<Vec<_>>().join(", "))
    }
}

impl Show for Vec<(QueueName, u32)> {
    fn show(&self) -> String {
        inline(self.iter().map(|(queue, weight)| (queue.as_str(), weight.show())))
    }
}

impl<T: Show> Show for BTreeMap<String, T> {
    fn show(&self) -> String {
        inline(self.iter().map(|(key, value)| (key.as_str(), value.show())))
    }
}

impl Show for BTreeMap<TaskKey, u32> {
    fn show(&self) -> String {
        inline(self.iter().map(|(tenant, weight)| (tenant.as_str(), weight.show())))
    }
}

impl Show for serde_json::Value {
    fn show(&self) -> String {
        match self {
            // TOML has no null; arguments that were left out are noted as such.
            Self::Null => "\"\"".into(),
            Self::Bool(_) | Self::Number(_) => self.to_string(),
            Self::String(text) => quoted(text),
            Self::Array(items) => {
                format!("[{}]", items.iter().map(Show::show).collect::<Vec<_>>().join(", "))
            }
            Self::Object(fields) => inline(fields.iter().map(|(key, value)| (key.as_str(), value.show()))),
        }
    }
}

fn inline<'k>(pairs: impl Iterator<Item = (&'k str, String)>) -> String {
    let pairs: Vec<String> = pairs.map(|(key, value)| format!("{} = {value}", bare_or_quoted(key))).collect();
    if pairs.is_empty() { "{}".into() } else { format!("{{ {} }}", pairs.join(", ")) }
}
