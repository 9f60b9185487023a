//! On which names and tags the two routing modes differ, with a witness for each.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use tagrail_routing::{
    Chance, ModelPattern, Moment, NoRoute, RequestTag, RouteRequest, RoutingMode, RoutingTable, TableSpec,
    TagOrigin,
};

/// Tag sets that are tried for every name.
const MAX_TAG_SETS: usize = 200;
/// Questions in all; each is asked of both tables.
const MAX_QUESTIONS: usize = 50_000;

/// A request that the two modes answer differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The requested name.
    pub model: String,
    /// The tags of the request's body.
    pub tags: Vec<String>,
    /// Who may serve it in `tagrail` mode.
    pub tagrail: Answer,
    /// Who may serve it in `litellm` mode.
    pub litellm: Answer,
}

/// What a mode says to a request when every deployment is healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These deployments, by id, each with the model that goes upstream.
    Served(BTreeSet<(String, String)>),
    /// Nobody: the status and the reason.
    Refused(u16, &'static str),
}

/// What was compared, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeDifferences {
    /// In the order of names, those of ids last, then of tags.
    pub differences: Vec<Difference>,
    /// Whether there was more to compare than is done in reasonable time.
    pub cut_short: bool,
}

/// Asks both modes for every name of the configuration (groups, ids, aliases, a name for each
/// pattern, and one that only an unanchored pattern takes) with no tags, every tag, an unknown one,
/// `!tag`, `&tag` and pairs. What depends on health, cooldowns or headers is not seen by this.
pub fn mode_differences(spec: &TableSpec) -> ModeDifferences {
    let of = |mode| RoutingTable::compile(TableSpec { mode, ..spec.clone() }).table;
    let (tagrail, litellm) = (of(RoutingMode::Tagrail), of(RoutingMode::Litellm));
    let (names, tag_sets) = (names(spec), tag_sets(spec));
    let mut cut_short = tag_sets.len() > MAX_TAG_SETS;
    let tag_sets = &tag_sets[..tag_sets.len().min(MAX_TAG_SETS)];
    let mut differences = Vec::new();
    for (asked, name) in names.iter().enumerate() {
        if (asked + 1) * tag_sets.len() > MAX_QUESTIONS {
            cut_short = true;
            break;
        }
        for tags in tag_sets {
            let (ours, theirs) = (answer(&tagrail, name, tags), answer(&litellm, name, tags));
            if ours != theirs {
                let (model, tags) = (name.clone(), tags.clone());
                differences.push(Difference { model, tags, tagrail: ours, litellm: theirs });
            }
        }
    }
    ModeDifferences { differences, cut_short }
}

/// Names worth asking for: those that people call first, ids last.
fn names(spec: &TableSpec) -> Vec<String> {
    let mut names = BTreeSet::new();
    for deployment in &spec.deployments {
        if ModelPattern::new(&deployment.group).is_some() {
            let witness = deployment.group.replace('*', "x");
            names.extend([format!("{witness}-extra"), witness]);
        } else {
            names.insert(deployment.group.clone());
        }
    }
    names.extend(spec.aliases.iter().map(|alias| alias.name.clone()));
    let ids: BTreeSet<&String> = spec.deployments.iter().map(|deployment| &deployment.id).collect();
    let ids: Vec<String> = ids.into_iter().filter(|id| !names.contains(*id)).cloned().collect();
    names.into_iter().chain(["no-such-model".to_owned()]).chain(ids).collect()
}

/// Tag sets worth sending.
fn tag_sets(spec: &TableSpec) -> Vec<Vec<String>> {
    let left_out = spec.left_out.iter().flat_map(|left_out| &left_out.tags);
    let tags: BTreeSet<&String> =
        spec.deployments.iter().flat_map(|deployment| &deployment.tags).chain(left_out).collect();
    let unknown = "no-such-tag".to_owned();
    let mut sets = vec![Vec::new(), vec![unknown.clone()]];
    sets.extend(tags.iter().map(|tag| vec![(*tag).clone()]));
    for sign in ['!', '&'] {
        sets.extend(tags.iter().map(|tag| vec![format!("{sign}{tag}")]));
    }
    sets.extend(tags.iter().map(|tag| vec![(*tag).clone(), unknown.clone()]));
    for (place, one) in tags.iter().enumerate() {
        for other in tags.iter().skip(place + 1) {
            sets.push(vec![(*one).clone(), (*other).clone()]);
            sets.push(vec![(*one).clone(), format!("!{other}")]);
        }
        if sets.len() > MAX_TAG_SETS {
            break;
        }
    }
    sets
}

