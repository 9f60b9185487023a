//! Configurations for tests. They are JSON, which is YAML, so nothing here can indent wrongly.

use serde_json::{Map, Value, json};

/// A deployment with an OpenAI-compatible upstream: `model_name`, `model_info.id`, tags, base. Its
/// upstream model is its id, so the upstream can tell deployments apart.
pub fn deployment(group: &str, id: &str, tags: &[&str], base: &str) -> Value {
    let mut params = json!({"model": format!("openai/{id}"), "api_base": base, "api_key": "sk-upstream"});
    if !tags.is_empty() {
        params["tags"] = json!(tags);
    }
    json!({"model_name": group, "litellm_params": params, "model_info": {"id": id}})
}

/// A configuration with these deployments, master key `sk-1234`, tag filtering on, and `more` laid over
/// it, section by section.
pub fn config_text(deployments: &[Value], more: &Value) -> String {
    let mut config = json!({
        "model_list": deployments,
        "router_settings": {"enable_tag_filtering": true},
        "general_settings": {"master_key": "sk-1234"},
    });
    for (section, value) in more.as_object().into_iter().flatten() {
        match (config[section].as_object_mut(), value) {
            (Some(there), Value::Object(more)) => merge(there, more),
            _ => config[section] = value.clone(),
        }
    }
    format!("{config:#}\n")
}

fn merge(into: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (key, value) in more {
        into.insert(key.clone(), value.clone());
    }
}
