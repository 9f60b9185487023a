//! From what is written to what is meant: environment, credentials, defaults, references; then the
//! targets and the routing table.

mod deployment;
mod draft;
mod fallbacks;
mod general;
mod identity;
mod ledger;
mod lint;
mod locate;
mod policy;
mod program;
mod router;
mod sent;
mod served;
mod target;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tagrail_providers::{Catalogue, Target, TargetError};
use tagrail_routing::{
    DeploymentSpec, LeftOutSpec, Mistake, ProviderGuess, RoutingTable, Severity, TableSpec, regex_mistake,
};

use crate::environment::Environment;
use crate::findings::Findings;
use crate::keys::TOP;
use crate::node::{Map, Node, Place};
use crate::reading::Wrong;
use crate::settings::{DeploymentSettings, LeftOut, Resolved};
use crate::{Env, Holdings, Host};
use deployment::{Surroundings, Unreadable};
use draft::Draft;
use router::Router;

/// The catalogue of models knows the providers of bare names.
struct CatalogueGuess(Catalogue);

impl ProviderGuess for CatalogueGuess {
    fn provider_of(&self, model: &str) -> Option<&str> {
        self.0.provider_of(model)
    }
}

/// What came of a file that could be read.
pub(crate) struct Outcome {
    pub(crate) resolved: Resolved,
    pub(crate) spec: TableSpec,
}

/// Resolves a file. What it says wrong is among the findings; whether they leave something to run
/// is for the caller to ask.
pub(crate) fn resolve(
    mut file: Map,
    process: Env<'_>,
    holdings: Option<&Holdings>,
    findings: &mut Findings,
) -> Outcome {
    if findings.host == Host::Program {
        program::narrow(&mut file);
    }
    TOP.check(&file, findings);
    let environment = Environment::new(&file, process, findings);
    file.entries.retain(|entry| entry.key != "environment_variables");
    environment.resolve(&mut file, findings);

    let empty = Map::default();
    let router_map = section(&file, "router_settings", findings).unwrap_or(&empty);
    let litellm_map = section(&file, "litellm_settings", findings).unwrap_or(&empty);
    let general_map = section(&file, "general_settings", findings).unwrap_or(&empty);
    let router = router::read(router_map, litellm_map, &environment, findings);
    let general = general::read(general_map, &router, &environment, findings);

    let client_credentials = general.client_credentials;
    let mut fleet = Fleet::read(&file, &router, client_credentials, &environment, findings);
    let spec = TableSpec {
        deployments: std::mem::take(&mut fleet.specs),
        left_out: std::mem::take(&mut fleet.left_out_specs),
        aliases: router.aliases,
        fallbacks: router.fallbacks,
        tag_filtering: router.tag_filtering,
        match_any: router.match_any,
        tag_prefix: router.tag_prefix,
        mode: router.mode,
        tag_grants: general.tag_grants,
        guess: Arc::new(CatalogueGuess(Catalogue)),
    };
    let compiled = RoutingTable::compile(spec.clone());
    for mistake in compiled.mistakes {
        fleet.note(mistake, &spec, &[router_map, litellm_map], findings);
    }
    let seen = lint::Seen {
        spec: &spec,
        table: &compiled.table,
        nodes: &fleet.nodes,
        router: router_map,
        general: general_map,
        reserved: &general.reserved_tags,
        holdings,
    };
    lint::look(&seen, findings);
    fleet.shadows(&compiled.table, findings);
    served::needed(&file, general_map, &fleet, &compiled.table, findings);
    let resolved = Resolved {
        table: compiled.table,
        deployments: fleet.settings,
        router: router.settings,
        general,
        left_out: fleet.left_out,
    };
    Outcome { resolved, spec }
}

/// The stable code of a mistake in the routing table.
fn code_of(key: &str, severity: Severity) -> &'static str {
    match (key, severity) {
        ("model_info.id", _) => "duplicate-id",
        ("tag_regex", _) => "bad-regex",
        (_, Severity::Warning) => "unknown-target",
        (_, Severity::Error) => "bad-value",
    }
}

/// An item of `model_list`, and its position there.
#[derive(Clone, Copy)]
struct Item<'a> {
    place: usize,
    node: &'a Node,
}

/// The deployments read so far, in parallel lists.
#[derive(Default)]
struct Fleet<'a> {
    specs: Vec<DeploymentSpec>,
    settings: Vec<DeploymentSettings>,
    nodes: Vec<&'a Node>,
    left_out_specs: Vec<LeftOutSpec>,
    left_out: Vec<LeftOut>,
    /// Parallel to those.
    left_out_places: Vec<Place>,
}

