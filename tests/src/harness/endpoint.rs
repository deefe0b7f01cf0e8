//! An HTTP endpoint that does tasks, and counts who asked for which.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use tokio::task::JoinHandle;

/// Answers every task with success. A worker may tell itself by the header `x-worker`. Ends when it is dropped.
#[derive(Debug)]
pub struct Endpoint {
    address: String,
    runs: Arc<Mutex<Runs>>,
    requests: Arc<Mutex<Vec<Request>>>,
    serving: JoinHandle<()>,
}

/// What a worker sent.
#[derive(Clone, Debug)]
pub struct Request {
    headers: HeaderMap,
    /// Its body; null if it was no JSON.
    pub body: serde_json::Value,
}

impl Request {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("plain text"))
    }
}

/// The workers that ran each task.
type Runs = HashMap<String, Vec<String>>;

impl Endpoint {
    /// Serves on a free port of this host.
    pub async fn serve() -> Self {
        let (runs, requests) = (Arc::default(), Arc::default());
        let app = Router::new().route("/", post(done)).with_state((Arc::clone(&runs), Arc::clone(&requests)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let serving = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("it serves to the end");
        });
        Self { address: format!("http://{address}/"), runs, requests, serving }
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
        let requests = self.requests();
        let last = requests.iter().rfind(|request| request.header("upbeat-task-id") == Some(task));
        last.and_then(|request| request.header(name)).map(str::to_owned)
    }

    /// Every request, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no holder panics").clone()
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

type Seen = (Arc<Mutex<Runs>>, Arc<Mutex<Vec<Request>>>);

async fn done(State((runs, seen)): State<Seen>, headers: HeaderMap, body: Bytes) {
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let request = Request { headers, body };
    let task = request.header("upbeat-task-id").expect("a worker says which task it is").to_owned();
    let worker = request.header("x-worker").unwrap_or_default().to_owned();
    runs.lock().expect("no holder panics").entry(task).or_default().push(worker);
    seen.lock().expect("no holder panics").push(request);
}
