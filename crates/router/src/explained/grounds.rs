//! One explanation, told as JSON and to a person. A running router tells it, and so does a program that
//! has a configuration alone; there is no other place that words it.

use serde_json::{Value, json};
use tagrail_config::LeftOut;
use tagrail_routing::{
    Access, Chance, Decision, DeploymentIndex, Explanation, FallbackKind, Moment, NoRoute, Reason,
    Resolution, RoutingTable, Signals, TagOrigin,
};

/// What an explanation is told from.
pub struct Grounds<'a> {
    /// The decision with its reasons.
    pub explanation: &'a Explanation,
    /// The name asked for.
    pub model: &'a str,
    /// The tags and where each came from.
    pub tags: &'a [(String, TagOrigin)],
    /// The table that the decision was taken with.
    pub table: &'a RoutingTable,
    /// Deployments that a mistake in the configuration left out, of whatever group.
    pub left_out: &'a [LeftOut],
    /// `router_settings.num_retries`.
    pub num_retries: u32,
    /// What was observed, and when: for one draw of the plan.
    pub signals: &'a dyn Signals,
    /// The moment of the decision.
    pub moment: Moment,
    /// To whom: `None` hears everything, a caller of nothing that is beyond its reach.
    pub audience: Option<Access<'a>>,
    /// What a call that is refused so would be told.
    pub words: &'a dyn Fn(&NoRoute) -> String,
}

/// The kinds of fallbacks, as the configuration calls them.
const FALLBACKS: [(&str, FallbackKind); 3] = [
    ("fallbacks", FallbackKind::General),
    ("context_window_fallbacks", FallbackKind::ContextWindow),
    ("content_policy_fallbacks", FallbackKind::ContentPolicy),
];

impl Grounds<'_> {
    /// The answer of `POST /route/explain`.
    pub fn to_json(&self) -> Value {
        let Explanation { decision, group, verdicts, notes } = self.explanation;
        let tags: Vec<Value> =
            self.tags.iter().map(|(tag, from)| json!({"tag": tag, "from": origin(*from)})).collect();
        let mut permitted = Vec::new();
        let mut deployments = Vec::new();
        for verdict in verdicts {
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
        let left_out = self.left_out();
        deployments.extend(
            left_out.map(|it| json!({"id": it.id, "kept": false, "stage": "config", "text": it.reason})),
        );
        let decision = match decision {
            Ok(decision) => json!({
                "found_by": found_by(decision.resolution()),
                "first": self.id(decision.first()),
                "permitted": permitted,
            }),
            Err(no_route) => json!({"status": no_route.status(), "error": (self.words)(no_route)}),
        };
        let fallbacks = |kind| self.named(self.table.fallbacks(self.model, kind));
        json!({
            "model": self.model,
            "group": group,
            "tags": tags,
            "decision": decision,
            "deployments": deployments,
            "notes": notes,
            "num_retries": self.num_retries,
            "fallbacks": {
                "general": fallbacks(FallbackKind::General),
                "context_window": fallbacks(FallbackKind::ContextWindow),
                "content_policy": fallbacks(FallbackKind::ContentPolicy),
                "default": self.named(self.table.default_fallbacks()),
            },
        })
    }

    /// For a person: what was found, one draw of the plan, what is tried instead, and a line for every
    /// deployment.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |title: &str, words: &str| text.push_str(&format!("{title:<7}  {words}\n"));
        line("model", &self.found());
        let tags: Vec<String> =
            self.tags.iter().map(|(tag, from)| format!("{tag} ({})", origin(*from))).collect();
        line("tags", &if tags.is_empty() { "none".to_owned() } else { tags.join(", ") });
        for note in &self.explanation.notes {
            line("note", note);
        }
        match &self.explanation.decision {
            Ok(decision) => line("plan", &self.plan_text(decision)),
            Err(no_route) => line("refused", &format!("{} {}", no_route.status(), (self.words)(no_route))),
        }
        line("retries", &self.num_retries.to_string());
        let of_kind = FALLBACKS.map(|(key, kind)| (key, self.table.fallbacks(self.model, kind)));
        for (key, names) in of_kind.into_iter().chain([("default_fallbacks", self.table.default_fallbacks())])
        {
            let names = self.named(names);
            if !names.is_empty() {
                line("instead", &format!("{} ({key})", names.join(", then ")));
            }
        }
        let rows = self.rows();
        if !rows.is_empty() {
            text.push('\n');
            text.push_str(&aligned(&rows));
        }
        text
    }

    /// Deployments of the group that were left out, which are the operator's business.
    fn left_out(&self) -> impl Iterator<Item = &LeftOut> {
        let group = self.explanation.group.as_deref().unwrap_or_else(|| self.table.behind_alias(self.model));
        let is_told = self.audience.is_none();
        self.left_out.iter().filter(move |left_out| is_told && left_out.group == group)
    }

    /// Of these names those that the audience could ask for itself.
    fn named<'n>(&self, names: &'n [String]) -> Vec<&'n str> {
        let names = names.iter().map(String::as_str);
        match self.audience {
            None => names.collect(),
            Some(access) => names.filter(|name| self.table.admits(name, access)).collect(),
        }
    }

    fn found(&self) -> String {
        match (&self.explanation.group, &self.explanation.decision) {
            (None, _) => format!("{}, which leads nowhere", self.model),
            (Some(group), Ok(decision)) => {
                format!("{}, which leads to {group} by {}", self.model, found_by(decision.resolution()))
            }
            (Some(group), Err(_)) => format!("{}, which leads to {group}", self.model),
        }
    }

    /// Id, tags, fate and reason of every deployment of the group that is told of. A reason that stands above is not
    /// repeated.
    fn rows(&self) -> Vec<[String; 4]> {
        let told = self.explanation.verdicts.iter().map(|verdict| {
            let (kept, text) = match &verdict.reason {
                Reason::Kept { text } => ("kept".to_owned(), text),
                Reason::Removed { stage, text } => (format!("removed by {stage}"), text),
            };
            // What else a deployment carries is the operator's business: the reason names what counted.
            let tags = match self.audience {
                None => format!("[{}]", self.table.deployments()[verdict.deployment.slot()].tags.join(",")),
                Some(_) => String::new(),
            };
            [self.id(verdict.deployment).to_owned(), tags, kept, text.clone()]
        });
        let left_out = self.left_out().map(|left_out| {
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

    /// One draw of the plan: each deployment at its first turn.
    fn plan(&self, decision: &Decision) -> Vec<DeploymentIndex> {
        let mut decision = decision.clone();
        let mut plan = vec![decision.first()];
        let mut chance = Chance::default();
        while plan.len() < decision.group_size() {
            chance = chance.next();
            match decision.next(self.table, self.signals, self.moment, chance) {
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
            .map(|index| match self.audience {
                None => format!("{} as {}", self.id(*index), self.table.upstream_model(decision, *index)),
                Some(_) => self.id(*index).to_owned(),
            })
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
        let between = if tags == 0 { "" } else { "  " };
        format!("  {a:<id$}  {b:<tags$}{between}{c:<kept$}  {d}").trim_end().to_owned() + "\n"
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
