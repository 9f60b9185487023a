//! Deployments as the table is given them, and the index by which the rest of the program names them.

/// Position of a deployment in [`crate::TableSpec::deployments`]; stable for one table only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeploymentIndex(pub u32);

impl DeploymentIndex {
    /// The index into a slice that is parallel to the table's deployments.
    pub fn slot(self) -> usize {
        self.0 as usize
    }
}

/// What routing needs to know of one deployment; addresses and keys live elsewhere.
#[derive(Clone, Debug, Default)]
pub struct DeploymentSpec {
    /// `model_info.id`, or the generated one; unique in a table.
    pub id: String,
    /// `model_name`: what clients call; a pattern when it contains `*`.
    pub group: String,
    /// `litellm_params.model` with its provider prefix; `*` stands for captures.
    pub model: String,
    /// `litellm_params.tags`.
    pub tags: Vec<String>,
    /// `litellm_params.tag_regex`, as written; compiled by the table.
    pub tag_regex: Vec<String>,
    /// `litellm_params.order`: the smallest of the candidates is tried first.
    pub order: Option<i64>,
    /// `litellm_params.weight`.
    pub weight: Option<f64>,
    /// `litellm_params.rpm`, a weight to `simple-shuffle`.
    pub rpm: Option<f64>,
    /// `litellm_params.tpm`, a weight to `simple-shuffle`.
    pub tpm: Option<f64>,
    /// `model_info.enable_tag_filtering`.
    pub tag_filtering: Option<bool>,
    /// `model_info.allow_fail_open`.
    pub allow_fail_open: bool,
    /// `model_info.blocked`: paused by the operator.
    pub blocked: bool,
    /// `model_info.access_groups`: names that open this deployment's group in `models` of callers.
    pub access_groups: Vec<String>,
}

/// A deployment that was left out for a mistake (row D30). It serves nothing, but it still counts
/// for whether its group has a default pool and for which tags the group knows.
#[derive(Clone, Debug, Default)]
pub struct LeftOutSpec {
    /// Its `model_name`.
    pub group: String,
    /// Those of its tags that could be read.
    pub tags: Vec<String>,
}
