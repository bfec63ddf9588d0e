//! What happens to one request: route, try, try elsewhere, answer.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use mcdeploy_api::names::{HEADER_CLUSTER, HEADER_HOP, HEADER_REVISION};
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{
    access::{HEADER_REQUEST_ID, Routed},
    health::Outcome,
    metrics::{ModelLabels, RequestLabels, TryLabels},
    path::{self, Target},
    reply::{HEADER_GATEWAY_REASON, Reason, Reply},
    rng::Rng,
    state::State,
    table::{Ask, Nowhere, Pick, Route, Tried},
    upstream_try::{Answer, Outgoing, TryError},
};

/// A request whose body was read.
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// Value of `x-request-id`, for upstreams and in the answer.
    pub(crate) id: HeaderValue,
    pub(crate) body: Option<Bytes>,
}

/// How a request ends.
pub(crate) enum Response {
    /// The gateway answers by itself.
    Own(Reply),
    /// An upstream answered.
    Upstream(Box<Answer>),
}

/// One request on its way.
struct Journey<'a> {
    state: &'a State,
    request: &'a Request,
    model: &'a str,
    version: Option<&'a str>,
    rest: &'a str,
    route: Arc<Route>,
    ask: Ask<'a>,
    tried: Tried,
    rng: Rng,
    deadline: Instant,
    /// No idle connection is used any more.
    fresh: bool,
    /// Why each try so far failed, without addresses.
    failures: Vec<String>,
    /// For the log.
    routed: Routed,
}

/// How one try ended.
enum Try {
    Done(Box<Answer>),
    Failed {
        /// Where to go on; `None`: nowhere, or not allowed.
        next: Option<Pick>,
        /// What to answer when there is no next.
        response: Response,
    },
}

/// Routes `request`, brings its answer, and counts it.
pub(crate) async fn respond(state: &State, request: &Request) -> (Response, Routed) {
    let mut routed = Routed::default();
    let response = route(state, request, &mut routed).await;
    if let Response::Own(reply) = &response
        && reply.reason != Reason::Gateway
    {
        // Only a model that is routed makes a series of its own.
        let model = &routed.model;
        count(state, model, "", reply.status, reply.reason.as_str());
    }
    (response, routed)
}

async fn route(state: &State, request: &Request, routed: &mut Routed) -> Response {
    let start = Instant::now();
    let Some(target) = path::parse(&request.path) else {
        let message = format!("{} is not a path of protocol v2", request.path);
        return own(StatusCode::NOT_FOUND, Reason::UnknownPath, &message);
    };
    let (model, version, rest) = match target {
        Target::Live => return health(StatusCode::OK, true),
        Target::Ready if state.table().is_some() && !state.is_draining() => {
            return health(StatusCode::OK, true);
        }
        Target::Ready => return health(StatusCode::SERVICE_UNAVAILABLE, false),
        Target::Server => return Response::Own(server_metadata()),
        Target::Model {
            model,
            version,
            rest,
        } => (model, version, rest),
    };
    let Some(table) = state.table() else {
        let message = "the gateway has no routing snapshot yet";
        return own(StatusCode::SERVICE_UNAVAILABLE, Reason::NotReady, message);
    };
    let Some(route) = table.models.get(model).cloned() else {
        let message = format!("model {model:?} is not deployed here: no routing snapshot names it");
        return own(StatusCode::NOT_FOUND, Reason::UnknownModel, &message);
    };
    route.budget.on_request(start);
    let retries = state.config.retries;
    let ask = Ask {
        version,
        crossed: request.headers.contains_key(HEADER_HOP),
    };
    let mut journey = Journey {
        state,
        request,
        model,
        version,
        rest,
        route,
        tried: Tried::none(&ask, retries.local_tries, retries.remote_tries),
        ask,
        rng: state.rng(),
        deadline: start + state.config.timings.request,
        fresh: false,
        failures: Vec::new(),
        routed: Routed {
            model: model.to_owned(),
            ..Routed::default()
        },
    };
    let response = journey.travel().await;
    *routed = journey.routed;
    let labels = ModelLabels {
        model: model.to_owned(),
    };
    let seconds = start.elapsed().as_secs_f64();
    let histogram = state.metrics.seconds.get_or_create(&labels);
    histogram.observe(seconds);
    drop(histogram);
    response
}

