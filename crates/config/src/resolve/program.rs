//! What of a configuration is nothing to a program that has the router inside itself: the gateway's
//! door, its database and its routes. A configuration that serves a gateway too loads there without a
//! word about them, and what they would need is not asked for.

use crate::keys::{GENERAL, Standing, TOP};
use crate::node::{Map, Value};

/// The keys of `general_settings` that the router itself obeys.
const GENERAL_OF_ROUTER: [&str; 6] = [
    "completion_model",
    "strict_config",
    "tag_grants",
    "reserved_tags",
    "fallback_price",
    "provider_url_destination_allowed_hosts",
];

/// Those of `litellm_settings` that are about callers, their keys and budgets, and about routes.
const LITELLM_OF_GATEWAY: [&str; 28] = [
    "require_auth_for_metrics_endpoint",
    "max_budget",
    "budget_duration",
    "default_soft_budget",
    "budget_exceeded_throttle_percentage",
    "budget_rollover",
    "budget_reset_time",
    "tag_budget_config",
    "max_user_budget",
    "max_internal_user_budget",
    "default_max_internal_user_budget",
    "internal_user_budget_duration",
    "max_end_user_budget",
    "max_end_user_budget_id",
    "default_key_generate_params",
    "upperbound_key_generate_params",
    "key_generation_settings",
    "default_internal_user_params",
    "default_team_params",
    "default_team_settings",
    "model_group_settings",
    "overwrite_user_with_key_hash",
    "check_provider_endpoint",
    "user_url_validation",
    "user_url_allowed_hosts",
    "blocked_user_list",
    "validate_end_user_id_in_db",
    "require_managed_files",
];

/// Takes out what only a gateway asks for. What nobody knows stays, to be named.
pub(super) fn narrow(file: &mut Map) {
    file.entries.retain(|entry| match TOP.standing(&entry.key) {
        Standing::Used | Standing::Guard(_) | Standing::Unknown => true,
        Standing::Quiet | Standing::Later(_) => false,
    });
    for entry in &mut file.entries {
        let Value::Map(map) = &mut entry.value.value else { continue };
        match entry.key.as_str() {
            "general_settings" => {
                map.entries.retain(|entry| is_of_router(&entry.key));
            }
            "litellm_settings" => {
                map.entries.retain(|entry| !LITELLM_OF_GATEWAY.contains(&entry.key.as_str()));
            }
            _ => {}
        }
    }
}

fn is_of_router(key: &str) -> bool {
    GENERAL_OF_ROUTER.contains(&key) || matches!(GENERAL.standing(key), Standing::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::LITELLM;

    #[test]
    fn what_is_told_apart_is_a_key() {
        for key in GENERAL_OF_ROUTER {
            assert!(matches!(GENERAL.standing(key), Standing::Used), "{key}");
        }
        for key in LITELLM_OF_GATEWAY {
            assert!(!matches!(LITELLM.standing(key), Standing::Unknown), "{key}");
        }
    }
}
