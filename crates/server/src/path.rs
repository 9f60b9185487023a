//! Which path asks for a model, and for which operation.

use percent_encoding::percent_decode_str;
use tagrail::Operation;

/// A route that calls a model.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ModelRoute {
    /// What is asked for.
    pub(crate) operation: Operation,
    /// The model in the path, decoded; wins over the body's.
    pub(crate) model: Option<String>,
}

/// Every path that calls a model, for people; see [`model_route`].
pub(crate) const MODEL_PATHS: [&str; 15] = [
    "/v1/chat/completions",
    "/chat/completions",
    "/engines/{model}/chat/completions",
    "/openai/deployments/{model}/chat/completions",
    "/v1/completions",
    "/completions",
    "/engines/{model}/completions",
    "/openai/deployments/{model}/completions",
    "/v1/embeddings",
    "/embeddings",
    "/engines/{model}/embeddings",
    "/openai/deployments/{model}/embeddings",
    "/v1/messages",
    "/v1/responses",
    "/responses",
];

/// The route of a path, if it calls a model. Paths are compared as they come: a spelling such as
/// `//v1/…` or `%2fv1` is another path, and unknown.
pub(crate) fn model_route(path: &str) -> Option<ModelRoute> {
    let operation = match path {
        "/v1/chat/completions" | "/chat/completions" => Operation::ChatCompletions,
        "/v1/messages" => Operation::Messages,
        "/v1/responses" | "/responses" => Operation::Responses,
        "/v1/embeddings" | "/embeddings" => Operation::Embeddings,
        "/v1/completions" | "/completions" => Operation::Completions,
        _ => return with_model(path),
    };
    Some(ModelRoute { operation, model: None })
}

/// `/engines/{model}/…` and `/openai/deployments/{model}/…`, where the model may contain slashes.
fn with_model(path: &str) -> Option<ModelRoute> {
    let rest = path.strip_prefix("/openai/deployments/").or_else(|| path.strip_prefix("/engines/"))?;
    let (operation, model) = [Operation::ChatCompletions, Operation::Completions, Operation::Embeddings]
        .into_iter()
        .find_map(|operation| {
            let model = rest.strip_suffix(operation.path())?.strip_suffix('/')?;
            Some((operation, model))
        })?;
    if model.is_empty() {
        return None;
    }
    let model = percent_decode_str(model).decode_utf8_lossy().into_owned();
    Some(ModelRoute { operation, model: Some(model) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_path_is_a_route() {
        for path in MODEL_PATHS {
            assert!(model_route(path).is_some(), "{path}");
        }
    }

    #[test]
    fn models_in_paths_may_hold_slashes_and_escapes() {
        let route = |path| model_route(path).map(|route| (route.operation, route.model.unwrap()));
        for (path, operation, model) in [
            ("/engines/gpt-4o/chat/completions", Operation::ChatCompletions, "gpt-4o"),
            ("/openai/deployments/oa/x/embeddings", Operation::Embeddings, "oa/x"),
            ("/openai/deployments/a%2Fb%20c/completions", Operation::Completions, "a/b c"),
            ("/engines/chat/completions", Operation::Completions, "chat"),
        ] {
            assert_eq!(route(path), Some((operation, model.to_owned())), "{path}");
        }
    }

    #[test]
    fn other_spellings_are_unknown() {
        for path in [
            "/messages",
            "//v1/chat/completions",
            "/v1//chat/completions",
            "/v1/chat/completions/",
            "/v1/./chat/completions",
            "/%761/chat/completions",
            "/v1/chat/completions;x",
            "/engines//completions",
            "/engines/completions",
            "/openai/deployments/x/messages",
        ] {
            assert_eq!(model_route(path), None, "{path}");
        }
    }
}
