//! What the file means, outside of routing: attempts, addresses, access.

use std::collections::HashMap;
use std::time::Duration;

use tagrail_providers::{ErrorKind, Secret, Target};
use tagrail_routing::RoutingTable;

use crate::destination::Destination;
use crate::diagnostic::Spot;

/// A configuration ready to run.
pub struct Resolved {
    /// The compiled table.
    pub table: RoutingTable,
    /// Parallel to `table.deployments()`.
    pub deployments: Vec<DeploymentSettings>,
    /// `router_settings`, and what of `litellm_settings` counts as such.
    pub router: RouterSettings,
    /// `general_settings`.
    pub general: GeneralSettings,
    /// Deployments left out for a mistake (row D30), for the health report and a metric.
    pub left_out: Vec<LeftOut>,
}

/// A deployment that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its `model_name`, as far as it could be read.
    pub group: String,
    /// Its id, as far as it could be read.
    pub id: Option<String>,
    /// Its position in `model_list`.
    pub place: usize,
    /// Where it stands in a file.
    pub spot: Option<Spot>,
    /// Where it stands in a value.
    pub path: Option<String>,
    /// Why, without secrets, with file, line and column, or with the path in a value.
    pub reason: String,
}

/// What a deployment says besides routing.
pub struct DeploymentSettings {
    /// The position in `model_list` of the item that it was made of. One item can make several.
    pub place: usize,
    /// Where it lives.
    pub target: Target,
    /// `litellm_params.timeout`: one attempt.
    pub timeout: Option<Duration>,
    /// `litellm_params.stream_timeout`: between two chunks of a stream.
    pub stream_timeout: Option<Duration>,
    /// `litellm_params.num_retries`.
    pub num_retries: Option<u32>,
    /// `model_info.cooldown_time`, else `litellm_params.cooldown_time`; zero never cools.
    pub cooldown_time: Option<Duration>,
    /// `model_info.allowed_fails(_policy)`.
    pub allowed_fails: Option<AllowedFails>,
    /// `litellm_params.mock_response`: answered without an upstream.
    pub mock_response: Option<String>,
    /// `litellm_params.max_parallel_requests`.
    pub max_parallel_requests: Option<u32>,
    /// Prices that override the catalogue.
    pub price: PriceOverride,
    /// `litellm_params` without secrets, for `/model/info`.
    pub shown_params: serde_json::Map<String, serde_json::Value>,
    /// `model_info` with its id, for `/model/info`.
    pub info: serde_json::Map<String, serde_json::Value>,
    /// `model_info.access_groups`.
    pub access_groups: Vec<String>,
}

/// US dollars per token; `None` leaves the catalogue's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PriceOverride {
    /// `input_cost_per_token`.
    pub input: Option<f64>,
    /// `output_cost_per_token`.
    pub output: Option<f64>,
    /// `cache_read_input_token_cost`.
    pub cache_read: Option<f64>,
    /// `cache_creation_input_token_cost`.
    pub cache_creation: Option<f64>,
}

/// How many failures within a cooldown window a deployment may have before it cools.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AllowedFails {
    /// `allowed_fails`.
    pub all: Option<u32>,
    /// `allowed_fails_policy`.
    pub by_kind: HashMap<ErrorKind, u32>,
}

/// Retries by class of error: `retry_policy`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RetryPolicy {
    /// The written classes.
    pub by_kind: HashMap<ErrorKind, u32>,
    /// `DefaultRetries`.
    pub default: Option<u32>,
}

impl RetryPolicy {
    /// Retries for a class: its own, else the default; `None` leaves `num_retries`.
    pub fn retries(&self, kind: ErrorKind) -> Option<u32> {
        self.by_kind.get(&kind).copied().or(self.default)
    }
}

