//! What a plan yields after its first choice, and how the first is drawn.

use std::collections::HashSet;
use std::sync::Arc;

use tagrail_routing::{
    Chance, Decision, DeploymentIndex, DeploymentSpec, FallbackSpec, Moment, NoRoute, Observed, RequestTag,
    RouteRequest, RoutingMode, RoutingTable, Signals, TableSpec, TagOrigin,
};

const NOW: Moment = Moment(1_000);
const DRAWS: usize = 10_000;

#[derive(Default)]
struct Cooling(HashSet<u32>);

impl Signals for Cooling {
    fn observe(&self, deployment: DeploymentIndex, _: Option<&str>) -> Observed {
        Observed { cooling_until: self.0.contains(&deployment.0).then_some(Moment(NOW.0 + 1_500)) }
    }
}

fn table(mode: RoutingMode, deployments: Vec<DeploymentSpec>) -> RoutingTable {
    RoutingTable::compile(TableSpec {
        deployments,
        left_out: Vec::new(),
        aliases: Vec::new(),
        fallbacks: FallbackSpec::default(),
        tag_filtering: true,
        match_any: true,
        tag_prefix: String::new(),
        mode,
        tag_grants: true,
        guess: Arc::new(()),
    })
    .table
}

fn deployment(id: &str) -> DeploymentSpec {
    DeploymentSpec {
        id: id.into(),
        group: "g".into(),
        model: format!("openai/{id}"),
        ..DeploymentSpec::default()
    }
}

fn ordered(id: &str, order: i64) -> DeploymentSpec {
    DeploymentSpec { order: Some(order), ..deployment(id) }
}

fn chance(number: u64) -> Chance {
    Chance { sequence: number, draw: number }.next()
}

fn decide(
    table: &RoutingTable,
    tags: &[&str],
    signals: &Cooling,
    chance: Chance,
) -> Result<Decision, NoRoute> {
    let tags: Vec<_> =
        tags.iter().map(|text| RequestTag { text: (*text).into(), origin: TagOrigin::Body }).collect();
    let request = RouteRequest {
        model: "g",
        tags: &tags,
        user_agent: None,
        force_tag_filtering: false,
        access: tagrail_routing::Access::Admin,
        operators_choice: false,
        moment: NOW,
        chance,
    };
    table.decide(&request, signals)
}

/// The deployments that `decision` yields one after the other, by their place in the config.
fn walk(table: &RoutingTable, decision: &mut Decision, signals: &Cooling, steps: u64) -> Vec<u32> {
    (0..steps)
        .filter_map(|step| decision.next(table, signals, NOW, chance(step)))
        .map(|index| index.0)
        .collect()
}

#[test]
fn untried_deployments_come_first_and_never_the_failed_one_again() {
    for mode in [RoutingMode::Tagrail, RoutingMode::Litellm] {
        let table = table(mode, ["a", "b", "c"].map(deployment).into());
        for number in 0..50 {
            let mut decision = decide(&table, &[], &Cooling::default(), chance(number)).unwrap();
            let mut seen = vec![decision.first().0];
            seen.extend(walk(&table, &mut decision, &Cooling::default(), 8));
            assert_eq!(seen[..3].iter().collect::<HashSet<_>>().len(), 3, "{seen:?}");
            assert_eq!(seen[3..6].iter().collect::<HashSet<_>>().len(), 3, "a second round: {seen:?}");
            assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "{seen:?}");
        }
    }
}

#[test]
fn the_only_deployment_is_tried_again() {
    let table = table(RoutingMode::Tagrail, vec![deployment("a")]);
    let mut decision = decide(&table, &[], &Cooling::default(), chance(1)).unwrap();
    assert_eq!(walk(&table, &mut decision, &Cooling::default(), 3), [0, 0, 0]);
    assert!(!decision.has_other(&table, DeploymentIndex(0), &Cooling::default(), NOW));
}

#[test]
fn the_next_order_comes_when_the_smallest_is_exhausted() {
    let table = table(
        RoutingMode::Tagrail,
        vec![ordered("late", 2), ordered("a", 1), deployment("none"), ordered("b", 1)],
    );
    let mut decision = decide(&table, &[], &Cooling::default(), chance(3)).unwrap();
    assert_eq!((decision.level(), decision.changed_level()), (Some(1), false));
    let first = decision.first().0;
    let second = walk(&table, &mut decision, &Cooling::default(), 1);
    assert_eq!(HashSet::from([first, second[0]]), HashSet::from([1, 3]));
    assert!(!decision.changed_level());
    assert_eq!(walk(&table, &mut decision, &Cooling::default(), 1), [0]);
    assert_eq!((decision.level(), decision.changed_level()), (Some(2), true));
    assert!([1, 3].contains(&walk(&table, &mut decision, &Cooling::default(), 1)[0]), "then from the start");
}

