//! Calls of models, all five operations: authenticate, read, call, encode.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response};
use hyper::body::Incoming;
use tagrail::{Answer, AnswerBody, Snapshot};

use crate::app::App;
use crate::caller::{self, Known};
use crate::error::{self, Problem};
use crate::headers::{self, CALL_ID};
use crate::inbound::{self, held::Held};
use crate::parse;
use crate::path::ModelRoute;
use crate::reply::Reply;

/// Answers a call of a model. Not an `async fn`: that would keep the whole request beside what is
/// needed of it, in a future that every connection holds and every call moves.
pub(crate) fn answer<'a>(
    app: &'a App,
    snapshot: &'a Arc<Snapshot>,
    route: ModelRoute,
    request: http::Request<Incoming>,
) -> impl Future<Output = Response<Reply>> + Send + 'a {
    let call_id = app.call_ids.of(request.headers());
    let in_flight = app.shared.metrics.enter();
    let operation = route.operation;
    let (Parts { headers, .. }, body) = request.into_parts();
    async move {
        match call(app, snapshot, route, Request { headers, body, id: &call_id }).await {
            Ok((Answer { facts, body }, held)) => {
                let streamed = !matches!(body, AnswerBody::Whole(_));
                let mut response = Response::new(Reply::answer(body, in_flight, held));
                *response.headers_mut() = headers::answered(operation, streamed, &facts, call_id);
                response
            }
            Err(problem) => {
                let mut response = problem.into_reply();
                response.headers_mut().insert(&CALL_ID, call_id);
                response
            }
        }
    }
}

/// What is left of a request once it is known what it asks for.
struct Request<'a> {
    headers: HeaderMap,
    body: Incoming,
    id: &'a HeaderValue,
}

async fn call(
    app: &App,
    snapshot: &Arc<Snapshot>,
    route: ModelRoute,
    request: Request<'_>,
) -> Result<(Answer, Option<Held>), Problem> {
    let ModelRoute { operation, model, path } = route;
    let Request { headers, body, id } = request;
    let general = &snapshot.general;
    let refused = |problem: Problem| {
        app.shared.metrics.refused(problem.status());
        problem
    };
    let caller = match caller::authenticate(&headers, &app.shared, general, path).await {
        Ok(Known { caller, .. }) => caller,
        Err(problem) => {
            Box::pin(inbound::discard(&headers, body)).await;
            return Err(refused(problem));
        }
    };
    let body = inbound::read(&headers, body, general, &caller.identity.key).await;
    let (body, held) = body.map_err(|problem| refused(problem.for_operation(operation)))?;
    let call = parse::call(operation, headers, body, model).await;
    let call = call.map_err(|error| refused(error::body(operation, &error)))?.by(caller, id.clone());
    let answer = app.shared.router.call_under(snapshot, &call).await;
    // A stream may need the body to its end; what is whole needs it no more.
    let held =
        matches!(answer.as_ref().map(|answer| &answer.body), Ok(AnswerBody::Stream(_))).then_some(held);
    answer.map(|answer| (answer, held)).map_err(|error| error::refused(&error))
}
