//! RabbitMQ's management API: the broker as an operator sees and changes it.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use upbeat_shared::config::ServiceUrl;

use super::{eventually, eventually_some};

/// Asks one broker, in its default vhost.
#[derive(Clone, Debug)]
pub struct Management {
    client: Client,
    base: String,
    user: String,
    password: String,
}

impl Management {
    /// At `http://user:password@host:port`.
    pub fn new(url: &ServiceUrl) -> Self {
        let (scheme, rest) = url.expose().split_once("://").expect("a URL has a scheme");
        let (login, host) = rest.trim_end_matches('/').split_once('@').expect("the URL names a user");
        let (user, password) = login.split_once(':').expect("the URL has a password");
        Self {
            client: client(),
            base: format!("{scheme}://{host}/api"),
            user: user.to_owned(),
            password: password.to_owned(),
        }
    }

    /// Asks; fails the test unless the broker agrees or there is no such thing.
    pub async fn request(&self, method: Method, path: &str, body: Option<Value>) -> Option<Value> {
        let what = format!("{method} {path}");
        let mut request = self.client.request(method, format!("{}/{path}", self.base));
        request = request.basic_auth(&self.user, Some(&self.password));
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let status = answer.status();
        let text = answer.text().await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(status.is_success() || status == StatusCode::NOT_FOUND, "{what}: {status} {text}");
        if status == StatusCode::NOT_FOUND {
            return None;
        }
        Some(if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).expect("it answers JSON")
        })
    }

    /// What is at a path.
    pub async fn get(&self, path: &str) -> Option<Value> {
        self.request(Method::GET, path, None).await
    }

    /// Puts something at a path.
    pub async fn put(&self, path: &str, body: Value) {
        self.request(Method::PUT, path, Some(body)).await.unwrap_or_else(|| panic!("there is no {path}"));
    }

    /// Posts something to a path.
    pub async fn post(&self, path: &str, body: Value) {
        self.request(Method::POST, path, Some(body)).await.unwrap_or_else(|| panic!("there is no {path}"));
    }

    /// Removes what is at a path, if there is something.
    pub async fn delete(&self, path: &str) {
        self.request(Method::DELETE, path, None).await;
    }

    /// Removes the exchange and every queue of a namespace.
    pub async fn remove_namespace(&self, namespace: &str) {
        let prefix = format!("upbeat.{namespace}.");
        let path = format!("queues/%2F?page=1&page_size=500&disable_stats=true&name={prefix}");
        let queues = self.get(&path).await.unwrap_or_default();
        for queue in queues["items"].as_array().into_iter().flatten() {
            let name = queue["name"].as_str().expect("a queue has a name");
            if name.starts_with(&prefix) {
                self.delete(&format!("queues/%2F/{name}")).await;
            }
        }
        self.delete(&format!("exchanges/%2F/upbeat.{namespace}")).await;
    }

    /// The connections whose names, as their clients chose them, begin so. Waits until there are so many: the broker
    /// lists one some moments after it was made.
    pub async fn connections(&self, prefix: &str, count: usize) -> Vec<Value> {
        let within = Duration::from_secs(20);
        eventually_some("the connections are listed", within, async || {
            let all = self.get("connections?disable_stats=false").await.unwrap_or_default();
            let ours = all.as_array().into_iter().flatten().filter(|connection| {
                let name = connection["client_properties"]["connection_name"].as_str();
                name.is_some_and(|name| name.starts_with(prefix))
            });
            let ours: Vec<Value> = ours.cloned().collect();
            (ours.len() == count).then_some(ours)
        })
        .await
    }

    /// Makes a user who may do everything in the default vhost.
    pub async fn add_user(&self, name: &str, password: &str) {
        self.put(&format!("users/{name}"), json!({ "password": password, "tags": "" })).await;
        let everything = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        self.put(&format!("permissions/%2F/{name}"), everything).await;
    }

    /// Closes all connections of a user, as an operator would, once there are so many. That is known at once, while a
    /// connection is listed with the rest of what there is to say about it some seconds late.
    pub async fn close_connections_of(&self, user: &str, count: usize) {
        let path = format!("connections/username/{user}");
        eventually("the user is connected", Duration::from_secs(20), async || {
            let known = self.get(&path).await.unwrap_or_default();
            known.as_array().is_some_and(|connections| connections.len() >= count)
        })
        .await;
        self.delete(&path).await;
    }
}

fn client() -> Client {
    // Somebody else may have been first: then that is the one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .timeout(Duration::from_secs(30))
        .build()
        .expect("a client without certificates can be made")
}
