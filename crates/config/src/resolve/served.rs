//! Whether anything is left to serve. A gateway that serves nothing and calls itself ready would take the
//! place of one that does.

use tagrail_routing::RoutingTable;

use super::Fleet;
use crate::Host;
use crate::findings::Findings;
use crate::node::{Map, Node};
use crate::reading::Reader;

/// Refuses a configuration of which no deployment is left. A program may add deployments later.
pub(super) fn needed(
    file: &Map,
    general: &Map,
    fleet: &Fleet<'_>,
    table: &RoutingTable,
    findings: &mut Findings,
) {
    let is_served = |place: u32| {
        let spec = table.deployments().get(place as usize);
        spec.and_then(|spec| table.by_id(&spec.id)).is_some_and(|index| index.0 == place)
    };
    let count = table.deployments().len() as u32;
    if findings.host == Host::Program || findings.refused() || (0..count).any(is_served) {
        return;
    }
    let list = file.entry("model_list").or_else(|| file.entries.first());
    let at = list.map(|entry| entry.at);
    let in_database = Reader::new(general, findings).flag("store_model_in_db").unwrap_or(false);
    let written = file.get("model_list").and_then(Node::as_list).map_or(0, <[Node]>::len);
    let (message, help) = if !fleet.left_out.is_empty() {
        let all = match fleet.left_out.len() {
            1 => "the only deployment is left out".to_owned(),
            count => format!("{count} of {count} deployments are left out"),
        };
        (format!("nothing can be served: {all}"), "correct the errors of the deployments")
    } else if written > 0 {
        let message = "nothing can be served: no deployment is meant for this `LITELLM_ENVIRONMENT`";
        (message.to_owned(), "see `supported_environments` of the deployments")
    } else if in_database {
        let message = "nothing can be served: `model_list` is empty, and models in the database \
                       (`store_model_in_db`) are not supported yet";
        (message.to_owned(), "list the models below `model_list:`")
    } else {
        let what = if file.entry("model_list").is_some() {
            "`model_list` is empty"
        } else {
            "there is no `model_list`"
        };
        (
            format!("nothing can be served: {what}"),
            "add `model_list:` with a deployment: `- model_name: NAME`",
        )
    };
    findings.refuse("nothing-to-serve", at, message, Some(help.to_owned()));
}
