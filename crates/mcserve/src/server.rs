//! The HTTP side, from the bound port to the last answer.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    Args, clock,
    metrics::Metrics,
    pool::Pool,
    repository::{OpenRepository, Repository},
};

mod routes;

/// A bound server that has not started yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    models_dir: PathBuf,
    linger: Duration,
    drain: Duration,
    state: Arc<State>,
}

/// What handlers share.
#[derive(Debug)]
struct State {
    /// Set once, when every model is loaded and was run once.
    repository: OnceLock<Repository>,
    /// Cancelled at SIGTERM: not ready from then on.
    stopping: CancellationToken,
    pool: Pool,
    metrics: Metrics,
    max_body: usize,
    body_timeout: Duration,
}

impl State {
    fn is_ready(&self) -> bool {
        self.repository.get().is_some() && !self.stopping.is_cancelled()
    }
}

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The port cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The models cannot be served.
    #[error(transparent)]
    Repository(#[from] OpenRepository),
    /// Loading panicked.
    #[error("loading the models ended early")]
    LoadEnded(#[source] tokio::task::JoinError),
    /// Accepting connections failed.
    #[error("serving failed")]
    Serve(#[source] std::io::Error),
}

impl Server {
    /// Binds the port.
    ///
    /// # Errors
    /// The port is taken or not allowed.
    pub async fn bind(args: &Args) -> Result<Self, ServeError> {
        let bind = |source| ServeError::Bind {
            address: args.listen,
            source,
        };
        let listener = TcpListener::bind(args.listen).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        Ok(Self {
            listener,
            address,
            models_dir: args.models_dir.clone(),
            linger: args.linger,
            drain: args.drain,
            state: Arc::new(State {
                repository: OnceLock::new(),
                stopping: CancellationToken::new(),
                pool: Pool::new(args.worker_count(), args.queue),
                metrics: Metrics::default(),
                max_body: args.max_body,
                body_timeout: args.body_timeout,
            }),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Loads the models, serves until `stop`, then is not ready, goes on accepting for
    /// the linger time, and waits for requests in flight. Live from the start, ready
    /// when every model has run once.
    ///
    /// # Errors
    /// The models cannot be served, or accepting failed.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ServeError> {
        let Self {
            listener,
            address,
            models_dir,
            linger,
            drain,
            state,
        } = self;
        let closing = CancellationToken::new();
        let closed = closing.clone();
        let router = routes::router(Arc::clone(&state));
        let serving = axum::serve(listener, router)
            .with_graceful_shutdown(async move { closed.cancelled().await });
        let serving = tokio::spawn(async move { serving.await });
        tracing::info!(%address, models_dir = %models_dir.display(), "listening");

        let loaded = tokio::select! {
            loaded = load(&state, models_dir) => loaded,
            () = stop.cancelled() => Ok(()),
        };
        if let Err(error) = loaded {
            serving.abort();
            return Err(error);
        }
        stop.cancelled().await;
        state.stopping.cancel();
        tracing::info!(in_flight = state.pool.occupied(), "stopping: not ready");
        tokio::time::sleep(linger).await;
        closing.cancel();
        let abort = serving.abort_handle();
        if let Ok(served) = tokio::time::timeout(drain, serving).await {
            tracing::info!("drained");
            return served.map_or(Ok(()), |ended| ended.map_err(ServeError::Serve));
        }
        abort.abort();
        tracing::warn!(
            in_flight = state.pool.occupied(),
            "requests were cut off after the drain time"
        );
        Ok(())
    }
}

async fn load(state: &Arc<State>, models_dir: PathBuf) -> Result<(), ServeError> {
    let start = clock::now();
    let repository = tokio::task::spawn_blocking(move || Repository::open(&models_dir))
        .await
        .map_err(ServeError::LoadEnded)??;
    let models: Vec<String> = repository
        .engines()
        .map(|engine| format!("{}/{}", engine.model(), engine.version()))
        .collect();
    let duration_ms = start.elapsed().as_millis();
    if state.repository.set(repository).is_ok() {
        tracing::info!(models = models.join(" "), %duration_ms, "ready");
    }
    Ok(())
}
