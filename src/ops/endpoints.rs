//! The endpoints: `/healthz`, `/readyz`, `/metrics`, and `/echo` where the configuration asks for it.

use std::io;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Metrics;
use crate::roles::Readiness;

/// What the endpoints tell.
#[derive(Clone)]
pub(crate) struct Endpoints {
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Option<Metrics>,
    /// Answer `POST /echo` with what was sent.
    pub(crate) echo: bool,
}

/// Serves until told to stop; requests that are being answered are finished.
pub(crate) async fn serve(
    listener: TcpListener,
    endpoints: Endpoints,
    stop: CancellationToken,
) -> io::Result<()> {
    axum::serve(listener, router(endpoints)).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn router(endpoints: Endpoints) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics));
    if endpoints.echo {
        router = router.route("/echo", post(echo));
    }
    router.with_state(endpoints)
}

/// The process lives: it can answer.
async fn healthz() -> Response {
    axum::Json(json!({ "alive": true })).into_response()
}

/// The process can do its work, or says what keeps it.
async fn readyz(State(endpoints): State<Endpoints>) -> Response {
    let why_not = endpoints.readiness.why_not().await;
    let status = if why_not.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(json!({ "ready": why_not.is_empty(), "why_not": why_not }))).into_response()
}

async fn metrics(State(endpoints): State<Endpoints>) -> Response {
    let form = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    match endpoints.metrics {
        Some(metrics) => (form, metrics.render()).into_response(),
        None => (StatusCode::NOT_FOUND, "this program keeps its metrics elsewhere\n").into_response(),
    }
}

/// What was sent, as it was sent.
async fn echo(headers: HeaderMap, body: Bytes) -> Response {
    let form = headers.get(header::CONTENT_TYPE).cloned();
    let form = form.unwrap_or(header::HeaderValue::from_static("application/octet-stream"));
    ([(header::CONTENT_TYPE, form)], body).into_response()
}
