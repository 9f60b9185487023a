//! `tagrail explain`: which deployments a request may go to, and why. Nothing is sent and nothing
//! observed: every deployment counts as healthy.

use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use tagrail::{Call, Caller, Grounds, Operation};
use tagrail_config::Resolved;
use tagrail_routing::{Access, Chance, Moment, Policy, Reservations, RouteRequest, TagOrigin};

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
    let (has_errors, count) = (loaded.has_errors(), loaded.count());
    let Some(resolved) = loaded.resolved else {
        report::show(&loaded);
        complain(&format!("{} cannot be used", flags.config.display()));
        return ExitCode::FAILURE;
    };
    if has_errors {
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
    let tags = call.tags(table.rules());
    let request = RouteRequest {
        model,
        tags: &tags,
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
    let tags: Vec<(String, TagOrigin)> = tags.iter().map(|tag| (tag.text.to_string(), tag.origin)).collect();
    let grounds = Grounds {
        explanation: &explanation,
        model,
        tags: &tags,
        table,
        left_out: &resolved.left_out,
        num_retries: resolved.router.num_retries,
        signals: &(),
        moment: Moment::default(),
        audience: None,
        words: &|no_route| no_route.message(model, table),
    };
    say(&if flags.json { format!("{:#}\n", grounds.to_json()) } else { grounds.to_text() });
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
