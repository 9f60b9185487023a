//! Tags as LiteLLM shows them, and what is reserved.

use serde_json::{Map, Value, json};
use tagrail::Snapshot;
use tagrail_store::{Budget, Limits, Tag};

use crate::fields::limits::{show_budget, show_limits};
use crate::routes::key::OPERATOR;

/// A tag with a row.
pub(super) fn tag(tag: &Tag, snapshot: &Snapshot) -> Value {
    let mut shown = Map::new();
    for (name, value) in [
        ("name", json!(tag.name)),
        ("description", json!(tag.description)),
        ("models", json!(tag.models)),
        ("model_info", json!({})),
        ("created_at", json!(tag.created_at.to_rfc3339())),
        ("updated_at", json!(tag.updated_at.to_rfc3339())),
        ("created_by", json!(OPERATOR)),
        ("reserved", json!(is_reserved(tag.reserved, &tag.name, snapshot))),
        ("deployments", json!(carriers(&tag.name, snapshot))),
        ("model_rpm_limit", json!(tag.limits.model_rpm)),
        ("model_tpm_limit", json!(tag.limits.model_tpm)),
    ] {
        shown.insert(name.to_owned(), value);
    }
    show_limits(&tag.limits, &mut shown);
    show_budget(&tag.budget, tag.spend, &mut shown);
    shown.extend(tag.kept.clone());
    if tag.budget != Budget::default() || tag.limits != Limits::default() {
        let mut table = Map::new();
        show_limits(&tag.limits, &mut table);
        show_budget(&tag.budget, tag.spend, &mut table);
        shown.insert("litellm_budget_table".to_owned(), Value::Object(table));
    }
    Value::Object(shown)
}

/// A tag that is only carried by deployments, or only reserved in the configuration.
pub(super) fn bare(name: &str, snapshot: &Snapshot) -> Value {
    json!({
        "name": name, "description": null, "models": [], "model_info": {},
        "created_at": null, "updated_at": null, "created_by": null,
        "reserved": is_reserved(None, name, snapshot),
        "deployments": carriers(name, snapshot),
    })
}

/// Whether a tag is reserved, by its row or by the configuration.
fn is_reserved(row: Option<bool>, name: &str, snapshot: &Snapshot) -> bool {
    row == Some(true) || by_configuration(name, snapshot)
}

/// Whether `general_settings.reserved_tags` has it.
pub(super) fn by_configuration(name: &str, snapshot: &Snapshot) -> bool {
    snapshot.general.reserved_tags.iter().any(|reserved| reserved == name)
}

/// The ids of the deployments that carry a tag.
fn carriers<'a>(name: &str, snapshot: &'a Snapshot) -> Vec<&'a str> {
    let deployments = snapshot.table.deployments().iter();
    let such = deployments.filter(|spec| spec.tags.iter().any(|tag| tag == name));
    such.map(|spec| spec.id.as_str()).collect()
}
