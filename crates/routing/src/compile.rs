//! Specs to table. Reports every mistake, not the first; what is wrong with one deployment costs
//! that deployment alone.

use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;

use crate::fallback::Fallbacks;
use crate::group::{GroupBuilder, GroupId, ModelGroup};
use crate::index::PatternIndex;
use crate::names::{Meaning, Names};
use crate::pattern::ModelPattern;
use crate::reserved::View;
use crate::tag::Tags;
use crate::{
    DeploymentIndex, DeploymentSpec, FallbackSpec, LeftOutSpec, Mistake, RoutingMode, RoutingTable, Rules,
    Severity,
};

/// Which provider a bare model name belongs to; the price table knows.
pub trait ProviderGuess: Send + Sync {
    /// `gpt-4o` is `Some("openai")`.
    fn provider_of(&self, model: &str) -> Option<&str>;
}

/// Nothing is ever guessed.
impl ProviderGuess for () {
    fn provider_of(&self, _: &str) -> Option<&str> {
        None
    }
}

/// `model_group_alias`: one hop.
#[derive(Clone, Debug, Default)]
pub struct AliasSpec {
    /// What clients may call.
    pub name: String,
    /// What it stands for.
    pub target: String,
    /// Callable, but not listed.
    pub hidden: bool,
}

/// Everything that a table is compiled from.
#[derive(Clone)]
pub struct TableSpec {
    /// In the order of the file.
    pub deployments: Vec<DeploymentSpec>,
    /// Those left out for a mistake before the table was made.
    pub left_out: Vec<LeftOutSpec>,
    /// `model_group_alias`.
    pub aliases: Vec<AliasSpec>,
    /// All fallbacks.
    pub fallbacks: FallbackSpec,
    /// `enable_tag_filtering` of the router.
    pub tag_filtering: bool,
    /// `tag_filtering_match_any`.
    pub match_any: bool,
    /// `tag_routing_prefix`.
    pub tag_prefix: String,
    /// `routing_mode`.
    pub mode: RoutingMode,
    /// `general_settings.tag_grants`: whether reservations are asked at all.
    pub tag_grants: bool,
    /// Provider inference for bare names.
    pub guess: Arc<dyn ProviderGuess>,
}

/// A table, and what could not be put into it.
pub struct Compiled {
    /// Ready to decide; deployments at fault are left out of it (they keep their index).
    pub table: RoutingTable,
    /// Every mistake, not the first.
    pub mistakes: Vec<Mistake>,
}

impl RoutingTable {
    /// Compiles; reports every mistake, not the first.
    pub fn compile(spec: TableSpec) -> Compiled {
        let rules = Rules::from(spec.mode);
        let mut mistakes = Vec::new();
        let regexes = sound_regexes(&spec.deployments, &mut mistakes);
        let mut tags = Tags::default();
        let mut groups = Vec::new();
        let names = {
            let assembly = Assembly { spec: &spec, regexes: &regexes };
            let named = assembly.by_name(&mut groups, &mut tags);
            let entries = assembly.entries(named, &mut groups, &mut tags);
            let patterns = (0..).zip(&groups).filter_map(|(id, group): (u32, &ModelGroup)| {
                (group.size() > 0)
                    .then(|| group.pattern().cloned())
                    .flatten()
                    .map(|pattern| (pattern, GroupId(id)))
            });
            Names {
                entries,
                patterns: PatternIndex::new(patterns, rules.anchor_end),
                guess: spec.guess.clone(),
            }
        };
        check_targets(&spec, &names, &mut mistakes);
        let table = RoutingTable {
            rules,
            serving: regexes.iter().map(Option::is_some).collect(),
            fallbacks: Fallbacks::new(spec.fallbacks),
            deployments: spec.deployments,
            aliases: spec.aliases,
            tag_filtering: spec.tag_filtering,
            match_any: spec.match_any,
            tag_prefix: spec.tag_prefix,
            tag_grants: spec.tag_grants,
            identity: Arc::new(()),
            groups,
            names,
            tags,
        };
        Compiled { table, mistakes }
    }
}

/// What the groups are put together from.
struct Assembly<'a> {
    spec: &'a TableSpec,
    /// By deployment: its compiled `tag_regex`, or `None` when the deployment is left out.
    regexes: &'a [Option<Vec<Regex>>],
}

