//! What a configuration holds, in a few lines or as JSON.

use serde_json::{Value, json};
use tagrail_config::Resolved;

use crate::report::plural;

/// Names and numbers of a configuration.
#[derive(Debug)]
pub(crate) struct Summary {
    groups: Vec<Group>,
    tags: Vec<String>,
    left_out: Vec<String>,
    mode: &'static str,
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
        let left_out = resolved.left_out.iter().map(|left_out| match &left_out.id {
            Some(id) => format!("{id} of {}", left_out.group),
            None => format!("one of {}", left_out.group),
        });
        Summary {
            groups: groups.collect(),
            tags: table.tags().into_iter().map(str::to_owned).collect(),
            left_out: left_out.collect(),
            mode: if table.rules().anchor_end { "tagrail" } else { "litellm" },
        }
    }

    /// `9 deployments in 5 groups, routing mode tagrail`.
    pub(crate) fn line(&self) -> String {
        let deployments: usize = self.groups.iter().map(|group| group.deployments.len()).sum();
        format!(
            "{} in {}, routing mode {}",
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
            for group in self.groups.iter().filter(|group| group.wildcard == wildcard) {
                text.push_str(&format!(
                    "  {title:<9}  {:<width$}  {}\n",
                    group.name,
                    group.deployments.join(", ")
                ));
                title = "";
            }
        }
        for (title, values) in [("tags", &self.tags), ("left out", &self.left_out)] {
            if !values.is_empty() {
                text.push_str(&format!("  {title:<9}  {}\n", values.join(", ")));
            }
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
            "left_out": self.left_out,
        })
    }
}
