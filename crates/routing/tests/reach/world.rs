//! Tables, callers and questions at random, and what of a table there is for a caller, worked out one
//! deployment at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tagrail_routing::{
    Access, AccessList, AliasSpec, Chance, DeploymentIndex, DeploymentSpec, FallbackSpec, Holder,
    LeftOutSpec, Moment, Observed, Policy, ProviderGuess, RequestTag, Reservations, Reserved, RouteRequest,
    RoutingMode, RoutingTable, Signals, TableSpec, TagOrigin,
};

const TAGS: [&str; 5] = ["a", "b", "c", "default", "unknown"];
const GROUPS: [&str; 5] = ["g", "h", "w/*", "w/x*", "openai/*"];
pub(crate) const NAMES: [&str; 17] = [
    "g", "h", "w/*", "w/x*", "w/x", "w/y", "openai/u", "openai/*", "guessed", "al", "lost", "mine",
    "unheard", "d0", "d1", "d2", "d3",
];

/// A table, a caller of it, and a question.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) deployments: Vec<DeploymentSpec>,
    pub(crate) left_out: Vec<LeftOutSpec>,
    pub(crate) switches: Switches,
    pub(crate) reserved: Option<BTreeSet<String>>,
    pub(crate) policy: Policy,
    pub(crate) question: Question,
}

#[derive(Clone, Debug)]
pub(crate) struct Switches {
    pub(crate) filtering: bool,
    pub(crate) match_any: bool,
    pub(crate) prefix: &'static str,
    pub(crate) mode: RoutingMode,
}

#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) model: &'static str,
    pub(crate) tags: Vec<(String, TagOrigin)>,
    pub(crate) agent: Option<&'static str>,
    pub(crate) operators_choice: bool,
    pub(crate) cooling: BTreeSet<String>,
    pub(crate) draw: u64,
}

struct Guess;

impl ProviderGuess for Guess {
    fn provider_of(&self, model: &str) -> Option<&str> {
        (model == "guessed").then_some("openai")
    }
}

/// By id, so that it means the same in another table.
pub(crate) struct Cooling<'a>(pub(crate) &'a RoutingTable, pub(crate) &'a BTreeSet<String>);

impl Signals for Cooling<'_> {
    fn observe(&self, deployment: DeploymentIndex, _: Option<&str>) -> Observed {
        let cools = self.1.contains(id(self.0, deployment));
        Observed { cooling_until: cools.then_some(Moment(5_000)) }
    }
}

pub(crate) fn id(table: &RoutingTable, deployment: DeploymentIndex) -> &str {
    &table.deployments()[deployment.slot()].id
}

impl World {
    pub(crate) fn table(&self) -> RoutingTable {
        let alias =
            |name: &str, target: &str| AliasSpec { name: name.into(), target: target.into(), hidden: false };
        RoutingTable::compile(TableSpec {
            deployments: self.deployments.clone(),
            left_out: self.left_out.clone(),
            aliases: vec![alias("al", "h"), alias("lost", "nowhere")],
            fallbacks: FallbackSpec::default(),
            tag_filtering: self.switches.filtering,
            match_any: self.switches.match_any,
            tag_prefix: self.switches.prefix.into(),
            mode: self.switches.mode,
            tag_grants: true,
            guess: Arc::new(Guess),
        })
        .table
    }

    pub(crate) fn reserve(&self, table: &RoutingTable) -> Reserved {
        table.reserve(&self.reserved.clone().map_or(Reservations::Unknown, Reservations::Known))
    }

