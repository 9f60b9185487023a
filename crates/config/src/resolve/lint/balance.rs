//! `order`, `weight`, `rpm` and `tpm`, which take calls from the deployments that do without.

use tagrail_routing::DeploymentSpec;

use super::{Group, Member};
use crate::findings::Findings;

/// Above so many deployments in a group, pairs are not compared.
const MANY: usize = 500;

pub(super) fn look(group: &Group<'_>, findings: &mut Findings) {
    if group.members.len() < 2 || group.members.len() > MANY {
        return;
    }
    for member in &group.members {
        let rivals: Vec<&Member<'_>> =
            group.members.iter().filter(|other| rival(group, member.spec, other.spec)).collect();
        let ordered = rivals.iter().find(|other| other.spec.order.is_some());
        if let (None, Some(other)) = (member.spec.order, ordered) {
            let message = format!(
                "this deployment of `{}` has no `order`, and the one at {} has: where both could serve, it \
                 is not chosen",
                group.name,
                findings.name(other.node.at)
            );
            findings.warn("order-hides", member.place("order"), message, Some(largest(&rivals)));
            continue;
        }
        unweighted(member, &rivals, findings);
    }
}

/// Whether both can be candidates for one request.
fn rival(group: &Group<'_>, one: &DeploymentSpec, other: &DeploymentSpec) -> bool {
    let bare = |spec: &DeploymentSpec| spec.tags.is_empty() && spec.tag_regex.is_empty();
    !std::ptr::eq(one, other)
        && (!group.filtered
            || bare(one) && bare(other)
            || one.tags.iter().any(|tag| other.tags.contains(tag)))
}

fn largest(rivals: &[&Member<'_>]) -> String {
    let last = rivals.iter().filter_map(|rival| rival.spec.order).max().unwrap_or_default();
    format!("add `order: {}` to be tried last", last.saturating_add(1))
}

/// The keys that can be weights, the first of which that any candidate has is the weight of all.
type Weight = fn(&DeploymentSpec) -> Option<f64>;
const WEIGHTS: [(&str, Weight); 3] =
    [("weight", |spec| spec.weight), ("rpm", |spec| spec.rpm), ("tpm", |spec| spec.tpm)];

fn unweighted(member: &Member<'_>, rivals: &[&Member<'_>], findings: &mut Findings) {
    let candidates: Vec<&&Member<'_>> =
        rivals.iter().filter(|rival| rival.spec.order == member.spec.order).collect();
    let counts = |spec: &DeploymentSpec, weight: Weight| weight(spec).is_some_and(|weight| weight > 0.0);
    for (key, weight) in WEIGHTS {
        if counts(member.spec, weight) {
            return;
        }
        if let Some(other) = candidates.iter().find(|other| counts(other.spec, weight)) {
            // A weight of 0 that is written is meant.
            if weight(member.spec).is_none() {
                let message = format!(
                    "this deployment of `{}` has no `{key}`, and the one at {} has: it counts as 0, and gets \
                     calls only when that one fails",
                    member.spec.group,
                    findings.name(other.node.at)
                );
                let help = format!("give every deployment a `{key}`, or none");
                findings.warn("weight-hides", member.place(key), message, Some(help));
            }
            return;
        }
    }
}
