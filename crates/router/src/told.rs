//! A failed call, told to whoever made it: LiteLLM's words, and behind them what helps. The operator hears
//! which deployments and tags there are; everybody else hears of nothing but what was sent.
//!
//! This is the one home of these texts. The server makes HTTP of them, the SDKs errors of their languages.

mod python;

use std::borrow::Cow;
use std::time::Duration;

use tagrail_providers::{EnvelopeError, Operation, UpstreamError};
use tagrail_routing::{
    Access, Chance, DeploymentIndex, FallbackKind, Holder, Moment, NoRoute, RouteRequest, RoutingMode, Rules,
};

use crate::{CallError, Caller, Refusal, ResponseRefusal, Snapshot};

pub use python::python_list;

/// A longer `Retry-After` of an upstream's is not passed on: nobody cools for longer on its word either.
const LONGEST_WAIT: f64 = 3600.0;

/// As much of an id is repeated; those of the gateway are shorter.
const LONGEST_ID: usize = 512;

/// Said of a call that could be sent to one deployment only.
const PINNED: &str =
    "The call continues a response that only this deployment has, so no other one was asked.";

/// A failure as it is told. What is `None` follows from the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The HTTP status.
    pub status: u16,
    /// LiteLLM's text where it has one.
    pub message: String,
    /// What can be done about it. `message` ends without a full stop; see [`Told::text`].
    pub help: Option<String>,
    /// `error.type`.
    pub kind: Option<Cow<'static, str>>,
    /// `error.param`.
    pub param: Option<Cow<'static, str>>,
    /// `error.code`.
    pub code: Option<String>,
    /// After how long another try makes sense.
    pub retry_after: Option<Duration>,
    /// LiteLLM's proxy refuses such a call before its router sees it, and words that otherwise.
    pub is_proxys: bool,
}

/// Whom a failure is told, and of which call.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// What was asked for.
    pub operation: Operation,
    /// The configuration that it was decided with.
    pub snapshot: &'a Snapshot,
    /// The name asked for; empty when there was none.
    pub model: &'a str,
    /// On whose behalf. Only the operator is told of what was not sent.
    pub caller: &'a Caller,
    /// Whether the operator's own program asked, without a gateway in between.
    pub in_process: bool,
}

impl Told {
    /// A text that follows LiteLLM's conventions for its status.
    pub(crate) fn plain(status: u16, message: impl Into<String>) -> Told {
        Told {
            status,
            message: message.into(),
            help: None,
            kind: None,
            param: None,
            code: None,
            retry_after: None,
            is_proxys: false,
        }
    }

    /// A body that cannot be routed.
    pub(crate) fn of_body(error: &EnvelopeError) -> Told {
        let told = Told::plain(error.status, error.message.clone());
        told.kind("invalid_request_error").param(error.param.clone())
    }

    fn kind(self, kind: &'static str) -> Told {
        Told { kind: Some(Cow::Borrowed(kind)), ..self }
    }

    fn param(self, param: impl Into<Cow<'static, str>>) -> Told {
        Told { param: Some(param.into()), ..self }
    }

    fn after(self, time: Duration) -> Told {
        Told { retry_after: Some(time), ..self }
    }

    /// Message and help as one text.
    pub fn text(&self) -> String {
        match &self.help {
            Some(help) => format!("{}. {help}", self.message),
            None => self.message.clone(),
        }
    }
}

impl CallError {
    /// The failure as it is told to whoever made the call.
    pub fn told(&self) -> Told {
        let CallError { operation, caller, in_process, .. } = self;
        let (snapshot, model) = (&*self.snapshot, &*self.model);
        let refused = Refused { operation: *operation, snapshot, model, caller, in_process: *in_process };
        let told = refused.told(&self.refusal);
        // Why nothing else was tried, where something else would have been.
        let is_outage =
            matches!(self.refusal, Refusal::NoRoute(_) | Refusal::Upstream(_)) && told.status != 400;
        let mut reasons = Vec::new();
        if self.is_pinned && is_outage {
            reasons.push(PINNED.to_owned());
        }
        if self.exhausted {
            reasons.push(format!(
                "The call ended after {} attempts (router_settings.max_attempts_per_call).",
                snapshot.router.max_attempts_per_call
            ));
        }
        if reasons.is_empty() {
            return told;
        }
        reasons.extend(told.help);
        Told { help: Some(reasons.join(" ")), ..told }
    }
}