impl Journey<'_> {
    async fn travel(&mut self) -> Response {
        let mut pick = match self.choose() {
            Ok(pick) => pick,
            Err(nowhere) => return self.nowhere(nowhere),
        };
        loop {
            self.tried.ask(&pick);
            match self.try_once(&pick).await {
                Try::Done(answer) => return Response::Upstream(self.dress(&pick, answer)),
                Try::Failed {
                    next: Some(next), ..
                } => pick = next,
                Try::Failed {
                    next: None,
                    response,
                } => {
                    return match response {
                        Response::Upstream(answer) => Response::Upstream(self.dress(&pick, answer)),
                        own @ Response::Own(_) => own,
                    };
                }
            }
        }
    }

    fn choose(&mut self) -> Result<Pick, Nowhere> {
        self.route.choose(&self.ask, &self.tried, &mut self.rng)
    }

    async fn try_once(&mut self, pick: &Pick) -> Try {
        let upstream = pick.upstream().clone();
        let Some(peer) = upstream.peer() else {
            let error = TryError::Connect("its host name has no address yet".to_owned());
            return self.no_answer(pick, &error);
        };
        let outgoing = self.outgoing(pick);
        let _in_flight = upstream.enter();
        let fresh = self.fresh || !self.may_repeat();
        let (pool, deadline) = (&self.state.pool, self.deadline);
        let mut sending = std::pin::pin!(async {
            let answer = pool.send(&peer, &outgoing, fresh).await?;
            pool.first_part(answer, deadline).await
        });
        tokio::select! {
            biased;
            result = &mut sending => return self.result(pick, result),
            () = upstream.silence() => {}
            () = sleep_until(self.deadline) => return self.too_late(pick),
        }
        // Slow is not dead, but checks say that this one is.
        self.failed(pick, Outcome::Nobody, "silent");
        self.tried.broke(pick);
        self.note(pick, "fell silent");
        if let Some(next) = self.next(false) {
            return Try::Failed {
                next: Some(next),
                response: self.gave_up(StatusCode::GATEWAY_TIMEOUT),
            };
        }
        // Nowhere else to go: it may still answer.
        match timeout_at(self.deadline, sending).await {
            Ok(result) => self.result(pick, result),
            Err(_) => self.too_late(pick),
        }
    }

    /// The time of the request is over. That says nothing about the upstream's health.
    fn too_late(&mut self, pick: &Pick) -> Try {
        self.tried.took(pick);
        self.count_failed(pick, "timeout");
        let limit = self.state.config.timings.request;
        self.note(pick, &format!("no answer within {} ms", limit.as_millis()));
        Try::Failed {
            next: None,
            response: self.gave_up(StatusCode::GATEWAY_TIMEOUT),
        }
    }

    fn result(&mut self, pick: &Pick, result: Result<Answer, TryError>) -> Try {
        match result {
            Ok(answer) => self.judge(pick, Box::new(answer)),
            Err(error) => self.no_answer(pick, &error),
        }
    }

    /// An upstream answered: is that the answer?
    fn judge(&mut self, pick: &Pick, answer: Box<Answer>) -> Try {
        let reason = answer.head.headers.get(HEADER_GATEWAY_REASON);
        let reason = reason.and_then(|r| r.to_str().ok());
        let unsent = reason.is_some_and(Reason::means_unsent);
        let status = answer.head.status;
        let gateway_error = matches!(status.as_u16(), 502..=504);
        if !gateway_error && !unsent {
            self.state.outcome(pick.upstream(), Outcome::Answered);
            return Try::Done(answer);
        }
        let outcome = match (unsent, self.version) {
            // It does not know a version, which says nothing about its health.
            (true, Some(_)) if status == StatusCode::NOT_FOUND => Outcome::Answered,
            (true, _) => Outcome::Nobody,
            (false, _) => Outcome::BadStatus,
        };
        self.failed(pick, outcome, if unsent { "unsent" } else { "status" });
        if reason == Some(Reason::UpstreamFailed.as_str()) {
            self.tried.broke(pick);
        } else if !unsent {
            self.tried.took(pick);
        }
        let word = reason.unwrap_or("from the model server");
        self.note(pick, &format!("answered {} ({word})", status.as_u16()));
        Try::Failed {
            next: self.next(unsent),
            response: Response::Upstream(answer),
        }
    }

    fn no_answer(&mut self, pick: &Pick, error: &TryError) -> Try {
        self.failed(pick, Outcome::Nobody, error.as_str());
        if !error.is_unsent() {
            self.tried.broke(pick);
        }
        self.note(pick, &error.to_string());
        let status = match error {
            TryError::ConnectTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
            TryError::Connect(_) | TryError::Broken { .. } | TryError::Malformed(_) => {
                StatusCode::BAD_GATEWAY
            }
        };
        let next = self.next(error.is_unsent());
        Try::Failed {
            next: next.or_else(|| self.again(pick, error)),
            response: self.gave_up(status),
        }
    }

    /// The same upstream over a new connection: nobody else can, and an idle one may have been
    /// closed just when it was used.
    fn again(&mut self, pick: &Pick, error: &TryError) -> Option<Pick> {
        let stale = matches!(error, TryError::Broken { reused: true, .. });
        let first = !self.ask.crossed && self.tried.upstreams.len() == 1;
        let may = stale && first && self.state.config.retries.enabled && self.may_repeat();
        let granted = may && self.route.budget.take(Instant::now());
        self.fresh |= granted;
        granted.then(|| pick.clone())
    }

    /// Where to try next, if this request may be tried again.
    fn next(&mut self, unsent: bool) -> Option<Pick> {
        let retries = self.state.config.retries.enabled;
        if !retries || !(unsent || self.may_repeat()) || Instant::now() >= self.deadline {
            return None;
        }
        let next = self.choose().ok()?;
        let labels = ModelLabels {
            model: self.model.to_owned(),
        };
        let metrics = &self.state.metrics;
        // What was not sent did no work anywhere, so the next one gets no more than its own.
        if unsent || self.route.budget.take(Instant::now()) {
            metrics.retries.get_or_create(&labels).inc();
            Some(next)
        } else {
            metrics.budget_empty.get_or_create(&labels).inc();
            None
        }
    }

    fn may_repeat(&self) -> bool {
        self.route.repeatable || self.request.method.is_safe()
    }

    fn failed(&self, pick: &Pick, outcome: Outcome, failure: &'static str) {
        let upstream = pick.upstream();
        self.state.outcome(upstream, outcome);
        self.count_failed(pick, failure);
    }

    fn count_failed(&self, pick: &Pick, failure: &'static str) {
        let labels = TryLabels {
            model: self.model.to_owned(),
            cluster: self.cluster_of(pick).to_owned(),
            failure,
        };
        self.state.metrics.failed_tries.get_or_create(&labels).inc();
    }

    fn note(&mut self, pick: &Pick, failure: &str) {
        let key = pick.upstream().key();
        self.failures.push(format!("{}: {failure}", key.place()));
        self.routed.failed_tries.push(format!("{key}: {failure}"));
    }

    fn gave_up(&self, status: StatusCode) -> Response {
        let message = format!(
            "model {:?}: no answer after {} tries: {}",
            self.model,
            self.failures.len(),
            self.failures.join("; ")
        );
        // Another region's gateway may go on where nothing took the request.
        let reason = if self.tried.taken {
            Reason::UpstreamFailed
        } else {
            Reason::NoUpstream
        };
        own(status, reason, &message)
    }

    fn nowhere(&self, nowhere: Nowhere) -> Response {
        let (status, reason) = match nowhere {
            Nowhere::UnknownVersion => (StatusCode::NOT_FOUND, Reason::UnknownVersion),
            Nowhere::NoWeight => (StatusCode::SERVICE_UNAVAILABLE, Reason::NoWeight),
            Nowhere::NoneHealthy => (StatusCode::SERVICE_UNAVAILABLE, Reason::NoUpstream),
        };
        let version = self.version.map(|v| format!(", version {v:?}"));
        let crossed = if self.ask.crossed {
            " (the request came from another region, so it is served here or not at all)"
        } else {
            ""
        };
        let message = format!(
            "model {:?}{} in cluster {:?}: {nowhere}{crossed}",
            self.model,
            version.unwrap_or_default(),
            self.state.config.cluster
        );
        own(status, reason, &message)
    }

    fn cluster_of<'b>(&'b self, pick: &'b Pick) -> &'b str {
        let region = pick.upstream().key().region();
        region.unwrap_or(&self.state.config.cluster)
    }

    /// The request as `pick` gets it.
    fn outgoing(&self, pick: &Pick) -> Outgoing {
        let mut headers = end_to_end(&self.request.headers);
        for name in [header::HOST, header::CONTENT_LENGTH, header::EXPECT] {
            headers.remove(name);
        }
        headers.remove(HEADER_HOP);
        headers.insert(HEADER_REQUEST_ID, self.request.id.clone());
        let path = match pick {
            Pick::Pod { version, .. } => {
                let version = self.version.map(|_| version.as_str());
                path::render(self.model, version, self.rest)
            }
            Pick::Region { .. } => {
                if let Ok(cluster) = HeaderValue::from_str(&self.state.config.cluster) {
                    headers.insert(HEADER_HOP, cluster);
                }
                self.request.path.clone()
            }
        };
        Outgoing {
            method: self.request.method.clone(),
            path,
            headers,
            body: self.request.body.clone(),
        }
    }

    /// The answer as the client gets it.
    fn dress(&mut self, pick: &Pick, mut answer: Box<Answer>) -> Box<Answer> {
        let cluster = self.cluster_of(pick).to_owned();
        let head = &mut answer.head;
        for name in hop_by_hop(&head.headers) {
            head.remove_header(&name);
        }
        if let Pick::Pod {
            revision, version, ..
        } = pick
        {
            head.remove_header(HEADER_GATEWAY_REASON);
            let revision = format!("{version}.{revision}");
            // Names and ids that the schema allows are valid header values.
            let _ = head.insert_header(HEADER_CLUSTER, &self.state.config.cluster);
            let _ = head.insert_header(HEADER_REVISION, &revision);
            self.routed.revision = revision;
        }
        count(self.state, self.model, &cluster, head.status, "");
        self.routed.cluster = cluster;
        answer
    }
}