    /// Puts the question of the caller.
    pub(crate) fn ask<T>(
        &self,
        table: &RoutingTable,
        reserved: &Reserved,
        put: impl FnOnce(&RouteRequest<'_>, &dyn Signals) -> T,
    ) -> T {
        let Question { model, tags, agent, operators_choice, cooling, draw } = &self.question;
        // A tag that the client sends too keeps the client's origin, as the first of its kind.
        let granted = self.policy.tags.iter().filter(|(text, _)| tags.iter().all(|(sent, _)| sent != text));
        let tags: Vec<_> = (tags.iter().chain(granted))
            .map(|(text, origin)| RequestTag { text: text.into(), origin: *origin })
            .collect();
        let request = RouteRequest {
            model,
            tags: &tags,
            user_agent: *agent,
            force_tag_filtering: false,
            access: Access::Caller { policy: &self.policy, reserved },
            operators_choice: *operators_choice,
            moment: Moment(1_000),
            chance: Chance { sequence: 0, draw: *draw },
        };
        put(&request, &Cooling(table, cooling))
    }

    fn read<'a>(&self, text: &'a str) -> (&'a str, &'a str) {
        let text = text.strip_prefix(self.switches.prefix).unwrap_or(text);
        text.split_at(usize::from(text.starts_with(['!', '&'])))
    }

    /// The law, as the design has it.
    pub(crate) fn reaches(&self, tags: &[String]) -> bool {
        let held = |tag: &str| {
            self.policy
                .tags
                .iter()
                .map(|(text, _)| self.read(text))
                .any(|(sign, name)| sign != "!" && name == tag)
        };
        match &self.reserved {
            None => tags.is_empty() || tags.iter().any(|tag| tag == "default"),
            Some(reserved) => {
                tags.iter().all(|tag| !reserved.contains(tag))
                    || tags.iter().any(|tag| reserved.contains(tag) && held(tag))
                    || tags.iter().any(|tag| tag == "default")
            }
        }
    }

    /// What `&t` and `!t` among the caller's own tags leave.
    pub(crate) fn is_left(&self, tags: &[String]) -> bool {
        self.policy.tags.iter().map(|(text, _)| self.read(text)).all(|(sign, name)| match sign {
            _ if name.is_empty() => true,
            "&" => tags.iter().any(|tag| tag == name),
            "!" => tags.iter().all(|tag| tag != name),
            _ => true,
        })
    }

    /// The same world without what the caller does not reach. Of a group of which nothing is left, its name
    /// is; and a setting of the group stays the group's.
    pub(crate) fn without_hidden(&self) -> World {
        let mut world = self.clone();
        let hidden_tag = "reserved for somebody".to_owned();
        world.reserved.iter_mut().for_each(|reserved| reserved.extend([hidden_tag.clone()]));
        world.deployments.retain(|spec| self.reaches(&spec.tags));
        world.left_out.retain(|spec| self.reaches(&spec.tags));
        for group in GROUPS {
            let mut before = self.deployments.iter().filter(|spec| spec.group == group);
            let setting = before.clone().find_map(|spec| spec.tag_filtering);
            let left = world.deployments.iter_mut().find(|spec| spec.group == group);
            let left_out = |world: &World| world.left_out.iter().any(|spec| spec.group == group);
            if let Some(first) = left {
                first.tag_filtering = setting;
            } else if before.next().is_some() {
                world.deployments.push(DeploymentSpec {
                    id: format!("hidden {group}"),
                    group: group.into(),
                    model: format!("hidden {group}"),
                    tags: vec![hidden_tag.clone()],
                    ..DeploymentSpec::default()
                });
            } else if left_out(self) && !left_out(&world) {
                world.left_out.push(LeftOutSpec { group: group.into(), tags: vec![hidden_tag.clone()] });
            }
        }
        world
    }
}

