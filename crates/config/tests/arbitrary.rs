//! Whatever is in a file, loading it ends with a configuration or with the reason why not.

use std::path::Path;

use proptest::prelude::*;
use tagrail_config::{Severity, load_text, load_value, mode_differences};

const SEEDS: &[&str] = &[
    include_str!("../../../config.example.yaml"),
    include_str!("resolve/yaml11.yaml"),
    include_str!("resolve/left-out.yaml"),
    include_str!("resolve/settings.yaml"),
    include_str!("resolve/wildcards.yaml"),
    include_str!("resolve/fallbacks.yaml"),
];

/// Loads, shows, compares. A configuration that is refused says why, and no spot is out of its file.
fn survives(text: &str) {
    let loaded =
        load_text(text, Path::new("config.yaml"), &|name| name.starts_with('S').then(|| "x".to_owned()));
    for diagnostic in &loaded.diagnostics {
        let shown = diagnostic.render(&loaded.sources, false);
        assert!(!shown.is_empty());
        if let Some(spot) = diagnostic.spot.as_ref().filter(|spot| spot.file == Path::new("config.yaml")) {
            assert!(spot.line <= text.lines().count() + 1, "{diagnostic} in {text:?}");
        }
    }
    if let Some(document) = &loaded.document {
        survives_as_value(document);
    }
    match loaded.resolved {
        Some(resolved) => assert_eq!(resolved.table.deployments().len(), resolved.deployments.len()),
        None => assert!(loaded.diagnostics.iter().any(|found| found.severity == Severity::Error), "{text:?}"),
    }
    if let Some(spec) = loaded.spec.filter(|spec| spec.deployments.len() < 5) {
        mode_differences(&spec);
    }
}

/// The same as a value: whatever is found is found in no file, and nothing is lost of what was written.
fn survives_as_value(document: &serde_json::Value) {
    let loaded = load_value(document, &|name| name.starts_with('S').then(|| "x".to_owned()));
    for diagnostic in &loaded.diagnostics {
        assert_eq!(diagnostic.spot, None, "{diagnostic}");
        assert!(!diagnostic.render(&loaded.sources, false).is_empty());
    }
    assert_eq!(loaded.document.as_ref(), Some(document));
    let has_error = loaded.diagnostics.iter().any(|found| found.severity == Severity::Error);
    assert!(loaded.resolved.is_some() || has_error, "{document}");
}

/// A seed with some of its lines dropped, doubled or damaged.
fn mutated() -> impl Strategy<Value = String> {
    let damage = prop_oneof![
        Just(String::new()),
        Just("*".to_owned()),
        Just("&a".to_owned()),
        Just("<<: *a".to_owned()),
        Just("os.environ/NAME".to_owned()),
        Just("[{".to_owned()),
        Just("off".to_owned()),
        Just("-1.5e-7".to_owned()),
        Just("\u{feff}é\u{2028}".to_owned()),
        ".{0,12}",
    ];
    (0..SEEDS.len(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), damage), 1..6))
        .prop_map(|(seed, edits)| {
            let mut lines: Vec<String> = SEEDS[seed].lines().map(str::to_owned).collect();
            for (place, kind, damage) in edits {
                let place = place.index(lines.len());
                match kind % 4 {
                    0 if lines.len() > 1 => drop(lines.remove(place)),
                    1 => lines.insert(place, lines[place].clone()),
                    2 => {
                        let start = lines[place].find(": ").map_or(0, |colon| colon + 2);
                        lines[place].replace_range(start.., &damage);
                    }
                    _ => {
                        let middle = lines[place].chars().count() / 2;
                        let byte = lines[place].char_indices().nth(middle).map_or(0, |(byte, _)| byte);
                        lines[place].insert_str(byte, &damage);
                    }
                }
            }
            lines.join("\n")
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_ends(text in "[-:*&<{}\\[\\]\"'#|>!%@,. \n\ta-f0-9_é]{0,200}") {
        survives(&text);
    }

    #[test]
    fn any_text_below_the_known_keys_ends(
        model in "[-:*&<{}\\[\\]\"' a-f0-9/.]{0,20}",
        value in "[-:*{}\\[\\]\"' a-f0-9/.]{0,20}",
        key in prop::sample::select(tagrail_config::effective_keys().collect::<Vec<_>>()),
    ) {
        survives(&format!(
            "model_list:\n- model_name: {model}\n  litellm_params: {{model: openai/a, {key}: {value}}}\n  model_info:\n    {key}: {value}\n\
             router_settings:\n  {key}: {value}\ngeneral_settings:\n  {key}: {value}\n{key}: {value}\n"
        ));
    }

    #[test]
    fn any_damage_ends(text in mutated()) {
        survives(&text);
    }
}
