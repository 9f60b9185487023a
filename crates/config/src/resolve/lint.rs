//! What works and is probably not what was meant. Nothing here refuses anything: configurations
//! depend on every one of these rules.

mod balance;
mod reservations;
mod tags;
mod wildcards;

use tagrail_providers::Catalogue;
use tagrail_routing::{DeploymentIndex, DeploymentSpec, RoutingMode, RoutingTable, TableSpec};

use super::{ledger, locate};
use crate::Holdings;
use crate::findings::Findings;
use crate::node::{Map, Node, Place, Value};
use crate::reading::as_whole;

/// What there is to look at.
pub(super) struct Seen<'a> {
    pub(super) spec: &'a TableSpec,
    pub(super) table: &'a RoutingTable,
    /// Parallel to the deployments: their items of `model_list`.
    pub(super) nodes: &'a [&'a Node],
    /// `router_settings`.
    pub(super) router: &'a Map,
    /// `general_settings`.
    pub(super) general: &'a Map,
    /// `reserved_tags`, as they are understood.
    pub(super) reserved: &'a [String],
    /// What the store says besides, where it was asked.
    pub(super) holdings: Option<&'a Holdings>,
}

/// The deployments of one `model_name`.
struct Group<'a> {
    name: &'a str,
    members: Vec<Member<'a>>,
    /// Whether its requests are filtered by tags.
    filtered: bool,
}

#[derive(Clone, Copy)]
struct Member<'a> {
    spec: &'a DeploymentSpec,
    node: &'a Node,
}

/// Looks at everything.
pub(super) fn look(seen: &Seen<'_>, findings: &mut Findings) {
    let groups = seen.groups();
    three_fails(seen, findings);
    tags::look(seen, &groups, findings);
    reservations::look(seen, &groups, findings);
    for group in &groups {
        balance::look(group, findings);
    }
    wildcards::look(seen, &groups, findings);
    for group in &groups {
        for member in &group.members {
            guessed_provider(member, findings);
            text_for_number(member, findings);
        }
    }
}

impl<'a> Seen<'a> {
    /// Groups in the order of the file; deployments that were left out are not among them.
    fn groups(&self) -> Vec<Group<'a>> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        let mut places = std::collections::HashMap::new();
        let numbered = (0u32..).map(DeploymentIndex).zip(&self.spec.deployments).zip(self.nodes);
        for ((_, spec), node) in numbered.filter(|((index, _), _)| self.table.serves(*index)) {
            let place = *places.entry(spec.group.as_str()).or_insert_with(|| {
                groups.push(Group { name: &spec.group, members: Vec::new(), filtered: false });
                groups.len() - 1
            });
            groups[place].members.push(Member { spec, node });
        }
        for group in &mut groups {
            let own = group.members.iter().find_map(|member| member.spec.tag_filtering);
            group.filtered = own.unwrap_or(self.spec.tag_filtering);
        }
        groups
    }
}

impl Member<'_> {
    fn place(&self, key: &str) -> Place {
        locate::in_deployment(self.node, key).unwrap_or(self.node.at)
    }

    fn has_tags(&self) -> bool {
        !self.spec.tags.is_empty() || !self.spec.tag_regex.is_empty()
    }
}

/// LiteLLM takes its own default for unwritten (row D9).
fn three_fails(seen: &Seen<'_>, findings: &mut Findings) {
    let Some(node) = seen.router.get("allowed_fails") else { return };
    if seen.spec.mode == RoutingMode::Litellm && as_whole(node) == Some(3) {
        let message =
            "`allowed_fails: 3` has no effect in LiteLLM, nor in `routing_mode: litellm`".to_owned();
        findings.warn("no-effect", node.at, message, Some("write another number".to_owned()));
    }
}

/// A model without a provider in front gets the one that the embedded catalogue knows for it.
fn guessed_provider(member: &Member<'_>, findings: &mut Findings) {
    let model = &member.spec.model;
    let said = member.node.as_map().and_then(|entry| entry.get("litellm_params")).and_then(Node::as_map);
    if model.contains('/') || said.is_some_and(|params| params.get("custom_llm_provider").is_some()) {
        return;
    }
    if let Some(provider) = Catalogue.provider_of(model) {
        let message =
            format!("`{model}` names no provider; `{provider}` is taken from the catalogue of models");
        findings.warn(
            "guessed-provider",
            member.place("model"),
            message,
            Some(format!("write `{provider}/{model}`")),
        );
    }
}

/// `order: "1"` is taken for 1; LiteLLM fails every call of such a group.
fn text_for_number(member: &Member<'_>, findings: &mut Findings) {
    let params = member.node.as_map().and_then(|entry| entry.get("litellm_params")).and_then(Node::as_map);
    for key in ["order", "weight"] {
        let Some(node) = params.and_then(|params| params.get(key)) else { continue };
        if let Value::Text(text) = &node.value {
            let message = format!("`{key}` is text, and is taken for the number {text}");
            findings.warn(
                "text-for-number",
                node.at,
                message,
                Some(findings.advice(format!("write `{key}: {text}` without quotes"), "give it as a number")),
            );
        }
    }
}
