//! The names that mean something to the gateway: what becomes of each in a client's body, and which of
//! them a deployment's `litellm_params` keep from the provider ([`is_gateway_parameter`]).
//!
//! The names are LiteLLM's parameters (1.110), so that a client written for it finds the same ones
//! working and an upstream sees none of them. Fields that are not here are the provider's: they pass.

/// A field whose value the gateway reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Model,
    Stream,
    StreamOptions,
    Tags,
    Metadata,
    LitellmMetadata,
    NumRetries,
    Timeout,
    RequestTimeout,
    StreamTimeout,
    Fallbacks,
    DisableFallbacks,
    ExtraBody,
}

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Read here; whether it goes on is decided field by field.
    Read(Name),
    /// OpenAI's own, cut where the provider asks for it.
    User,
    /// A setting of LiteLLM's that no provider knows: never sent.
    Cut,
    /// Would steer the call past the gateway: 400 unless the deployment allows it (rows D12, D31).
    Steer,
    /// As `Steer`, with LiteLLM's 401 and text.
    Refuse,
}

/// A row of the table.
pub(super) struct Field {
    pub(super) key: &'static str,
    /// The name to complain by when it is found inside `extra_body`.
    pub(super) nested: &'static str,
    pub(super) role: Role,
}

/// How many fields are read.
pub(super) const READ: usize = Name::ExtraBody as usize + 1;

impl Field {
    /// Whether it is refused inside `extra_body` (row D31): what the gateway reads or is steered by
    /// has to stand where the gateway looks for it.
    pub(super) fn kept_out_of_extra_body(&self) -> bool {
        !matches!(self.role, Role::User | Role::Cut)
    }
}