#[test]
fn a_further_level_can_be_had_before_the_present_one_is_exhausted() {
    let parts = vec![ordered("a", 1), ordered("b", 1), ordered("c", 3), ordered("d", 5), deployment("none")];
    let table = table(RoutingMode::Litellm, parts);
    let mut decision = decide(&table, &[], &Cooling::default(), chance(3)).unwrap();
    let mut step =
        |signals: &Cooling| decision.next_level(&table, signals, NOW, chance(4)).map(|index| index.0);
    assert_eq!(step(&Cooling([2, 3].into())), None);
    assert_eq!(step(&Cooling::default()), Some(2));
    assert_eq!(step(&Cooling::default()), Some(3));
    assert_eq!(step(&Cooling::default()), None);
    assert_eq!(decision.level(), Some(5));
}

#[test]
fn without_order_is_served_when_all_with_order_cool() {
    let table = table(RoutingMode::Tagrail, vec![ordered("a", 1), deployment("none")]);
    let mut decision = decide(&table, &[], &Cooling::default(), chance(3)).unwrap();
    assert_eq!(walk(&table, &mut decision, &Cooling::default(), 2), [0, 0]);
    assert_eq!(walk(&table, &mut decision, &Cooling([0].into()), 2), [1, 1]);
}

#[test]
fn what_cools_meanwhile_is_passed_over() {
    let table = table(RoutingMode::Tagrail, ["a", "b", "c"].map(deployment).into());
    let mut decision = decide(&table, &[], &Cooling([0].into()), chance(5)).unwrap();
    assert_ne!(decision.first().0, 0);
    let other = 3 - decision.first().0;
    assert!(decision.has_other(&table, decision.first(), &Cooling([0].into()), NOW));
    assert_eq!(walk(&table, &mut decision, &Cooling([0, 3 - other].into()), 2), [other, other]);
    assert!(!decision.has_other(&table, DeploymentIndex(other), &Cooling([0, 3 - other].into()), NOW));
    assert_eq!(decision.next(&table, &Cooling([0, 1, 2].into()), NOW, chance(6)), None);
    assert_eq!(decision.group_size(), 3);
}

#[test]
fn a_retry_stays_within_the_tags() {
    let tagged = |id: &str, tag: &str| DeploymentSpec { tags: vec![tag.into()], ..deployment(id) };
    let table =
        table(RoutingMode::Litellm, vec![tagged("a", "free"), tagged("b", "paid"), tagged("c", "free")]);
    let mut decision = decide(&table, &["free"], &Cooling::default(), chance(9)).unwrap();
    assert!(walk(&table, &mut decision, &Cooling::default(), 20).iter().all(|place| [0, 2].contains(place)));
    assert_eq!(walk(&table, &mut decision, &Cooling([0, 2].into()), 1), [0u32; 0]);
}

#[test]
fn everything_cooling_tells_when_to_come_back() {
    let table = table(RoutingMode::Tagrail, ["a", "b"].map(deployment).into());
    let refusal = decide(&table, &[], &Cooling([0, 1].into()), chance(1)).unwrap_err();
    assert_eq!(
        refusal,
        NoRoute::Cooling { retry_after_ms: 1_500, cooling: vec![DeploymentIndex(0), DeploymentIndex(1)] }
    );
    assert_eq!(
        refusal.message("g", &table),
        "No deployments available for selected model, Try again in 2 seconds. Passed model=g. \
         pre-call-checks=False, cooldown_list=['a', 'b']"
    );
    assert!(!refusal.public_message("g", &table).contains("'a'"));
}

/// How often each of the deployments is the first choice.
fn shares(table: &RoutingTable, signals: &Cooling) -> Vec<usize> {
    let mut counts = vec![0; table.deployments().len()];
    let mut chance = chance(11);
    for _ in 0..DRAWS {
        chance = chance.next();
        if let Ok(decision) = decide(table, &[], signals, chance) {
            counts[decision.first().slot()] += 1;
        }
    }
    assert_eq!(counts.iter().sum::<usize>(), DRAWS);
    counts
}

fn near(count: usize, expected: usize) -> bool {
    let share = expected as f64 / DRAWS as f64;
    let deviation = (DRAWS as f64 * share * (1.0 - share)).sqrt();
    count.abs_diff(expected) as f64 <= 5.0 * deviation
}

#[test]
fn shares_follow_weight_then_rpm_then_tpm() {
    let with = |id: &str, weight, rpm, tpm| DeploymentSpec { weight, rpm, tpm, ..deployment(id) };
    let by_weight = vec![with("a", Some(9.0), Some(1.0), None), with("b", Some(1.0), Some(99.0), None)];
    let counts = shares(&table(RoutingMode::Tagrail, by_weight), &Cooling::default());
    assert!(near(counts[0], 9_000), "{counts:?}");
    let by_rpm = vec![with("a", Some(0.0), Some(40.0), Some(1.0)), with("b", None, Some(10.0), Some(1.0))];
    let counts = shares(&table(RoutingMode::Tagrail, by_rpm), &Cooling::default());
    assert!(near(counts[0], 8_000), "{counts:?}");
    let by_tpm = vec![with("a", None, None, Some(0.5)), with("b", None, None, Some(1.5)), deployment("c")];
    let counts = shares(&table(RoutingMode::Tagrail, by_tpm), &Cooling::default());
    assert!(near(counts[1], 7_500) && counts[2] == 0, "{counts:?}");
}