impl Refused<'_> {
    fn told(self, refusal: &Refusal) -> Told {
        let path = self.operation.path();
        match refusal {
            Refusal::Body(error) => Told::of_body(error),
            Refusal::MissingModel if self.in_process => self.missing("model"),
            Refusal::MissingModel => Refused { model: "None", ..self }.unknown_model(),
            Refusal::MissingField(field) => self.missing(field),
            Refusal::NoRoute(no_route) => self.no_route(no_route),
            Refusal::OverLimit(over) => {
                let told = Told::plain(429, over.message.clone()).kind(over.kind);
                Told { retry_after: over.retry_after, ..told }
            }
            Refusal::Unpriced { model } => {
                let message = format!(
                    "Nothing says what model={model} costs, and what is called with this key is paid from a budget. Set input_cost_per_token and output_cost_per_token in the deployment's litellm_params, or general_settings.fallback_price."
                );
                Told::plain(403, message).kind("budget_without_price").param("model")
            }
            Refusal::Response(refusal) => of_response(refusal),
            Refusal::NotServed { provider, .. } => {
                let message =
                    format!("Deployments of provider {provider} do not serve /{path} in this version.");
                Told::plain(501, message)
            }
            Refusal::Upstream(upstream) => self.failed(upstream),
        }
    }

    fn missing(self, field: &'static str) -> Told {
        let message = format!("/{}: Missing required parameter: '{field}'.", self.operation.path());
        Told::plain(400, message).param(field)
    }

    fn failed(self, upstream: &UpstreamError) -> Told {
        // Variables and settings are the operator's.
        let message = match upstream.misconfigured {
            Some(misconfigured) if !self.is_privy() => misconfigured.text(),
            _ => upstream.message.as_str(),
        };
        let end = if message.ends_with('.') { "" } else { "." };
        let mut told = Told::plain(upstream.status, format!("{message}{end} {}", self.received()));
        told.code = upstream.upstream_code.clone();
        told.param = upstream.param.clone().map(Cow::Owned);
        if upstream.status == 422 {
            told.kind = upstream.upstream_type.as_deref().map(|kind| Cow::Owned(kind.to_owned()));
        }
        let asked = upstream.retry_after.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        told.retry_after = asked.map(|seconds| Duration::from_secs_f64(seconds.min(LONGEST_WAIT)));
        told
    }

    /// A call that no deployment may serve, and under `tagrail` rules what helps.
    pub fn no_route(self, no_route: &NoRoute) -> Told {
        let told = self.bare(no_route);
        // These two have said it all.
        let is_enough = matches!(no_route, NoRoute::ModelDenied { .. } | NoRoute::ReservationsUnknown);
        if is_enough || self.snapshot.table.rules() != &Rules::from(RoutingMode::Tagrail) {
            return told;
        }
        Told { help: Some(self.help(no_route)), ..told }
    }

    /// LiteLLM's words alone.
    fn bare(self, no_route: &NoRoute) -> Told {
        let model = self.model;
        match no_route {
            NoRoute::UnknownModel { wildcards_configured: false } => self.unknown_model(),
            NoRoute::UnknownModel { wildcards_configured: true } | NoRoute::NoDeployments => {
                Told::plain(400, self.no_healthy())
            }
            NoRoute::WildcardId => {
                let message = format!(
                    "litellm.BadRequestError: model={model} is the id of a wildcard deployment, which says no model to send upstream. Send a name that its model_name matches. {}",
                    self.received()
                );
                Told::plain(400, message)
            }
            NoRoute::ModelDenied { holder, .. } => {
                let kind = match holder {
                    Holder::Key => "key_model_access_denied",
                    Holder::Team => "team_model_access_denied",
                    Holder::User => "user_model_access_denied",
                };
                Told::plain(403, no_route.public_message(model, &self.snapshot.table))
                    .kind(kind)
                    .param("model")
            }
            NoRoute::ReservationsUnknown => {
                let message = no_route.public_message(model, &self.snapshot.table);
                Told::plain(503, message).after(Duration::from_secs(1))
            }
            NoRoute::TagMismatch { tags } => {
                let message = format!(
                    "Not allowed to access model due to tags configuration. Passed model={model} and tags={}",
                    python_list(tags.iter().map(String::as_str))
                );
                Told::plain(401, message).kind("internal_server_error")
            }
            NoRoute::Cooling { retry_after_ms, cooling } => self.all_cooling(*retry_after_ms, cooling),
        }
    }

    /// LiteLLM's proxy has a text of its own where there are no wildcards; its Router has not.
    fn unknown_model(self) -> Told {
        // Of wildcards that are reserved for others nobody else hears.
        let table = &self.snapshot.table;
        if self.in_process || self.snapshot.as_caller(self.caller, |access| table.has_wildcards(access)) {
            return Told::plain(400, self.no_healthy());
        }
        let message = format!(
            "/{}: Invalid model name passed in model={}. Call `/v1/models` to view available models for your key.",
            self.operation.path(),
            self.model
        );
        Told { is_proxys: true, ..Told::plain(400, message) }
    }

    fn no_healthy(self) -> String {
        // By then LiteLLM has replaced an alias, and tells it as the group that it received. What an alias
        // stands for is the operator's business.
        let model = if self.is_privy() { self.snapshot.table.behind_alias(self.model) } else { self.model };
        let received = self.received();
        format!(
            "litellm.BadRequestError: You passed in model={model}. There are no healthy deployments for this model. {received}"
        )
    }

    /// LiteLLM prints its whole fallback table here, which is nobody's business (row D13): what is told
    /// is the group's own list, and of that what the caller could ask for itself.
    fn received(self) -> String {
        let all = self.snapshot.table.fallbacks(self.model, FallbackKind::General);
        let own = self.snapshot.as_caller(self.caller, |access| {
            let own = all.iter().filter(|name| self.is_privy() || self.snapshot.table.admits(name, access));
            own.map(String::as_str).collect::<Vec<_>>()
        });
        let fallbacks = if own.is_empty() { "None".to_owned() } else { python_list(own.into_iter()) };
        format!("Received Model Group={}\nAvailable Model Group Fallbacks={fallbacks}", self.model)
    }

    fn all_cooling(self, retry_after_ms: u64, cooling: &[DeploymentIndex]) -> Told {
        let (seconds, model) = (retry_after_ms.div_ceil(1000).max(1), self.model);
        let mut message = format!(
            "No deployments available for selected model, Try again in {seconds} seconds. Passed model={model}."
        );
        if self.is_privy() {
            message.push_str(" pre-call-checks=False, cooldown_list=");
            message
                .push_str(&python_list(cooling.iter().map(|&index| self.snapshot.spec(index).id.as_str())));
        }
        let time = Duration::from_millis(retry_after_ms.max(1));
        Told::plain(429, message).kind("internal_server_error").after(time)
    }

    /// What can be done about it.
    fn help(self, no_route: &NoRoute) -> String {
        let mut help = String::new();
        if self.is_privy() {
            if let NoRoute::TagMismatch { .. } = no_route {
                let known = known_tags(self.snapshot, self.model);
                if known.is_empty() {
                    help.push_str("No deployment of this model carries tags. ");
                } else {
                    help.push_str("Deployments of this model carry the tags ");
                    help.push_str(&python_list(known.into_iter()));
                    help.push_str(". ");
                }
            }
            let group = self.snapshot.table.behind_alias(self.model);
            if self.snapshot.left_out.iter().any(|left_out| left_out.group == group) {
                help.push_str("Deployments of this name were left out of the configuration; ");
                help.push_str(if self.in_process {
                    "the router's diagnostics say why. "
                } else {
                    "`tagrail check` says why. "
                });
            }
        }
        help.push_str(if self.in_process {
            "The router's explain with the same arguments shows the decision step by step."
        } else {
            "POST /route/explain with the same headers and body shows the decision step by step."
        });
        help
    }

    /// Whether this is for the operator.
    fn is_privy(self) -> bool {
        self.caller.policy.is_none()
    }
}

