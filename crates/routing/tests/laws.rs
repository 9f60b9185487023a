//! Laws that hold for every table and every request.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tagrail_routing::{
    Chance, Decision, DeploymentIndex, DeploymentSpec, FallbackSpec, ModelPattern, Moment, NoRoute, Observed,
    PatternIndex, RequestTag, RouteRequest, RoutingMode, RoutingTable, Signals, TableSpec, TagOrigin,
};

const TAGS: [&str; 5] = ["a", "b", "c", "default", "unknown"];

/// A table and a question to it.
#[derive(Clone, Debug)]
struct World {
    deployments: Vec<DeploymentSpec>,
    match_any: bool,
    prefix: &'static str,
    mode: RoutingMode,
    tags: Vec<(String, TagOrigin)>,
    agent: Option<&'static str>,
    model: &'static str,
    cooling: BTreeSet<String>,
    draw: u64,
}

/// By id, so that it means the same when the deployments change places.
struct Cooling<'a>(&'a RoutingTable, &'a BTreeSet<String>);

impl Signals for Cooling<'_> {
    fn observe(&self, deployment: DeploymentIndex, _: Option<&str>) -> Observed {
        let cools = self.1.contains(&self.0.deployments()[deployment.slot()].id);
        Observed { cooling_until: cools.then_some(Moment(5_000)) }
    }
}

impl World {
    fn table(&self) -> RoutingTable {
        RoutingTable::compile(TableSpec {
            deployments: self.deployments.clone(),
            left_out: Vec::new(),
            aliases: Vec::new(),
            fallbacks: FallbackSpec::default(),
            tag_filtering: true,
            match_any: self.match_any,
            tag_prefix: self.prefix.to_owned(),
            mode: self.mode,
            tag_grants: true,
            guess: Arc::new(()),
        })
        .table
    }

    fn tags(&self) -> Vec<RequestTag<'_>> {
        self.tags.iter().map(|(text, origin)| RequestTag { text: text.into(), origin: *origin }).collect()
    }

    fn ask<T>(&self, table: &RoutingTable, put: impl Fn(&RouteRequest<'_>, &dyn Signals) -> T) -> T {
        let tags = self.tags();
        let request = RouteRequest {
            model: self.model,
            tags: &tags,
            user_agent: self.agent,
            force_tag_filtering: false,
            access: tagrail_routing::Access::Admin,
            operators_choice: false,
            moment: Moment(1_000),
            chance: Chance { sequence: 0, draw: self.draw },
        };
        put(&request, &Cooling(table, &self.cooling))
    }

    fn decide(&self, table: &RoutingTable) -> Result<Decision, NoRoute> {
        self.ask(table, |request, signals| table.decide(request, signals))
    }

    /// The ids that a plan yields while nothing changes.
    fn planned(&self, table: &RoutingTable, decision: &Decision) -> BTreeSet<String> {
        let id = |index: DeploymentIndex| table.deployments()[index.slot()].id.clone();
        let mut decision = decision.clone();
        let mut ids = BTreeSet::from([id(decision.first())]);
        let mut chance = Chance { sequence: 0, draw: self.draw };
        for _ in 0..2 * self.deployments.len() {
            chance = chance.next();
            let signals = Cooling(table, &self.cooling);
            ids.extend(decision.next(table, &signals, Moment(1_000), chance).map(id));
        }
        ids
    }

    fn wished(&self, sign: char, counts: impl Fn(TagOrigin) -> bool) -> Vec<&str> {
        let bare = |text: &'_ String| text.strip_prefix(self.prefix).unwrap_or(text).to_owned();
        let signed =
            self.tags.iter().filter(|(text, origin)| bare(text).starts_with(sign) && counts(*origin));
        signed
            .map(|(text, _)| text.rsplit(sign).next().unwrap_or_default())
            .filter(|tag| !tag.is_empty())
            .collect()
    }

    fn group(&self) -> impl Iterator<Item = &DeploymentSpec> {
        let name = if self.model == "w/x" { "w/*" } else { self.model };
        self.deployments.iter().filter(move |spec| spec.group == name)
    }

    fn carries(&self, id: &str, tag: &str) -> bool {
        self.deployments.iter().any(|spec| spec.id == id && spec.tags.iter().any(|own| own == tag))
    }
}

