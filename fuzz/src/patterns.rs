//! Model patterns and tags: a table compiled from any names decides without panicking, gives its
//! reasons without changing its mind, and matches what a plain glob matches.

use std::borrow::Cow;
use std::sync::Arc;

use tagrail_routing::{
    AliasSpec, Chance, DeploymentSpec, FallbackSpec, ModelPattern, Moment, RequestTag, RouteRequest,
    RoutingMode, RoutingTable, TableSpec, TagOrigin,
};

pub(crate) const DICTIONARY: &[&str] =
    &["*", "**", "a*b", "openai/*", "|", ",", "!", "&", "default", "free", "paid", "\n", "\n\n", "/", "é"];

/// Names longer than this are cut: the reference below is quadratic.
const LONGEST: usize = 64;

/// Input: deployments as lines `name|model|tags`, an empty line, requests as lines `name|tags`.
pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (deployments, requests) = text.split_once("\n\n").unwrap_or((&text, "a|free"));
    let deployments: Vec<_> = deployments.lines().take(32).enumerate().map(deployment).collect();
    let requests: Vec<_> =
        requests.lines().take(16).map(|line| line.split_once('|').unwrap_or((line, ""))).collect();
    for deployment in &deployments {
        for (name, _) in &requests {
            matches_as_a_glob_does(&deployment.group, short(name));
        }
    }
    for mode in [RoutingMode::Tagrail, RoutingMode::Litellm] {
        let table = RoutingTable::compile(TableSpec {
            deployments: deployments.clone(),
            left_out: Vec::new(),
            aliases: vec![AliasSpec { name: "alias".into(), target: "a".into(), hidden: false }],
            fallbacks: FallbackSpec::default(),
            tag_filtering: true,
            match_any: data.len().is_multiple_of(2),
            tag_prefix: String::new(),
            mode,
            tag_grants: true,
            guess: Arc::new(()),
        })
        .table;
        for (name, tags) in &requests {
            decides_once(&table, name, tags);
        }
    }
}

fn deployment((number, line): (usize, &str)) -> DeploymentSpec {
    let mut parts = line.splitn(3, '|');
    let mut part = || parts.next().unwrap_or_default();
    DeploymentSpec {
        id: format!("d{number}"),
        group: short(part()).to_owned(),
        model: short(part()).to_owned(),
        tags: part().split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
        order: (number % 3 == 0).then_some(number as i64),
        ..DeploymentSpec::default()
    }
}

fn decides_once(table: &RoutingTable, name: &str, tags: &str) {
    let origins = [TagOrigin::Body, TagOrigin::Header, TagOrigin::Team];
    let tags: Vec<_> = tags
        .split(',')
        .filter(|tag| !tag.is_empty())
        .zip(origins.into_iter().cycle())
        .map(|(tag, origin)| RequestTag { text: Cow::Borrowed(tag), origin })
        .collect();
    let request = RouteRequest {
        model: name,
        tags: &tags,
        user_agent: Some("fuzz/1"),
        force_tag_filtering: false,
        access: tagrail_routing::Access::Admin,
        operators_choice: false,
        moment: Moment(1),
        chance: Chance { sequence: 3, draw: name.len() as u64 },
    };
    let explanation = table.explain(&request, &());
    match (table.decide(&request, &()), explanation.decision) {
        (Ok(decision), Ok(explained)) => {
            let first = decision.first();
            assert_eq!(first, explained.first());
            let verdict = explanation.verdicts.iter().find(|verdict| verdict.deployment == first);
            assert!(verdict.is_some_and(|verdict| verdict.reason.is_kept()));
            table.upstream_model(&decision, first);
        }
        (Err(refused), Err(explained)) => assert_eq!(refused, explained),
        _ => unreachable!("decide and explain disagree"),
    }
}

fn matches_as_a_glob_does(pattern: &str, name: &str) {
    let Some(compiled) = ModelPattern::new(pattern) else { return };
    let captures = compiled.captures(name, true);
    assert_eq!(captures.is_some(), glob(pattern, name), "{pattern:?} on {name:?}");
    assert_eq!(captures.is_some(), compiled.matches(name, true));
    if let Some(captures) = captures {
        assert_eq!(captures.len(), compiled.stars());
        assert!(compiled.matches(name, false));
        let mut captures = captures.into_iter();
        let rebuilt: String = pattern
            .split_inclusive('*')
            .flat_map(|piece| match piece.strip_suffix('*') {
                Some(literal) => [literal, captures.next().unwrap_or_default()],
                None => [piece, ""],
            })
            .collect();
        assert_eq!(rebuilt, name);
    }
}

/// Whether the pattern takes the whole name: by trying every split, a row at a time.
fn glob(pattern: &str, name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for letter in pattern.chars() {
        if letter == '*' {
            let first = reached.iter().position(|reached| *reached).unwrap_or(reached.len());
            reached.iter_mut().skip(first).for_each(|reached| *reached = true);
        } else {
            reached =
                (0..=name.len()).map(|end| end > 0 && reached[end - 1] && name[end - 1] == letter).collect();
        }
    }
    reached[name.len()]
}

fn short(text: &str) -> &str {
    text.get(..LONGEST).unwrap_or(if text.len() > LONGEST { "" } else { text })
}
