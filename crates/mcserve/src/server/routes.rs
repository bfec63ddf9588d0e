//! Paths and handlers.

use std::{error::Error, sync::Arc};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http_body_util::LengthLimitError;
use serde_json::json;

use crate::{
    body::{self, Encoding},
    clock,
    engine::Engine,
    error::RequestError,
    protocol::{InferResponse, ModelMetadata, ModelReady, ServerMetadata},
    repository::Repository,
};

type Shared = Arc<super::State>;

/// Every path of the server.
pub(super) fn router(state: Shared) -> Router {
    let model = "/v2/models/{model}";
    let version = "/v2/models/{model}/versions/{version}";
    Router::new()
        .route("/v2", get(server_metadata))
        .route("/v2/", get(server_metadata))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
        .route(model, get(metadata))
        .route(version, get(metadata))
        .route(&format!("{model}/ready"), get(model_ready))
        .route(&format!("{version}/ready"), get(model_ready))
        .route(&format!("{model}/infer"), post(infer))
        .route(&format!("{version}/infer"), post(infer))
        .route("/metrics", get(metrics))
        .fallback(no_such_path)
        .method_not_allowed_fallback(|| async { RequestError::MethodNotAllowed })
        .layer(from_fn_with_state(Arc::clone(&state), close_when_stopping))
        .with_state(state)
}

/// Model and, if given, version, from the path.
#[derive(Debug, serde::Deserialize)]
struct Target {
    model: String,
    version: Option<String>,
}

impl Target {
    fn find<'a>(&self, repository: &'a Repository) -> Result<&'a Arc<Engine>, RequestError> {
        Ok(repository.find(&self.model, self.version.as_deref())?)
    }
}

fn loaded(state: &super::State) -> Result<&Repository, RequestError> {
    state.repository.get().ok_or(RequestError::Loading)
}

/// Tells clients to take another connection, so that keep-alive ones move away before
/// the port closes.
async fn close_when_stopping(
    State(state): State<Shared>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    if state.stopping.is_cancelled() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

async fn server_metadata() -> Json<ServerMetadata> {
    Json(ServerMetadata {
        name: "mcserve",
        version: env!("CARGO_PKG_VERSION"),
        extensions: [],
    })
}

async fn live() -> Response {
    Json(json!({ "live": true })).into_response()
}

async fn ready(State(state): State<Shared>) -> Response {
    let ready = state.is_ready();
    (status(ready), Json(json!({ "ready": ready }))).into_response()
}

fn status(ready: bool) -> StatusCode {
    if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

async fn model_ready(
    State(state): State<Shared>,
    Path(target): Path<Target>,
) -> Result<Response, RequestError> {
    target.find(loaded(&state)?)?;
    let ready = state.is_ready();
    let body = ModelReady {
        name: target.model,
        ready,
    };
    Ok((status(ready), Json(body)).into_response())
}

async fn metadata(
    State(state): State<Shared>,
    Path(target): Path<Target>,
) -> Result<Json<ModelMetadata>, RequestError> {
    let repository = loaded(&state)?;
    let engine = target.find(repository)?;
    Ok(Json(ModelMetadata {
        name: target.model.clone(),
        versions: repository.versions(&target.model),
        platform: "onnx",
        inputs: engine.inputs(),
        outputs: engine.outputs(),
    }))
}

async fn infer(
    State(state): State<Shared>,
    Path(target): Path<Target>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<InferResponse>, RequestError> {
    let start = clock::now();
    let engine = loaded(&state)
        .and_then(|repository| target.find(repository))
        .map(Arc::clone);
    let (model, version) = match &engine {
        Ok(engine) => (engine.model().to_owned(), engine.version().to_owned()),
        Err(_) => (String::new(), String::new()),
    };
    let result = match engine {
        Ok(engine) => run(&state, engine, &headers, body).await,
        Err(error) => Err(error),
    };
    let code = result.as_ref().map_or_else(RequestError::code, |_| "Ok");
    let took = start.elapsed();
    state.metrics.request(&model, &version, code, took);
    match &result {
        Ok(_) => tracing::debug!(model, version, took_us = took.as_micros(), "answered"),
        Err(error) => tracing::info!(model, version, code, %error, "refused"),
    }
    result.map(Json)
}

async fn run(
    state: &super::State,
    engine: Arc<Engine>,
    headers: &HeaderMap,
    body: Body,
) -> Result<InferResponse, RequestError> {
    let place = state.pool.enter()?;
    if headers.contains_key("inference-header-content-length") {
        return Err(RequestError::BinaryExtension);
    }
    let encoding = Encoding::of(headers)?;
    let body = read_body(state, headers, body).await?;
    let limit = state.max_body;
    let answer = state
        .pool
        .run(place, move || {
            engine.infer(body::request(body, encoding, limit)?)
        })
        .await?;
    let rows = answer
        .outputs
        .first()
        .and_then(|output| output.shape.first());
    state.metrics.rows(rows.copied().unwrap_or(1));
    Ok(answer)
}

async fn read_body(
    state: &super::State,
    headers: &HeaderMap,
    body: Body,
) -> Result<Bytes, RequestError> {
    let limit = state.max_body;
    let too_large = || RequestError::BodyTooLarge { limit };
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > limit) {
        return Err(too_large());
    }
    let read = tokio::time::timeout(state.body_timeout, to_bytes(body, limit)).await;
    let read = read.map_err(|_| RequestError::BodyTimeout {
        seconds: state.body_timeout.as_secs(),
    })?;
    read.map_err(|error| {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(current) = cause {
            if current.is::<LengthLimitError>() {
                return too_large();
            }
            cause = current.source();
        }
        RequestError::BodyBroken {
            message: error.to_string(),
        }
    })
}

async fn metrics(State(state): State<Shared>) -> Response {
    let text = state
        .metrics
        .render(state.pool.occupied(), state.is_ready());
    match text {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn no_such_path(uri: Uri) -> RequestError {
    RequestError::NoSuchPath {
        path: uri.path().to_owned(),
    }
}
