//! What a table is made of, and what it says of the things that cannot go into it.

use std::sync::Arc;

use tagrail_routing::{
    Access, AliasSpec, Chance, Compiled, DeploymentIndex, DeploymentSpec, FallbackKind, FallbackSpec,
    LeftOutSpec, Mistake, Moment, NoRoute, RouteRequest, RoutingMode, RoutingTable, Severity, TableSpec,
};

fn spec(deployments: Vec<DeploymentSpec>) -> TableSpec {
    TableSpec {
        deployments,
        left_out: Vec::new(),
        aliases: Vec::new(),
        fallbacks: FallbackSpec::default(),
        tag_filtering: true,
        match_any: true,
        tag_prefix: String::new(),
        mode: RoutingMode::Tagrail,
        tag_grants: true,
        guess: Arc::new(()),
    }
}

fn deployment(id: &str, group: &str) -> DeploymentSpec {
    DeploymentSpec {
        id: id.into(),
        group: group.into(),
        model: format!("openai/{id}"),
        ..DeploymentSpec::default()
    }
}

fn alias(name: &str, target: &str, hidden: bool) -> AliasSpec {
    AliasSpec { name: name.into(), target: target.into(), hidden }
}

fn pairs(pairs: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    pairs
        .iter()
        .map(|(key, names)| ((*key).into(), names.iter().map(|name| (*name).into()).collect()))
        .collect()
}

fn errors(mistakes: &[Mistake]) -> Vec<(Option<usize>, &str)> {
    let errors = mistakes.iter().filter(|mistake| mistake.severity == Severity::Error);
    errors.map(|mistake| (mistake.deployment, mistake.key)).collect()
}

fn warnings(mistakes: &[Mistake]) -> Vec<(&str, &str)> {
    let warnings = mistakes.iter().filter(|mistake| mistake.severity == Severity::Warning);
    warnings.map(|mistake| (mistake.key, mistake.message.as_str())).collect()
}

fn first(table: &RoutingTable, model: &str) -> Result<String, NoRoute> {
    let request = RouteRequest {
        model,
        tags: &[],
        user_agent: None,
        force_tag_filtering: false,
        access: tagrail_routing::Access::Admin,
        operators_choice: false,
        moment: Moment(0),
        chance: Chance::default(),
    };
    table.decide(&request, &()).map(|decision| table.deployments()[decision.first().slot()].id.clone())
}

#[test]
fn every_mistake_is_reported_and_costs_its_own_deployment_only() {
    let with =
        |id: &str, regex: &str| DeploymentSpec { tag_regex: vec![regex.into()], ..deployment(id, "g") };
    let Compiled { table, mistakes } = RoutingTable::compile(spec(vec![
        deployment("a", "g"),
        with("b", "("),
        with("c", "(?=x)"),
        with("d", r"(x)\1"),
        deployment("a", "h"),
        deployment("e", "g"),
    ]));
    let regex = "tag_regex";
    assert_eq!(
        errors(&mistakes),
        [(Some(1), regex), (Some(2), regex), (Some(3), regex), (Some(4), "model_info.id")]
    );
    assert!(
        mistakes[0].message.contains("`(`") && !mistakes[0].message.contains('\n'),
        "{}",
        mistakes[0].message
    );
    assert!(
        mistakes[3].message.contains("`a`") && mistakes[3].message.contains("`g`"),
        "{}",
        mistakes[3].message
    );
    assert_eq!(table.members("g"), [DeploymentIndex(0), DeploymentIndex(5)]);
    assert_eq!(table.by_id("a"), Some(DeploymentIndex(0)));
    assert!(!table.serves(DeploymentIndex(1)) && table.serves(DeploymentIndex(5)));
    assert_eq!(first(&table, "h"), Err(NoRoute::NoDeployments));
    assert_eq!(table.deployments().len(), 6, "those left out keep their place");
}

