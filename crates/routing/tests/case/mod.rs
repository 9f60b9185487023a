//! Reads `decisions/*.case`; the form is described in `decisions.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a case that cannot be read has to fail the test")]

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use tagrail_routing::{
    Access, AccessList, AliasSpec, Chance, DeploymentSpec, FallbackSpec, Holder, LeftOutSpec, Moment, Policy,
    ProviderGuess, RequestTag, Reservations, Reserved, RouteRequest, RoutingMode, RoutingTable, TableSpec,
    TagOrigin,
};

/// One file.
#[derive(Default)]
pub(crate) struct Case {
    pub(crate) name: String,
    deployments: Vec<DeploymentSpec>,
    left_out: Vec<LeftOutSpec>,
    aliases: Vec<AliasSpec>,
    guesses: HashMap<String, String>,
    filtering: bool,
    match_all: bool,
    prefix: String,
    no_grants: bool,
    reserved: Option<Vec<String>>,
    callers: HashMap<String, Policy>,
    pub(crate) requests: Vec<Request>,
}

/// One line with an arrow.
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) model: String,
    tags: Vec<String>,
    agent: Option<String>,
    forced: bool,
    caller: Option<String>,
    chosen: bool,
    pub(crate) cooling: Vec<String>,
    tagrail: Expected,
    litellm: Expected,
    reasons: Vec<(Option<RoutingMode>, String)>,
}

/// Who may answer, or why nobody does.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    Served(BTreeSet<String>),
    Refused(u16, String),
}

struct Guesses(HashMap<String, String>);

impl ProviderGuess for Guesses {
    fn provider_of(&self, model: &str) -> Option<&str> {
        self.0.get(model).map(String::as_str)
    }
}

/// Every case of the folder, by name.
pub(crate) fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decisions");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let named = |path: &std::path::PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| Case::read(named(path), &std::fs::read_to_string(path).unwrap())).collect()
}

impl Case {
    fn read(name: String, text: &str) -> Case {
        let mut case = Case { name, ..Case::default() };
        for line in text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim()) {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("" | "#", _) => (),
                ("|", reason) => case.requests.last_mut().unwrap().reasons.push(mode_of(reason)),
                _ if line.contains("=>") => case.requests.push(Request::read(line)),
                ("filtering", _) => case.filtering = true,
                ("match", "all") => case.match_all = true,
                ("grants", "off") => case.no_grants = true,
                ("reserved", "unknown") => case.reserved = None,
                ("reserved", tags) => case.reserved = Some(list(tags)),
                ("caller", rest) => {
                    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                    case.callers.insert(name.to_owned(), policy(rest));
                }
                ("prefix", prefix) => case.prefix = prefix.to_owned(),
                ("guess", pair) => drop(case.guesses.insert(halves(pair, " = ").0, halves(pair, " = ").1)),
                ("alias", pair) => {
                    let (name, target) = halves(pair, " = ");
                    case.aliases.push(AliasSpec { name, target, hidden: false });
                }
                ("left-out", rest) => {
                    let spec = deployment("", rest);
                    case.left_out.push(LeftOutSpec { group: spec.group, tags: spec.tags });
                }
                (id, rest) if id.ends_with(':') => {
                    case.deployments.push(deployment(id.strip_suffix(':').unwrap(), rest));
                }
                _ => panic!("{}: cannot read `{line}`", case.name),
            }
        }
        case
    }

    pub(crate) fn table(&self, mode: RoutingMode) -> RoutingTable {
        let compiled = RoutingTable::compile(TableSpec {
            deployments: self.deployments.clone(),
            left_out: self.left_out.clone(),
            aliases: self.aliases.clone(),
            fallbacks: FallbackSpec::default(),
            tag_filtering: self.filtering,
            match_any: !self.match_all,
            tag_prefix: self.prefix.clone(),
            mode,
            tag_grants: !self.no_grants,
            guess: Arc::new(Guesses(self.guesses.clone())),
        });
        compiled.table
    }

    pub(crate) fn reserve(&self, table: &RoutingTable) -> Reserved {
        let known = |tags: &Vec<String>| Reservations::Known(tags.iter().cloned().collect());
        table.reserve(&self.reserved.as_ref().map_or(Reservations::Unknown, known))
    }

    /// Who sends the request; the operator unless it says otherwise.
    pub(crate) fn access<'a>(&'a self, request: &Request, reserved: &'a Reserved) -> Access<'a> {
        match &request.caller {
            None => Access::Admin,
            Some(name) => Access::Caller { policy: &self.callers[name], reserved },
        }
    }
}

impl Request {
    fn read(line: &str) -> Request {
        let (question, answer) = halves(line, "=>");
        let mut request = Request { line: line.to_owned(), ..Request::default() };
        let (question, tags) = match question.split_once(" [") {
            Some((before, rest)) => {
                let (tags, after) = rest.rsplit_once(']').unwrap();
                (format!("{before} {after}"), list(tags))
            }
            None => (question, Vec::new()),
        };
        request.tags = tags;
        let mut words = question.split_whitespace();
        request.model = words.next().unwrap().replace("\\n", "\n");
        for word in words {
            match word.split_once('=').unwrap_or((word, "")) {
                ("agent", agent) => request.agent = Some(agent.to_owned()),
                ("cooling", ids) => request.cooling = list(ids),
                ("forced", _) => request.forced = true,
                ("as", caller) => request.caller = Some(caller.to_owned()),
                ("chosen", _) => request.chosen = true,
                _ => panic!("cannot read `{word}` in `{line}`"),
            }
        }
        let (tagrail, litellm) = match answer.strip_prefix("tagrail ") {
            Some(rest) => halves(rest, "| litellm "),
            None => (answer.clone(), answer),
        };
        request.tagrail = Expected::read(&tagrail);
        request.litellm = Expected::read(&litellm);
        request
    }

