//! Laws of reservations and access lists, for every table, caller and question.

#[path = "reach/world.rs"]
mod world;

use std::collections::BTreeSet;

use proptest::prelude::*;
use tagrail_routing::{
    Access, Chance, Decision, Explanation, Moment, NoRoute, Policy, Reservations, Reserved, Resolution,
    RoutingTable,
};
use world::{Cooling, NAMES, World, id};

/// What may be compared between tables whose deployments have other numbers.
type Outcome = Result<(BTreeSet<String>, Resolution, Option<String>), (u16, String)>;

fn outcome(world: &World, table: &RoutingTable, decided: &Result<Decision, NoRoute>) -> Outcome {
    match decided {
        Ok(decision) => {
            let permitted = decision.permitted(table).into_iter();
            let ids = permitted.map(|index| id(table, index).to_owned()).collect();
            Ok((ids, decision.resolution(), decision.captured().map(str::to_owned)))
        }
        Err(refusal) => Err((refusal.status(), refusal.public_message(world.question.model, table))),
    }
}

fn decide(world: &World, table: &RoutingTable, reserved: &Reserved) -> Result<Decision, NoRoute> {
    world.ask(table, reserved, |request, signals| table.decide(request, signals))
}

fn explain(world: &World, table: &RoutingTable, reserved: &Reserved) -> Explanation {
    world.ask(table, reserved, |request, signals| table.explain(request, signals))
}

/// Everything that the caller is told.
fn told(table: &RoutingTable, explanation: &Explanation) -> (Option<String>, Vec<String>) {
    let verdicts = explanation.verdicts.iter();
    let verdicts = verdicts.map(|verdict| format!("{} {}", id(table, verdict.deployment), verdict.reason));
    (explanation.group.clone(), verdicts.chain(explanation.notes.iter().cloned()).collect())
}

/// Every deployment that a plan ever yields: who is cooling comes back, and others fall ill.
fn yielded(world: &World, table: &RoutingTable, decision: &Decision) -> BTreeSet<String> {
    let mut decision = decision.clone();
    let mut ids = BTreeSet::from([id(table, decision.first()).to_owned()]);
    let mut chance = Chance { sequence: 0, draw: world.question.draw };
    let (ill, well) = (world.question.cooling.clone(), BTreeSet::new());
    for step in 0..4 * world.deployments.len() {
        chance = chance.next();
        let signals = Cooling(table, if step % 2 == 0 { &ill } else { &well });
        let next = match step % 3 {
            2 => decision.next_level(table, &signals, Moment(1_000), chance),
            _ => decision.next(table, &signals, Moment(1_000), chance),
        };
        ids.extend(next.map(|index| id(table, index).to_owned()));
    }
    ids
}

