//! What teams reserve by being granted tags, and what a caller is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tagrail_routing::{
    Access, AccessList, AliasSpec, DeploymentIndex, DeploymentSpec, FallbackSpec, Holder, Policy, RequestTag,
    Reservations, Reserved, RoutingMode, RoutingTable, TableSpec, TagOrigin,
};

fn deployment(id: &str, group: &str, tags: &[&str]) -> DeploymentSpec {
    DeploymentSpec {
        id: id.into(),
        group: group.into(),
        model: format!("openai/{id}"),
        tags: tags.iter().map(|tag| (*tag).into()).collect(),
        ..DeploymentSpec::default()
    }
}

fn table(prefix: &str) -> RoutingTable {
    RoutingTable::compile(TableSpec {
        deployments: vec![
            deployment("a", "shared", &["teamA"]),
            deployment("b", "shared", &["teamB"]),
            deployment("only", "secret", &["teamB"]),
            deployment("wild", "secret/*", &["teamB"]),
            deployment("open", "open/*", &[]),
            deployment("a", "shared", &["teamB"]),
        ],
        left_out: Vec::new(),
        aliases: vec![AliasSpec { name: "quick".into(), target: "secret".into(), hidden: false }],
        fallbacks: FallbackSpec::default(),
        tag_filtering: true,
        match_any: true,
        tag_prefix: prefix.into(),
        mode: RoutingMode::Tagrail,
        tag_grants: true,
        guess: Arc::new(()),
    })
    .table
}

fn teams() -> Reservations {
    Reservations::Known(BTreeSet::from(["teamA".into(), "teamB".into()]))
}

fn member(tag: &str) -> Policy {
    Policy {
        tags: vec![(tag.into(), TagOrigin::Team)],
        aliases: BTreeMap::from([("mine".into(), "secret".into()), ("ours".into(), "shared".into())]),
        ..Policy::default()
    }
}

#[test]
fn a_team_reserves_what_it_holds_and_never_the_default() {
    let tags = ["teamA", "&teamB", "!teamC", "default", "&default", "", "&", "!", "teamA", "route:teamD"];
    assert_eq!(table("").reserving(&tags), ["teamA", "teamB", "route:teamD"]);
    let tags = ["route:teamA", "route:&teamB", "route:!teamC", "route:default", "&route:x", "teamA"];
    assert_eq!(table("route:").reserving(&tags), ["teamA", "teamB", "route:x"]);
    assert!(table("").reserving(&[""; 0]).is_empty());
}

#[test]
fn a_caller_is_shown_what_it_may_call() {
    let table = table("");
    let reserved = table.reserve(&teams());
    let names = |policy: &Policy| {
        let names = table.names_for(Access::Caller { policy, reserved: &reserved });
        names.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(&member("teamA")), ["shared", "open/*", "ours"]);
    assert_eq!(names(&member("teamB")), ["quick", "shared", "secret", "secret/*", "open/*", "mine", "ours"]);
    assert_eq!(names(&member("!teamA")), ["open/*"]);
    let list = AccessList { holder: Holder::Key, models: vec!["ours".into(), "open/x".into()], also: vec![] };
    // A wildcard stays, to be expanded to what the list admits.
    assert_eq!(names(&Policy { models: vec![list], ..member("teamA") }), ["open/*", "ours"]);
    assert_eq!(table.names_for(Access::Admin), table.names());
}

#[test]
fn a_left_out_deployment_is_reserved_by_its_tags_as_any() {
    let table = table("");
    let reserved = table.reserve(&teams());
    let left_out = DeploymentIndex(5);
    assert!(!table.serves(left_out));
    for (tag, reaches) in [("teamA", false), ("teamB", true)] {
        let access = Access::Caller { policy: &member(tag), reserved: &reserved };
        assert_eq!(table.reaches(left_out, access), reaches, "{tag}");
    }
    assert!(table.reaches(left_out, Access::Admin) && !table.reaches(DeploymentIndex(6), Access::Admin));
}

#[test]
fn what_was_resolved_for_no_table_or_another_opens_nothing() {
    let (table, other) = (table(""), table(""));
    for reserved in [Reserved::default(), other.reserve(&Reservations::default()), other.reserve(&teams())] {
        let access = Access::Caller { policy: &member("teamB"), reserved: &reserved };
        assert_eq!(table.names_for(access), ["open/*"]);
        assert!(!table.reaches(DeploymentIndex(1), access) && table.reaches(DeploymentIndex(4), access));
    }
}

#[test]
fn without_reservations_tags_reserve_nothing() {
    let table = table("");
    let reserved = table.reserve(&Reservations::default());
    let access = Access::Caller { policy: &Policy::default(), reserved: &reserved };
    assert_eq!(table.names_for(access), table.names());
}

#[test]
fn a_call_counts_under_tags_that_are_its_callers_or_everybodys() {
    let table = table("route:");
    let reserved = table.reserve(&Reservations::Known(BTreeSet::from(["teamA".into(), "paid".into()])));
    let policy = member("route:&teamA");
    let counted = |access, origin, texts: &[&str]| -> Vec<String> {
        let tags: Vec<_> = texts.iter().map(|&text| RequestTag { text: text.into(), origin }).collect();
        table.counted(&tags, access).iter().map(|tag| tag.text.to_string()).collect()
    };
    let body = |access, texts: &[&str]| counted(access, TagOrigin::Body, texts);
    let said = ["teamA", "route:teamA", "&teamA", "paid", "route:&paid", "!paid", "teamB", "new"];
    let caller = Access::Caller { policy: &policy, reserved: &reserved };
    assert_eq!(body(caller, &said), ["teamA", "route:teamA", "&teamA", "!paid", "teamB", "new"]);
    let nobody = Policy::default();
    let stranger = Access::Caller { policy: &nobody, reserved: &reserved };
    assert_eq!(body(stranger, &said), ["!paid", "teamB", "new"]);
    assert_eq!(body(Access::Admin, &said), said);

    // Of what nobody has configured, a heap; what somebody has is found in it.
    let heap: Vec<String> = (0..500).map(|number| format!("t{number}")).collect();
    let mut heap: Vec<&str> = heap.iter().map(String::as_str).collect();
    let long = "x".repeat(257);
    heap.insert(0, &long);
    heap.push("route:teamB");
    for access in [caller, Access::Admin] {
        let some = body(access, &heap);
        assert_eq!((some.len(), some[0].as_str(), some[64].as_str()), (65, "t0", "route:teamB"));
    }
    assert_eq!(counted(caller, TagOrigin::Key, &heap).len(), heap.len());
}
