//! Providers that LiteLLM knows and that this release does not speak to, so that a mistake in a name
//! and a missing translation are told apart.

use crate::Catalogue;

/// Names of LiteLLM's provider list that the price table does not have as a provider of its own.
const NAMES: [&str; 38] = [
    "aiohttp_openai",
    "amazon_nova",
    "aws_polly",
    "azure",
    "azure_ai",
    "azure_text",
    "bedrock",
    "bytez",
    "cohere",
    "cohere_chat",
    "cometapi",
    "databricks",
    "datarobot",
    "docker_model_runner",
    "gemini",
    "gigachat",
    "github_copilot",
    "gradient_ai",
    "huggingface",
    "infinity",
    "llamafile",
    "maritalk",
    "milvus",
    "oci",
    "ollama",
    "ollama_chat",
    "oobabooga",
    "petals",
    "predibase",
    "replicate",
    "sagemaker",
    "sagemaker_chat",
    "sap",
    "topaz",
    "triton",
    "vertex_ai",
    "watsonx_text",
    "xinference",
];

/// Whether LiteLLM knows a provider of this name and this release does not speak to it.
pub(crate) fn spoken_elsewhere(name: &str) -> bool {
    super::provider(name).is_none() && (NAMES.contains(&name) || !Catalogue.models_of(name).is_empty())
}

/// The provider whose name is most like this one, if it is like it at all: no more than a third of
/// the letters differ.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    let near = |known: &'static str| (distance(name, known), known);
    let (distance, known) = super::providers().map(|provider| near(provider.name())).min()?;
    (distance * 3 <= name.chars().count()).then_some(known)
}

/// Letters to insert, delete or replace.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, known) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *known);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest("opnai"), Some("openai"));
        assert_eq!(nearest("anthropics"), Some("anthropic"));
        assert_eq!(nearest("openrouters"), Some("openrouter"));
        assert_eq!(nearest("meta.llama3-70b"), None);
        assert_eq!(nearest(""), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn other_dialects_are_known_by_name() {
        for name in ["azure", "bedrock", "vertex_ai", "gemini", "cohere", "ollama", "replicate", "snowflake"]
        {
            assert!(spoken_elsewhere(name), "{name}");
        }
        for name in ["openai", "anthropic", "groq", "opnai", ""] {
            assert!(!spoken_elsewhere(name), "{name}");
        }
    }
}
