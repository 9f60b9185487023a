//! Who answered, in words instead of indices.

use std::time::Duration;

use crate::{Facts, RateLimits};

impl Facts {
    /// The id of the deployment that answered.
    pub fn deployment_id(&self) -> &str {
        &self.snapshot.spec(self.deployment).id
    }

    /// The model that was asked for upstream, with its provider in front and captures filled in.
    pub fn model(&self) -> &str {
        self.upstream_model.as_deref().unwrap_or(&self.snapshot.spec(self.deployment).model)
    }

    /// The provider's name.
    pub fn provider(&self) -> Option<&'static str> {
        let target = &self.snapshot.deployment(self.deployment).target;
        Some(target.resolve(self.model()).ok()?.provider.name())
    }

    /// Where it was sent, as it may be shown.
    pub fn api_base(&self) -> Option<&str> {
        let usual = || self.snapshot.labels(self.deployment).base.as_ref()?.to_str().ok();
        self.shown_base.as_deref().or_else(usual)
    }

    /// US dollars for the whole answer; `None` where prices or tokens are not known.
    pub fn cost(&self) -> Option<f64> {
        self.cost.map(|cost| cost.total().dollars())
    }

    /// What the provider said of its limits.
    pub fn rate_limits(&self) -> RateLimits {
        RateLimits::of(&self.upstream_headers)
    }

    /// From the call's start until now.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
