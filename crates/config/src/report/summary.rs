//! What a configuration holds, in a few lines or as JSON.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tagrail_routing::{Access, DeploymentIndex, Policy, Reservations, RoutingTable};

use super::plural;
use crate::settings::LeftOut;
use crate::{Resolved, Spot};

/// More deployments left out than this are for machines.
const SHOWN: usize = 20;

/// More groups than this are for machines.
const SHOWN_GROUPS: usize = 100;

/// Names and numbers of a configuration.
#[derive(Debug)]
pub struct Summary {
    groups: Vec<Group>,
    tags: Vec<String>,
    /// Reserved tags, and who is reached by their holders alone: what `tag_grants: false` would open.
    reserved: Vec<String>,
    closed: Vec<String>,
    left_out: Vec<Missing>,
    mode: &'static str,
}

/// A deployment that was left out.
#[derive(Debug)]
struct Missing {
    group: String,
    id: Option<String>,
    spot: Option<Spot>,
    /// In a value.
    path: Option<String>,
}

#[derive(Debug)]
struct Group {
    name: String,
    deployments: Vec<String>,
    wildcard: bool,
}

impl Summary {
    /// Of a configuration alone.
    pub fn of(resolved: &Resolved) -> Summary {
        Summary::beside(resolved, &[])
    }

    /// The same, with tags that a store reserves besides.
    pub fn beside(resolved: &Resolved, of_store: &[String]) -> Summary {
        let table = &resolved.table;
        let reserved: BTreeSet<String> =
            resolved.general.reserved_tags.iter().chain(of_store).cloned().collect();
        let groups = table.names().into_iter().map(|name| Group {
            name: name.to_owned(),
            deployments: table
                .members(name)
                .iter()
                .map(|index| table.deployments()[index.slot()].id.clone())
                .collect(),
            wildcard: name.contains('*'),
        });
        let left_out = resolved.left_out.iter().map(|left_out| {
            let LeftOut { group, id, spot, path, .. } = left_out.clone();
            Missing { group, id, spot, path }
        });
        Summary {
            groups: groups.collect(),
            tags: table.tags().into_iter().map(str::to_owned).collect(),
            closed: if resolved.general.tag_grants { closed(table, &reserved) } else { Vec::new() },
            reserved: reserved.into_iter().collect(),
            left_out: left_out.collect(),
            mode: if table.rules().anchor_end { "tagrail" } else { "litellm" },
        }
    }

    /// `9 deployments in 5 groups, 2 left out, routing mode tagrail`.
    pub fn line(&self) -> String {
        let deployments: usize = self.groups.iter().map(|group| group.deployments.len()).sum();
        let left_out = match self.left_out.len() {
            0 => String::new(),
            count => format!("{count} left out, "),
        };
        format!(
            "{} in {}, {left_out}routing mode {}",
            plural(deployments, "deployment"),
            plural(self.groups.len(), "group"),
            self.mode
        )
    }

    /// The line, then every group with its deployments, the wildcards, the tags.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.line());
        let width = self.groups.iter().map(|group| group.name.len()).max().unwrap_or(0);
        for (title, wildcard) in [("groups", false), ("wildcards", true)] {
            let mut title = title;
            let groups: Vec<&Group> = self.groups.iter().filter(|group| group.wildcard == wildcard).collect();
            for group in groups.iter().take(SHOWN_GROUPS) {
                text.push_str(&format!(
                    "  {title:<9}  {:<width$}  {}\n",
                    group.name,
                    group.deployments.join(", ")
                ));
                title = "";
            }
            if groups.len() > SHOWN_GROUPS {
                text.push_str(&format!("  {:<9}  \u{2026} and {} more\n", "", groups.len() - SHOWN_GROUPS));
            }
        }
        if !self.tags.is_empty() {
            text.push_str(&format!("  {:<9}  {}\n", "tags", self.tags.join(", ")));
        }
        if !self.closed.is_empty() {
            let more = self.closed.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let closed = self.closed[..self.closed.len().min(SHOWN)].join(", ");
            text.push_str(&format!("  {:<9}  {}\n", "reserved", self.reserved.join(", ")));
            text.push_str(&format!("  {:<9}  `tag_grants: false` would open {closed}{more}\n", ""));
        }
        let mut title = "left out";
        for missing in self.left_out.iter().take(SHOWN) {
            text.push_str(&format!("  {title:<9}  {}\n", missing.line()));
            title = "";
        }
        if self.left_out.len() > SHOWN {
            text.push_str(&format!("  {:<9}  \u{2026} and {} more\n", "", self.left_out.len() - SHOWN));
        }
        text
    }

    /// All of it, for a machine.
    pub fn to_json(&self) -> Value {
        let groups = |wildcard: bool| -> Vec<Value> {
            let groups = self.groups.iter().filter(|group| group.wildcard == wildcard);
            groups.map(|group| json!({"name": group.name, "deployments": group.deployments})).collect()
        };
        json!({
            "routing_mode": self.mode,
            "groups": groups(false),
            "wildcards": groups(true),
            "tags": self.tags,
            "reserved": self.reserved,
            "closed": self.closed,
            "left_out": self.left_out.iter().map(Missing::json).collect::<Vec<_>>(),
        })
    }
}

/// Deployments that only holders of a reserved tag reach.
fn closed(table: &RoutingTable, reserved: &BTreeSet<String>) -> Vec<String> {
    let policy = Policy::default();
    let reserved = table.reserve(&Reservations::Known(reserved.clone()));
    let nobody = Access::Caller { policy: &policy, reserved: &reserved };
    (0u32..)
        .map(DeploymentIndex)
        .zip(table.deployments())
        .filter(|(index, _)| table.serves(*index) && !table.reaches(*index, nobody))
        .map(|(_, deployment)| deployment.id.clone())
        .collect()
}

impl Missing {
    /// `config.yaml:7  gpt-4  free-model`, or `model_list[3]  gpt-4  free-model`.
    fn line(&self) -> String {
        let group = if self.group.is_empty() { "without a model_name" } else { &self.group };
        let id = self.id.as_deref().map(|id| format!("  {id}")).unwrap_or_default();
        match (&self.spot, &self.path) {
            (Some(spot), _) => format!("{}:{}  {group}{id}", spot.file.display(), spot.line),
            (None, Some(path)) => format!("{path}  {group}{id}"),
            (None, None) => format!("{group}{id}"),
        }
    }

    fn json(&self) -> Value {
        let mut json = json!({
            "model_name": self.group,
            "id": self.id,
            "file": self.spot.as_ref().map(|spot| spot.file.display().to_string()),
            "line": self.spot.as_ref().map(|spot| spot.line),
        });
        if let Some(path) = &self.path {
            json["path"] = path.as_str().into();
        }
        json
    }
}
