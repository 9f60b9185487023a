//! The configured fallbacks, looked up by the name that a client asked for.

use std::collections::HashMap;

use crate::index::PatternIndex;
use crate::pattern::ModelPattern;

/// Which table of fallbacks an error asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FallbackKind {
    /// `fallbacks`.
    General,
    /// `context_window_fallbacks`.
    ContextWindow,
    /// `content_policy_fallbacks`.
    ContentPolicy,
}

/// The configured fallbacks: (key, names) in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct FallbackSpec {
    /// `fallbacks`; a key `*` counts as `default_fallbacks`.
    pub general: Vec<(String, Vec<String>)>,
    /// `context_window_fallbacks`.
    pub context_window: Vec<(String, Vec<String>)>,
    /// `content_policy_fallbacks`.
    pub content_policy: Vec<(String, Vec<String>)>,
    /// `default_fallbacks`.
    pub default: Vec<String>,
}

/// The key that stands for every name, in LiteLLM's way of writing default fallbacks.
const ANY: &str = "*";

/// All tables, compiled.
pub(crate) struct Fallbacks {
    general: KeyedNames,
    context_window: KeyedNames,
    content_policy: KeyedNames,
    default: Vec<String>,
}

/// One table: literal keys, and patterns for the rest.
struct KeyedNames {
    exact: HashMap<String, Vec<String>>,
    patterns: PatternIndex<Vec<String>>,
}

impl Fallbacks {
    pub(crate) fn new(mut spec: FallbackSpec) -> Fallbacks {
        // LiteLLM files `default_fallbacks` behind the others as one more `*`, and the last `*` counts.
        let written_as_key =
            spec.general.extract_if(.., |(key, _)| key == ANY).last().map(|(_, names)| names);
        let default = if spec.default.is_empty() { written_as_key.unwrap_or_default() } else { spec.default };
        Fallbacks {
            general: KeyedNames::new(spec.general),
            context_window: KeyedNames::new(spec.context_window),
            content_policy: KeyedNames::new(spec.content_policy),
            default,
        }
    }

    /// Empty when none is configured for the name.
    pub(crate) fn of(&self, requested: &str, kind: FallbackKind) -> &[String] {
        match kind {
            FallbackKind::General => &self.general,
            FallbackKind::ContextWindow => &self.context_window,
            FallbackKind::ContentPolicy => &self.content_policy,
        }
        .of(requested)
    }

    pub(crate) fn default(&self) -> &[String] {
        &self.default
    }
}

impl KeyedNames {
    fn new(pairs: Vec<(String, Vec<String>)>) -> KeyedNames {
        let patterns: Vec<_> =
            pairs.iter().filter_map(|(key, names)| Some((ModelPattern::new(key)?, names.clone()))).collect();
        let mut exact = HashMap::new();
        for (key, names) in pairs {
            exact.entry(key).or_insert(names);
        }
        // Anchored in either mode: LiteLLM has no patterns here whose reading could be kept.
        KeyedNames { exact, patterns: PatternIndex::new(patterns, true) }
    }

    fn of(&self, requested: &str) -> &[String] {
        let stripped = || requested.split_once('/').and_then(|(_, name)| self.exact.get(name));
        let by_pattern = || self.patterns.find(requested).map(|(_, names)| names);
        self.exact.get(requested).or_else(stripped).or_else(by_pattern).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fallbacks(general: &[(&str, &str)], default: &[&str]) -> Fallbacks {
        Fallbacks::new(FallbackSpec {
            general: general.iter().map(|(key, name)| ((*key).into(), vec![(*name).into()])).collect(),
            default: default.iter().map(|name| (*name).into()).collect(),
            ..FallbackSpec::default()
        })
    }

    #[test]
    fn literal_key_then_stripped_then_pattern() {
        let table = fallbacks(&[("openai/*", "wild"), ("zz", "stripped"), ("openai/gpt", "literal")], &[]);
        let of = |name| table.of(name, FallbackKind::General);
        assert_eq!(of("openai/gpt"), ["literal"]);
        assert_eq!(of("openai/zz"), ["stripped"]);
        assert_eq!(of("openai/other"), ["wild"]);
        assert!(of("unrelated").is_empty());
        assert!(table.of("openai/gpt", FallbackKind::ContextWindow).is_empty());
    }

    #[test]
    fn a_star_key_is_the_default_unless_defaults_are_written() {
        assert_eq!(fallbacks(&[("*", "star")], &[]).default(), ["star"]);
        assert_eq!(fallbacks(&[("*", "star")], &["written"]).default(), ["written"]);
        assert!(fallbacks(&[("*", "star")], &[]).of("x", FallbackKind::General).is_empty());
    }
}