/// A stored response that cannot be continued. The first text is OpenAI's, and the same for one that does not
/// exist, one that another owns and one that was forged.
fn of_response(refusal: &ResponseRefusal) -> Told {
    let told = |message: String, param| Told::plain(400, message).kind("invalid_request_error").param(param);
    let not_found = |message| {
        let told = told(message, "previous_response_id");
        Told { code: Some("previous_response_not_found".to_owned()), ..told }
    };
    match refusal {
        ResponseRefusal::NotFound { id } => {
            not_found(format!("Previous response with id '{}' not found.", shortened(id)))
        }
        ResponseRefusal::Gone { id } => not_found(format!(
            "Previous response with id '{}' not found: the deployment that made it is not configured any more.",
            shortened(id)
        )),
        ResponseRefusal::Elsewhere { model } => told(
            format!(
                "The previous response was made by a deployment that model={model} does not lead to. Send the model that it was made with."
            ),
            "model",
        ),
        ResponseRefusal::Conversation => told(
            "Conversations are not available here: nothing says whom one belongs to. Send `previous_response_id` instead, or have the operator set general_settings.allow_unmanaged_response_ids.".to_owned(),
            "conversation",
        ),
    }
}

/// An id as far as an error repeats it: it may be of any length.
fn shortened(id: &str) -> &str {
    &id[..id.floor_char_boundary(LONGEST_ID)]
}

/// The tags that the deployments of a name's group carry, in the order of the configuration.
fn known_tags<'a>(snapshot: &'a Snapshot, model: &str) -> Vec<&'a str> {
    let request = RouteRequest {
        model,
        tags: &[],
        user_agent: None,
        force_tag_filtering: false,
        access: Access::Admin,
        operators_choice: false,
        moment: Moment::default(),
        chance: Chance::default(),
    };
    let mut known = Vec::new();
    for verdict in snapshot.table.explain(&request, &()).verdicts {
        for tag in &snapshot.spec(verdict.deployment).tags {
            if !known.contains(&tag.as_str()) {
                known.push(tag.as_str());
            }
        }
    }
    known
}