#[test]
fn without_weights_everyone_has_the_same_share_also_when_some_cool() {
    for size in [3usize, 70] {
        let ids: Vec<String> = (0..size).map(|number| format!("d{number}")).collect();
        let table = table(RoutingMode::Tagrail, ids.iter().map(|id| deployment(id)).collect());
        let counts = shares(&table, &Cooling::default());
        assert!(counts.iter().all(|count| near(*count, DRAWS / size)), "{counts:?}");
        let cooling: HashSet<u32> =
            (0..u32::try_from(size).unwrap()).filter(|place| place % 3 != 2).collect();
        let healthy = size - cooling.len();
        let counts = shares(&table, &Cooling(cooling.clone()));
        for (place, count) in (0u32..).zip(counts) {
            let expected = if cooling.contains(&place) { 0 } else { DRAWS / healthy };
            assert!(near(count, expected), "{place}: {count} of {expected}");
        }
    }
}

#[test]
fn a_weighted_share_passes_on_to_the_healthy_in_proportion() {
    let with = |id: &str, weight| DeploymentSpec { weight: Some(weight), ..deployment(id) };
    let table = table(RoutingMode::Tagrail, vec![with("a", 6.0), with("b", 3.0), with("c", 1.0)]);
    let counts = shares(&table, &Cooling([0].into()));
    assert!(counts[0] == 0 && near(counts[1], 7_500), "{counts:?}");
}

#[test]
fn a_weight_that_is_none_attracts_nothing() {
    let with = |id: &str, weight| DeploymentSpec { weight: Some(weight), ..deployment(id) };
    let odd = [with("a", -5.0), with("b", f64::NAN), with("c", f64::INFINITY), with("d", 2.0)];
    assert_eq!(shares(&table(RoutingMode::Tagrail, odd.into()), &Cooling::default()), [0, 0, 0, DRAWS]);
}

/// The decision for a call that only `deployment` can serve.
fn pinned(
    table: &RoutingTable,
    model: &str,
    tags: &[&str],
    signals: &Cooling,
    deployment: u32,
) -> Result<Vec<u32>, NoRoute> {
    let tags: Vec<_> =
        tags.iter().map(|text| RequestTag { text: (*text).into(), origin: TagOrigin::Body }).collect();
    let request = RouteRequest {
        model,
        tags: &tags,
        user_agent: None,
        force_tag_filtering: false,
        access: tagrail_routing::Access::Admin,
        operators_choice: false,
        moment: NOW,
        chance: chance(1),
    };
    let deployment = DeploymentIndex(deployment);
    let decided = table.decide_pinned(&request, deployment, signals);
    let explained = table.explain_pinned(&request, deployment, signals, true);
    assert_eq!(
        decided.as_ref().map(Decision::first).map_err(Clone::clone),
        explained.decision.as_ref().map(Decision::first).map_err(Clone::clone)
    );
    let mut decision = decided?;
    let mut seen = vec![decision.first().0];
    seen.extend(walk(table, &mut decision, signals, 4));
    Ok(seen)
}

#[test]
fn a_pinned_call_stays_at_its_deployment_and_every_stage_holds_for_it() {
    for mode in [RoutingMode::Tagrail, RoutingMode::Litellm] {
        let tagged = DeploymentSpec { tags: vec!["x".into()], ..deployment("tagged") };
        let paused = DeploymentSpec { blocked: true, ..deployment("paused") };
        let other = DeploymentSpec { group: "h".into(), ..deployment("other") };
        let table =
            table(mode, vec![ordered("a", 1), ordered("b", 2), deployment("c"), tagged, paused, other]);
        let well = Cooling::default();
        for place in [0, 1, 2] {
            let tags: &[&str] = &[];
            assert_eq!(
                pinned(&table, "g", tags, &well, place),
                Ok(vec![place; 5]),
                "whatever its order: {mode:?}"
            );
            let cooling = Cooling([place].into());
            assert!(
                matches!(pinned(&table, "g", tags, &cooling, place), Err(NoRoute::Cooling { .. })),
                "{mode:?}"
            );
        }
        assert_eq!(pinned(&table, "g", &["x"], &well, 3), Ok(vec![3; 5]));
        assert!(
            matches!(pinned(&table, "g", &["y"], &well, 3), Err(NoRoute::TagMismatch { .. })),
            "{mode:?}"
        );
        assert_eq!(pinned(&table, "g", &[], &well, 4), Err(NoRoute::NoDeployments));
        assert_eq!(pinned(&table, "g", &[], &well, 5), Err(NoRoute::NoDeployments), "of another name");
        assert!(matches!(pinned(&table, "no", &[], &well, 0), Err(NoRoute::UnknownModel { .. })));
    }
}