#[test]
fn what_is_left_out_still_counts_for_tags_in_tagrail_mode() {
    let broken =
        DeploymentSpec { tags: vec!["default".into()], tag_regex: vec!["[".into()], ..deployment("x", "g") };
    let parts = vec![broken, deployment("a", "g")];
    let tagrail = RoutingTable::compile(spec(parts.clone())).table;
    assert_eq!(first(&tagrail, "g"), Err(NoRoute::NoDeployments), "nothing spills from the default pool");
    let litellm = RoutingTable::compile(TableSpec { mode: RoutingMode::Litellm, ..spec(parts) }).table;
    assert_eq!(first(&litellm, "g"), Ok("a".into()));
}

#[test]
fn names_are_listed_aliases_first_then_as_in_the_file() {
    let aliases = vec![alias("nick", "b", false), alias("hidden", "a", true)];
    let left_out = vec![LeftOutSpec { group: "gone".into(), tags: Vec::new() }];
    let groups =
        vec![deployment("1", "b"), deployment("2", "w/*"), deployment("3", "a"), deployment("4", "b")];
    let table = RoutingTable::compile(TableSpec { aliases, left_out, ..spec(groups) }).table;
    assert_eq!(table.names(), ["nick", "b", "w/*", "a"]);
    assert!(table.has_wildcards(Access::Admin));
    assert_eq!(table.members("hidden"), [DeploymentIndex(2)]);
    assert_eq!(table.members("nick"), [DeploymentIndex(0), DeploymentIndex(3)]);
    assert_eq!(table.members("w/*"), [DeploymentIndex(1)]);
    assert!(table.members("w/x").is_empty() && table.members("openai/1").is_empty());
}

#[test]
fn targets_that_nothing_is_called_are_warnings() {
    let fallbacks = FallbackSpec {
        general: pairs(&[("g", &["h", "nowhere"]), ("h", &["g"]), ("w/*", &["w/other", "3"])]),
        context_window: pairs(&[("g", &["g"])]),
        content_policy: pairs(&[("g", &["lost"])]),
        default: vec!["absent".into(), "nick".into()],
    };
    let aliases = vec![alias("nick", "g", false), alias("dead", "missing", false)];
    let groups = vec![deployment("1", "g"), deployment("2", "h"), deployment("3", "w/*")];
    let Compiled { table, mistakes } =
        RoutingTable::compile(TableSpec { fallbacks, aliases, ..spec(groups) });
    assert_eq!(
        warnings(&mistakes),
        [
            ("model_group_alias", "`dead` stands for `missing`, which nothing is called"),
            ("fallbacks", "`g` falls back to `nowhere`, which nothing is called"),
            ("context_window_fallbacks", "`g` falls back to itself only"),
            ("content_policy_fallbacks", "`g` falls back to `lost`, which nothing is called"),
            ("default_fallbacks", "nothing is called `absent`"),
        ]
    );
    assert!(errors(&mistakes).is_empty(), "circles are allowed");
    assert_eq!(table.fallbacks("g", FallbackKind::General), ["h", "nowhere"]);
    assert_eq!(table.fallbacks("w/x", FallbackKind::General), ["w/other", "3"]);
    assert_eq!(table.fallbacks("g", FallbackKind::ContentPolicy), ["lost"]);
    assert!(table.fallbacks("h", FallbackKind::ContextWindow).is_empty());
    assert_eq!(table.default_fallbacks(), ["absent", "nick"]);
}

#[test]
fn a_table_with_nothing_in_it_knows_nothing() {
    let table = RoutingTable::compile(spec(Vec::new())).table;
    assert_eq!(first(&table, "x"), Err(NoRoute::UnknownModel { wildcards_configured: false }));
    assert!(table.names().is_empty() && !table.has_wildcards(Access::Admin));
}

#[test]
fn tags_of_the_table_are_listed() {
    let tagged = |id: &str, tags: &[&str]| DeploymentSpec {
        tags: tags.iter().map(|tag| (*tag).into()).collect(),
        ..deployment(id, "g")
    };
    let table = RoutingTable::compile(spec(vec![tagged("1", &["b", "a"]), tagged("2", &["a", "c"])])).table;
    assert_eq!(table.tags(), ["a", "b", "c"]);
}
