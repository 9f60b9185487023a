//! The configuration in use: routing table, targets and settings, swapped as one.

use http::HeaderValue;
use tagrail_config::{DeploymentSettings, GeneralSettings, LeftOut, RouterSettings};
use tagrail_routing::{DeploymentIndex, DeploymentSpec, RoutingTable};

/// One configuration, immutable.
pub struct Snapshot {
    /// The compiled table.
    pub table: RoutingTable,
    /// Parallel to the table's deployments.
    pub deployments: Vec<DeploymentSettings>,
    /// `router_settings`.
    pub router: RouterSettings,
    /// `general_settings`.
    pub general: GeneralSettings,
    /// Left out for a mistake.
    pub left_out: Vec<LeftOut>,
    labels: Vec<Labels>,
}

/// A deployment's constant header values, made once.
#[derive(Clone, Debug)]
pub struct Labels {
    /// Its id.
    pub id: HeaderValue,
    /// Its upstream model with provider, as configured.
    pub model: HeaderValue,
    /// Its base as shown.
    pub base: Option<HeaderValue>,
}

impl Snapshot {
    /// What routing knows of a deployment.
    pub fn spec(&self, index: DeploymentIndex) -> &DeploymentSpec {
        &self.table.deployments()[index.slot()]
    }

    /// What else is known of it.
    pub fn deployment(&self, index: DeploymentIndex) -> &DeploymentSettings {
        &self.deployments[index.slot()]
    }

    /// Its header values.
    pub fn labels(&self, index: DeploymentIndex) -> &Labels {
        &self.labels[index.slot()]
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({} deployments)", self.deployments.len())
    }
}