impl<'a> Fleet<'a> {
    /// Reads `model_list`.
    fn read(
        file: &'a Map,
        router: &Router<'_>,
        client_credentials: bool,
        environment: &Environment<'_>,
        findings: &mut Findings,
    ) -> Self {
        let around = Surroundings {
            credentials: credentials(file, findings),
            defaults: router.defaults,
            drop_params: router.drop_params,
            client_credentials,
            tls_verify: router.tls_verify.clone(),
            environment: environment.get("LITELLM_ENVIRONMENT"),
        };
        if let Some(defaults) = around.defaults {
            sent::say_all(defaults, findings);
        }
        let mut fleet = Fleet::default();
        for (place, node) in items(file, "model_list", findings).iter().enumerate() {
            let item = Item { place, node };
            match deployment::read(node, &around, findings) {
                Ok(drafts) => {
                    for draft in drafts {
                        fleet.admit(draft, item, router.max_parallel_requests, environment, findings);
                    }
                }
                Err(mut unreadable) => {
                    if let Some(draft) = unreadable.draft.take() {
                        let more = further(&draft, node, &unreadable.wrong, environment);
                        unreadable.wrong.extend(more);
                    }
                    fleet.leave_out(unreadable, item, findings);
                }
            }
        }
        fleet
    }

    /// Takes a deployment, unless its target cannot be built.
    fn admit(
        &mut self,
        draft: Draft,
        item: Item<'a>,
        max_parallel_requests: Option<u32>,
        environment: &Environment<'_>,
        findings: &mut Findings,
    ) {
        let Item { place, node } = item;
        match Target::build(&draft.target, &|name| environment.get(name)) {
            Ok(target) => {
                sent::say_clouds(node, findings);
                let access_groups = draft.spec.access_groups.clone();
                self.specs.push(draft.spec);
                self.nodes.push(node);
                self.settings.push(DeploymentSettings {
                    place,
                    target,
                    timeout: draft.timeout,
                    stream_timeout: draft.stream_timeout,
                    num_retries: draft.num_retries,
                    cooldown_time: draft.cooldown_time,
                    allowed_fails: draft.allowed_fails,
                    mock_response: draft.mock_response,
                    max_parallel_requests: draft.max_parallel_requests.or(max_parallel_requests),
                    price: draft.price,
                    shown_params: draft.shown_params,
                    info: draft.info,
                    access_groups,
                });
            }
            Err(error) => {
                let mut wrong = vec![bad_target(&error, node)];
                wrong.extend(bad_regexes(&draft.spec, node));
                let DeploymentSpec { group, id, tags, .. } = draft.spec;
                self.leave_out(Unreadable { group, id: Some(id), tags, wrong, draft: None }, item, findings);
            }
        }
    }

    /// Notes a mistake of the table, which leaves a deployment out if it is an error of one.
    fn note(&mut self, mistake: Mistake, spec: &TableSpec, settings: &[&Map], findings: &mut Findings) {
        let blamed =
            mistake.deployment.and_then(|index| Some((self.nodes.get(index)?, spec.deployments.get(index)?)));
        let place = mistake.deployment.and_then(|index| Some(self.settings.get(index)?.place));
        let at = match blamed {
            Some((node, _)) => locate::in_deployment(node, mistake.key),
            None => locate::in_settings(settings, mistake.key, &mistake.message),
        };
        let at = at.unwrap_or(Place { file: 0, line: 1, column: 1 });
        let code = code_of(mistake.key, mistake.severity);
        if mistake.severity == Severity::Warning {
            let message = match mistake.deserted.and_then(|group| self.first_left_out(&group)) {
                Some(first) => format!("{} ({})", mistake.message, findings.brief(first)),
                None => mistake.message,
            };
            findings.warn(code, at, message, None);
            return;
        }
        if let (Some((node, spec)), Some(place)) = (blamed, place) {
            let reason = format!("{}: {}", findings.name(at), mistake.message);
            let (group, id) = (spec.group.clone(), Some(spec.id.clone()));
            // A second mistake of a deployment leaves it out no more.
            match self.left_out.iter_mut().find(|left_out| left_out.id == id && left_out.place == place) {
                Some(left_out) => left_out.reason = format!("{}; {reason}", left_out.reason),
                None => {
                    let (spot, path) = (findings.spot(node.at), findings.path(node.at));
                    self.left_out.push(LeftOut { group, id, place, spot, path, reason });
                    self.left_out_places.push(node.at);
                }
            }
        }
        findings.error(code, at, mistake.message, None);
    }

    /// Where the first deployment of a group that was left out stands.
    fn first_left_out(&self, group: &str) -> Option<Place> {
        let all = self.left_out.iter().zip(&self.left_out_places);
        all.filter(|(left_out, _)| left_out.group == group).map(|(_, at)| *at).min_by_key(|at| at.line)
    }

