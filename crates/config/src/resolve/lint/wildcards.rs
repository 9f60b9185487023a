//! Patterns that take other names than they seem to, and upstream names that stars do not fill.

use std::collections::HashMap;

use tagrail_routing::{Chance, ModelPattern, Moment, RouteRequest, RoutingMode};

use super::{Group, Member, Seen};
use crate::findings::Findings;

pub(super) fn look(seen: &Seen<'_>, groups: &[Group<'_>], findings: &mut Findings) {
    let patterns: HashMap<&str, ModelPattern> =
        groups.iter().filter_map(|group| Some((group.name, ModelPattern::new(group.name)?))).collect();
    for group in groups {
        for member in &group.members {
            stars(seen, member, findings);
        }
        if let (Some(pattern), Some(first)) = (patterns.get(group.name), group.members.first()) {
            open_end(seen, pattern, first, findings);
            taken_by_another(seen, pattern, &patterns, first, findings);
        }
    }
}

/// Stars upstream against stars captured.
fn stars(seen: &Seen<'_>, member: &Member<'_>, findings: &mut Findings) {
    let captured = member.spec.group.matches('*').count();
    let upstream = member.spec.model.matches('*').count();
    let (group, model) = (&member.spec.group, &member.spec.model);
    if upstream > captured {
        let left = upstream - captured;
        let message = format!(
            "`{model}` has {upstream} stars and `{group}` captures {captured}: {left} of them go upstream as they stand"
        );
        findings.warn(
            "more-stars",
            member.place("model"),
            message,
            Some("give both the same number of stars".into()),
        );
    } else if upstream > 0 && upstream < captured {
        let fate = match seen.spec.mode {
            RoutingMode::Tagrail => {
                "they are filled with the last captures; LiteLLM sends the requested name instead"
            }
            RoutingMode::Litellm => "the requested name goes upstream instead",
        };
        let message = format!("`{model}` has {upstream} stars and `{group}` captures {captured}: {fate}");
        findings.warn(
            "fewer-stars",
            member.place("model"),
            message,
            Some("give both the same number of stars".into()),
        );
    }
}

/// LiteLLM anchors patterns at the start only (row D2).
fn open_end(seen: &Seen<'_>, pattern: &ModelPattern, first: &Member<'_>, findings: &mut Findings) {
    if pattern.text().ends_with('*') {
        return;
    }
    let witness = format!("{}-extra", witness(pattern.text()));
    let message = match seen.spec.mode {
        RoutingMode::Tagrail => {
            format!("`{}` does not take `{witness}`, which LiteLLM lets it take", pattern.text())
        }
        RoutingMode::Litellm => format!("`{}` takes `{witness}` too, and drops what follows", pattern.text()),
    };
    let help = format!("write `{}*` if names may go on", pattern.text());
    findings.warn("open-end", first.place("model_name"), message, Some(help));
}

/// A name that the pattern takes goes to a pattern with less literal text: more stars make one look
/// more specific.
fn taken_by_another(
    seen: &Seen<'_>,
    pattern: &ModelPattern,
    patterns: &HashMap<&str, ModelPattern>,
    first: &Member<'_>,
    findings: &mut Findings,
) {
    let witness = witness(pattern.text());
    let question = RouteRequest {
        model: &witness,
        tags: &[],
        user_agent: None,
        force_tag_filtering: false,
        moment: Moment(0),
        chance: Chance::default(),
    };
    let Some(winner) = seen.table.explain(&question, &()).group else { return };
    let literals = |text: &str| text.chars().filter(|c| *c != '*').count();
    if winner != pattern.text()
        && patterns.contains_key(winner.as_str())
        && literals(&winner) < literals(pattern.text())
    {
        let message = format!(
            "`{witness}` goes to `{winner}` and not to `{}`: the longer escaped pattern is tried first",
            pattern.text()
        );
        findings.warn("wildcard-order", first.place("model_name"), message, None);
    }
}

/// A name that the pattern takes.
fn witness(pattern: &str) -> String {
    pattern.replace('*', "x")
}