impl<'a> Assembly<'a> {
    fn serving(&self) -> impl Iterator<Item = (DeploymentIndex, &'a DeploymentSpec, &'a [Regex])> {
        let numbered = (0u32..).map(DeploymentIndex).zip(&self.spec.deployments).zip(self.regexes);
        numbered.filter_map(|((index, spec), regexes)| Some((index, spec, regexes.as_deref()?)))
    }

    /// One group for every `model_name`, in the order of the file.
    fn by_name(&self, groups: &mut Vec<ModelGroup>, tags: &mut Tags) -> HashMap<&'a str, GroupId> {
        let mut builders = Builders::default();
        for ((index, spec), regexes) in (0u32..).zip(&self.spec.deployments).zip(self.regexes) {
            let builder = builders.of(&spec.group);
            match regexes {
                Some(regexes) => drop(builder.add(DeploymentIndex(index), spec, regexes.clone())),
                None => builder.leave_out(&spec.tags),
            }
        }
        for spec in &self.spec.left_out {
            builders.of(&spec.group).leave_out(&spec.tags);
        }
        builders.build(groups, tags, ModelPattern::new)
    }

    /// What every text means, the groups of upstream names included.
    fn entries(
        &self,
        named: HashMap<&'a str, GroupId>,
        groups: &mut Vec<ModelGroup>,
        tags: &mut Tags,
    ) -> HashMap<Box<str>, Meaning> {
        let mut entries: HashMap<Box<str>, Meaning> = HashMap::new();
        for (name, group) in &named {
            let meaning = entries.entry((*name).into()).or_default();
            meaning.group = Some(*group);
            meaning.deserted = groups[group.0 as usize].size() == 0;
        }
        let mut upstream = Builders::default();
        for (index, spec, regexes) in self.serving() {
            let home = named.get(spec.group.as_str()).copied();
            entries.entry(spec.id.as_str().into()).or_default().id = home.map(|group| (index, group));
            // A name that is a group's own is never looked up as an upstream name.
            let taken = entries.get(spec.model.as_str()).is_some_and(|m| m.group.is_some() && !m.deserted);
            if !taken {
                let declares = home.is_some_and(|id| groups[id.0 as usize].declares_tags());
                upstream.of(&spec.model).add(index, spec, regexes.to_vec()).belongs_to(home, declares);
            }
        }
        for (name, group) in upstream.build(groups, tags, |_| None) {
            entries.entry(name.into()).or_default().upstream = Some(group);
        }
        for alias in &self.spec.aliases {
            entries.entry(alias.name.as_str().into()).or_default().alias = Some(alias.target.as_str().into());
        }
        entries
    }
}

/// Groups being put together, in the order in which their names came up.
#[derive(Default)]
struct Builders<'a> {
    places: HashMap<&'a str, usize>,
    list: Vec<(&'a str, GroupBuilder<'a>)>,
}

impl<'a> Builders<'a> {
    fn of(&mut self, name: &'a str) -> &mut GroupBuilder<'a> {
        let place = *self.places.entry(name).or_insert_with(|| {
            self.list.push((name, GroupBuilder::default()));
            self.list.len() - 1
        });
        &mut self.list[place].1
    }

    fn build(
        self,
        groups: &mut Vec<ModelGroup>,
        tags: &mut Tags,
        pattern: impl Fn(&str) -> Option<ModelPattern>,
    ) -> HashMap<&'a str, GroupId> {
        let mut built = HashMap::new();
        for (name, builder) in self.list {
            built.insert(name, GroupId(u32::try_from(groups.len()).unwrap_or(u32::MAX)));
            groups.push(builder.build(name, pattern(name), tags));
        }
        built
    }
}

