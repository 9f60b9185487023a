//! Calls of models, all five operations: authenticate, read, call, encode.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response};
use hyper::body::Incoming;
use tagrail::{Answer, AnswerBody, Snapshot};

use crate::activity::Busy;
use crate::app::{self, App};
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
    busy: &'a Busy,
    request: http::Request<Incoming>,
) -> impl Future<Output = Response<Reply>> + Send + 'a {
    let call_id = app.call_ids.of(request.headers());
    let in_flight = app.shared.metrics.enter();
    let operation = route.operation;
    let (Parts { headers, .. }, body) = request.into_parts();
    async move {
        match call(app, snapshot, route, Request { headers, body, busy, id: &call_id }).await {
            Ok((Answer { facts, body }, held)) => {
                let streamed = !matches!(body, AnswerBody::Whole(_));
                let mut response = Response::new(Reply::answer(body, in_flight, held));
                *response.headers_mut() = headers::answered(operation, streamed, &facts, call_id);
                response
            }
            Err(Refused { problem, unread }) => {
                let mut response = problem.into_reply();
                if let Some((headers, body)) = unread.map(|unread| *unread) {
                    response = app::unread(response, &headers, body);
                }
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
    busy: &'a Busy,
    id: &'a HeaderValue,
}

/// An error, and the request if its body was not read to its end.
struct Refused {
    problem: Problem,
    unread: Option<Box<(HeaderMap, Incoming)>>,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Refused {
        Refused { problem, unread: None }
    }
}

async fn call(
    app: &App,
    snapshot: &Arc<Snapshot>,
    route: ModelRoute,
    request: Request<'_>,
) -> Result<(Answer, Option<Held>), Refused> {
    let ModelRoute { operation, model, path } = route;
    let Request { headers, mut body, busy, id } = request;
    let general = &snapshot.general;
    let refused = |problem: Problem| {
        app.shared.metrics.refused(problem.status());
        problem
    };
    let caller = match caller::authenticate(&headers, &app.shared, general, path).await {
        Ok(Known { caller, .. }) => caller,
        Err(problem) => {
            return Err(Refused { problem: refused(problem), unread: Some(Box::new((headers, body))) });
        }
    };
    busy.activity().authenticated();
    let read = inbound::read(&headers, &mut body, general, &caller.identity.key).await;
    let (body, held) = match read {
        Ok(read) => read,
        Err(problem) => {
            let problem = refused(problem.for_operation(operation));
            return Err(Refused { problem, unread: Some(Box::new((headers, body))) });
        }
    };
    let call = parse::call(operation, headers, body, model).await;
    let call = call.map_err(|error| refused(error::body(operation, &error)))?.by(caller, id.clone());
    let answer = app.shared.router.call_under(snapshot, &call).await;
    // A stream may need the body to its end; what is whole needs it no more.
    let held =
        matches!(answer.as_ref().map(|answer| &answer.body), Ok(AnswerBody::Stream(_))).then_some(held);
    answer.map(|answer| (answer, held)).map_err(|error| error::refused(&error).into())
}