/// Counts an answered request.
pub(crate) fn count(
    state: &State,
    model: &str,
    cluster: &str,
    status: StatusCode,
    reason: &'static str,
) {
    let labels = RequestLabels {
        model: model.to_owned(),
        cluster: cluster.to_owned(),
        class: status.as_u16() / 100,
        reason,
    };
    state.metrics.requests.get_or_create(&labels).inc();
}

fn own(status: StatusCode, reason: Reason, message: &str) -> Response {
    Response::Own(Reply::error(status, reason, message))
}

#[derive(Serialize)]
struct HealthBody {
    ready: bool,
}

fn health(status: StatusCode, ready: bool) -> Response {
    let reason = if ready {
        Reason::Gateway
    } else {
        Reason::NotReady
    };
    Response::Own(Reply::json(status, reason, &HealthBody { ready }))
}

#[derive(Serialize)]
struct ServerBody {
    name: &'static str,
    version: &'static str,
    extensions: [&'static str; 0],
}

fn server_metadata() -> Reply {
    let body = ServerBody {
        name: "mcdeploy-gateway",
        version: env!("CARGO_PKG_VERSION"),
        extensions: [],
    };
    Reply::json(StatusCode::OK, Reason::Gateway, &body)
}

/// Names of headers that concern one connection only (RFC 9110, 7.6.1).
fn hop_by_hop(headers: &HeaderMap) -> Vec<HeaderName> {
    let fixed = [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    let named = headers
        .get_all(header::CONNECTION)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok());
    fixed.into_iter().chain(named).collect()
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for name in hop_by_hop(headers) {
        kept.remove(name);
    }
    kept
}
