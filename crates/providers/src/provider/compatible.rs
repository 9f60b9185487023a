//! Providers that speak OpenAI's API at an address of their own: a table.
//!
//! Names, addresses and variables are those of LiteLLM's provider list (its `constants.py` and
//! `providers.json`, version 1.102.4), so that a config names here what it named there. Quirks are
//! what the providers' own API references say; only such as make a call fail are worth a column:
//! Mistral refuses fields that it does not know, `stream_options` among them, and sends usage unasked.
//!
//! `<NAME>_API_KEY` and `<NAME>_API_BASE` are looked up for every row and are not written here.

use super::openai::OpenAi;
use crate::Operation;

/// One row a provider, sorted by name.
pub(super) static TABLE: [OpenAi; 67] = [
    OpenAi::at("ai21_chat", "https://api.ai21.com/studio/v1", &["AI21_API_KEY"]),
    OpenAi::at("aiml", "https://api.aimlapi.com/v1", &[]),
    OpenAi::at("apertis", "https://api.stima.tech/v1", &[]),
    OpenAi::at("assemblyai", "https://llm-gateway.assemblyai.com/v1", &[]),
    OpenAi::at("baseten", "https://inference.baseten.co/v1", &[]),
    OpenAi::at(
        "bedrock_mantle",
        "https://bedrock-mantle.us-east-1.api.aws/v1",
        &["AWS_BEARER_TOKEN_BEDROCK"],
    ),
    OpenAi::at("cerebras", "https://api.cerebras.ai/v1", &[]),
    OpenAi::at("chutes", "https://llm.chutes.ai/v1", &[]),
    OpenAi::at("clarifai", "https://api.clarifai.com/v2/ext/openai/v1", &[]),
    OpenAi::at("codestral", "https://codestral.mistral.ai/v1", &[]).never_asks_usage(),
    OpenAi::at("cognition", "https://api.cognition.ai/v1", &[]),
    OpenAi::own_server("custom_openai", None),
    OpenAi::at("darkbloom", "https://api.darkbloom.dev/v1", &[]),
    OpenAi::at("dashscope", "https://dashscope.aliyuncs.com/compatible-mode/v1", &[]),
    OpenAi::at("deepinfra", "https://api.deepinfra.com/v1/openai", &[]),
    OpenAi::at("deepseek", "https://api.deepseek.com/beta", &[]),
    OpenAi::at("empower", "https://app.empower.dev/api/v1", &[]),
    OpenAi::at(
        "featherless_ai",
        "https://api.featherless.ai/v1",
        &["FEATHERLESS_AI_API_KEY", "FEATHERLESS_API_KEY"],
    ),
    OpenAi::at(
        "fireworks_ai",
        "https://api.fireworks.ai/inference/v1",
        &["FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"],
    ),
    OpenAi::at(
        "friendliai",
        "https://api.friendli.ai/serverless/v1",
        &["FRIENDLIAI_API_KEY", "FRIENDLI_TOKEN"],
    ),
    OpenAi::at("galadriel", "https://api.galadriel.com/v1", &[]),
    OpenAi::at("github", "https://models.inference.ai.azure.com", &[]),
    OpenAi::at("groq", "https://api.groq.com/openai/v1", &[]),
    OpenAi::at("helicone", "https://ai-gateway.helicone.ai", &[]),
    OpenAi::own_server("hosted_vllm", Some("fake-api-key")),
    OpenAi::at("hyperbolic", "https://api.hyperbolic.xyz/v1", &[]),
    OpenAi::at("inception", "https://api.inceptionlabs.ai/v1", &[]),
    OpenAi::at("jina_ai", "https://api.jina.ai/v1", &[]).only(&[Operation::Embeddings]),
    OpenAi::at("lambda_ai", "https://api.lambda.ai/v1", &["LAMBDA_API_KEY"]),
    OpenAi::at("libertai", "https://api.libertai.io/v1", &[]),
    OpenAi::own_server("litellm_proxy", None),
    OpenAi::own_server("lm_studio", Some("fake-api-key")),
    OpenAi::at("meta", "https://api.meta.ai/v1", &[]),
    OpenAi::at("meta_llama", "https://api.llama.com/compat/v1", &["LLAMA_API_KEY"]),
    OpenAi::at("mistral", "https://api.mistral.ai/v1", &[]).never_asks_usage(),
    OpenAi::at("modelscope", "https://api-inference.modelscope.cn/v1", &[]),
    OpenAi::at("moonshot", "https://api.moonshot.ai/v1", &[]),
    OpenAi::at("morph", "https://api.morphllm.com/v1", &[]),
    OpenAi::at("nano-gpt", "https://nano-gpt.com/api/v1", &["NANOGPT_API_KEY"]),
    OpenAi::at("nebius", "https://api.studio.nebius.ai/v1", &[]),
    OpenAi::at("neosantara", "https://api.neosantara.xyz/v1", &[]),
    OpenAi::at("novita", "https://api.novita.ai/v3/openai", &[]),
    OpenAi::at("nscale", "https://inference.api.nscale.com/v1", &[]),
    OpenAi::at("nvidia_nim", "https://integrate.api.nvidia.com/v1", &[]),
    OpenAi::at("openrouter", "https://openrouter.ai/api/v1", &[]),
    OpenAi::at("parasail", "https://api.parasail.io/v1", &[]),
    OpenAi::at("perplexity", "https://api.perplexity.ai", &["PERPLEXITYAI_API_KEY"]),
    OpenAi::at("pinstripes", "https://pinstripes.io/v1", &[]),
    OpenAi::at("poe", "https://api.poe.com/v1", &[]),
    OpenAi::at("publicai", "https://api.publicai.co/v1", &[]),
    OpenAi::at(
        "qwen_ai_platform",
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        &["DASHSCOPE_API_KEY"],
    ),
    OpenAi::at("qwencloud", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", &["DASHSCOPE_API_KEY"]),
    OpenAi::at("sambanova", "https://api.sambanova.ai/v1", &[]),
    OpenAi::at("scaleway", "https://api.scaleway.ai/v1", &[]),
    OpenAi::at("scx-ai", "https://api.scx.ai/v1", &["SCX_API_KEY"]),
    OpenAi::at("synthetic", "https://api.synthetic.new/openai/v1", &[]),
    OpenAi::at("tencent", "https://tokenhub-intl.tencentcloudmaas.com/v1", &[]),
    OpenAi::at("tensormesh", "https://serverless.tensormesh.ai/v1", &[]),
    OpenAi::text_completions(),
    OpenAi::at(
        "together_ai",
        "https://api.together.ai/v1",
        &["TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_TOKEN"],
    ),
    OpenAi::at("v0", "https://api.v0.dev/v1", &[]),
    OpenAi::at("vercel_ai_gateway", "https://ai-gateway.vercel.sh/v1", &[]),
    OpenAi::at("volcengine", "https://ark.cn-beijing.volces.com/api/v3", &[]),
    OpenAi::at("wandb", "https://api.inference.wandb.ai/v1", &[]),
    OpenAi::at("xai", "https://api.x.ai/v1", &[]),
    OpenAi::at("xiaomi_mimo", "https://api.xiaomimimo.com/v1", &[]),
    OpenAi::at("zai", "https://api.z.ai/api/paas/v4", &[]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Provider;

    #[test]
    fn rows_are_sorted() {
        assert!(TABLE.is_sorted_by_key(Provider::name));
    }

    #[test]
    fn every_address_is_one() {
        for row in &TABLE {
            if let Some(base) = row.access().base {
                assert!(base.starts_with("https://") && !base.ends_with('/'), "{base}");
                assert!(!base.contains("/chat/"), "{base}");
            }
        }
    }

    #[test]
    fn the_well_known_ones_are_there() {
        for name in
            ["groq", "mistral", "together_ai", "cerebras", "xai", "deepseek", "openrouter", "hosted_vllm"]
        {
            assert!(TABLE.iter().any(|row| row.name() == name), "{name}");
        }
    }
}
