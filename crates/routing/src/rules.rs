//! The two routing modes, as named rules. A difference between them is a field here and an `if` on
//! it where the rule applies; there is no second router. Rows are those of the decisions page.

use std::str::FromStr;

/// `router_settings.routing_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RoutingMode {
    /// Tagrail's own rules.
    #[default]
    Tagrail,
    /// Every decision as LiteLLM 1.102.4 takes it.
    Litellm,
}

impl FromStr for RoutingMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "tagrail" => Ok(RoutingMode::Tagrail),
            "litellm" => Ok(RoutingMode::Litellm),
            _ => Err(()),
        }
    }
}

/// What a mode turns on. Every field is one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// D2: patterns are anchored at the end too.
    pub anchor_end: bool,
    /// D3: a tag match that is only cooling is 429, not 401.
    pub cooling_is_not_refusal: bool,
    /// D4: whether a group has a default pool is decided by the config, not by health.
    pub default_pool_by_config: bool,
    /// D5: a group in which no deployment declares tags is not subject to tags.
    pub untagged_groups_are_open: bool,
    /// D6: a deployment asked for by id still passes tags and health.
    pub ids_pass_the_stages: bool,
    /// D7: header and body tags are always united.
    pub tags_always_unite: bool,
    /// D8: wildcard deployments cool down.
    pub wildcards_cool: bool,
    /// D9: a written `allowed_fails: 3` counts, and deadlines extend.
    pub allowed_fails_as_written: bool,
    /// D21: tag policy and known tags of wildcard groups work as of any group.
    pub wildcard_groups_are_groups: bool,
    /// D22: with fewer stars upstream than captured, the last captures fill them.
    pub last_captures_fill: bool,
    /// D23: a regex that does not match excludes its own deployment only.
    pub regex_miss_is_local: bool,
    /// D24: asking for a wildcard deployment's id is refused instead of sending a bare star.
    pub wildcard_id_is_refused: bool,
    /// D26: `default_fallbacks` help an unknown name without any wildcard in the config.
    pub default_fallbacks_always: bool,
    /// D30: a deployment left out for a mistake still counts for the default pool and for what
    /// tags its group knows.
    pub left_out_count: bool,
}

impl From<RoutingMode> for Rules {
    fn from(mode: RoutingMode) -> Self {
        let on = mode == RoutingMode::Tagrail;
        Rules {
            anchor_end: on,
            cooling_is_not_refusal: on,
            default_pool_by_config: on,
            untagged_groups_are_open: on,
            ids_pass_the_stages: on,
            tags_always_unite: on,
            wildcards_cool: on,
            allowed_fails_as_written: on,
            wildcard_groups_are_groups: on,
            last_captures_fill: on,
            regex_miss_is_local: on,
            wildcard_id_is_refused: on,
            default_fallbacks_always: on,
            left_out_count: on,
        }
    }
}
