//! What works and is probably not what was meant.

use tagrail_routing::{RoutingTable, TableSpec};

use crate::findings::Findings;
use crate::node::{Map, Node};

/// What there is to look at.
pub(super) struct Seen<'a> {
    pub(super) spec: &'a TableSpec,
    pub(super) table: &'a RoutingTable,
    /// Parallel to the deployments.
    pub(super) nodes: &'a [&'a Node],
    pub(super) router: &'a Map,
}

/// Looks at everything.
pub(super) fn look(seen: &Seen<'_>, findings: &mut Findings) {
    let _ = (seen, findings);
}