fn answer(table: &RoutingTable, model: &str, tags: &[String]) -> Answer {
    let tags: Vec<RequestTag<'_>> =
        tags.iter().map(|tag| RequestTag { text: Cow::Borrowed(tag), origin: TagOrigin::Body }).collect();
    let request = RouteRequest {
        model,
        tags: &tags,
        user_agent: None,
        force_tag_filtering: false,
        access: tagrail_routing::Access::Admin,
        operators_choice: false,
        moment: Moment(0),
        chance: Chance::default(),
    };
    let explanation = table.explain(&request, &());
    match &explanation.decision {
        Ok(decision) => {
            let kept = explanation.verdicts.iter().filter(|verdict| verdict.reason.is_kept());
            let served = kept.filter_map(|verdict| {
                let deployment = table.deployment(verdict.deployment)?;
                Some((deployment.id.clone(), table.upstream_model(decision, verdict.deployment).into_owned()))
            });
            Answer::Served(served.collect())
        }
        Err(NoRoute::UnknownModel { .. }) => Answer::Refused(400, "nothing is called so"),
        Err(NoRoute::NoDeployments) => Answer::Refused(400, "no deployment of it is left"),
        Err(NoRoute::WildcardId) => Answer::Refused(400, "the id of a wildcard deployment names no model"),
        Err(NoRoute::ModelDenied { .. }) => Answer::Refused(403, "the caller may not use the name"),
        Err(NoRoute::ReservationsUnknown) => Answer::Refused(503, "it is not known what is reserved"),
        Err(NoRoute::TagMismatch { .. }) => Answer::Refused(401, "the tags leave nothing"),
        Err(NoRoute::Cooling { .. }) => Answer::Refused(429, "everything is cooling down"),
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Served(served) => {
                let one = |(id, model): &(String, String)| format!("{id} as {model}");
                f.write_str(&served.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Answer::Refused(status, reason) => write!(f, "{status}, {reason}"),
        }
    }
}

/// `fo::x with [free]: d1 as openai/x; LiteLLM: 401, the tags leave nothing`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags = self.tags.join(", ");
        write!(f, "{} with [{tags}]: {}; LiteLLM: {}", self.model, self.tagrail, self.litellm)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::load_text;

    fn differences(text: &str) -> Vec<String> {
        let loaded = load_text(text, Path::new("c.yaml"), &|_| None);
        let found = mode_differences(&loaded.spec.unwrap());
        assert!(!found.cut_short);
        found.differences.iter().map(Difference::to_string).collect()
    }

    #[test]
    fn an_open_end_is_witnessed() {
        let found = differences(
            "model_list: [{model_name: 'a*-chat', litellm_params: {model: 'openai/*', api_key: k}, model_info: {id: i}}]",
        );
        let line = "ax-chat-extra with []: 400, nothing is called so; LiteLLM: i as openai/x";
        assert!(found.contains(&line.to_owned()), "{found:#?}");
        assert!(found.iter().all(|line| !line.starts_with("ax-chat with")), "{found:#?}");
    }

    #[test]
    fn a_tag_on_a_group_without_tags_is_witnessed() {
        let found = differences(
            "model_list:\n\
             - {model_name: g, litellm_params: {model: openai/a, api_key: k}, model_info: {id: i}}\n\
             - {model_name: h, litellm_params: {model: openai/b, api_key: k, tags: [t]}, model_info: {id: j}}\n\
             router_settings: {enable_tag_filtering: true}",
        );
        let line = "g with [t]: i as openai/a; LiteLLM: 401, the tags leave nothing";
        assert!(found.contains(&line.to_owned()), "{found:#?}");
    }

    #[test]
    fn a_plain_configuration_has_no_differences() {
        let found =
            differences("model_list: [{model_name: g, litellm_params: {model: openai/a, api_key: k}}]");
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn many_tags_are_cut_short() {
        let tags: Vec<String> = (0..100).map(|n| format!("t{n}")).collect();
        let text = format!(
            "model_list: [{{model_name: g, litellm_params: {{model: openai/a, tags: [{}]}}}}]",
            tags.join(", ")
        );
        let loaded = load_text(&text, Path::new("c.yaml"), &|_| None);
        assert!(mode_differences(&loaded.spec.unwrap()).cut_short);
    }
}