/// `router_settings`.
#[derive(Clone, Debug)]
pub struct RouterSettings {
    /// Retries beyond the first try; 2.
    pub num_retries: u32,
    /// Depth of nested fallbacks; 5.
    pub max_fallbacks: u32,
    /// Attempts of one call over retries, orders and fallbacks together; 20.
    pub max_attempts_per_call: u32,
    /// One attempt; 6000 s.
    pub timeout: Duration,
    /// Between two chunks of a stream, when written.
    pub stream_timeout: Option<Duration>,
    /// Least back-off between two tries; 0.
    pub retry_after: Duration,
    /// `retry_policy`.
    pub retry_policy: RetryPolicy,
    /// `model_group_retry_policy`, by group.
    pub group_retry_policy: HashMap<String, RetryPolicy>,
    /// `allowed_fails` and its policy, when written.
    pub allowed_fails: AllowedFails,
    /// `cooldown_time`; 5 s.
    pub cooldown_time: Duration,
    /// `disable_cooldowns`.
    pub disable_cooldowns: bool,
    /// `enable_weighted_failover`.
    pub weighted_failover: bool,
}

/// `general_settings`, and the rest that the server needs.
#[derive(Clone, Debug)]
pub struct GeneralSettings {
    /// `master_key`, else `LITELLM_MASTER_KEY`. Without one only loopback is served (row D19).
    pub master_key: Option<Secret>,
    /// `LITELLM_SALT_KEY`: what ids of stored responses are signed with, else with the master key.
    pub salt_key: Option<Secret>,
    /// `allow_unmanaged_response_ids`: callers may continue responses whose ids this gateway did not make;
    /// otherwise only the operator may.
    pub allow_unmanaged_response_ids: bool,
    /// `provider_url_destination_allowed_hosts`: where a client's own `api_base` may lead besides public
    /// addresses.
    pub client_destinations: Vec<Destination>,
    /// `litellm_key_header_name`.
    pub key_header: Option<String>,
    /// `completion_model`: forces every request's model.
    pub completion_model: Option<String>,
    /// `max_request_size_mb` in bytes; 32 MiB.
    pub max_body_bytes: usize,
    /// `max_bytes_in_flight_mb` in bytes: request bodies that the process holds at a time; 256 MiB, and four
    /// times `max_body_bytes` where that is more.
    pub max_bytes_in_flight: usize,
    /// `max_response_size_mb` in bytes: the longest reply that is passed on whole; 128 MiB.
    pub max_reply_bytes: usize,
    /// `strict_config`: any error refuses to start.
    pub strict: bool,
    /// `allow_client_side_credentials`: whether a client may send `api_key`, `api_base` and `base_url` for any
    /// deployment; false.
    pub client_credentials: bool,
    /// `litellm_settings.require_auth_for_metrics_endpoint`; true.
    pub metrics_need_key: bool,
    /// `request_arrival_timeout`: how long a request may take to arrive whole; 60 s.
    pub request_arrival_timeout: Duration,
    /// Most connections at a time (`max_connections`); 10,000.
    pub max_connections: usize,
    /// `database_url`, else `DATABASE_URL`: `postgres://…`, or `sqlite:PATH`. `None`: SQLite in the data
    /// directory.
    pub database_url: Option<Secret>,
    /// `tag_grants`: whether reservations hold; else by `routing_mode`.
    pub tag_grants: bool,
    /// `reserved_tags`: reserved whatever the store says.
    pub reserved_tags: Vec<String>,
    /// `fallback_price`: what a model without a price costs a caller with a budget.
    pub fallback_price: Option<PriceOverride>,
    /// `default_max_output_tokens`: the longest answer that is reserved where neither the request nor what is
    /// known of the model limits it; 16,384.
    pub default_max_output_tokens: u64,
    /// `maximum_spend_logs_retention_period`; `None` keeps rows for ever.
    pub spend_retention: Option<Duration>,
    /// `maximum_daily_spend_retention_period`; 400 days. How long sums by day are kept.
    pub daily_spend_retention: Option<Duration>,
    /// `disable_spend_logs`: sums are kept, rows are not.
    pub disable_spend_logs: bool,
    /// `spend_journal_sync_interval`, seconds; 50 ms. What a power cut may cost.
    pub journal_sync: Duration,
}
