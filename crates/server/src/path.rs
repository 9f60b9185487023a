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
    /// Its entry in [`MODEL_PATHS`].
    pub(crate) path: &'static str,
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

/// Those of them that say the model: what stands before it and behind it.
const WITH_MODEL: [(&str, &str, Operation, &str); 6] = [
    ("/engines/", "/chat/completions", Operation::ChatCompletions, MODEL_PATHS[2]),
    ("/openai/deployments/", "/chat/completions", Operation::ChatCompletions, MODEL_PATHS[3]),
    ("/engines/", "/completions", Operation::Completions, MODEL_PATHS[6]),
    ("/openai/deployments/", "/completions", Operation::Completions, MODEL_PATHS[7]),
    ("/engines/", "/embeddings", Operation::Embeddings, MODEL_PATHS[10]),
    ("/openai/deployments/", "/embeddings", Operation::Embeddings, MODEL_PATHS[11]),
];

/// The route of a path, if it calls a model. Paths are compared as they come: a spelling such as
/// `//v1/…` or `%2fv1` is another path, and unknown.
pub(crate) fn model_route(path: &str) -> Option<ModelRoute> {
    let (operation, path) = match path {
        "/v1/chat/completions" => (Operation::ChatCompletions, MODEL_PATHS[0]),
        "/chat/completions" => (Operation::ChatCompletions, MODEL_PATHS[1]),
        "/v1/messages" => (Operation::Messages, MODEL_PATHS[12]),
        "/v1/responses" => (Operation::Responses, MODEL_PATHS[13]),
        "/responses" => (Operation::Responses, MODEL_PATHS[14]),
        "/v1/embeddings" => (Operation::Embeddings, MODEL_PATHS[8]),
        "/embeddings" => (Operation::Embeddings, MODEL_PATHS[9]),
        "/v1/completions" => (Operation::Completions, MODEL_PATHS[4]),
        "/completions" => (Operation::Completions, MODEL_PATHS[5]),
        _ => return with_model(path),
    };
    Some(ModelRoute { operation, model: None, path })
}

/// `/engines/{model}/…` and `/openai/deployments/{model}/…`, where the model may contain slashes.
fn with_model(path: &str) -> Option<ModelRoute> {
    let (operation, model, path) = WITH_MODEL.into_iter().find_map(|(start, end, operation, route)| {
        let rest = path.strip_prefix(start)?;
        let model = rest.strip_suffix(end)?;
        Some((operation, model, route))
    })?;
    if model.is_empty() {
        return None;
    }
    let model = percent_decode_str(model).decode_utf8_lossy().into_owned();
    Some(ModelRoute { operation, model: Some(model), path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_path_is_a_route() {
        for path in MODEL_PATHS {
            let route = model_route(&path.replace("{model}", "a/b")).unwrap();
            assert_eq!((route.path, route.model.is_some()), (path, path.contains("{model}")));
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
