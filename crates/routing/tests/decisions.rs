//! Plays every `decisions/*.case`: one table, and requests with who may answer them, in both modes.
//!
//! A line `ID: group=G ...` is a deployment (`upstream=`, `tags=a,b`, `regex=`, `order=`, `weight=`,
//! `rpm=`, `filtering=on|off`, `fail-open`, `blocked`); `left-out group=G tags=a` one that was left
//! out; `alias A = T`, `guess NAME = PROVIDER`, `filtering`, `match all`, `prefix P` set the table up.
//! `reserved a,b` or `reserved unknown` says what is reserved (unless `grants off`), `caller NAME
//! tags=a,&b key=MODELS team=MODELS alias=A:T` who may ask. `access=` of a deployment is its access groups.
//!
//! A line with `=>` is a request: the name, then `[tags]` (`team:` in front of what a team brings),
//! `agent=`, `cooling=ID,ID` (for 7 s), `forced`, `as=CALLER`, `chosen` (by the operator). After the arrow
//! stand all deployments that answer, `ID=MODEL` to say under which upstream name, or a status with what its message must contain;
//! `tagrail ... | litellm ...` where the modes differ. `| ID REASON` below it is a line of `explain`
//! as an admin sees it, `| hidden ID` a deployment of which the caller hears nothing, `| nothing` that it
//! hears of no deployment, no group and no note.

mod case;

use std::collections::BTreeSet;

use case::{Case, Expected, Request};
use tagrail_routing::{Chance, Explanation, Moment, Observed, RoutingMode, RoutingTable, Signals, Verdict};

const DRAWS: usize = 200;

struct Cooling(Vec<tagrail_routing::DeploymentIndex>);

impl Signals for Cooling {
    fn observe(&self, deployment: tagrail_routing::DeploymentIndex, _: Option<&str>) -> Observed {
        Observed { cooling_until: self.0.contains(&deployment).then_some(Moment(8_000)) }
    }
}

/// Every answer to a request, over many draws.
fn answers(case: &Case, table: &RoutingTable, request: &Request, with_models: bool) -> Expected {
    let (tags, reserved) = (request.tags(case), case.reserve(table));
    let signals = Cooling(request.cooling.iter().filter_map(|id| table.by_id(id)).collect());
    let mut ids = BTreeSet::new();
    let mut chance = Chance { sequence: 0, draw: 7 };
    for _ in 0..DRAWS {
        chance = chance.next();
        let question = request.question(&tags, case.access(request, &reserved), chance);
        match table.decide(&question, &signals) {
            Ok(decision) => {
                let first = decision.first();
                let id = &table.deployments()[first.slot()].id;
                let model = table.upstream_model(&decision, first);
                ids.insert(if with_models { format!("{id}={model}") } else { id.clone() });
            }
            Err(refusal) => {
                return Expected::Refused(refusal.status(), refusal.message(&request.model, table));
            }
        }
    }
    Expected::Served(ids)
}

fn play(case: &Case, mode: RoutingMode, failures: &mut Vec<String>) {
    let table = case.table(mode);
    for request in &case.requests {
        let expected = request.expected(mode);
        let with_models = matches!(expected, Expected::Served(ids) if ids.iter().any(|id| id.contains('=')));
        let got = answers(case, &table, request, with_models);
        if !expected.admits(&got) {
            failures.push(format!(
                "{} {mode:?} `{}`\n  expected {expected:?}\n  got      {got:?}",
                case.name, request.line
            ));
        }
        explain(case, &table, request, mode, failures);
    }
}

fn explain(
    case: &Case,
    table: &RoutingTable,
    request: &Request,
    mode: RoutingMode,
    failures: &mut Vec<String>,
) {
    let (tags, reserved) = (request.tags(case), case.reserve(table));
    let signals = Cooling(request.cooling.iter().filter_map(|id| table.by_id(id)).collect());
    let question = request.question(&tags, case.access(request, &reserved), Chance::default());
    let all = lines(table, &table.explain_as(&question, &signals));
    let own = table.explain(&question, &signals);
    let told = lines(table, &own);
    for reason in request.reasons(mode) {
        let holds = match reason.strip_prefix("hidden ") {
            Some(id) => told.iter().all(|line| !line.contains(&format!("{id} "))) && !told.is_empty(),
            None if reason == "nothing" => told.is_empty() && own.group.is_none(),
            None => all.iter().any(|line| line == reason),
        };
        if !holds {
            let told = format!("told {told:#?}\n  of {all:#?}");
            failures.push(format!("{} {mode:?} `{}`\n  not `{reason}`: {told}", case.name, request.line));
        }
    }
}

fn lines(table: &RoutingTable, explanation: &Explanation) -> Vec<String> {
    let id = |verdict: &Verdict| &table.deployments()[verdict.deployment.slot()].id;
    let verdicts = explanation.verdicts.iter().map(|verdict| format!("{} {}", id(verdict), verdict.reason));
    verdicts.chain(explanation.notes.iter().map(|note| format!("note: {note}"))).collect()
}

#[test]
fn every_case_is_decided_as_it_says() {
    let mut failures = Vec::new();
    let mut played = 0;
    for case in case::all() {
        for mode in [RoutingMode::Tagrail, RoutingMode::Litellm] {
            play(&case, mode, &mut failures);
        }
        played += case.requests.len();
    }
    assert!(played > 150, "only {played} requests were found");
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}
