//! What a configuration holds, in a few lines or as JSON.

use serde_json::{Value, json};
use tagrail_config::{Resolved, Spot};

use crate::report::plural;

/// More deployments left out than this are for machines.
const SHOWN: usize = 20;

/// More groups than this are for machines.
const SHOWN_GROUPS: usize = 100;

/// Names and numbers of a configuration.
#[derive(Debug)]
pub(crate) struct Summary {
    groups: Vec<Group>,
    tags: Vec<String>,
    left_out: Vec<Missing>,
    mode: &'static str,
}

/// A deployment that was left out.
#[derive(Debug)]
struct Missing {
    group: String,
    id: Option<String>,
    spot: Option<Spot>,
}

#[derive(Debug)]
struct Group {
    name: String,
    deployments: Vec<String>,
    wildcard: bool,
}

impl Summary {
    pub(crate) fn of(resolved: &Resolved) -> Summary {
        let table = &resolved.table;
        let groups = table.names().into_iter().map(|name| Group {
            name: name.to_owned(),
            deployments: table
                .members(name)
                .iter()
                .map(|index| table.deployments()[index.slot()].id.clone())
                .collect(),
            wildcard: name.contains('*'),
        });
        let left_out = resolved.left_out.iter().map(|left_out| Missing {
            group: left_out.group.clone(),
            id: left_out.id.clone(),
            spot: left_out.spot.clone(),
        });
        Summary {
            groups: groups.collect(),
            tags: table.tags().into_iter().map(str::to_owned).collect(),
            left_out: left_out.collect(),
            mode: if table.rules().anchor_end { "tagrail" } else { "litellm" },
        }
    }

    /// `9 deployments in 5 groups, 2 left out, routing mode tagrail`.
    pub(crate) fn line(&self) -> String {
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
    pub(crate) fn text(&self) -> String {
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

    pub(crate) fn json(&self) -> Value {
        let groups = |wildcard: bool| -> Vec<Value> {
            let groups = self.groups.iter().filter(|group| group.wildcard == wildcard);
            groups.map(|group| json!({"name": group.name, "deployments": group.deployments})).collect()
        };
        json!({
            "routing_mode": self.mode,
            "groups": groups(false),
            "wildcards": groups(true),
            "tags": self.tags,
            "left_out": self.left_out.iter().map(Missing::json).collect::<Vec<_>>(),
        })
    }
}

impl Missing {
    /// `config.yaml:7  gpt-4  free-model`.
    fn line(&self) -> String {
        let group = if self.group.is_empty() { "without a model_name" } else { &self.group };
        let id = self.id.as_deref().map(|id| format!("  {id}")).unwrap_or_default();
        match &self.spot {
            Some(spot) => format!("{}:{}  {group}{id}", spot.file.display(), spot.line),
            None => format!("{group}{id}"),
        }
    }

    fn json(&self) -> Value {
        json!({
            "model_name": self.group,
            "id": self.id,
            "file": self.spot.as_ref().map(|spot| spot.file.display().to_string()),
            "line": self.spot.as_ref().map(|spot| spot.line),
        })
    }
}
