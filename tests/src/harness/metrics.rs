//! What a role shows at `/metrics`, read as Prometheus does.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Process, eventually_some};

/// One reading of a process's metrics.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    types: BTreeMap<String, String>,
    helps: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

/// One line of it.
#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Waits until a role that was started with `--listen` and `--json` says that it is ready; answers where it listens.
pub async fn listening(process: &Process, within: Duration) -> String {
    eventually_some("the role says where it listens", within, async || {
        let log = process.log();
        let told = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut ready = told.filter(|line| line["ready"] == true);
        ready.find_map(|line| line["listen"].as_str().map(str::to_owned))
    })
    .await
}

impl Metrics {
    /// Reads them.
    pub async fn of(listen: &str) -> Self {
        let mut stream = TcpStream::connect(listen).await.expect("the role listens");
        // 1.0: the answer comes in one piece, and its end is the connection's.
        let request = format!("GET /metrics HTTP/1.0\r\nHost: {listen}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("the role reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("the role answers with text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains(" 200 "), "{head}");
        Self::parse(body)
    }

    fn parse(text: &str) -> Self {
        let mut read = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a name and its type");
                read.types.insert(name.to_owned(), kind.to_owned());
            } else if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect("a name and its help");
                read.helps.insert(name.to_owned(), help.to_owned());
            } else {
                read.samples.push(Sample::parse(line));
            }
        }
        read
    }

    /// Every metric, with its type.
    pub fn types(&self) -> &BTreeMap<String, String> {
        &self.types
    }

    /// What is said of a metric.
    pub fn help(&self, name: &str) -> Option<&str> {
        self.helps.get(name).map(String::as_str)
    }

    /// The labels that the lines of a metric have, `le` of buckets left out.
    pub fn labels(&self, name: &str) -> Vec<String> {
        let ours = self.samples.iter().filter(|sample| sample.base() == name || sample.name == name);
        let mut labels: Vec<String> =
            ours.flat_map(|sample| sample.labels.keys().cloned()).filter(|label| label != "le").collect();
        labels.sort();
        labels.dedup();
        labels
    }

    /// The sum of the lines of this name that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|it| it == value))
        };
        self.samples.iter().filter(fits).map(|sample| sample.value).sum()
    }
}

impl Sample {
    fn parse(line: &str) -> Self {
        let (key, value) = line.rsplit_once(' ').expect("a value");
        let value = value.parse().unwrap_or_else(|error| panic!("{error}: {line}"));
        let Some((name, labels)) = key.split_once('{') else {
            return Self { name: key.to_owned(), labels: BTreeMap::new(), value };
        };
        let labels = labels.strip_suffix('}').expect("labels have an end").split("\",");
        let label = |text: &str| {
            let (label, value) = text.split_once("=\"").expect("a label has a value");
            (label.to_owned(), value.trim_end_matches('"').to_owned())
        };
        Self { name: name.to_owned(), labels: labels.map(label).collect(), value }
    }

    /// Of a histogram's lines, the histogram.
    fn base(&self) -> &str {
        let endings = ["_bucket", "_sum", "_count"];
        endings.iter().find_map(|ending| self.name.strip_suffix(ending)).unwrap_or(&self.name)
    }
}