    pub(crate) fn tags<'a>(&'a self, case: &'a Case) -> Vec<RequestTag<'a>> {
        let tag = |text: &'_ str| match text.strip_prefix("team:") {
            Some(text) => (text.to_owned(), TagOrigin::Team),
            None => (text.to_owned(), TagOrigin::Body),
        };
        let granted = self.caller.iter().flat_map(|name| case.callers[name].tags.clone());
        granted
            .chain(self.tags.iter().map(|text| tag(text)))
            .map(|(text, origin)| RequestTag { text: text.into(), origin })
            .collect()
    }

    pub(crate) fn question<'a>(
        &'a self,
        tags: &'a [RequestTag<'a>],
        access: Access<'a>,
        chance: Chance,
    ) -> RouteRequest<'a> {
        let user_agent = self.agent.as_deref();
        RouteRequest {
            model: &self.model,
            tags,
            user_agent,
            force_tag_filtering: self.forced,
            access,
            operators_choice: self.chosen,
            moment: Moment(1_000),
            chance,
        }
    }

    pub(crate) fn expected(&self, mode: RoutingMode) -> &Expected {
        match mode {
            RoutingMode::Tagrail => &self.tagrail,
            RoutingMode::Litellm => &self.litellm,
        }
    }

    pub(crate) fn reasons(&self, mode: RoutingMode) -> impl Iterator<Item = &str> {
        let counts = move |only: &Option<RoutingMode>| only.is_none_or(|only| only == mode);
        self.reasons.iter().filter(move |(only, _)| counts(only)).map(|(_, reason)| reason.as_str())
    }
}

impl Default for Expected {
    fn default() -> Self {
        Expected::Served(BTreeSet::new())
    }
}

impl Expected {
    fn read(text: &str) -> Expected {
        let (first, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        match first.parse::<u16>() {
            Ok(status) if (400..600).contains(&status) => Expected::Refused(status, rest.trim().to_owned()),
            _ => Expected::Served(text.split_whitespace().map(str::to_owned).collect()),
        }
    }

    pub(crate) fn admits(&self, got: &Expected) -> bool {
        match (self, got) {
            (Expected::Served(expected), Expected::Served(got)) => expected == got,
            (Expected::Refused(status, part), Expected::Refused(got, message)) => {
                status == got && message.contains(part.as_str())
            }
            _ => false,
        }
    }
}

fn deployment(id: &str, rest: &str) -> DeploymentSpec {
    let mut spec =
        DeploymentSpec { id: id.into(), model: format!("openai/{id}"), ..DeploymentSpec::default() };
    for word in rest.split_whitespace() {
        match word.split_once('=').unwrap_or((word, "")) {
            ("group", group) => spec.group = group.into(),
            ("upstream", model) => spec.model = model.into(),
            ("tags", tags) => spec.tags = list(tags),
            ("regex", regex) => spec.tag_regex.push(regex.into()),
            ("order", order) => spec.order = Some(order.parse().unwrap()),
            ("weight", weight) => spec.weight = Some(weight.parse().unwrap()),
            ("rpm", rpm) => spec.rpm = Some(rpm.parse().unwrap()),
            ("filtering", on) => spec.tag_filtering = Some(on == "on"),
            ("fail-open", _) => spec.allow_fail_open = true,
            ("blocked", _) => spec.blocked = true,
            ("access", groups) => spec.access_groups = list(groups),
            _ => panic!("cannot read `{word}` of {id}"),
        }
    }
    spec
}

fn policy(rest: &str) -> Policy {
    let mut policy = Policy::default();
    for word in rest.split_whitespace() {
        let (key, value) = halves(word, "=");
        let mut lists = |holder, also| {
            policy.models.push(AccessList { holder, models: list(&value), also });
        };
        match key.as_str() {
            "tags" => policy.tags.extend(list(&value).into_iter().map(|tag| (tag, TagOrigin::Team))),
            "key" => lists(Holder::Key, Vec::new()),
            "team" => lists(Holder::Team, vec!["team-alias".to_owned()]),
            "alias" => drop(policy.aliases.insert(halves(&value, ":").0, halves(&value, ":").1)),
            _ => panic!("cannot read `{word}` of a caller"),
        }
    }
    policy
}

fn mode_of(reason: &str) -> (Option<RoutingMode>, String) {
    match reason.split_once(' ') {
        Some(("tagrail", rest)) => (Some(RoutingMode::Tagrail), rest.trim().to_owned()),
        Some(("litellm", rest)) => (Some(RoutingMode::Litellm), rest.trim().to_owned()),
        _ => (None, reason.trim().to_owned()),
    }
}

fn halves(text: &str, at: &str) -> (String, String) {
    let (left, right) = text.split_once(at).unwrap_or_else(|| panic!("no `{at}` in `{text}`"));
    (left.trim().to_owned(), right.trim().to_owned())
}

fn list(text: &str) -> Vec<String> {
    let text = text.trim();
    if text.is_empty() { Vec::new() } else { text.split(',').map(|item| item.trim().to_owned()).collect() }
}
