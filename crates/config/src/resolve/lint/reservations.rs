//! Reserved tags that protect less than they seem to.

use std::collections::{BTreeMap, BTreeSet};

use tagrail_routing::RoutingMode;

use super::{Group, Member, Seen, ledger};
use crate::Holdings;
use crate::findings::Findings;
use crate::node::Node;

/// More names than this are counted, not listed.
const SHOWN: usize = 10;

pub(super) fn look(seen: &Seen<'_>, groups: &[Group<'_>], findings: &mut Findings) {
    let of_store = seen.holdings.map(|holdings| holdings.reserved.as_slice()).unwrap_or_default();
    let reserved: BTreeSet<&str> = seen.reserved.iter().chain(of_store).map(String::as_str).collect();
    if reserved.is_empty() {
        return;
    }
    let of_member = |member: &Member<'_>| -> Vec<String> {
        let tags: BTreeSet<&str> = member.spec.tags.iter().map(String::as_str).collect();
        tags.intersection(&reserved).map(|tag| (*tag).to_owned()).collect()
    };
    let closed: Vec<(&Member<'_>, Vec<String>)> = groups
        .iter()
        .flat_map(|group| &group.members)
        .map(|member| (member, of_member(member)))
        .filter(|(_, tags)| !tags.is_empty())
        .collect();
    unused(seen, findings);
    if !seen.spec.tag_grants {
        grants_off(seen, &closed, findings);
        return;
    }
    let holders = seen.holdings.map(|holdings| holders(seen, holdings));
    for (member, tags) in &closed {
        if member.spec.tags.iter().any(|tag| tag == "default") {
            open_by_default(member, tags, findings);
        } else if tags.len() > 1 {
            shared(member, tags, holders.as_ref(), findings);
        }
    }
}

/// A reserved tag that no deployment carries closes nothing: probably a slip of the pen.
fn unused(seen: &Seen<'_>, findings: &mut Findings) {
    let left_out = seen.spec.left_out.iter().flat_map(|left_out| &left_out.tags);
    let carried: BTreeSet<&String> =
        seen.spec.deployments.iter().flat_map(|spec| &spec.tags).chain(left_out).collect();
    let items = seen.general.get("reserved_tags").and_then(Node::as_list).unwrap_or_default();
    for tag in seen.reserved.iter().filter(|tag| !carried.contains(tag)) {
        let said = |node: &&Node| {
            node.as_text().is_some_and(|text| ledger::bare_tag(text, &seen.spec.tag_prefix) == tag)
        };
        let Some(node) = items.iter().find(said) else { continue };
        let message = format!("no deployment carries the reserved tag `{tag}`: it closes nothing");
        let near = carried.iter().find(|known| known.eq_ignore_ascii_case(tag));
        let help = match near {
            Some(near) => format!("did you mean `{near}`? Tags are compared letter by letter"),
            None => "write it into the `tags` of a deployment, or remove it here".to_owned(),
        };
        findings.warn("reserved-unused", node.at, message, Some(help));
    }
}

/// Reservations that are switched off.
fn grants_off(seen: &Seen<'_>, closed: &[(&Member<'_>, Vec<String>)], findings: &mut Findings) {
    let written = seen.general.entry("tag_grants").filter(|entry| !entry.value.is_null());
    let place = written.or_else(|| seen.general.entry("reserved_tags"));
    let Some(at) =
        place.map(|entry| entry.value.at).or_else(|| closed.first().map(|(it, _)| it.place("tags")))
    else {
        return;
    };
    let why = match (written.is_some(), seen.spec.mode) {
        (false, RoutingMode::Litellm) => "reservations do not hold in `routing_mode: litellm`",
        _ => "with `tag_grants: false` reservations do not hold",
    };
    let mut ids: Vec<String> = closed
        .iter()
        .filter(|(member, _)| !member.spec.tags.iter().any(|tag| tag == "default"))
        .map(|(member, _)| format!("`{}`", member.spec.id))
        .collect();
    let more = ids.len().saturating_sub(SHOWN);
    ids.truncate(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = if ids.is_empty() {
        why.to_owned()
    } else {
        format!("{why}: every caller that names their tags reaches {}{more}", ids.join(", "))
    };
    let help =
        "write `tag_grants: true`; then only holders of a reserved tag reach what carries it".to_owned();
    findings.warn("grants-off", at, message, Some(help));
}

/// `default` serves everybody, whatever else the deployment carries.
fn open_by_default(member: &Member<'_>, tags: &[String], findings: &mut Findings) {
    let message = format!(
        "`{}` carries the reserved tag `{}` and `default`: every caller reaches it",
        member.spec.id,
        tags.join("`, `")
    );
    let help =
        "take `default` from its tags to close it, or give the default to another deployment".to_owned();
    findings.warn("default-reserved", member.place("tags"), message, Some(help));
}

/// Names of teams by the tag that they hold.
type Holders<'a> = BTreeMap<String, BTreeSet<&'a str>>;

fn holders<'a>(seen: &Seen<'_>, holdings: &'a Holdings) -> Holders<'a> {
    let mut holders = Holders::new();
    for (team, tags) in &holdings.teams {
        for tag in seen.table.reserving(tags) {
            holders.entry(tag).or_default().insert(team.as_str());
        }
    }
    holders
}

/// Two reserved tags on one deployment: whoever holds either reaches it.
fn shared(member: &Member<'_>, tags: &[String], holders: Option<&Holders<'_>>, findings: &mut Findings) {
    let none = BTreeSet::new();
    let message = match holders {
        None => format!(
            "`{}` carries the reserved tags `{}`: whoever holds one of them reaches it",
            member.spec.id,
            tags.join("` and `")
        ),
        Some(holders) => {
            let held: Vec<(&String, &BTreeSet<&str>)> = tags
                .iter()
                .map(|tag| (tag, holders.get(tag).unwrap_or(&none)))
                .filter(|(_, teams)| !teams.is_empty())
                .collect();
            // The same teams behind every tag share nothing that they would not share by one.
            if held.windows(2).all(|pair| pair[0].1 == pair[1].1) {
                return;
            }
            let through: Vec<String> =
                held.iter().map(|(tag, teams)| format!("{} through `{tag}`", named(teams))).collect();
            format!("`{}` is reached by {}", member.spec.id, through.join(", and by "))
        }
    };
    let help = "give each team a deployment of its own, or one tag that is meant to be shared".to_owned();
    findings.warn("shared-reservation", member.place("tags"), message, Some(help));
}

fn named(teams: &BTreeSet<&str>) -> String {
    let mut names: Vec<String> = teams.iter().take(SHOWN).map(|team| format!("`{team}`")).collect();
    if teams.len() > SHOWN {
        names.push(format!("{} more", teams.len() - SHOWN));
    }
    let word = if teams.len() == 1 { "team" } else { "teams" };
    format!("{word} {}", names.join(", "))
}
