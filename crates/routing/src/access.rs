//! May this caller use this name? What `models` of key, team and user admit.
//!
//! The question is asked of the name as sent, before any alias. Whatever a list does not admit by its
//! text, it may admit for what the name leads to: the group behind a deployment's id, and the access
//! groups of the deployments that the caller reaches.

use crate::names::Found;
use crate::reserved::View;
use crate::{Access, AccessList, NoRoute, ProviderGuess, RouteRequest, RoutingTable};

/// Entries that stand for every name.
const EVERYTHING: [&str; 2] = ["*", "all-proxy-models"];

/// The entry that takes everything away, whatever stands beside it.
const NOTHING: &str = "no-default-models";

/// Why the caller may not use the name; `None` when it may. What an operator chose needs no entry.
pub(crate) fn refusal(table: &RoutingTable, request: &RouteRequest<'_>, view: &View<'_>) -> Option<NoRoute> {
    let Access::Caller { policy, .. } = request.access else { return None };
    let asked = policy.models.iter().filter(|list| !list.models.is_empty());
    if request.operators_choice {
        return None;
    }
    let guess = &*table.names.guess;
    let mut meant = None;
    let denying = asked.filter(|list| !list.admits(request.model, guess)).find(|list| {
        let meant = meant.get_or_insert_with(|| Meant::by(table, request.model, view));
        list.denies_all() || !meant.opens(list, guess)
    })?;
    Some(NoRoute::ModelDenied { holder: denying.holder, models: denying.models.clone() })
}

/// What a name leads to, as far as lists care.
struct Meant<'a> {
    table: &'a RoutingTable,
    view: &'a View<'a>,
    found: Option<Found<'a>>,
}

impl<'a> Meant<'a> {
    fn by(table: &'a RoutingTable, model: &'a str, view: &'a View<'a>) -> Self {
        Meant { table, view, found: table.names.resolve(model, view, &mut ()).ok() }
    }

    fn opens(&self, list: &AccessList, guess: &dyn ProviderGuess) -> bool {
        let Some(found) = &self.found else { return false };
        let group = self.table.group(found.group);
        let group_is_admitted = || found.only.is_some() && list.admits(group.name(), guess);
        let reach = self.view.reach(found.group);
        let reached = |position: &usize| reach.as_ref().is_none_or(|reach| reach.members.contains(*position));
        let mut members =
            (0..group.size()).filter(reached).filter_map(|at| self.table.deployment(group.member(at)));
        group_is_admitted()
            || members.any(|spec| spec.access_groups.iter().any(|group| list.models.contains(group)))
    }
}

impl AccessList {
    /// Whether the list admits `name` by its text alone.
    fn admits(&self, name: &str, guess: &dyn ProviderGuess) -> bool {
        if self.models.is_empty() {
            return true;
        }
        if self.denies_all() {
            return false;
        }
        let mut entries = self.models.iter().chain(&self.also);
        entries.any(|entry| entry == name)
            || self.models.iter().any(|entry| EVERYTHING.contains(&entry.as_str()) || takes(entry, name))
            || self.admits_guessed(name, guess)
    }

    /// `openai/gpt-4*` admits `gpt-4o`. A name that brings its own prefix is never given another one.
    fn admits_guessed(&self, name: &str, guess: &dyn ProviderGuess) -> bool {
        if name.contains('/') || !self.models.iter().any(|entry| entry.contains('*')) {
            return false;
        }
        let Some(provider) = guess.provider_of(name) else { return false };
        let guessed = format!("{provider}/{name}");
        self.models.iter().any(|entry| takes(entry, &guessed))
    }

    fn denies_all(&self) -> bool {
        self.models.iter().any(|entry| entry == NOTHING)
    }
}

/// Whether an entry with stars takes the whole of `name`. Everything but a star means itself, and both
/// ends are anchored in either mode.
fn takes(entry: &str, name: &str) -> bool {
    let Some((start, rest)) = entry.split_once('*') else { return false };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut between) = name.strip_prefix(start).and_then(|name| name.strip_suffix(end)) else {
        return false;
    };
    // Each literal at its first place leaves the most to those after it.
    middle.split('*').all(|literal| match between.find(literal) {
        Some(at) => {
            between = &between[at + literal.len()..];
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Holder;

    struct Guess;

    impl ProviderGuess for Guess {
        fn provider_of(&self, model: &str) -> Option<&str> {
            match model {
                "claude-sonnet-4-5" => Some("anthropic"),
                "gpt-4o" | "gpt-3.5-turbo" | "bedrockz/gpt" => Some("openai"),
                _ => None,
            }
        }
    }

    fn admits(models: &[&str], name: &str) -> bool {
        let models = models.iter().map(|entry| (*entry).to_owned()).collect();
        AccessList { holder: Holder::Key, models, also: vec!["mine".into()] }.admits(name, &Guess)
    }

    #[test]
    fn entries_are_names_or_patterns_anchored_at_both_ends() {
        for (entry, admitted, refused) in [
            ("g", &["g", "mine"][..], &["G", "gg", "", "g "][..]),
            (
                "anthropic/*",
                &["anthropic/claude-sonnet-4-5", "anthropic/", "claude-sonnet-4-5"],
                &["openai/gpt-4o", "g", "anthropicX/foo", "anthropic"],
            ),
            ("llama*-chat", &["llama3-chat", "llama-chat"], &["llama3-chat-extra", "xllama3-chat", "llama3"]),
            ("gpt.*", &["gpt.4"], &["gptX4", "gpt-4o"]),
            ("c+d*", &["c+d1"], &["ccd1"]),
            ("a(*", &["a(b"], &["a", "ab"]),
            ("openai/gpt-4*", &["openai/gpt-4o", "gpt-4o"], &["gpt-3.5-turbo", "azure/gpt-4o"]),
            ("bedrock/*", &["bedrock/x"], &["bedrockz/x"]),
            ("openai/*", &["gpt-4o"], &["bedrockz/gpt"]),
            ("*bc*de*", &["bcde", "xbcxdex", "bcbcde"], &["debc", "bcd", "bc"]),
            ("ab*ba", &["abba", "ab-ba"], &["aba"]),
        ] {
            for name in admitted {
                assert!(admits(&[entry], name), "{entry} admits {name}");
            }
            for name in refused {
                assert!(!admits(&[entry], name), "{entry} refuses {name}");
            }
        }
    }

    #[test]
    fn some_entries_stand_for_everything_or_nothing() {
        for all in [&[][..], &["*"], &["all-proxy-models"], &["g", "*"]] {
            assert!(admits(all, "whatever") && admits(all, "a\nb"), "{all:?}");
        }
        for none in [&["no-default-models"][..], &["*", "no-default-models"], &["g", "no-default-models"]] {
            assert!(
                !admits(none, "g") && !admits(none, "mine") && !admits(none, "no-default-models"),
                "{none:?}"
            );
        }
    }

    #[test]
    fn the_matcher_agrees_with_the_one_of_routing() {
        let pieces = ["", "a", "b", "*", "ab", "a*", "*b", "**"];
        let names = ["", "a", "b", "ab", "aab", "abab", "ba", "b*a", "*", "a\nb"];
        for first in pieces {
            for second in pieces {
                let entry = format!("{first}{second}");
                let pattern = crate::ModelPattern::new(&entry);
                for name in names {
                    let expected = pattern.as_ref().is_some_and(|pattern| pattern.matches(name, true));
                    assert_eq!(takes(&entry, name), expected, "{entry} {name}");
                }
            }
        }
    }
}
