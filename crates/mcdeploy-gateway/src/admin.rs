//! `/healthz` and `/metrics`, on a port of their own.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::StatusCode;
use pingora::{
    http::ResponseHeader,
    protocols::{http::ServerSession, l4::stream::Stream},
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{
    metrics::ModelLabels,
    slots::{Slot, Slots},
    state::State,
};

/// For one question and its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers on `listener` until dropped.
pub(crate) async fn serve(state: Arc<State>, listener: TcpListener) -> Infallible {
    let slots = Slots::new(state.config.limits.admin_connections);
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let slot = slots.enter(peer.ip()).await;
        let state = state.clone();
        tokio::spawn(async move {
            // A client that is slow gets nothing.
            let _ = timeout(PATIENCE, connection(&state, stream, &slot)).await;
        });
    }
}

async fn connection(state: &State, stream: TcpStream, slot: &Slot) {
    let mut session = ServerSession::new_http1(Box::new(Stream::from(stream)));
    let wait = slot.wait();
    let read = tokio::select! {
        read = session.read_request() => matches!(read, Ok(true)),
        () = wait.has_to_close() => false,
    };
    drop(wait);
    if read {
        let _ = answer(state, session).await;
    }
}

async fn answer(state: &State, mut session: ServerSession) -> pingora::Result<()> {
    session.set_keepalive(None);
    let (status, kind, body) = match session.req_header().uri.path() {
        "/healthz" => {
            let ready = state.table().is_some() && !state.is_draining();
            let status = if ready {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            let text = if ready {
                "ok\n"
            } else {
                "no routes, or draining\n"
            };
            (status, "text/plain", text.to_owned())
        }
        "/livez" => (StatusCode::OK, "text/plain", "ok\n".to_owned()),
        "/metrics" => {
            count_ejected(state);
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (StatusCode::OK, kind, state.metrics.text())
        }
        _ => {
            let text = "/healthz, /livez or /metrics\n";
            (StatusCode::NOT_FOUND, "text/plain", text.to_owned())
        }
    };
    let mut head = ResponseHeader::build(status, Some(3))?;
    head.insert_header("content-type", kind)?;
    head.insert_header("content-length", body.len())?;
    session.write_response_header(Box::new(head)).await?;
    session.write_response_body(body.into(), true).await?;
    session.finish().await.map(drop)
}

fn count_ejected(state: &State) {
    let Some(table) = state.table() else {
        return;
    };
    for (model, route) in &table.models {
        let pods = route.revisions.iter().flat_map(|r| &r.pods);
        let regions = route.regions.iter().map(|r| &r.upstream);
        let out = pods.chain(regions).filter(|u| !u.is_usable()).count();
        let labels = ModelLabels {
            model: model.clone(),
        };
        let gauge = state.metrics.ejected.get_or_create(&labels);
        gauge.set(i64::try_from(out).unwrap_or(i64::MAX));
        drop(gauge);
        let gauge = state.metrics.panic.get_or_create(&labels);
        gauge.set(i64::from(route.panics()));
    }
}
