//! Files that are something else than a configuration: what they are, and what to give instead. A wrong
//! file that merely served nothing would replace good gateways in a rollout.

use crate::findings::Findings;
use crate::keys::{Standing, TOP};
use crate::node::{Map, Node, Place, Value};

/// What a file is, for a sentence, and what to give instead.
struct Kind {
    is: String,
    instead: String,
}

impl Kind {
    fn new(is: impl Into<String>, instead: impl Into<String>) -> Option<Kind> {
        Some(Kind { is: is.into(), instead: instead.into() })
    }
}

/// What to give where nothing better is known.
const BEGIN: &str = "give a file that begins with `model_list:`";

/// Refuses a file whose top level is no configuration. Whether it was.
pub(super) fn refuse(root: &Node, findings: &mut Findings) -> bool {
    let kind = match &root.value {
        Value::Map(map) => of_map(map),
        Value::List(list) => of_list(list),
        Value::Text(text) => of_text(text),
        Value::Null => return false,
        _ => Kind::new(root.kind(), BEGIN),
    };
    kind.is_some_and(|kind| say(kind, root.at, findings))
}

/// The same of a text that is not YAML, or more than one document. Whether it was.
pub(super) fn refuse_text(text: &str, at: Place, findings: &mut Findings) -> bool {
    let begins = |start: &str| text.lines().any(|line| line.starts_with(start));
    let kind = if text.contains("{{ .Values") || text.contains("{{- ") || text.contains("{{ include ") {
        Kind::new("a template of a Helm chart", "give what `helm template` makes of its configuration")
    } else if begins("apiVersion:") && begins("kind:") {
        Kind::new(
            "a Kubernetes manifest",
            "give the configuration itself: the text below its ConfigMap's `data`",
        )
    } else if text.trim_start().starts_with('<') {
        Kind::new("HTML or XML", BEGIN)
    } else {
        None
    };
    kind.is_some_and(|kind| say(kind, at, findings))
}

fn say(kind: Kind, at: Place, findings: &mut Findings) -> bool {
    let message = format!("this file is {}, and not a configuration of the gateway", kind.is);
    findings.refuse("not-a-configuration", Some(at), message, Some(kind.instead));
    true
}

/// A map without any key that only a configuration has.
fn of_map(map: &Map) -> Option<Kind> {
    if map.entries.is_empty() {
        return Kind::new("an empty map", BEGIN);
    }
    if map.entries.iter().any(|entry| matches!(TOP.standing(&entry.key), Standing::Used)) {
        return None;
    }
    let has = |key: &str| map.entry(key).is_some();
    if has("apiVersion") && has("kind") {
        return of_manifest(map);
    }
    if let Some(path) = nested(map) {
        let is = if is_helm(map) { "a values file of a Helm chart" } else { "a map around a configuration" };
        return Kind::new(is, format!("give what stands below `{path}` as a file of its own"));
    }
    if is_helm(map) {
        let instead = "give the configuration itself: what the chart mounts as config.yaml";
        return Kind::new("a values file of a Helm chart", instead);
    }
    if has("apiVersion") && has("name") && has("version") {
        return Kind::new("the description of a Helm chart (Chart.yaml)", BEGIN);
    }
    if map.get("services").is_some_and(|services| services.as_map().is_some()) {
        let instead = "give the file that the service mounts or names with `--config`";
        return Kind::new("a Docker Compose file", instead);
    }
    if has("model_name") || has("litellm_params") {
        return Kind::new("one deployment", "put it below `model_list:` as an item: `- model_name: ...`");
    }
    let known = [
        (["on", "jobs"], "a workflow of GitHub Actions"),
        (["openapi", "paths"], "a description of an API (OpenAPI)"),
        (["scrape_configs", "scrape_configs"], "a configuration of Prometheus"),
        (["name", "dependencies"], "the description of a package"),
        (["receivers", "service"], "a configuration of an OpenTelemetry collector"),
    ];
    let found = known.into_iter().find(|([one, other], _)| has(one) && has(other));
    found.and_then(|(_, is)| Kind::new(is, BEGIN))
}

/// A Kubernetes manifest, which may hold the configuration as a text.
fn of_manifest(map: &Map) -> Option<Kind> {
    let kind = map.get("kind").and_then(Node::as_text).unwrap_or("object");
    let is = format!("a Kubernetes manifest ({kind})");
    for field in ["data", "stringData"] {
        let Some(data) = map.get(field).and_then(Node::as_map) else { continue };
        let holds = |node: &Node| node.as_text().is_some_and(|text| text.contains("model_list"));
        let entry = data.entries.iter().find(|entry| holds(&entry.value));
        let entry = entry.or_else(|| data.entries.iter().find(|entry| is_file_name(&entry.key)));
        if let Some(entry) = entry {
            let instead = format!("give the text below `{field}` → `{}` as a file of its own", entry.key);
            return Kind::new(is, instead);
        }
    }
    Kind::new(is, "give the configuration itself: the file that is mounted into the container")
}

fn is_file_name(key: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|end| key.ends_with(end))
}

/// Whether a map is the values of a Helm chart.
fn is_helm(map: &Map) -> bool {
    let telling = [
        "replicaCount",
        "proxy_config",
        "imagePullSecrets",
        "podAnnotations",
        "serviceAccount",
        "nodeSelector",
        "tolerations",
        "affinity",
        "fullnameOverride",
        "nameOverride",
        "ingress",
        "autoscaling",
        "masterkeySecretName",
        "image",
    ];
    let image = |map: &Map| {
        map.get("image").and_then(Node::as_map).is_some_and(|it| it.entry("repository").is_some())
    };
    let count = telling.iter().filter(|key| map.entry(key).is_some()).count();
    count > 1 || image(map) || map.entry("replicaCount").is_some() || map.entry("proxy_config").is_some()
}

/// The path of the map below one or two keys that is a configuration.
fn nested(map: &Map) -> Option<String> {
    let is_config = |node: &Node| node.as_map().is_some_and(|map| map.entry("model_list").is_some());
    for entry in &map.entries {
        if is_config(&entry.value) {
            return Some(entry.key.clone());
        }
        let Some(inner) = entry.value.as_map() else { continue };
        if let Some(found) = inner.entries.iter().find(|entry| is_config(&entry.value)) {
            return Some(format!("{}.{}", entry.key, found.key));
        }
    }
    None
}

fn of_list(list: &[Node]) -> Option<Kind> {
    let is_deployment = |node: &Node| {
        node.as_map()
            .is_some_and(|map| map.entry("model_name").is_some() || map.entry("litellm_params").is_some())
    };
    if list.iter().any(is_deployment) {
        return Kind::new("a list of deployments", "put the list below `model_list:`");
    }
    Kind::new("a list", BEGIN)
}

fn of_text(text: &str) -> Option<Kind> {
    let is_assignment = |line: &str| {
        line.split_once('=').is_some_and(|(name, _)| {
            let name = name.trim_start_matches("export ").trim();
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
    };
    if text.lines().next().is_some_and(is_assignment) || text.split(' ').next().is_some_and(is_assignment) {
        return Kind::new(
            "a list of environment variables",
            "set them where the gateway is started, and give its config.yaml",
        );
    }
    Kind::new("a text", BEGIN)
}
