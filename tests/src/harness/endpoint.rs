//! An HTTP endpoint that does tasks, and counts who asked for which.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use tokio::task::JoinHandle;

/// Answers every task with success. A worker tells itself by the header `x-worker`. Ends when it is dropped.
#[derive(Debug)]
pub struct Endpoint {
    address: String,
    runs: Arc<Mutex<Runs>>,
    headers: Arc<Mutex<Vec<HeaderMap>>>,
    serving: JoinHandle<()>,
}

/// The workers that ran each task.
type Runs = HashMap<String, Vec<String>>;

impl Endpoint {
    /// Serves on a free port of this host.
    pub async fn serve() -> Self {
        let (runs, headers) = (Arc::default(), Arc::default());
        let app = Router::new().route("/", post(done)).with_state((Arc::clone(&runs), Arc::clone(&headers)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let serving = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("it serves to the end");
        });
        Self { address: format!("http://{address}/"), runs, headers, serving }
    }

    /// Where it is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many different tasks it has done.
    pub fn tasks(&self) -> usize {
        self.runs.lock().expect("no holder panics").len()
    }

    /// A header of the last request that was made for a task.
    pub fn header(&self, task: &str, name: &str) -> Option<String> {
        let headers = self.headers.lock().expect("no holder panics");
        let text = |headers: &HeaderMap, name: &str| {
            headers.get(name).map(|value| value.to_str().expect("plain text").to_owned())
        };
        let last = headers.iter().rfind(|headers| text(headers, "upbeat-task-id").as_deref() == Some(task));
        last.and_then(|headers| text(headers, name))
    }

    /// Which workers ran each task, in order.
    pub fn runs(&self) -> HashMap<String, Vec<String>> {
        self.runs.lock().expect("no holder panics").clone()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Seen = (Arc<Mutex<Runs>>, Arc<Mutex<Vec<HeaderMap>>>);

async fn done(State((runs, seen)): State<Seen>, headers: HeaderMap) {
    let header = |name: &str| {
        let value = headers.get(name).unwrap_or_else(|| panic!("the header {name} is missing"));
        value.to_str().expect("plain text").to_owned()
    };
    let (task, worker) = (header("upbeat-task-id"), header("x-worker"));
    runs.lock().expect("no holder panics").entry(task).or_default().push(worker);
    seen.lock().expect("no holder panics").push(headers);
}
