//! The generated id of a deployment: LiteLLM's, so that what was recorded under it stays its own.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::node::{Map, Value};
use crate::python;

/// The lower-case hexadecimal SHA-256 of the group's name and of every key and value of
/// `litellm_params` as LiteLLM writes them: in the order of the file, without separators, texts as
/// they are, maps as JSON, everything else as Python prints it. Variables are already looked up.
pub(super) fn generated(group: &str, params: &Map) -> String {
    let mut hash = Sha256::new();
    hash.update(group);
    for entry in &params.entries {
        hash.update(&entry.key);
        match &entry.value.value {
            Value::Map(_) => hash.update(python::json(&entry.value)),
            _ => hash.update(python::text(&entry.value)),
        }
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::file::{Sources, read_text};
    use crate::findings::Findings;

    fn id(group: &str, params: &str) -> String {
        let mut findings = Findings::default();
        let map = read_text(params, Path::new("c.yaml"), &mut Sources::default(), &mut findings).unwrap();
        generated(group, &map)
    }

    #[test]
    fn the_generated_id_is_litellms() {
        let recorded = id("g", "{model: openai/gpt-4o, api_key: k, mock_response: x, tags: [paid]}");
        assert!(recorded.starts_with("78a9ac14db25"), "{recorded}");
    }

    #[test]
    fn the_order_of_keys_counts() {
        assert_ne!(id("g", "{model: openai/a, api_key: k}"), id("g", "{api_key: k, model: openai/a}"));
    }

    #[test]
    fn merged_keys_stand_where_pyyaml_puts_them() {
        let merged = id("g", "{model: openai/a, <<: {api_key: k, model: openai/b}}");
        assert_eq!(merged, id("g", "{api_key: k, model: openai/a}"));
    }
}
