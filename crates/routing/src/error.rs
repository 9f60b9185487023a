//! Why a table could not be made of something, and why a request goes nowhere.

use crate::DeploymentIndex;

/// One thing wrong with a [`crate::TableSpec`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Index into `TableSpec::deployments` when one deployment is to blame; it is then left out.
    pub deployment: Option<usize>,
    /// The key at fault, as in the config: `tag_regex`, `model_info.id`, `fallbacks`.
    pub key: &'static str,
    /// What is wrong, in one sentence that names the value.
    pub message: String,
}

/// A request that no deployment may serve right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// No group, id, alias, wildcard or upstream name is called so. 400.
    UnknownModel {
        /// LiteLLM words the refusal differently when the config has a wildcard.
        wildcards_configured: bool,
    },
    /// The group exists, but all its deployments were left out or are paused. 400.
    NoDeployments,
    /// The id of a wildcard deployment names no model (D24). 400.
    WildcardId,
    /// Tags leave nothing. 401, as LiteLLM has it.
    TagMismatch {
        /// All tags as sent, in LiteLLM's order.
        tags: Vec<String>,
    },
    /// Everything that the tags leave is cooling down. 429.
    Cooling {
        /// Milliseconds until the first of them is back; at least 1.
        retry_after_ms: u64,
        /// Which are cooling.
        cooling: Vec<DeploymentIndex>,
    },
}