fn deployment() -> impl Strategy<Value = DeploymentSpec> {
    let settings = (
        proptest::option::weighted(0.2, select(vec!["curl", "^User-Agent: claude"])),
        proptest::option::weighted(0.3, 0..3i64),
        proptest::option::weighted(0.3, select(vec![0.0, 1.0, 5.0])),
        proptest::option::weighted(0.1, any::<bool>()),
        subsequence(vec!["beta", "gamma"], 0..2),
    );
    let blocked = proptest::bool::weighted(0.1);
    let opens = proptest::bool::weighted(0.2);
    let models = select(vec!["openai/u", "openai/*", "h"]);
    (select(GROUPS.to_vec()), models, subsequence(TAGS[..4].to_vec(), 0..3), settings, blocked, opens)
        .prop_map(
            |(group, model, tags, (regex, order, weight, tag_filtering, access_groups), blocked, opens)| {
                DeploymentSpec {
                    group: group.into(),
                    model: model.into(),
                    tags: tags.into_iter().map(str::to_owned).collect(),
                    tag_regex: regex.into_iter().map(str::to_owned).collect(),
                    order,
                    weight,
                    tag_filtering,
                    access_groups: access_groups.into_iter().map(str::to_owned).collect(),
                    blocked,
                    allow_fail_open: opens,
                    ..DeploymentSpec::default()
                }
            },
        )
}

fn tag(origins: Vec<TagOrigin>) -> impl Strategy<Value = (String, TagOrigin)> {
    let parts =
        (select(vec!["", "", "p:"]), select(vec!["", "", "!", "&"]), select(TAGS.to_vec()), select(origins));
    parts.prop_map(|(prefix, sign, tag, origin)| (format!("{prefix}{sign}{tag}"), origin))
}

fn policy() -> impl Strategy<Value = Policy> {
    let entries = vec!["g", "h", "w/*", "openai/*", "*", "beta", "mine", "d1", "no-default-models"];
    let list = (select(vec![Holder::Key, Holder::Team]), subsequence(entries, 0..5));
    let tags = vec(tag(vec![TagOrigin::Key, TagOrigin::Team]), 0..3);
    (tags, vec(list, 0..2), select(NAMES.to_vec())).prop_map(|(tags, lists, target)| {
        let list = |(holder, models): (Holder, Vec<&str>)| AccessList {
            holder,
            models: models.into_iter().map(str::to_owned).collect(),
            also: Vec::new(),
        };
        Policy {
            tags,
            aliases: BTreeMap::from([("mine".to_owned(), target.to_owned())]),
            models: lists.into_iter().map(list).collect(),
        }
    })
}

fn question() -> impl Strategy<Value = Question> {
    (
        select(NAMES.to_vec()),
        vec(tag(vec![TagOrigin::Body, TagOrigin::Header]), 0..4),
        select(vec![None, Some("curl/8"), Some("claude/1"), Some("other")]),
        proptest::bool::weighted(0.2),
        btree_set((0..8u8).prop_map(|n| format!("d{n}")), 0..4),
        any::<u64>(),
    )
        .prop_map(|(model, tags, agent, operators_choice, cooling, draw)| Question {
            model,
            tags,
            agent,
            operators_choice,
            cooling,
            draw,
        })
}

pub(crate) fn world() -> impl Strategy<Value = World> {
    let modes = select(vec![RoutingMode::Tagrail, RoutingMode::Litellm]);
    let switches = (proptest::bool::weighted(0.7), any::<bool>(), select(vec!["", "p:"]), modes)
        .prop_map(|(filtering, match_any, prefix, mode)| Switches { filtering, match_any, prefix, mode });
    let left_out = (select(GROUPS.to_vec()), subsequence(TAGS[..4].to_vec(), 0..3));
    let reserved = proptest::option::weighted(0.85, subsequence(TAGS.to_vec(), 0..4));
    (vec(deployment(), 1..8), vec(left_out, 0..3), switches, reserved, policy(), question()).prop_map(
        |(mut deployments, left_out, switches, reserved, policy, question)| {
            for (number, spec) in deployments.iter_mut().enumerate() {
                spec.id = format!("d{number}");
            }
            let texts = |tags: Vec<&str>| tags.into_iter().map(str::to_owned).collect::<Vec<_>>();
            World {
                deployments,
                left_out: (left_out.into_iter())
                    .map(|(group, tags)| LeftOutSpec { group: group.into(), tags: texts(tags) })
                    .collect(),
                switches,
                reserved: reserved.map(|tags| texts(tags).into_iter().collect()),
                policy,
                question,
            }
        },
    )
}