/// The compiled `tag_regex` of every deployment; `None` for one that has to be left out, because a
/// regex does not compile (row D34) or its id is an earlier one's (row D25).
fn sound_regexes(deployments: &[DeploymentSpec], mistakes: &mut Vec<Mistake>) -> Vec<Option<Vec<Regex>>> {
    let mut ids: HashMap<&str, usize> = HashMap::new();
    let mut compiled: HashMap<&str, Result<Regex, String>> = HashMap::new();
    let mut sound = Vec::with_capacity(deployments.len());
    for (place, spec) in deployments.iter().enumerate() {
        let mut wrong = |key, message| {
            let severity = Severity::Error;
            mistakes.push(Mistake { severity, deployment: Some(place), key, message, deserted: None });
        };
        let mut regexes = Some(Vec::new());
        for text in &spec.tag_regex {
            match compiled.entry(text).or_insert_with(|| Regex::new(text).map_err(|error| one_line(&error))) {
                Ok(regex) => regexes.iter_mut().for_each(|regexes| regexes.push(regex.clone())),
                Err(reason) => {
                    wrong("tag_regex", bad_regex(text, reason));
                    regexes = None;
                }
            }
        }
        if regexes.is_some() {
            let first = *ids.entry(&spec.id).or_insert(place);
            if first != place {
                let owner = &deployments[first].group;
                wrong(
                    "model_info.id",
                    format!("the id `{}` belongs to an earlier deployment of `{owner}`", spec.id),
                );
                regexes = None;
            }
        }
        sound.push(regexes);
    }
    sound
}

/// Why a text cannot be one of `tag_regex`: what [`RoutingTable::compile`] would say of it.
pub fn regex_mistake(text: &str) -> Option<String> {
    Regex::new(text).err().map(|error| bad_regex(text, &one_line(&error)))
}

fn bad_regex(text: &str, reason: &str) -> String {
    format!("`{text}` cannot be used as a regular expression: {reason}")
}

/// The reason without the drawing of the pattern that the error puts above it.
fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    last.trim().trim_start_matches("error: ").to_owned()
}

/// Aliases and fallbacks that lead nowhere. Circles among fallbacks are no mistake: LiteLLM's
/// configs have them, and the depth is bounded when they are followed.
fn check_targets(spec: &TableSpec, names: &Names, mistakes: &mut Vec<Mistake>) {
    let mut warn = |key, message, deserted| {
        let severity = Severity::Warning;
        mistakes.push(Mistake { severity, deployment: None, key, message, deserted });
    };
    for alias in &spec.aliases {
        if let Some(nowhere) = Nowhere::of(names, &alias.name) {
            let message = format!("`{}` stands for `{}`, {}", alias.name, alias.target, nowhere.words());
            warn("model_group_alias", message, nowhere.deserted);
        }
    }
    let tables = [
        ("fallbacks", &spec.fallbacks.general),
        ("context_window_fallbacks", &spec.fallbacks.context_window),
        ("content_policy_fallbacks", &spec.fallbacks.content_policy),
    ];
    for (table, (key, targets)) in
        tables.iter().flat_map(|(table, pairs)| pairs.iter().map(move |pair| (*table, pair)))
    {
        // One that leads back and nowhere is said once.
        if !targets.is_empty() && targets.iter().all(|target| target == key) {
            warn(table, format!("`{key}` falls back to itself only"), None);
            continue;
        }
        for target in targets {
            if let Some(nowhere) = Nowhere::of(names, target) {
                let message = format!("`{key}` falls back to `{target}`, {}", nowhere.words());
                warn(table, message, nowhere.deserted);
            }
        }
    }
    for target in &spec.fallbacks.default {
        match Nowhere::of(names, target) {
            Some(nowhere) if nowhere.deserted.is_some() => {
                let message = format!("all fall back to `{target}`, {}", nowhere.words());
                warn("default_fallbacks", message, nowhere.deserted);
            }
            Some(_) => warn("default_fallbacks", format!("nothing is called `{target}`"), None),
            None => {}
        }
    }
}

/// Why a name leads to no deployment.
struct Nowhere {
    /// The group of which all was left out.
    deserted: Option<String>,
}

impl Nowhere {
    fn of(names: &Names, name: &str) -> Option<Nowhere> {
        names.resolve(name, &View::All, &mut ()).err()?;
        let target = names.behind_alias(name);
        let deserted = names.entries.get(target).is_some_and(|meaning| meaning.deserted);
        Some(Nowhere { deserted: deserted.then(|| target.to_owned()) })
    }

    fn words(&self) -> &'static str {
        match self.deserted {
            Some(_) => "which has no deployment left",
            None => "which nothing is called",
        }
    }
}
