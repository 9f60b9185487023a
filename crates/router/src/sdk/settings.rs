//! `router_settings` that are common enough to have a method.

use std::time::Duration;

use serde_json::{Value, json};
use tagrail_routing::RoutingMode;

use crate::RouterBuilder;

/// Settings. What has no method here, [`RouterBuilder::setting`] sets.
impl RouterBuilder {
    /// `enable_tag_filtering`: tags of a call choose among deployments.
    pub fn tag_filtering(self, on: bool) -> RouterBuilder {
        self.setting("enable_tag_filtering", on)
    }

    /// `tag_filtering_match_any`: whether one of a call's tags is enough (as it is, unless this says
    /// otherwise), or a deployment must carry them all.
    pub fn match_any(self, any: bool) -> RouterBuilder {
        self.setting("tag_filtering_match_any", any)
    }

    /// `tag_routing_prefix`: only tags with this prefix are routed on.
    pub fn tag_prefix(self, prefix: impl Into<String>) -> RouterBuilder {
        self.setting("tag_routing_prefix", prefix.into())
    }

    /// `num_retries`: tries beyond the first; 2.
    pub fn num_retries(self, retries: u32) -> RouterBuilder {
        self.setting("num_retries", retries)
    }

    /// `retry_after`: the least pause before a deployment is asked again.
    pub fn retry_after(self, pause: Duration) -> RouterBuilder {
        self.setting("retry_after", pause.as_secs_f64())
    }

    /// Who is asked when this name does not answer.
    pub fn fallbacks(
        self,
        model: impl Into<String>,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> RouterBuilder {
        self.fallback("fallbacks", model.into(), names)
    }

    /// Who is asked when a prompt is too long for this name.
    pub fn context_window_fallbacks(
        self,
        model: impl Into<String>,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> RouterBuilder {
        self.fallback("context_window_fallbacks", model.into(), names)
    }

    /// Who is asked when a content policy refuses a prompt under this name.
    pub fn content_policy_fallbacks(
        self,
        model: impl Into<String>,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> RouterBuilder {
        self.fallback("content_policy_fallbacks", model.into(), names)
    }

    /// Who is asked when any name does not answer, or is not known.
    pub fn default_fallbacks(self, names: impl IntoIterator<Item = impl Into<String>>) -> RouterBuilder {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        self.setting("default_fallbacks", names)
    }

    /// `max_fallbacks`: how deeply fallbacks of fallbacks are followed; 5.
    pub fn max_fallbacks(self, most: u32) -> RouterBuilder {
        self.setting("max_fallbacks", most)
    }

    /// `max_attempts_per_call`: attempts of one call over retries, orders and fallbacks together; 20.
    pub fn max_attempts_per_call(self, most: u32) -> RouterBuilder {
        self.setting("max_attempts_per_call", most)
    }

    /// `model_group_alias`: a name that stands for another.
    pub fn alias(mut self, alias: impl Into<String>, model: impl Into<String>) -> RouterBuilder {
        if let Value::Object(aliases) = self.router("model_group_alias", json!({})) {
            aliases.insert(alias.into(), model.into().into());
        }
        self
    }

    /// `cooldown_time`: how long a deployment that failed is left alone; 5 s.
    pub fn cooldown_time(self, time: Duration) -> RouterBuilder {
        self.setting("cooldown_time", time.as_secs_f64())
    }

    /// `allowed_fails`: failures within a minute before a deployment cools.
    pub fn allowed_fails(self, fails: u32) -> RouterBuilder {
        self.setting("allowed_fails", fails)
    }

    /// `disable_cooldowns`.
    pub fn disable_cooldowns(self, disable: bool) -> RouterBuilder {
        self.setting("disable_cooldowns", disable)
    }

    /// `timeout`: how long one try may take.
    pub fn timeout(self, timeout: Duration) -> RouterBuilder {
        self.setting("timeout", timeout.as_secs_f64())
    }

    /// `stream_timeout`: how long a stream may be silent.
    pub fn stream_timeout(self, timeout: Duration) -> RouterBuilder {
        self.setting("stream_timeout", timeout.as_secs_f64())
    }

    /// Whether decisions are LiteLLM's, quirks included.
    pub fn routing_mode(self, mode: RoutingMode) -> RouterBuilder {
        let name = match mode {
            RoutingMode::Tagrail => "tagrail",
            RoutingMode::Litellm => "litellm",
        };
        self.setting("routing_mode", name)
    }

    /// Tags that only their holders reach; see [`Caller`](crate::Caller).
    pub fn reserved_tags(self, tags: impl IntoIterator<Item = impl Into<String>>) -> RouterBuilder {
        let tags: Vec<String> = tags.into_iter().map(Into::into).collect();
        self.section("general_settings", "reserved_tags", tags)
    }

    fn fallback(
        mut self,
        kind: &str,
        model: String,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> RouterBuilder {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        if let Value::Array(fallbacks) = self.router(kind, json!([])) {
            fallbacks.push(json!({ model: names }));
        }
        self
    }

    /// A value of `router_settings` that is added to.
    fn router(&mut self, key: &str, empty: Value) -> &mut Value {
        let settings = self.over.entry("router_settings").or_insert_with(|| json!({}));
        let value = &mut settings[key];
        if value.is_null() {
            *value = empty;
        }
        value
    }
}
