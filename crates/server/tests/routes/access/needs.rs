//! Who may call which route. A route without an entry fails whatever goes through the list.

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Anybody who can connect.
    Nothing,
    /// Whoever has a valid key.
    Key,
    /// Whoever may look at everything.
    Viewer,
    /// An admin.
    Admin,
}

/// What each route needs; no entry, no route.
pub(super) fn needs(method: &str, path: &str) -> Needs {
    match (method, path) {
        (
            "GET",
            "/" | "/routes" | "/openapi.json" | "/health/liveliness" | "/health/liveness"
            | "/health/readiness",
        ) => Needs::Nothing,
        (
            "POST",
            "/v1/chat/completions"
            | "/chat/completions"
            | "/engines/{model}/chat/completions"
            | "/openai/deployments/{model}/chat/completions"
            | "/v1/completions"
            | "/completions"
            | "/engines/{model}/completions"
            | "/openai/deployments/{model}/completions"
            | "/v1/embeddings"
            | "/embeddings"
            | "/engines/{model}/embeddings"
            | "/openai/deployments/{model}/embeddings"
            | "/v1/messages"
            | "/v1/responses"
            | "/responses"
            | "/route/explain"
            | "/spend/calculate",
        )
        | (
            "GET",
            "/models"
            | "/models/{*id}"
            | "/v1/models"
            | "/v1/models/{*id}"
            | "/model/info"
            | "/v1/model/info"
            | "/model_group/info"
            | "/key/info"
            | "/key/list"
            | "/team/info"
            | "/user/info"
            | "/spend/logs"
            | "/user/daily/activity",
        ) => Needs::Key,
        (
            "GET",
            "/health"
            | "/metrics"
            | "/team/list"
            | "/v2/team/list"
            | "/user/list"
            | "/tag/list"
            | "/spend/tags"
            | "/spend/keys"
            | "/spend/users"
            | "/global/spend"
            | "/global/spend/report"
            | "/global/spend/tags"
            | "/global/spend/teams"
            | "/global/spend/keys"
            | "/tag/daily/activity"
            | "/team/daily/activity",
        )
        | ("POST", "/tag/info") => Needs::Viewer,
        (
            "POST",
            "/team/new"
            | "/team/update"
            | "/team/delete"
            | "/team/block"
            | "/team/unblock"
            | "/team/member_add"
            | "/team/member_delete"
            | "/team/model/add"
            | "/team/model/delete"
            | "/key/generate"
            | "/key/update"
            | "/key/delete"
            | "/key/block"
            | "/key/unblock"
            | "/key/regenerate"
            | "/key/{key}/regenerate"
            | "/user/new"
            | "/user/update"
            | "/user/delete"
            | "/tag/new"
            | "/tag/update"
            | "/tag/delete",
        ) => Needs::Admin,
        _ => panic!("{method} {path} has no entry: say here who may call it"),
    }
}
