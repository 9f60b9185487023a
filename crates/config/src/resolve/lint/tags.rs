//! Tags that do nothing, or less than they seem to.

use super::{Group, Member, Seen};
use crate::findings::Findings;

pub(super) fn look(seen: &Seen<'_>, groups: &[Group<'_>], findings: &mut Findings) {
    switched_off(seen, groups, findings);
    for group in groups {
        conflicting_switches(group, findings);
        fail_open_for_all(group, findings);
        emptied_default_pool(group, findings);
        for member in &group.members {
            unreachable_tags(seen, member, findings);
        }
    }
}

/// Tags on deployments without a switch that makes them route.
fn switched_off(seen: &Seen<'_>, groups: &[Group<'_>], findings: &mut Findings) {
    if seen.spec.tag_filtering || seen.router.get("enable_tag_filtering").is_some() {
        return;
    }
    let tagged = groups.iter().filter(|group| !group.filtered).flat_map(|group| &group.members);
    let Some(first) = tagged.into_iter().find(|member| member.has_tags()) else { return };
    let key = if first.spec.tags.is_empty() { "tag_regex" } else { "tags" };
    let message = "deployments carry tags, but `enable_tag_filtering` is off: tags do not route".to_owned();
    let help = "add `enable_tag_filtering: true` to `router_settings`, or `false` to say that it is meant"
        .to_owned();
    findings.warn("tags-off", first.place(key), message, Some(help));
}

/// The first deployment that says something decides for its group.
fn conflicting_switches(group: &Group<'_>, findings: &mut Findings) {
    let mut said = group.members.iter().filter_map(|member| member.spec.tag_filtering.map(|on| (member, on)));
    let Some((_, first)) = said.next() else { return };
    if let Some((other, _)) = said.find(|(_, on)| *on != first) {
        let message = format!(
            "`enable_tag_filtering` is {first} on an earlier deployment of `{}`, which decides for all of them",
            group.name
        );
        findings.warn("tag-switch-conflict", other.place("model_info.enable_tag_filtering"), message, None);
    }
}

/// `allow_fail_open` on one deployment opens its group.
fn fail_open_for_all(group: &Group<'_>, findings: &mut Findings) {
    let open = group.members.iter().find(|member| member.spec.allow_fail_open);
    let closed = group.members.iter().any(|member| !member.spec.allow_fail_open);
    if let (Some(member), true, true) = (open, closed, group.filtered) {
        let message = format!(
            "`allow_fail_open` on one deployment opens all of `{}`: a request whose tags match nothing is served \
             by any that a team's or key's `!` and `&` tags permit",
            group.name
        );
        findings.warn("fail-open-group", member.place("model_info.allow_fail_open"), message, None);
    }
}

/// A request that only excludes starts from the default pool; a tag that all of it carries empties it.
fn emptied_default_pool(group: &Group<'_>, findings: &mut Findings) {
    let pool: Vec<&Member<'_>> =
        group.members.iter().filter(|member| member.spec.tags.iter().any(|tag| tag == "default")).collect();
    let Some((first, rest)) =
        pool.split_first().filter(|_| group.filtered && pool.len() < group.members.len())
    else {
        return;
    };
    let everywhere =
        |tag: &&String| *tag != "default" && rest.iter().all(|member| member.spec.tags.contains(tag));
    if let Some(tag) = first.spec.tags.iter().find(everywhere) {
        let message = format!(
            "all `default` deployments of `{}` carry `{tag}` too: a request with `!{tag}` alone is refused, though \
             others could serve it",
            group.name
        );
        findings.warn("emptied-default", first.place("tags"), message, None);
    }
}

/// Tags that no request can ask for.
fn unreachable_tags(seen: &Seen<'_>, member: &Member<'_>, findings: &mut Findings) {
    let prefix = &seen.spec.tag_prefix;
    for tag in &member.spec.tags {
        let (problem, instead) = if let Some(plain) = tag.strip_prefix(['!', '&']) {
            ("in a request `!` and `&` are operators", plain)
        } else if !prefix.is_empty() && tag.starts_with(prefix.as_str()) {
            ("`tag_routing_prefix` is taken off what a request says", &tag[prefix.len()..])
        } else if tag.trim() != tag || tag.contains(',') {
            ("the header `x-litellm-tags` splits at commas and trims", tag.trim())
        } else {
            continue;
        };
        let message = format!("the tag `{tag}` is hard to ask for: {problem}");
        findings.warn("odd-tag", member.place("tags"), message, Some(format!("write `{}`", instead.trim())));
    }
}