fn deployment(fail_open: bool) -> impl Strategy<Value = DeploymentSpec> {
    (
        select(vec!["g", "h", "w/*"]),
        subsequence(TAGS[..4].to_vec(), 0..3),
        proptest::option::weighted(0.2, select(vec!["curl", "^User-Agent: claude"])),
        proptest::option::weighted(0.3, 0..3i64),
        proptest::option::weighted(0.3, select(vec![0.0, 1.0, 5.0])),
        proptest::bool::weighted(0.1),
        proptest::bool::weighted(if fail_open { 0.3 } else { 0.0 }),
    )
        .prop_map(|(group, tags, regex, order, weight, blocked, allow_fail_open)| DeploymentSpec {
            group: group.into(),
            model: "openai/*".into(),
            tags: tags.into_iter().map(str::to_owned).collect(),
            tag_regex: regex.into_iter().map(str::to_owned).collect(),
            order,
            weight,
            blocked,
            allow_fail_open,
            ..DeploymentSpec::default()
        })
}

fn tag() -> impl Strategy<Value = (String, TagOrigin)> {
    let origins = select(vec![TagOrigin::Body, TagOrigin::Header, TagOrigin::Team]);
    let parts = (select(vec!["", "", "p:"]), select(vec!["", "", "!", "&"]), select(TAGS.to_vec()), origins);
    parts.prop_map(|(prefix, sign, tag, origin)| (format!("{prefix}{sign}{tag}"), origin))
}

fn world(fail_open: bool) -> impl Strategy<Value = World> {
    (
        vec(deployment(fail_open), 1..8),
        any::<bool>(),
        select(vec!["", "p:"]),
        select(vec![RoutingMode::Tagrail, RoutingMode::Litellm]),
        vec(tag(), 0..4),
        select(vec![None, Some("curl/8"), Some("claude/1"), Some("other")]),
        select(vec!["g", "w/x"]),
        proptest::collection::btree_set((0..8u8).prop_map(|n| format!("d{n}")), 0..4),
        any::<u64>(),
    )
        .prop_map(|(mut deployments, match_any, prefix, mode, tags, agent, model, cooling, draw)| {
            for (number, spec) in deployments.iter_mut().enumerate() {
                spec.id = format!("d{number}");
            }
            World { deployments, match_any, prefix, mode, tags, agent, model, cooling, draw }
        })
}

