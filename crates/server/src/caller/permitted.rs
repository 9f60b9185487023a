//! Which routes a key may call: `allowed_routes`, which only take away. What is not said is not allowed.

use crate::path::MODEL_PATHS;

/// Whether a list permits a route, as it was declared. An empty list permits all that the role may call.
pub(super) fn permits(allowed: &[String], route: &str) -> bool {
    allowed.is_empty() || allowed.iter().any(|entry| permits_by(entry, route))
}

/// A path, one that ends in `*`, or the name of a group of routes.
fn permits_by(entry: &str, route: &str) -> bool {
    // A route that was not matched is none.
    if route.is_empty() {
        return false;
    }
    if entry.starts_with('/') {
        return match entry.strip_suffix('*') {
            Some(start) => route.starts_with(start),
            None => route == entry,
        };
    }
    match entry {
        "llm_api_routes" => is_model(route) || is_listing(route),
        "openai_routes" => (is_model(route) && route != "/v1/messages") || is_listing(route),
        "anthropic_routes" => route == "/v1/messages",
        "info_routes" => is_info(route),
        "management_routes" => is_info(route) || is_management(route),
        "spend_tracking_routes" => is_spend(route),
        _ => false,
    }
}

fn is_model(route: &str) -> bool {
    MODEL_PATHS.contains(&route)
}

fn is_listing(route: &str) -> bool {
    ["/models", "/v1/models"]
        .iter()
        .any(|list| route == *list || route.strip_prefix(list).is_some_and(|rest| rest.starts_with('/')))
}

fn is_info(route: &str) -> bool {
    let is_record =
        ["/key/", "/team/", "/user/", "/tag/", "/v2/team/"].iter().any(|start| route.starts_with(start));
    (is_record && (route.ends_with("/info") || route.ends_with("/list")))
        || is_listing(route)
        || matches!(
            route,
            "/model/info" | "/v1/model/info" | "/model_group/info" | "/health" | "/route/explain"
        )
}

fn is_management(route: &str) -> bool {
    ["/key/", "/team/", "/user/", "/tag/", "/v2/team/"].iter().any(|start| route.starts_with(start))
}

fn is_spend(route: &str) -> bool {
    route.starts_with("/spend/") || route == "/global/spend" || route.starts_with("/global/spend/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_paths_beginnings_or_groups() {
        for (entry, route, permitted) in [
            ("/v1/models", "/v1/models", true),
            ("/v1/models", "/v1/models/{*id}", false),
            ("/v1/*", "/v1/chat/completions", true),
            ("/v1/*", "/chat/completions", false),
            ("*", "/v1/models", false),
            ("/*", "/key/generate", true),
            ("llm_api_routes", "/v1/messages", true),
            ("llm_api_routes", "/engines/{model}/completions", true),
            ("llm_api_routes", "/v1/models/{*id}", true),
            ("llm_api_routes", "/v1/modelsx", false),
            ("llm_api_routes", "/key/info", false),
            ("openai_routes", "/v1/messages", false),
            ("openai_routes", "/v1/responses", true),
            ("info_routes", "/team/info", true),
            ("info_routes", "/team/new", false),
            ("info_routes", "/v1/chat/completions", false),
            ("management_routes", "/key/{key}/regenerate", true),
            ("management_routes", "/v1/embeddings", false),
            ("nobody_knows_this", "/v1/models", false),
            ("", "/v1/models", false),
            ("/v1/models", "", false),
            ("/*", "", false),
        ] {
            assert_eq!(permits(&[entry.to_owned()], route), permitted, "{entry} {route}");
        }
        assert!(permits(&[], "/anything"));
    }
}