/// The row of a key.
#[inline]
pub(super) fn find(key: &[u8]) -> Option<u32> {
    let mut slot = hash(key)?;
    loop {
        let row = INDEX[slot];
        let Some(field) = FIELDS.get(usize::from(row)) else { return find_by_kind(key) };
        if field.key.as_bytes() == key {
            return Some(u32::from(row));
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// Rows that were seen, one bit for each.
#[derive(Default)]
pub(super) struct Seen([u64; FIELDS.len().div_ceil(64)]);

impl Seen {
    /// Notes a row; says whether it was seen before.
    #[inline]
    pub(super) fn again(&mut self, row: u32) -> bool {
        let Some(word) = self.0.get_mut(row as usize / 64) else { return false };
        let bit = 1 << (row % 64);
        let again = *word & bit != 0;
        *word |= bit;
        again
    }
}

/// The row of a key that only its prefix or its form tells: LiteLLM's newer internals and prices.
#[inline]
fn find_by_kind(key: &[u8]) -> Option<u32> {
    (is_internal(key) || is_price(key)).then_some(BY_KIND)
}

/// Whether a name is one of LiteLLM's internals: new ones come with its releases, and none of them is a
/// provider's.
#[inline]
pub(super) fn is_internal(key: &[u8]) -> bool {
    let first = key.first().copied().unwrap_or_default();
    matches!(first, b'l' | b'_') && (key.starts_with(b"litellm_") || key.starts_with(b"_litellm_"))
}

/// Whether a name is a price: `input_cost_per_token`, `cache_read_input_token_cost`, …
fn is_price(key: &[u8]) -> bool {
    memchr::memchr_iter(b'_', key).any(|at| {
        let (before, rest) = key.split_at(at);
        rest.starts_with(b"_token_cost")
            || rest.starts_with(b"_per_") && before.ends_with(b"cost")
            || rest.starts_with(b"_multiplier") && before.ends_with(b"uplift")
    })
}

/// Whether a key of `litellm_params` or `model_info` is a price.
pub fn is_price_parameter(key: &str) -> bool {
    is_price(key.as_bytes())
}

/// Whether a key of a deployment's `litellm_params` is the gateway's, and never a provider's: the fields
/// that are cut from or refused in a client's body, and besides those what only deployments have.
pub fn is_gateway_parameter(key: &str) -> bool {
    if is_call_parameter(key) {
        return false;
    }
    find(key.as_bytes()).is_some()
        || OF_DEPLOYMENTS.contains(&key)
        || PREFIXES_OF_DEPLOYMENTS.iter().any(|prefix| key.starts_with(prefix))
}

/// Every name of which [`is_gateway_parameter`] is true and that is not known by its form alone.
pub fn gateway_parameters() -> impl Iterator<Item = &'static str> {
    let fields = FIELDS.iter().map(|field| field.key).filter(|key| *key != FIELDS[BY_KIND as usize].key);
    fields.chain(OF_DEPLOYMENTS.iter().copied()).filter(|key| !is_call_parameter(key))
}

/// Fields that the gateway reads and that the provider gets as well.
fn is_call_parameter(key: &str) -> bool {
    matches!(key, "stream" | "stream_options" | "user")
}

/// What only deployments have: keys of `model_info` and of LiteLLM's catalogue, which land in
/// `litellm_params` by mistake. In a client's body such a name is the provider's.
#[rustfmt::skip]
const OF_DEPLOYMENTS: &[&str] = &[
    "access_groups", "access_windows", "allow_fail_open", "auto_router", "blocked", "created_at",
    "created_by", "db_model", "deployment_id", "disable_background_health_check", "health_check_model",
    "health_check_params", "health_check_timeout", "internal_router_model",
    "litellm_params", "max_input_tokens", "mode", "model_name", "ptu_count", "supported_endpoints",
    "supported_environments", "supported_modalities", "supported_openai_params",
    "supported_output_modalities", "supported_regions", "team_id", "team_public_model_name", "tier",
    "updated_at", "updated_by", "credential_name", "credential_info", "credential_values",
];

/// Families of settings: a service that calls are logged to, a cloud account, a component of LiteLLM.
/// A member that is not listed is still none of the provider's parameters.
#[rustfmt::skip]
const PREFIXES_OF_DEPLOYMENTS: &[&str] = &[
    "adaptive_router_", "agentops_", "anthropic_federation_", "anthropic_identity_", "anthropic_issuer_",
    "anthropic_keycloak_", "argilla_", "arize_", "athina_", "auto_router_", "aws_", "azure_",
    "braintrust_", "complexity_router_", "datadog_", "dd_", "dynamodb_", "galileo_", "gcs_",
    "github_copilot_", "greenscale_", "helicone_", "humanloop_", "lago_", "langfuse_", "langsmith_",
    "langtrace_", "logfire_", "lunary_", "milvus_", "mlflow_", "mock_", "newrelic_", "openai_identity_",
    "openmeter_", "opik_", "otel_", "pg_vector_", "phoenix_", "posthog_", "promptlayer_",
    "quality_router_", "redis_", "s3_", "sagemaker_", "signoz_", "slack_", "supabase_", "supports_",
    "switchyard_router_", "token_exchange_", "traceloop_", "valkey_", "vertex_", "wandb_", "watsonx_",
    "weave_",
];

/// The row's field.
pub(super) fn field(row: u32) -> Option<&'static Field> {
    FIELDS.get(row as usize)
}

const SLOTS: usize = 1024;

/// Open addressing, computed when compiling. A free slot holds a row that does not exist.
static INDEX: [u16; SLOTS] = index();

const fn index() -> [u16; SLOTS] {
    let mut index = [u16::MAX; SLOTS];
    let mut row = 0;
    while row < FIELDS.len() {
        let Some(mut slot) = hash(FIELDS[row].key.as_bytes()) else { break };
        while index[slot] != u16::MAX {
            slot = (slot + 1) % SLOTS;
        }
        index[slot] = row as u16;
        row += 1;
    }
    index
}

/// Length and three bytes: enough to tell the usual fields of a request from these at once.
const fn hash(key: &[u8]) -> Option<usize> {
    if key.is_empty() {
        return None;
    }
    let (first, middle, last) = (key[0] as u32, key[key.len() / 2] as u32, key[key.len() - 1] as u32);
    let mixed = (first | middle << 8 | last << 16 | (key.len() as u32) << 24).wrapping_mul(0x9E37_79B1);
    Some(mixed as usize >> 22)
}

macro_rules! fields {
    ($( $role:expr => [ $($key:literal),* $(,)? ] )*) => {
        &[ $( $( Field { key: $key, nested: concat!("extra_body.", $key), role: $role } ),* ),* ]
    };
}

/// The row that stands for what [`find_by_kind`] finds.
const BY_KIND: u32 = 0;

const FIELDS: &[Field] = fields! {
    Role::Cut => ["litellm_*"]
    Role::Read(Name::Model) => ["model"]
    Role::Read(Name::Stream) => ["stream"]
    Role::Read(Name::StreamOptions) => ["stream_options"]
    Role::Read(Name::Tags) => ["tags"]
    Role::Read(Name::Metadata) => ["metadata"]
    Role::Read(Name::LitellmMetadata) => ["litellm_metadata"]
    Role::Read(Name::NumRetries) => ["num_retries"]
    Role::Read(Name::Timeout) => ["timeout"]
    Role::Read(Name::RequestTimeout) => ["request_timeout"]
    Role::Read(Name::StreamTimeout) => ["stream_timeout"]
    Role::Read(Name::Fallbacks) => ["fallbacks"]
    Role::Read(Name::DisableFallbacks) => ["disable_fallbacks"]
    Role::Read(Name::ExtraBody) => ["extra_body"]
    Role::User => ["user"]

    // Routing, retries, fallbacks and limits, caching, logging, prompts and guardrails, the names of
    // LiteLLM's entry points, and what it passes from one of its layers to the next.
    Role::Cut => [
        "allowed_fails", "allowed_fails_policy", "attempted_targets", "client_side_timeout",
        "content_policy_fallbacks", "context_window_fallback_dict", "context_window_fallbacks",
        "cooldown_time", "default_api_key_rpm_limit", "default_api_key_tpm_limit", "default_fallbacks",
        "enable_tag_filtering", "fallback_depth", "fastest_response", "force_timeout", "itpm",
        "max_fallbacks", "max_parallel_requests", "max_retries", "order", "otpm", "priority",
        "provider_affinity_header", "region_name", "allowed_model_region", "retry_policy",
        "retry_strategy", "routing_strategy", "rpm", "specific_deployment", "tpm", "weight",
        "adaptive_router_config", "adaptive_router_default_model", "auto_router_config",
        "auto_router_config_path", "auto_router_default_model", "auto_router_embedding_model",
        "auto_router_max_input_chars", "auto_router_model_compression",
        "auto_router_routing_compression", "complexity_router_config",
        "complexity_router_default_model", "quality_router_config", "quality_router_default_model",
        "cache", "cache_key", "caching", "caching_groups", "enable_prompt_caching",
        "preset_cache_key", "ttl",
        "base_model", "budget_duration", "id", "max_budget", "max_file_size_mb", "model_info",
        "allow_client_keepalive_override", "callbacks", "completion_call_id", "failure_callback",
        "keepalive_seconds", "langfuse_prompt_version", "langsmith_sampling_rate",
        "litellm_call_id", "litellm_disabled_callbacks", "litellm_logging_obj",
        "litellm_proxy_rate_limit_response", "litellm_request_debug", "litellm_session_id",
        "litellm_trace_id", "logger_fn", "no-log", "no_log", "success_callback",
        "turn_off_message_logging", "verbose",
        "assistant_continue_message", "bos_token", "custom_prompt_dict", "ensure_alternating_roles",
        "eos_token", "final_prompt_value", "guardrail_config", "guardrails", "hf_model_name",
        "litellm_system_prompt", "max_agentic_loops", "prompt_environment", "prompt_id",
        "prompt_label", "prompt_variables", "prompt_version", "roles", "search_tool_name",
        "supports_system_message", "user_continue_message",
        "additional_drop_params", "allowed_openai_params", "complete_response",
        "disable_add_transform_inline_image_block", "drop_params", "enable_json_schema_validation",
        "merge_reasoning_content_in_choices", "mock_delay", "mock_response",
        "mock_testing_content_policy_fallbacks", "mock_testing_context_fallbacks",
        "mock_testing_fallbacks", "mock_testing_rate_limit_error", "mock_timeout",
        "mock_tool_calls", "modify_params", "stream_chunk_size", "use_chat_completions_api",
        "use_in_pass_through",
        "acompletion", "aembedding", "aimg_generation", "allm_passthrough_route", "async_call",
        "atext_completion", "client", "data_residency", "litellm_trusted_callback_vars",
        "model_config", "model_file_id_mapping", "proxy_server_request", "rust", "secret_fields",
        "self", "shared_session", "stream_response", "text_completion", "use_client",
        "mode",
        "_litellm_addressed_response_id", "_litellm_strip_stream_usage", "_router_weights",
        "daily_reset_time", "kubernetes_pod_discovery", "rpd", "silent_model",
        "stream_timeout_by_service_tier", "switchyard_router_config", "tag_regex",
        "timeout_by_service_tier", "tpd",
        "cache_control_injection_points", "fireworks_forward_user_id", "initial_prompt_value",
        "log_client_error_tracebacks", "thought_signature_in_tool_call_id",
        "addressed_comparison_response_id", "addressed_response_id", "stream_usage_injected",
        "trusted_callback_vars",
        "_agentic_loop_api_surface", "_agentic_loop_depth", "_agentic_loop_fingerprints",
        "_code_interpreter_interception_active", "_code_interpreter_interception_converted_stream",
        "_code_interpreter_interception_sandbox_key",
        "_code_interpreter_interception_session_scoped",
        "_code_interpreter_interception_stream_options", "_context_compaction_state",
        "_encrypted_content_affinity_pinned", "_headroom_interception_converted_stream",
        "_headroom_interception_stream_options", "_headroom_request_context",
        "_websearch_interception_converted_stream", "_websearch_interception_emit_native_blocks",
        "_websearch_interception_stream_options",
        "allow_legacy_cloud_file_ids", "bucket_name", "embedding_model", "index_name",
        "milvus_db_name", "milvus_partition_names", "milvus_text_field", "valkey_embedding_field",
        "valkey_host", "valkey_password", "valkey_port", "valkey_ssl", "valkey_text_field",
        "vector_bucket_name", "vector_store_id",
    ]

    Role::Steer => [
        "api_key", "api_version", "custom_llm_provider", "extra_headers", "extra_query", "headers",
        "model_alias_map", "model_group_alias", "model_list", "organization",
        "provider_specific_header", "ssl_verify", "configurable_clientside_auth_params",
        "litellm_credential_name", "litellm_params", "hidden_params", "use_litellm_proxy", "use_xai_oauth",
        "azure", "azure_ad_token", "azure_ad_token_provider", "azure_password", "azure_scope",
        "azure_username", "client_id", "client_secret", "tenant_id",
        "aws_access_key_id", "aws_batch_role_arn", "aws_external_id", "aws_profile_name",
        "aws_region_name", "aws_secret_access_key", "aws_session_name", "aws_session_token",
        "aws_bedrock_project_id", "aws_session_tags", "bedrock_tags", "watsonx_region_name",
        "s3_access_key_id", "s3_bucket_name", "s3_bucket_owner",
        "s3_encryption_key_id", "s3_output_bucket_name", "s3_region_name", "s3_secret_access_key",
        "vertex_ai_credentials", "vertex_ai_location", "vertex_ai_project", "vertex_location",
        "vertex_project",
        "responses_api_version",
        "anthropic_disable_workload_identity_federation", "anthropic_federation_rule_id",
        "anthropic_federation_workspace_id", "anthropic_identity_source", "anthropic_identity_token",
        "anthropic_identity_token_file", "anthropic_issuer_audience",
        "anthropic_issuer_signing_key_ref", "anthropic_issuer_subject",
        "anthropic_issuer_ttl_seconds", "anthropic_issuer_url", "anthropic_keycloak_auth_method",
        "anthropic_keycloak_client_id", "anthropic_keycloak_client_secret_ref",
        "anthropic_keycloak_scope", "anthropic_keycloak_token_url", "anthropic_organization_id",
        "anthropic_service_account_id", "chatgpt_auth_file", "github_copilot_auth_type",
        "github_copilot_host", "github_copilot_user_session", "openai_identity_provider_id",
        "openai_identity_token_file", "openai_service_account_id", "token_exchange_audience",
        "token_exchange_endpoint", "token_exchange_profile", "token_exchange_scope",
    ]

    // Where a call goes and who it is made as.
    Role::Refuse => [
        "api_base", "aws_bedrock_control_plane_endpoint", "aws_bedrock_runtime_endpoint", "aws_role_name", "aws_sts_endpoint",
        "aws_web_identity_token", "base_url", "deployment_url", "s3_endpoint_url",
        "sagemaker_base_url", "user_config", "vertex_credentials",
    ]

    // Where its log goes.
    Role::Refuse => [
        "arize_api_key", "arize_error_sampling_rate", "arize_otlp_protocol", "arize_space_id", "arize_space_key",
        "arize_success_sampling_rate", "dd_agent_host", "dd_agent_port", "dd_api_key", "dd_site",
        "gcs_bucket_name", "gcs_path_service_account", "humanloop_api_key", "langfuse_environment",
        "langfuse_host", "langfuse_public_key", "langfuse_secret", "langfuse_secret_key",
        "langfuse_span_scope", "langsmith_api_key", "langsmith_base_url", "langsmith_project",
        "langsmith_tenant_id", "newrelic_api_key", "newrelic_region", "phoenix_project_name",
        "posthog_api_key", "posthog_api_url", "signoz_ingestion_endpoint", "signoz_ingestion_key", "wandb_api_key", "weave_project_id",
    ]

    // What it costs.
    Role::Refuse => [
        "annotation_cost_per_page", "annotation_cost_per_page_batches",
        "cache_creation_input_audio_token_cost", "cache_creation_input_token_cost",
        "cache_creation_input_token_cost_above_1hr",
        "cache_creation_input_token_cost_above_200k_tokens",
        "cache_creation_input_token_cost_above_272k_tokens",
        "cache_creation_input_token_cost_above_272k_tokens_batches",
        "cache_creation_input_token_cost_above_272k_tokens_flex",
        "cache_creation_input_token_cost_above_272k_tokens_priority",
        "cache_creation_input_token_cost_batches", "cache_creation_input_token_cost_flex",
        "cache_creation_input_token_cost_priority", "cache_creation_input_token_cost_ultrafast",
        "cache_read_input_audio_token_cost", "cache_read_input_image_token_cost",
        "cache_read_input_token_cost", "cache_read_input_token_cost_above_200k_tokens",
        "cache_read_input_token_cost_above_200k_tokens_priority",
        "cache_read_input_token_cost_above_272k_tokens",
        "cache_read_input_token_cost_above_272k_tokens_batches",
        "cache_read_input_token_cost_above_272k_tokens_flex",
        "cache_read_input_token_cost_above_272k_tokens_priority",
        "cache_read_input_token_cost_above_512k_tokens", "cache_read_input_token_cost_batches",
        "cache_read_input_token_cost_flex", "cache_read_input_token_cost_priority",
        "cache_read_input_token_cost_ultrafast", "citation_cost_per_token", "cost_per_query",
        "google_maps_grounding_cost_per_query",
        "input_cost_per_audio_per_second", "input_cost_per_audio_per_second_above_128k_tokens",
        "input_cost_per_audio_token", "input_cost_per_audio_token_batches",
        "input_cost_per_character", "input_cost_per_character_above_128k_tokens",
        "input_cost_per_image", "input_cost_per_image_above_128k_tokens",
        "input_cost_per_image_token", "input_cost_per_image_token_batches", "input_cost_per_pixel",
        "input_cost_per_query", "input_cost_per_second", "input_cost_per_token",
        "input_cost_per_token_above_128k_tokens", "input_cost_per_token_above_200k_tokens",
        "input_cost_per_token_above_200k_tokens_priority", "input_cost_per_token_above_272k_tokens",
        "input_cost_per_token_above_272k_tokens_batches",
        "input_cost_per_token_above_272k_tokens_flex",
        "input_cost_per_token_above_272k_tokens_priority", "input_cost_per_token_above_512k_tokens",
        "input_cost_per_token_batches", "input_cost_per_token_cache_hit",
        "input_cost_per_token_flex", "input_cost_per_token_priority",
        "input_cost_per_token_ultrafast", "input_cost_per_video_per_second",
        "input_cost_per_video_per_second_above_128k_tokens",
        "input_cost_per_video_per_second_above_15s_interval",
        "input_cost_per_video_per_second_above_8s_interval", "input_cost_per_video_token",
        "input_cost_per_video_token_batches", "ocr_cost_per_credit", "ocr_cost_per_page",
        "ocr_cost_per_page_batches",
        "output_cost_per_audio_per_second", "output_cost_per_audio_token",
        "output_cost_per_character", "output_cost_per_character_above_128k_tokens",
        "output_cost_per_image", "output_cost_per_image_1024", "output_cost_per_image_1536",
        "output_cost_per_image_512", "output_cost_per_image_token", "output_cost_per_pixel",
        "output_cost_per_reasoning_token", "output_cost_per_reasoning_token_flex",
        "output_cost_per_reasoning_token_priority", "output_cost_per_second",
        "output_cost_per_second_1080p", "output_cost_per_second_2k", "output_cost_per_second_480p",
        "output_cost_per_second_4k", "output_cost_per_second_720p", "output_cost_per_second_768p",
        "output_cost_per_token", "output_cost_per_token_above_128k_tokens",
        "output_cost_per_token_above_200k_tokens",
        "output_cost_per_token_above_200k_tokens_priority",
        "output_cost_per_token_above_272k_tokens", "output_cost_per_token_above_272k_tokens_batches",
        "output_cost_per_token_above_272k_tokens_flex",
        "output_cost_per_token_above_272k_tokens_priority",
        "output_cost_per_token_above_512k_tokens", "output_cost_per_token_batches",
        "output_cost_per_token_flex", "output_cost_per_token_priority",
        "output_cost_per_token_ultrafast", "output_cost_per_video_per_second",
        "output_cost_per_video_token", "output_vector_size",
        "regional_endpoint_uplift_multiplier", "regional_processing_uplift_multiplier_eu",
        "regional_processing_uplift_multiplier_us", "search_context_cost_per_query",
        "tiered_pricing",
    ]
};

#[cfg(test)]
mod tests {
    use super::{FIELDS, Name, Role, field, find, gateway_parameters, is_gateway_parameter};

    #[test]
    fn every_row_is_found_and_no_name_twice() {
        for (row, entry) in FIELDS.iter().enumerate() {
            assert_eq!(find(entry.key.as_bytes()).map(|row| row as usize), Some(row), "{}", entry.key);
        }
    }

    #[test]
    fn what_providers_know_is_not_in_the_table() {
        for key in [
            "messages",
            "input",
            "prompt",
            "temperature",
            "max_tokens",
            "max_completion_tokens",
            "tools",
            "tool_choice",
            "response_format",
            "store",
            "prompt_cache_key",
            "safety_identifier",
            "service_tier",
            "request_tags",
            "session_id",
            "reasoning_effort",
            "top_p",
            "seed",
            "stop",
            "n",
            "system",
            "thinking",
            "instructions",
            "previous_response_id",
            "include",
            "truncation",
            "verbosity",
            "web_search_options",
            "modalities",
            "audio",
            "prediction",
            "logit_bias",
            "logprobs",
            "top_k",
            "stop_sequences",
            "encoding_format",
            "dimensions",
            "suffix",
            "echo",
            "best_of",
            "background",
            "reasoning",
            "text",
            "parallel_tool_calls",
            "presence_penalty",
            "container",
            "mcp_servers",
            "",
        ] {
            assert!(find(key.as_bytes()).is_none(), "{key}");
        }
    }

    #[test]
    fn prices_and_internals_are_known_by_their_form() {
        for key in ["input_cost_per_furlong", "cost_per_smile", "new_input_token_cost_above_9t_tokens"] {
            assert_eq!(find(key.as_bytes()), Some(super::BY_KIND), "{key}");
        }
        assert_eq!(find(b"_litellm_next"), Some(super::BY_KIND));
        assert_eq!(find(b"litellm_next"), Some(super::BY_KIND));
        for key in ["cost", "cost_centre", "max_token_count", "litellm", "persona_per_user"] {
            assert!(find(key.as_bytes()).is_none(), "{key}");
        }
    }

    #[test]
    fn parameters_of_a_call_are_not_the_gateways() {
        for key in ["temperature", "stream", "stream_options", "user", "tools", "thinking", "seed"] {
            assert!(!is_gateway_parameter(key), "{key}");
        }
        for key in gateway_parameters() {
            assert!(is_gateway_parameter(key), "{key}");
        }
        for key in ["mode", "langfuse_anything_new", "aws_anything_new", "output_cost_per_smile", "tags"] {
            assert!(is_gateway_parameter(key), "{key}");
        }
        assert!(gateway_parameters().count() > 400);
    }

    #[test]
    fn roles_are_as_the_contract_has_them() {
        let role = |key: &str| find(key.as_bytes()).and_then(field).map(|entry| entry.role);
        assert_eq!(role("model"), Some(Role::Read(Name::Model)));
        assert_eq!(role("user"), Some(Role::User));
        assert_eq!(role("no-log"), Some(Role::Cut));
        assert_eq!(role("api_key"), Some(Role::Steer));
        assert_eq!(role("litellm_params"), Some(Role::Steer));
        assert_eq!(role("api_base"), Some(Role::Refuse));
        assert_eq!(role("input_cost_per_token"), Some(Role::Refuse));
    }
}
