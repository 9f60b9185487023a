//! Configuration files: any text is answered with a configuration, with errors, or with both, and
//! every message can be shown.

use std::path::Path;

use tagrail_config::{Severity, load_text};
use tagrail_routing::RoutingTable;

pub(crate) const DICTIONARY: &[&str] = &[
    "model_list:\n",
    "- model_name: ",
    "  litellm_params:\n",
    "    model: openai/",
    "    tags: [",
    "    api_key: ",
    "os.environ/KEY",
    "os.environ/",
    "router_settings:\n",
    "general_settings:\n",
    "litellm_settings:\n",
    "environment_variables:\n",
    "  enable_tag_filtering: true\n",
    "  fallbacks: [{\"a\": [\"b\"]}]\n",
    "*",
    "&a ",
    "*a",
    "<<: ",
    "~",
    "yes",
    "1e3",
    "\"",
    "'",
    "|\n",
    ">-\n",
    "- ",
    ": ",
    "\n  ",
    "\t",
    "#",
    "{",
    "}",
    "[",
    "]",
    "model_info:\n",
    "weight: ",
    "order: ",
    "rpm: ",
    "tag_regex: [\"^a\"]",
    "routing_mode: litellm\n",
    "routing_strategy: ",
    "model_group_alias: ",
];

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Includes are read from the disk, which is no part of the input.
    if text.contains("include") {
        return;
    }
    let env = |name: &str| (name == "KEY").then(|| "value".to_owned());
    let loaded = load_text(text, Path::new("config.yaml"), &env);
    let errors = loaded.diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
    assert!(loaded.resolved.is_some() || errors > 0, "refused without a reason");
    for diagnostic in &loaded.diagnostics {
        assert!(!diagnostic.render(&loaded.sources, false).is_empty());
        diagnostic.to_json();
    }
    let again = load_text(text, Path::new("config.yaml"), &env);
    assert_eq!(loaded.diagnostics.len(), again.diagnostics.len());
    if let Some(spec) = loaded.spec {
        RoutingTable::compile(spec);
    }
}