    /// Notes that a deployment is left out. Its tags still count (row D30).
    fn leave_out(&mut self, unreadable: Unreadable, item: Item<'a>, findings: &mut Findings) {
        let Item { place, node } = item;
        let reasons: Vec<String> = unreadable
            .wrong
            .iter()
            .map(|wrong| format!("{}: {}", findings.name(wrong.at), wrong.message))
            .collect();
        for wrong in unreadable.wrong {
            findings.error(wrong.code, wrong.at, wrong.message, wrong.help);
        }
        if !unreadable.group.is_empty() {
            self.left_out_specs.push(LeftOutSpec { group: unreadable.group.clone(), tags: unreadable.tags });
        }
        self.left_out.push(LeftOut {
            group: unreadable.group,
            id: unreadable.id,
            place,
            spot: findings.spot(node.at),
            path: findings.path(node.at),
            reason: reasons.join("; "),
        });
        self.left_out_places.push(node.at);
    }

    /// Says of names of which nothing is left that no wildcard takes them instead: once each.
    fn shadows(&self, table: &RoutingTable, findings: &mut Findings) {
        let mut said = HashSet::new();
        for (left_out, at) in self.left_out.iter().zip(&self.left_out_places) {
            let group = left_out.group.as_str();
            let Some(pattern) = table.shadowed_wildcard(group).filter(|_| said.insert(group)) else {
                continue;
            };
            let message = format!(
                "`{group}` has no deployment left, and `{pattern}`, which fits it, does not take a name that is \
                 configured"
            );
            let help = format!("mend the deployment, or remove it to leave the name to `{pattern}`");
            findings.warn("shadowed-wildcard", *at, message, Some(help));
        }
    }
}

/// What else is wrong with a deployment of which something could not be read.
fn further(draft: &Draft, node: &Node, wrong: &[Wrong], environment: &Environment<'_>) -> Vec<Wrong> {
    let mut more: Vec<Wrong> = bad_regexes(&draft.spec, node).collect();
    // A target of which something could not be read would be blamed for what it lacks.
    let keys = ["model", "api_base", "base_url", "api_key", "custom_llm_provider", "litellm_credential_name"];
    let is_of_target =
        |wrong: &Wrong| keys.iter().any(|key| locate::in_deployment(node, key) == Some(wrong.at));
    if !draft.spec.model.is_empty() && !wrong.iter().any(is_of_target) {
        let built = Target::build(&draft.target, &|name| environment.get(name));
        more.extend(built.err().map(|error| bad_target(&error, node)));
    }
    more
}

fn bad_target(error: &TargetError, node: &Node) -> Wrong {
    let at = locate::in_deployment(node, error.key).unwrap_or(node.at);
    let message = format!("`{}` {}", error.key, error.message);
    // What else can be wrong with a target says in the message what to write.
    let help = message.contains("needs a translation").then(|| {
        "keep this deployment for a later release, or reach the model through an OpenAI-compatible endpoint: \
         `model: openai/NAME` with its `api_base`"
            .to_owned()
    });
    Wrong { code: "bad-target", at, message, help }
}

fn bad_regexes(spec: &DeploymentSpec, node: &Node) -> impl Iterator<Item = Wrong> {
    let at = locate::in_deployment(node, "tag_regex").unwrap_or(node.at);
    let mistakes = spec.tag_regex.iter().filter_map(|text| regex_mistake(text));
    mistakes.map(move |message| Wrong { code: "bad-regex", at, message, help: None })
}

/// A map of settings.
fn section<'a>(file: &'a Map, key: &str, findings: &mut Findings) -> Option<&'a Map> {
    let node = file.get(key)?;
    if node.as_map().is_none() {
        let message = format!("`{key}` is a map, and this is {}", node.kind());
        findings.refuse(
            "wrong-type",
            Some(node.at),
            message,
            findings.in_yaml(format!("write `key: value` lines below `{key}:`")),
        );
    }
    node.as_map()
}

/// A list of things.
fn items<'a>(file: &'a Map, key: &str, findings: &mut Findings) -> &'a [Node] {
    let Some(node) = file.get(key) else { return &[] };
    match node.as_list() {
        Some(list) => list,
        None => {
            let message = format!("`{key}` is a list, and this is {}", node.kind());
            findings.refuse(
                "wrong-type",
                Some(node.at),
                message,
                findings.in_yaml("begin each item with `- `".to_owned()),
            );
            &[]
        }
    }
}

/// `credential_list`, by name.
fn credentials(file: &Map, findings: &mut Findings) -> HashMap<String, Map> {
    let mut credentials = HashMap::new();
    for node in items(file, "credential_list", findings) {
        let map = node.as_map();
        let name = map.and_then(|map| map.get("credential_name")).and_then(Node::as_text);
        let values = map.and_then(|map| map.get("credential_values")).and_then(Node::as_map);
        match (name, values) {
            (Some(name), Some(values)) => {
                credentials.insert(name.to_owned(), sent::of_credential(values, findings));
            }
            _ => {
                let message = "a credential needs `credential_name` and a map `credential_values`".to_owned();
                let help = "write `{credential_name: NAME, credential_values: {api_key: os.environ/KEY}}`"
                    .to_owned();
                findings.refuse("missing-key", Some(node.at), message, Some(help));
            }
        }
    }
    credentials
}
