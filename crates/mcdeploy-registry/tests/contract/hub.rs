//! A stand-in for the Hugging Face Hub: see the header of the test.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use futures::stream;
use mcdeploy_api::Sha256Digest;
use serde_json::json;
use tokio::net::TcpListener;

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) static WEIGHTS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..100_000_u32)
        .flat_map(|n| (n % 251).to_le_bytes())
        .collect()
});
const CONFIG: &[u8] = b"{}";

#[derive(Default)]
pub(crate) struct Faults {
    /// Answers that end after some bytes, before their announced length.
    pub(crate) breaks: AtomicU32,
    /// One bit of the weights is another one.
    pub(crate) flip: AtomicBool,
    /// The branch has another commit now, and the old one still its files.
    pub(crate) branch_moved: AtomicBool,
    /// A mirror's listing: names, and nothing else.
    pub(crate) names_only: AtomicBool,
    /// Ranges are not known, and every answer ends early.
    pub(crate) no_ranges: AtomicBool,
    /// Requests for bytes.
    pub(crate) reads: AtomicU32,
}

pub(crate) struct Hub {
    address: std::net::SocketAddr,
    pub(crate) state: Arc<Faults>,
}

impl Hub {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Faults::default());
        let router = Router::new()
            .route(
                "/api/models/{org}/{name}/revision/{revision}",
                get(revision),
            )
            .route("/{org}/{name}/resolve/{commit}/{*path}", get(resolve))
            .route("/storage/{*path}", get(storage))
            .with_state(state.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

fn allowed(headers: &HeaderMap) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .is_some_and(|v| v == "Bearer hf_secret")
}

async fn revision(
    State(state): State<Arc<Faults>>,
    Path((_, name, _)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    if !allowed(&headers) {
        return (StatusCode::UNAUTHORIZED, "Access to this model is gated").into_response();
    }
    let commit = if state.branch_moved.load(Ordering::Relaxed) {
        "another"
    } else {
        COMMIT
    };
    let weights = json!({
        "rfilename": "onnx/model.onnx", "size": WEIGHTS.len(),
        "lfs": { "sha256": Sha256Digest::of(&*WEIGHTS).hex(), "size": WEIGHTS.len() },
    });
    let config = json!({ "rfilename": "config.json", "size": CONFIG.len() });
    let files = match name.as_str() {
        "digits" => vec![weights, config],
        "nothing-in-it" => vec![],
        "digits-and-one" => vec![
            weights,
            json!({ "rfilename": "onnx/model.onnx", "size": 1 }),
        ],
        "hostile" => vec![json!({ "rfilename": "../../etc/x", "size": 1 })],
        _ => return (StatusCode::NOT_FOUND, "Repository not found").into_response(),
    };
    let name = |file: serde_json::Value| json!({ "rfilename": file["rfilename"] });
    let files = if state.names_only.load(Ordering::Relaxed) {
        files.into_iter().map(name).collect()
    } else {
        files
    };
    Json(json!({ "sha": commit, "siblings": files })).into_response()
}

/// Large files are redirected to storage that has other rules for tokens.
async fn resolve(
    Path((_, _, commit, path)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Response {
    if !allowed(&headers) || commit != COMMIT {
        return StatusCode::NOT_FOUND.into_response();
    }
    Redirect::temporary(&format!("/storage/{path}")).into_response()
}

async fn storage(
    State(state): State<Arc<Faults>>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    let mut whole = match path.as_str() {
        "config.json" => CONFIG.to_vec(),
        _ => WEIGHTS.clone(),
    };
    if state.flip.load(Ordering::Relaxed) {
        whole[1] ^= 1;
    }
    state.reads.fetch_add(1, Ordering::Relaxed);
    let reset = || Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    if state.no_ranges.load(Ordering::Relaxed) {
        let some = Ok(Bytes::from(whole[..whole.len() / 2].to_vec()));
        return Body::from_stream(stream::iter([some, reset()])).into_response();
    }
    let begin = headers
        .get(header::RANGE)
        .and_then(|range| {
            range
                .to_str()
                .ok()?
                .strip_prefix("bytes=")?
                .strip_suffix('-')
        })
        .and_then(|begin| begin.parse::<usize>().ok());
    let end = whole.len();
    let bytes = Bytes::from(whole.split_off(begin.unwrap_or(0)));
    let breaks = state.breaks.load(Ordering::Relaxed);
    let body = if breaks > 0 && bytes.len() > 20_000 {
        state.breaks.store(breaks - 1, Ordering::Relaxed);
        let some = Ok(bytes.slice(..20_000));
        Body::from_stream(stream::iter([some, reset()]))
    } else {
        Body::from(bytes)
    };
    match begin {
        Some(begin) => {
            let range = format!("bytes {begin}-{}/{end}", end - 1);
            let head = [(header::CONTENT_RANGE, range)];
            (StatusCode::PARTIAL_CONTENT, head, body).into_response()
        }
        None => body.into_response(),
    }
}
