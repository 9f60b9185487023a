//! Every route and every layer, in order. A request comes in at [`handle`]: peer, head, then the
//! model routes by a `match` on the path, and axum for whatever is rare.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::routing::{get, post};
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CONNECTION,
    CONTENT_TYPE, ORIGIN,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use tagrail::config::GeneralSettings;
use tagrail::{Caller, Router};
use tower::ServiceExt;

use crate::activity::Busy;
use crate::call_id::CallIds;
use crate::caller::{self, Peer};
use crate::error::Problem;
use crate::headers::{self, CALL_ID};
use crate::inbound;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::path::{self, ModelRoute};
use crate::reply::Reply;
use crate::routes;
use crate::routes::key::minted::path_to_log;

/// One core's application.
pub(crate) struct App {
    pub(crate) shared: Shared,
    pub(crate) call_ids: CallIds,
    rare: axum::Router,
}

/// What the routes behind axum need.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) router: Router,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) ledger: Arc<Ledger>,
    /// Whoever holds the master key. This core's own: a count that all cores share is passed around.
    pub(crate) operator: Arc<Caller>,
}

impl App {
    pub(crate) fn new(router: Router, metrics: Arc<Metrics>, ledger: Arc<Ledger>) -> App {
        let operator = caller::operator(router.snapshot().general.master_key.is_some());
        let shared = Shared { router, metrics, ledger, operator };
        App { rare: rare(shared.clone()), shared, call_ids: CallIds::new() }
    }
}

/// The routes that are not worth a place in the `match`. [`routes::all`] lists them for
/// people; a test holds the two together.
fn rare(shared: Shared) -> axum::Router {
    axum::Router::new()
        .route("/", get(routes::index::home))
        .route("/routes", get(routes::index::routes))
        .route("/models", get(routes::models::list))
        .route("/models/{*id}", get(routes::models::one))
        .route("/v1/models", get(routes::models::list))
        .route("/v1/models/{*id}", get(routes::models::one))
        .route("/model/info", get(routes::model_info::models))
        .route("/v1/model/info", get(routes::model_info::models))
        .route("/model_group/info", get(routes::model_info::groups))
        .route("/health", get(routes::health::report))
        .route("/health/liveliness", get(routes::health::alive))
        .route("/health/liveness", get(routes::health::alive))
        .route("/health/readiness", get(routes::health::ready))
        .route("/metrics", get(routes::metrics::text))
        .route("/route/explain", post(routes::explain::explain))
        .merge(routes::team::router())
        .merge(routes::user::router())
        .merge(routes::tag::router())
        .merge(routes::key::router())
        .merge(routes::spend::router())
        .merge(routes::openapi::router())
        .fallback(async || Problem::not_found())
        .with_state(shared)
}

/// Answers one request. Not an `async fn`: that would keep its arguments twice in a future that every
/// connection holds and every request moves.
#[allow(clippy::manual_async_fn, reason = "an async fn holds its arguments twice")]
pub(crate) fn handle(
    app: Arc<App>,
    peer: Peer,
    busy: Busy,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Reply>, Infallible>> + Send {
    async move {
        let snapshot = app.shared.router.snapshot();
        let general = &snapshot.general;
        let origin = request.headers().contains_key(ORIGIN);
        let seen = tracing::enabled!(tracing::Level::DEBUG)
            .then(|| (Instant::now(), request.method().clone(), path_to_log(request.uri().path())));
        let mut response = match admit(peer, &request, general) {
            Err(problem) => {
                app.shared.metrics.refused(problem.status());
                let (parts, body) = request.into_parts();
                named(unread(problem.into_reply(), &parts.headers, body), app.call_ids.of(&parts.headers))
            }
            Ok(()) => match path::model_route(request.uri().path()) {
                Some(route) if request.method() == Method::POST => {
                    routes::model::answer(&app, &snapshot, route, &busy, request).await
                }
                route => {
                    let call_id = app.call_ids.of(request.headers());
                    let response = Box::pin(rarely(&app, general, route, &busy, request)).await;
                    if response.status().as_u16() < 400 {
                        response
                    } else {
                        app.shared.metrics.refused(response.status());
                        named(response, call_id)
                    }
                }
            },
        };
        response.body_mut().hold(busy);
        headers::everywhere(response.headers_mut());
        // Without a master key a page from elsewhere must not be able to read anything.
        if origin && general.master_key.is_some() {
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        if let Some((arrived, method, path)) = seen {
            let status = response.status().as_u16();
            tracing::debug!(%method, path, status, micros = arrived.elapsed().as_micros() as u64, "answered");
        }
        Ok(response)
    }
}

/// A refusal with the id that it can be asked after by.
fn named(mut response: Response<Reply>, call_id: HeaderValue) -> Response<Reply> {
    response.headers_mut().insert(&CALL_ID, call_id);
    response
}

/// An answer to a request whose body was not read, or not to its end: the rest is, while the client reads the
/// answer.
pub(crate) fn unread<B>(mut response: Response<Reply>, headers: &HeaderMap, body: B) -> Response<Reply>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    if !body.is_end_stream() {
        if inbound::ends_unread(headers) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        inbound::discard(body);
    }
    response
}

/// What comes before every route.
fn admit(peer: Peer, request: &Request<Incoming>, general: &GeneralSettings) -> Result<(), Problem> {
    inbound::check_head(request.version(), request.uri(), request.headers())?;
    // Probes say nothing that could be worth keeping from anybody.
    if routes::health::is_probe(request.uri().path()) {
        return Ok(());
    }
    peer.admit(request.uri(), request.headers(), general)
}

/// Everything but calls of models.
async fn rarely(
    app: &App,
    general: &GeneralSettings,
    route: Option<ModelRoute>,
    busy: &Busy,
    request: Request<Incoming>,
) -> Response<Reply> {
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(busy.activity().clone());
    if body.is_end_stream() {
        return answer_rarely(app, general, route, Request::from_parts(parts, axum::body::Body::empty()))
            .await;
    }
    let (headers, body) = (parts.headers.clone(), inbound::Shared::new(body));
    let request = Request::from_parts(parts, axum::body::Body::new(body.clone()));
    let response = answer_rarely(app, general, route, request).await;
    match body.take() {
        Some(rest) => unread(response, &headers, rest),
        None => response,
    }
}

async fn answer_rarely(
    app: &App,
    general: &GeneralSettings,
    route: Option<ModelRoute>,
    request: Request<axum::body::Body>,
) -> Response<Reply> {
    if general.master_key.is_some() && is_preflight(request.method(), request.headers()) {
        return preflight(request.headers());
    }
    if route.is_some() {
        return Problem::method("POST").into_reply();
    }
    // axum lets HEAD into GET routes, LiteLLM does not.
    let head = request.method() == Method::HEAD;
    let response = match app.rare.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        || (head && response.status() != StatusCode::NOT_FOUND)
    {
        let allow = response.headers().get(ALLOW).is_some_and(|allow| allow == "POST");
        return Problem::method(if allow { "POST" } else { "GET" }).into_reply();
    }
    response.map(Reply::other)
}

fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight(asked: &HeaderMap) -> Response<Reply> {
    let mut response = Response::new(Reply::of("OK"));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    if let Some(names) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    response
}