fn tags_of<'a>(world: &'a World, id: &str) -> &'a [String] {
    world.deployments.iter().find(|spec| spec.id == id).map_or(&[], |spec| &spec.tags)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_ever_sent_beyond_reach(world in world::world()) {
        let table = world.table();
        let reserved = world.reserve(&table);
        if let Ok(decision) = decide(&world, &table, &reserved) {
            for id in yielded(&world, &table, &decision) {
                prop_assert!(world.reaches(tags_of(&world, &id)), "{id} is out of reach");
                prop_assert!(world.is_left(tags_of(&world, &id)), "{id} is not what the caller is confined to");
            }
        }
    }

    #[test]
    fn what_is_out_of_reach_is_as_if_it_were_not_there(mut world in world::world()) {
        world.reserved.get_or_insert_default();
        let other = world.without_hidden();
        let (here, there) = (world.table(), other.table());
        let (one, two) = (explain(&world, &here, &world.reserve(&here)), explain(&other, &there, &other.reserve(&there)));
        prop_assert_eq!(outcome(&world, &here, &one.decision), outcome(&other, &there, &two.decision));
        prop_assert_eq!(told(&here, &one), told(&there, &two));
        let first = |table, decided: &Result<Decision, NoRoute>| decided.as_ref().ok().map(|it| id(table, it.first()).to_owned());
        prop_assert_eq!(first(&here, &one.decision), first(&there, &two.decision));
    }

    #[test]
    fn nothing_is_told_of_what_is_out_of_reach(world in world::world()) {
        let table = world.table();
        let explanation = explain(&world, &table, &world.reserve(&table));
        for verdict in &explanation.verdicts {
            prop_assert!(world.reaches(&table.deployments()[verdict.deployment.slot()].tags));
        }
    }

    #[test]
    fn reasons_agree_with_the_decision(world in world::world()) {
        let table = world.table();
        let reserved = world.reserve(&table);
        let decided = format!("{:?}", decide(&world, &table, &reserved));
        let all = world.ask(&table, &reserved, |request, signals| table.explain_as(request, signals));
        prop_assert_eq!(&decided, &format!("{:?}", explain(&world, &table, &reserved).decision));
        prop_assert_eq!(&decided, &format!("{:?}", all.decision));
        let kept = all.verdicts.iter().filter(|verdict| verdict.reason.is_kept()).count();
        prop_assert_eq!(kept > 0, all.decision.is_ok());
    }

    #[test]
    fn a_reload_that_numbers_everything_anew_changes_no_answer(mut world in world::world(), turn in 0..8usize) {
        // Which of several settings counts is a matter of order.
        world.deployments.iter_mut().for_each(|spec| spec.tag_filtering = None);
        let mut other = world.clone();
        let turn = turn % other.deployments.len();
        other.deployments.rotate_left(turn);
        other.deployments[turn..].reverse();
        other.left_out.reverse();
        let (one, two) = (world.table(), other.table());
        let (before, after) = (decide(&world, &one, &world.reserve(&one)), decide(&other, &two, &other.reserve(&two)));
        prop_assert_eq!(outcome(&world, &one, &before), outcome(&other, &two, &after));
        // The policy stays in a cache; what was resolved against the table before must not open anything.
        let stale = decide(&other, &two, &world.reserve(&one));
        let unknown = decide(&other, &two, &two.reserve(&Reservations::Unknown));
        prop_assert_eq!(format!("{stale:?}"), format!("{unknown:?}"));
    }

    #[test]
    fn a_name_is_admitted_when_a_call_by_it_can_be_served(mut world in world::world()) {
        world.switches.filtering = false;
        world.deployments.iter_mut().for_each(|spec| (spec.blocked, spec.tag_filtering) = (false, None));
        world.question.operators_choice = false;
        world.question.cooling.clear();
        let table = world.table();
        let reserved = world.reserve(&table);
        let access = Access::Caller { policy: &world.policy, reserved: &reserved };
        for name in NAMES {
            world.question.model = name;
            let decided = decide(&world, &table, &reserved);
            prop_assert_eq!(table.admits(name, access), decided.is_ok(), "{} {:?}", name, decided);
        }
        let listed = table.names_for(access);
        for name in table.names().into_iter().filter(|name| !name.contains('*')).chain(["mine"]) {
            prop_assert_eq!(listed.contains(&name), table.admits(name, access), "{}", name);
        }
        // Wildcards are listed for what they expand to, whatever the lists say of the pattern.
        let unlisted = Policy { models: Vec::new(), ..world.policy.clone() };
        let unlisted = Access::Caller { policy: &unlisted, reserved: &reserved };
        for name in table.names().into_iter().filter(|name| name.contains('*')) {
            prop_assert_eq!(listed.contains(&name), table.admits(name, unlisted), "{}", name);
        }
    }

    #[test]
    fn reach_by_tags_is_the_law(world in world::world()) {
        let table = world.table();
        let reserved = world.reserve(&table);
        let access = Access::Caller { policy: &world.policy, reserved: &reserved };
        for (slot, spec) in (0..).zip(&world.deployments) {
            let expected = world.reaches(&spec.tags) && world.is_left(&spec.tags);
            prop_assert_eq!(table.reaches(tagrail_routing::DeploymentIndex(slot), access), expected, "{}", spec.id);
        }
    }
}
