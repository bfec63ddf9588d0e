//! `/healthz` and `/metrics`.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::text;

/// Answers until cancelled.
pub(crate) async fn serve(
    address: SocketAddr,
    registry: Registry,
    cancel: CancellationToken,
) -> io::Result<()> {
    let router = Router::new()
        // The process turns around; leading or not, it is ready to lead.
        .route("/healthz", get(async || "ok"))
        .route("/metrics", get(show))
        .with_state(Arc::new(registry));
    let listener = TcpListener::bind(address).await?;
    axum::serve(listener, router)
        .with_graceful_shutdown(cancel.cancelled_owned())
        .await
}

async fn show(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match text(&registry) {
        Ok(text) => ([("content-type", kind)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
