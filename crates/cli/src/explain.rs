//! `tagrail explain`: which deployments a request may go to, and why. Nothing is sent and nothing
//! observed: every deployment counts as healthy.

use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};
use tagrail::{Call, Caller, Operation};
use tagrail_config::{LeftOut, Resolved};
use tagrail_routing::{
    Access, Chance, Decision, DeploymentIndex, Explanation, FallbackKind, Moment, Policy, Reason, RequestTag,
    Reservations, Resolution, RouteRequest, RoutingTable, TagOrigin,
};

use crate::USAGE;
use crate::flags::ExplainFlags;
use crate::report::{self, complain, say};
use crate::serve::environment;

/// Exit status 0 when there is a plan, 1 when there is none.
pub(crate) fn run(flags: &ExplainFlags) -> ExitCode {
    let call = match call(flags) {
        Ok(call) => call,
        Err(sentence) => {
            complain(&sentence);
            return ExitCode::from(USAGE);
        }
    };
    let loaded = tagrail_config::load(&flags.config, &environment);
    let Some(resolved) = loaded.resolved else {
        report::show(&loaded);
        complain(&format!("{} cannot be used", flags.config.display()));
        return ExitCode::FAILURE;
    };
    if report::has_errors(&loaded.diagnostics) {
        let count = report::count(&loaded.diagnostics);
        complain(&format!("{count}; see `tagrail check {}`", flags.config.display()));
    }
    let table = &resolved.table;
    let model = resolved.general.completion_model.as_deref().unwrap_or(&flags.model);
    let (policy, reserved) = (policy(flags), table.reserve(&reservations(flags, &resolved)));
    let call = match &policy {
        Some(policy) => {
            let caller = Caller { policy: Some(policy.clone()), ..Caller::default() };
            call.by(Arc::new(caller), http::HeaderValue::from_static("explain"))
        }
        None => call,
    };
    let question = Question { model, tags: call.tags(table.rules()), table, resolved: &resolved };
    let request = RouteRequest {
        model,
        tags: &question.tags,
        user_agent: call.user_agent(),
        force_tag_filtering: false,
        access: match &policy {
            Some(policy) => Access::Caller { policy, reserved: &reserved },
            None => Access::Admin,
        },
        operators_choice: false,
        moment: Moment::default(),
        chance: Chance::default(),
    };
    // Whoever runs this holds the configuration: what the caller does not reach is shown, and why.
    let explanation = table.explain_as(&request, &());
    say(&if flags.json { question.json(&explanation) } else { question.text(&explanation) });
    if explanation.decision.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The caller that the flags describe; `None` is the admin.
fn policy(flags: &ExplainFlags) -> Option<Policy> {
    if flags.team_tags.is_empty() && flags.key_tags.is_empty() && flags.reserved.is_empty() {
        return None;
    }
    let of = |tags: &[String], origin: TagOrigin| -> Vec<(String, TagOrigin)> {
        tags.iter().map(|tag| (tag.clone(), origin)).collect()
    };
    let mut tags = of(&flags.key_tags, TagOrigin::Key);
    tags.extend(of(&flags.team_tags, TagOrigin::Team));
    Some(Policy { tags, ..Policy::default() })
}

/// What is reserved: by the configuration, by the flags, and by the grant to the caller's team.
fn reservations(flags: &ExplainFlags, resolved: &Resolved) -> Reservations {
    let granted = resolved.table.reserving(&flags.team_tags);
    let tags = resolved.general.reserved_tags.iter().chain(&flags.reserved).cloned().chain(granted);
    Reservations::Known(tags.collect())
}

/// The request that the flags describe, read as the gateway reads one.
fn call(flags: &ExplainFlags) -> Result<Call, String> {
    let mut body = json!({"model": flags.model});
    if !flags.tags.is_empty() {
        body["tags"] = json!(flags.tags);
    }
    let mut headers = http::HeaderMap::new();
    for header in &flags.headers {
        let pair = header.split_once('=').or_else(|| header.split_once(':'));
        let (name, value) = pair.ok_or_else(|| format!("--header {header:?} is not of the form K=V"))?;
        let name: http::HeaderName =
            name.trim().parse().map_err(|_| format!("{name:?} cannot be the name of a header"))?;
        let value = http::HeaderValue::from_bytes(value.trim().as_bytes())
            .map_err(|_| format!("{value:?} cannot be the value of a header"))?;
        headers.append(name, value);
    }
    Call::read(Operation::ChatCompletions, headers, body.to_string().into(), None)
        .map_err(|error| error.message)
}

/// What was asked, for both ways to print the answer.
struct Question<'a> {
    model: &'a str,
    tags: Vec<RequestTag<'a>>,
    table: &'a RoutingTable,
    resolved: &'a Resolved,
}

