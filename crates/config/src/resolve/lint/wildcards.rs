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
    let message =
        format!("upstream, `{model}` has {}; `{group}` captures {captured}", count(upstream, "star"));
    let fate = match (upstream, seen.spec.mode) {
        (0, _) => return,
        (more, _) if more > captured => "what is left of them goes upstream as it stands",
        (fewer, RoutingMode::Tagrail) if fewer < captured => {
            "the last captures are used, where LiteLLM sends the requested name"
        }
        (fewer, RoutingMode::Litellm) if fewer < captured => "the requested name goes upstream instead",
        _ => return,
    };
    let code = if upstream > captured { "more-stars" } else { "fewer-stars" };
    let help = "give both the same number of stars".to_owned();
    findings.warn(code, member.place("model"), format!("{message}: {fate}"), Some(help));
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
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
        access: tagrail_routing::Access::Admin,
        operators_choice: false,
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
