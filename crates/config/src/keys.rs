//! Which keys a configuration may have, and what became of each.
//!
//! LiteLLM has several hundred, most of them outside of what a router does. A key is *used*; or
//! *quiet*, when nobody can tell that it has no effect; or *later*, when somebody could, which is
//! said once; or a *guard*, when what it protects would stand open without it, which is refused.

mod general;
mod litellm;
mod params;
mod router;

use crate::findings::Findings;
use crate::node::{Entry, Map, Node, Value};

pub(crate) use general::{FALLBACK_PRICE, GENERAL};
pub(crate) use litellm::{CHECKING_CALLBACKS, LITELLM};
pub(crate) use params::{CALL, INFO, PARAMS};
pub(crate) use router::ROUTER;
pub(crate) use tagrail_providers::is_price_parameter as is_price;

/// What the keys begin with under which people keep values for anchors.
const SCRATCH: [&str; 3] = ["x-", "_", "."];

/// Whether a key is one that only keeps a value for anchors.
pub(crate) fn is_scratch(key: &str) -> bool {
    SCRATCH.iter().any(|start| key.starts_with(start))
}

/// The keys of one map of the configuration.
pub(crate) struct Section {
    /// Where it is, for a sentence.
    pub(crate) name: &'static str,
    /// Keys that have their effect.
    pub(crate) used: &'static [&'static str],
    /// Keys without an effect that anybody would miss.
    pub(crate) quiet: &'static [&'static str],
    /// Keys without their effect, and what happens instead.
    pub(crate) later: &'static [(&'static str, &'static str)],
    /// Keys without which something would stand open, and what.
    pub(crate) guards: &'static [(&'static str, &'static str)],
}

/// The top level of the file.
pub(crate) const TOP: Section = Section {
    name: "the configuration",
    used: &[
        "model_list",
        "router_settings",
        "litellm_settings",
        "general_settings",
        "environment_variables",
        "credential_list",
        "include",
    ],
    quiet: &["callback_settings", "worker_registry", "agent_list", "classifier_plugin", "mcp_aliases"],
    later: &[
        ("mcp_servers", "no MCP route is served"),
        ("mcp_tools", "no MCP route is served"),
        ("prompts", "prompts are not filled in"),
        ("search_tools", "no search route is served"),
        ("sandbox_tools", "no sandbox is started"),
        ("vector_store_registry", "no vector store is asked"),
        ("files_settings", "no files route is served"),
        ("finetune_settings", "no fine-tuning route is served"),
        ("assistant_settings", "no assistants route is served"),
        ("default_vertex_config", "no Vertex pass-through is served"),
        ("agents", "no agent route is served"),
        ("plugins", "plug-ins are Python code, and none is loaded"),
    ],
    guards: &[
        ("guardrails", "requests and replies would pass unchecked"),
        ("policies", "requests and replies would pass unchecked"),
        ("policy_attachments", "requests and replies would pass unchecked"),
    ],
};

/// One item of `model_list`.
pub(crate) const ENTRY: Section = Section {
    name: "a deployment",
    used: &["model_name", "litellm_params", "model_info"],
    quiet: &["tpm", "rpm", "description", "model_description"],
    later: &[],
    guards: &[],
};

