//! Calls of models, all five operations: authenticate, read, call, encode.

use http::{Request, Response};
use hyper::body::Incoming;
use tagrail::config::GeneralSettings;
use tagrail::{Answer, AnswerBody, Call};

use crate::app::App;
use crate::caller;
use crate::error::{self, Problem};
use crate::headers::{self, CALL_ID};
use crate::inbound;
use crate::path::ModelRoute;
use crate::reply::Reply;

/// Answers a call of a model.
pub(crate) async fn answer(
    app: &App,
    general: &GeneralSettings,
    route: ModelRoute,
    request: Request<Incoming>,
) -> Response<Reply> {
    let call_id = app.call_ids.of(request.headers());
    let in_flight = app.shared.metrics.enter();
    let operation = route.operation;
    match call(app, general, route, request).await {
        Ok(Answer { facts, body }) => {
            let streamed = !matches!(body, AnswerBody::Whole(_));
            let mut response = Response::new(Reply::answer(body, in_flight));
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

async fn call(
    app: &App,
    general: &GeneralSettings,
    route: ModelRoute,
    request: Request<Incoming>,
) -> Result<Answer, Problem> {
    let ModelRoute { operation, model } = route;
    let (parts, body) = request.into_parts();
    if let Err(problem) = caller::authenticate(&parts.headers, general) {
        Box::pin(inbound::discard(&parts.headers, body)).await;
        return Err(problem);
    }
    let body = inbound::read(&parts.headers, body, general).await;
    let body = body.map_err(|problem| problem.for_operation(operation))?;
    let call =
        Call::read(operation, parts.headers, body, model).map_err(|error| error::body(operation, &error))?;
    app.shared.router.call(call).await.map_err(|error| error::problem(operation, &error))
}