/// The kinds of fallbacks, as the configuration calls them.
const FALLBACKS: [(&str, FallbackKind); 3] = [
    ("fallbacks", FallbackKind::General),
    ("context_window_fallbacks", FallbackKind::ContextWindow),
    ("content_policy_fallbacks", FallbackKind::ContentPolicy),
];

impl Question<'_> {
    fn text(&self, explanation: &Explanation) -> String {
        let mut text = String::new();
        let mut line = |title: &str, words: &str| text.push_str(&format!("{title:<7}  {words}\n"));
        line("model", &self.found(explanation));
        let tags: Vec<String> =
            self.tags.iter().map(|tag| format!("{} ({})", tag.text, origin(tag.origin))).collect();
        line("tags", &if tags.is_empty() { "none".to_owned() } else { tags.join(", ") });
        for note in &explanation.notes {
            line("note", note);
        }
        match &explanation.decision {
            Ok(decision) => line("plan", &self.plan_text(decision)),
            Err(refusal) => {
                line("refused", &format!("{} {}", refusal.status(), refusal.message(self.model, self.table)));
            }
        }
        line("retries", &self.resolved.router.num_retries.to_string());
        let of_kind = FALLBACKS.map(|(key, kind)| (key, self.table.fallbacks(self.model, kind)));
        for (key, names) in of_kind.into_iter().chain([("default_fallbacks", self.table.default_fallbacks())])
        {
            if !names.is_empty() {
                line("instead", &format!("{} ({key})", names.join(", then ")));
            }
        }
        let rows = self.rows(explanation);
        if !rows.is_empty() {
            text.push('\n');
            text.push_str(&aligned(&rows));
        }
        text
    }

    /// Deployments of the group that were left out.
    fn left_out(&self, explanation: &Explanation) -> impl Iterator<Item = &LeftOut> {
        let group = explanation.group.clone();
        let group = group.unwrap_or_else(|| self.table.behind_alias(self.model).to_owned());
        self.resolved.left_out.iter().filter(move |left_out| left_out.group == group)
    }

    fn found(&self, explanation: &Explanation) -> String {
        match (&explanation.group, &explanation.decision) {
            (None, _) => format!("{}, which leads nowhere", self.model),
            (Some(group), Ok(decision)) => {
                format!("{}, which leads to {group} by {}", self.model, found_by(decision.resolution()))
            }
            (Some(group), Err(_)) => format!("{}, which leads to {group}", self.model),
        }
    }

    /// Id, tags, fate and reason of every deployment of the group. A reason that stands above is not
    /// repeated.
    fn rows(&self, explanation: &Explanation) -> Vec<[String; 4]> {
        let told = explanation.verdicts.iter().map(|verdict| {
            let (kept, text) = match &verdict.reason {
                Reason::Kept { text } => ("kept".to_owned(), text),
                Reason::Removed { stage, text } => (format!("removed by {stage}"), text),
            };
            let tags = self.table.deployments()[verdict.deployment.slot()].tags.join(",");
            [self.id(verdict.deployment).to_owned(), format!("[{tags}]"), kept, text.clone()]
        });
        let left_out = self.left_out(explanation).map(|left_out| {
            let id = left_out.id.clone().unwrap_or_else(|| "without an id".to_owned());
            [id, String::new(), "left out".to_owned(), left_out.reason.clone()]
        });
        let mut rows: Vec<[String; 4]> = told.chain(left_out).collect();
        for place in (1..rows.len()).rev() {
            if rows[place][2..] == rows[place - 1][2..] && !rows[place][3].is_empty() {
                rows[place][3] = "as above".to_owned();
            }
        }
        rows
    }

    /// The answer of `POST /route/explain` to the same question.
    fn json(&self, explanation: &Explanation) -> String {
        let tags: Vec<Value> =
            self.tags.iter().map(|tag| json!({"tag": tag.text, "from": origin(tag.origin)})).collect();
        let mut permitted = Vec::new();
        let mut deployments = Vec::new();
        for verdict in &explanation.verdicts {
            let id = self.id(verdict.deployment);
            deployments.push(match &verdict.reason {
                Reason::Kept { text } => {
                    permitted.push(id);
                    json!({"id": id, "kept": true, "stage": null, "text": text})
                }
                Reason::Removed { stage, text } => {
                    json!({"id": id, "kept": false, "stage": stage, "text": text})
                }
            });
        }
        let left_out = self.left_out(explanation);
        deployments.extend(
            left_out.map(|it| json!({"id": it.id, "kept": false, "stage": "config", "text": it.reason})),
        );
        let fallbacks = |kind| self.table.fallbacks(self.model, kind);
        let decision = match &explanation.decision {
            Ok(decision) => json!({
                "found_by": found_by(decision.resolution()),
                "first": self.id(decision.first()),
                "permitted": permitted,
            }),
            Err(refusal) => {
                json!({"status": refusal.status(), "error": refusal.message(self.model, self.table)})
            }
        };
        let answer = json!({
            "model": self.model,
            "group": explanation.group,
            "tags": tags,
            "decision": decision,
            "deployments": deployments,
            "notes": explanation.notes,
            "num_retries": self.resolved.router.num_retries,
            "fallbacks": {
                "general": fallbacks(FallbackKind::General),
                "context_window": fallbacks(FallbackKind::ContextWindow),
                "content_policy": fallbacks(FallbackKind::ContentPolicy),
                "default": self.table.default_fallbacks(),
            },
        });
        format!("{answer:#}\n")
    }

    /// One draw of the plan: each deployment at its first turn.
    fn plan(&self, decision: &Decision) -> Vec<DeploymentIndex> {
        let mut decision = decision.clone();
        let mut plan = vec![decision.first()];
        let mut chance = Chance::default();
        while plan.len() < decision.group_size() {
            chance = chance.next();
            match decision.next(self.table, &(), Moment::default(), chance) {
                Some(next) if !plan.contains(&next) => plan.push(next),
                _ => break,
            }
        }
        plan
    }

    fn plan_text(&self, decision: &Decision) -> String {
        let plan: Vec<String> = self
            .plan(decision)
            .iter()
            .map(|index| format!("{} as {}", self.id(*index), self.table.upstream_model(decision, *index)))
            .collect();
        let drawn = if plan.len() > 1 { " (one draw; equals are drawn anew for each request)" } else { "" };
        format!("{}{drawn}", plan.join(", then "))
    }

    fn id(&self, index: DeploymentIndex) -> &str {
        &self.table.deployments()[index.slot()].id
    }
}

/// Rows with their columns aligned.
fn aligned(rows: &[[String; 4]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (id, tags, kept) = (width(0), width(1), width(2));
    let line = |[a, b, c, d]: &[String; 4]| {
        format!("  {a:<id$}  {b:<tags$}  {c:<kept$}  {d}").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn origin(origin: TagOrigin) -> &'static str {
    match origin {
        TagOrigin::Metadata => "body metadata.tags",
        TagOrigin::LitellmMetadata => "body litellm_metadata.tags",
        TagOrigin::Header => "header x-litellm-tags",
        TagOrigin::Key => "key",
        TagOrigin::Team => "team",
        TagOrigin::Body => "body tags",
    }
}

fn found_by(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::DeploymentId => "deployment id",
        Resolution::Exact => "model_name",
        Resolution::Wildcard => "wildcard",
        Resolution::GuessedProvider => "wildcard, behind the guessed provider",
        Resolution::UpstreamName => "litellm_params.model",
    }
}