/// What may be compared between tables whose deployments have other numbers.
fn outcome(table: &RoutingTable, decided: &Result<Decision, NoRoute>) -> Result<BTreeSet<String>, u16> {
    let ids = |decision: &Decision| {
        let permitted = decision.permitted(table);
        permitted.into_iter().map(|index| table.deployments()[index.slot()].id.clone()).collect()
    };
    decided.as_ref().map(ids).map_err(NoRoute::status)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plan_and_removed_partition_the_group(world in world(true)) {
        let table = world.table();
        let explanation = world.ask(&table, |request, signals| table.explain(request, signals));
        let explained: BTreeSet<_> = explanation.verdicts.iter().map(|v| v.deployment).collect();
        prop_assert_eq!(explained.len(), explanation.verdicts.len(), "one verdict each");
        let kept: BTreeSet<String> = explanation.verdicts.iter().filter(|v| v.reason.is_kept())
            .map(|v| table.deployments()[v.deployment.slot()].id.clone()).collect();
        match &explanation.decision {
            Ok(decision) => {
                prop_assert_eq!(explanation.verdicts.len(), world.group().count());
                prop_assert_eq!(kept, world.planned(&table, decision));
            }
            Err(_) => prop_assert!(kept.is_empty(), "nothing is kept of a refusal: {kept:?}"),
        }
    }

    #[test]
    fn reasons_agree_with_the_decision(world in world(true)) {
        let table = world.table();
        let explanation = world.ask(&table, |request, signals| table.explain(request, signals));
        prop_assert_eq!(format!("{:?}", explanation.decision), format!("{:?}", world.decide(&table)));
    }

    #[test]
    fn the_same_question_has_the_same_answer(world in world(true)) {
        let (one, two) = (world.table(), world.table());
        prop_assert_eq!(format!("{:?}", world.decide(&one)), format!("{:?}", world.decide(&two)));
        prop_assert_eq!(format!("{:?}", world.decide(&one)), format!("{:?}", world.decide(&one)));
    }

    #[test]
    fn constraints_hold_for_every_deployment_of_the_plan(world in world(false)) {
        let table = world.table();
        if let Ok(decision) = world.decide(&table) {
            let declares = world.group().any(|spec| !spec.tags.is_empty() || !spec.tag_regex.is_empty());
            // Row D5: only the operator's requirements hold where no deployment declares tags.
            let counts = |origin: TagOrigin| declares || world.mode == RoutingMode::Litellm || origin.is_policy();
            for id in world.planned(&table, &decision) {
                for tag in world.wished('!', |_| true) {
                    prop_assert!(!world.carries(&id, tag), "{id} carries {tag}");
                }
                for tag in world.wished('&', counts) {
                    prop_assert!(world.carries(&id, tag), "{id} lacks {tag}");
                }
            }
        }
    }

    #[test]
    fn failing_open_never_drops_what_the_operator_set(world in world(true)) {
        let table = world.table();
        if let Ok(decision) = world.decide(&table) {
            for id in world.planned(&table, &decision) {
                for tag in world.wished('!', TagOrigin::is_policy) {
                    prop_assert!(!world.carries(&id, tag), "{id} carries {tag}");
                }
                for tag in world.wished('&', TagOrigin::is_policy) {
                    prop_assert!(world.carries(&id, tag), "{id} lacks {tag}");
                }
            }
        }
    }

    #[test]
    fn the_order_of_the_config_does_not_change_what_is_permitted(world in world(true), turn in 0..8usize) {
        let mut other = world.clone();
        let turn = turn % other.deployments.len();
        other.deployments.rotate_left(turn);
        other.deployments[turn..].reverse();
        let (one, two) = (world.table(), other.table());
        prop_assert_eq!(outcome(&one, &world.decide(&one)), outcome(&two, &other.decide(&two)));
    }

    #[test]
    fn health_does_not_change_what_tags_permit(mut world in world(false)) {
        world.mode = RoutingMode::Tagrail;
        let table = world.table();
        let ill = world.decide(&table);
        world.cooling.clear();
        let well = outcome(&table, &world.decide(&table));
        match ill {
            Err(NoRoute::Cooling { .. }) => prop_assert!(well.is_ok() || well == Err(401)),
            ill => prop_assert_eq!(outcome(&table, &ill), well),
        }
    }

    #[test]
    fn a_plan_yields_what_is_healthy_and_permitted_only(world in world(true)) {
        let table = world.table();
        if let Ok(decision) = world.decide(&table) {
            let permitted = outcome(&table, &Ok(decision.clone())).unwrap_or_default();
            for id in world.planned(&table, &decision) {
                prop_assert!(permitted.contains(&id) && !world.cooling.contains(&id), "{id}");
            }
        }
    }

    #[test]
    fn the_index_agrees_with_trying_patterns_one_by_one(
        texts in vec("[ab/*.-]{0,6}", 0..64),
        names in vec("[ab/.-]{0,8}", 1..16),
        anchor_end in any::<bool>(),
    ) {
        let patterns: Vec<ModelPattern> = texts.iter().filter_map(|text| ModelPattern::new(text)).collect();
        let index = PatternIndex::new(patterns.iter().cloned().zip(0..), anchor_end);
        for name in &names {
            let mut best: Option<(&ModelPattern, usize)> = None;
            for (number, pattern) in patterns.iter().enumerate().filter(|(_, p)| p.matches(name, anchor_end)) {
                if best.is_none_or(|(other, _)| pattern.specificity() > other.specificity()) {
                    best = Some((pattern, number));
                }
            }
            prop_assert_eq!(index.find(name), best.as_ref().map(|(pattern, number)| (*pattern, number)));
        }
    }

    #[test]
    fn captures_are_those_of_greedy_regexes(
        text in "[ab.*]{0,7}",
        name in "[ab.\n]{0,12}",
        anchor_end in any::<bool>(),
    ) {
        if let Some(pattern) = ModelPattern::new(&text) {
            let escaped: Vec<String> = text.split('*').map(regex::escape).collect();
            let end = if anchor_end { r"\z" } else { "" };
            let oracle = regex::Regex::new(&format!(r"(?s)\A{}{end}", escaped.join("(.*)"))).unwrap();
            let expected = oracle.captures(&name)
                .map(|found| found.iter().skip(1).flatten().map(|group| group.as_str()).collect::<Vec<_>>());
            prop_assert_eq!(pattern.matches(&name, anchor_end), expected.is_some());
            prop_assert_eq!(pattern.captures(&name, anchor_end), expected);
        }
    }

    #[test]
    fn captures_put_back_make_the_name_again(text in "[ab/*]{0,7}", name in "[ab/*]{0,10}") {
        let pattern = ModelPattern::new(&text);
        if let Some(pattern) = pattern.filter(|pattern| pattern.matches(&name, true)) {
            prop_assert_eq!(pattern.fill(&text, &name, true, true), name.as_str());
        }
    }
}