/// How a key stands.
pub(crate) enum Standing {
    Used,
    Quiet,
    Later(&'static str),
    Guard(&'static str),
    Unknown,
}

impl Section {
    /// How a key stands in this section.
    pub(crate) fn standing(&self, key: &str) -> Standing {
        let among =
            |list: &[(&str, &'static str)]| list.iter().find(|(name, _)| *name == key).map(|(_, text)| *text);
        if self.used.contains(&key) {
            Standing::Used
        } else if let Some(text) = among(self.later) {
            Standing::Later(text)
        } else if let Some(text) = among(self.guards) {
            Standing::Guard(text)
        } else if self.quiet.contains(&key) {
            Standing::Quiet
        } else {
            Standing::Unknown
        }
    }

    /// All keys, for the nearest one.
    fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        let named = |list: &'static [(&'static str, &'static str)]| list.iter().map(|(name, _)| *name);
        self.used
            .iter()
            .copied()
            .chain(self.quiet.iter().copied())
            .chain(named(self.later))
            .chain(named(self.guards))
    }

    /// The known key that `key` was probably meant to be; those that have an effect come first.
    pub(crate) fn nearest(&self, key: &str) -> Option<&'static str> {
        nearest(key, self.names())
    }

    /// Says of every key of `map` what has to be said.
    pub(crate) fn check(&self, map: &Map, findings: &mut Findings) {
        for entry in &map.entries {
            match self.standing(&entry.key) {
                Standing::Used | Standing::Quiet => {}
                Standing::Later(instead) => self.later(entry, instead, findings),
                Standing::Guard(open) if says_something(&entry.value) => {
                    let message = format!("`{}` is not supported yet, and without it {open}", entry.key);
                    findings.unprotected(entry.at, message);
                }
                Standing::Guard(_) => {}
                Standing::Unknown => self.unknown(entry, findings),
            }
        }
    }

    fn later(&self, entry: &Entry, instead: &str, findings: &mut Findings) {
        if says_something(&entry.value) {
            let message = format!("`{}` has no effect yet: {instead}", entry.key);
            findings.warn("not-yet-supported", entry.at, message, None);
        }
    }

    fn unknown(&self, entry: &Entry, findings: &mut Findings) {
        if is_scratch(&entry.key) {
            return;
        }
        let message = format!("`{}` is not a key of {}, and is ignored", entry.key, self.name);
        let help = if self.name == ENTRY.name && matches!(PARAMS.standing(&entry.key), Standing::Used) {
            Some(format!("put `{}` below `litellm_params`", entry.key))
        } else if self.name == ENTRY.name && matches!(INFO.standing(&entry.key), Standing::Used) {
            Some(format!("put `{}` below `model_info`", entry.key))
        } else {
            self.nearest(&entry.key).map(|near| format!("did you mean `{near}`?"))
        };
        findings.warn("unknown-key", entry.at, message, help);
    }
}

/// Whether a value asks for anything: null, false, and empty ones leave a switch off. A variable that
/// is not set was meant to ask.
pub(crate) fn says_something(node: &Node) -> bool {
    match &node.value {
        Value::Null => node.variable.is_some(),
        Value::Bool(false) => false,
        Value::Text(text) => !text.is_empty(),
        Value::List(list) => !list.is_empty(),
        Value::Map(map) => !map.entries.is_empty(),
        _ => true,
    }
}

/// The name that `key` was probably meant to be: its other number, however short it is, or one that
/// takes few letters to reach.
pub(crate) fn nearest(key: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let allowed = match key.chars().count() {
        0..=3 => 0,
        4..=5 => 1,
        6..=11 => 2,
        _ => 3,
    };
    let other_number =
        |name: &str| name.strip_suffix('s') == Some(key) || key.strip_suffix('s') == Some(name);
    let near = |name: &'static str| (if other_number(name) { 0 } else { distance(key, name) }, name);
    names
        .map(near)
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The parameter of a call that `key` was probably meant to be. Providers have short ones of their own,
/// so of short keys only the number may be wrong.
pub(crate) fn nearest_call(key: &str) -> Option<&'static str> {
    let names = CALL.iter().copied();
    if key.chars().count() < 6 {
        return names.into_iter().find(|name| name.strip_suffix('s') == Some(key));
    }
    nearest(key, names)
}

/// The section of the configuration that has a key of this name.
pub(crate) fn section_of(key: &str) -> Option<&'static Section> {
    let sections = [&INFO, &ROUTER, &LITELLM, &GENERAL, &ENTRY, &TOP];
    sections.into_iter().find(|section| !matches!(section.standing(key), Standing::Unknown))
}

/// Letters to change, add, remove or swap with their neighbour to make one word of the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let change = last[j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

/// All keys that have an effect.
pub(crate) fn effective() -> impl Iterator<Item = &'static str> {
    [&TOP, &ENTRY, &ROUTER, &LITELLM, &GENERAL, &PARAMS, &INFO]
        .into_iter()
        .flat_map(|section| section.used.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_the_one_meant() {
        assert_eq!(ROUTER.nearest("enable_tag_filterng"), Some("enable_tag_filtering"));
        assert_eq!(ROUTER.nearest("falbacks"), Some("fallbacks"));
        assert_eq!(TOP.nearest("modellist"), Some("model_list"));
        assert_eq!(PARAMS.nearest("tgas"), Some("tags"));
        assert_eq!(ROUTER.nearest("bogus_key"), None);
        assert_eq!(PARAMS.nearest("tag"), Some("tags"));
        assert_eq!(PARAMS.nearest("orders"), Some("order"));
        assert_eq!(PARAMS.nearest("rum"), None);
        assert_eq!(nearest_call("temprature"), Some("temperature"));
        assert_eq!(nearest_call("max_token"), Some("max_tokens"));
        assert_eq!(nearest_call("tool"), Some("tools"));
        assert_eq!(nearest_call("top_b"), None);
    }

    #[test]
    fn distance_counts_edits_and_swaps() {
        assert_eq!(distance("tags", "tags"), 0);
        assert_eq!(distance("tgas", "tags"), 1);
        assert_eq!(distance("", "tags"), 4);
        assert_eq!(distance("order", "orders"), 1);
    }

    #[test]
    fn the_gateways_keys_are_in_the_one_table_and_parameters_of_a_call_are_not() {
        for name in PARAMS.names() {
            assert!(tagrail_providers::is_gateway_parameter(name), "{name} could be sent to a provider");
        }
        for name in CALL {
            assert!(!tagrail_providers::is_gateway_parameter(name), "{name} would not be sent");
        }
    }

    #[test]
    fn no_key_stands_twice() {
        for section in [&TOP, &ENTRY, &ROUTER, &LITELLM, &GENERAL, &PARAMS, &INFO] {
            let mut names: Vec<&str> = section.names().collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count, "{} has a key twice", section.name);
        }
    }
}
