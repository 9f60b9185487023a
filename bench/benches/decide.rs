//! What one decision costs: groups of 10, 1,000 and 10,000 deployments, without tags and with eight,
//! and one name among 10,000 wildcards.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tagrail_routing::{
    Access, Chance, DeploymentSpec, FallbackSpec, Moment, Policy, RequestTag, Reservations, RouteRequest,
    RoutingMode, RoutingTable, TableSpec, TagOrigin,
};

const SIZES: [usize; 3] = [10, 1_000, 10_000];

/// Eight tags in use, two to a deployment, and a default pool.
const TAGS: [&str; 8] = ["free", "paid", "eu", "us", "fast", "batch", "vip", "default"];

/// What a request with eight tags sends: any of four, three excluded, one required.
const WISHES: [&str; 8] = ["free", "paid", "fast", "batch", "!us", "!default", "!nobody", "&eu"];

fn table(deployments: Vec<DeploymentSpec>) -> RoutingTable {
    RoutingTable::compile(TableSpec {
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
    })
    .table
}

fn deployment(number: usize, group: String) -> DeploymentSpec {
    let tags =
        [number % TAGS.len(), (number / TAGS.len() + 2) % TAGS.len()].map(|place| TAGS[place].to_owned());
    DeploymentSpec {
        id: format!("d{number}"),
        group,
        model: "openai/*".into(),
        tags: tags.into(),
        ..DeploymentSpec::default()
    }
}

fn one_group(size: usize) -> RoutingTable {
    table((0..size).map(|number| deployment(number, "gpt-4".into())).collect())
}

fn decide(table: &RoutingTable, model: &str, tags: &[RequestTag<'_>], chance: &mut Chance) -> bool {
    decide_as(Access::Admin, table, model, tags, chance)
}

fn decide_as(
    access: Access<'_>,
    table: &RoutingTable,
    model: &str,
    tags: &[RequestTag<'_>],
    chance: &mut Chance,
) -> bool {
    *chance = chance.next();
    let request = RouteRequest {
        model: black_box(model),
        tags: black_box(tags),
        user_agent: Some("openai/1"),
        force_tag_filtering: false,
        access,
        operators_choice: false,
        moment: Moment(1),
        chance: *chance,
    };
    table.decide(&request, &()).is_ok()
}

fn groups(criterion: &mut Criterion) {
    let wishes = WISHES.map(|text| RequestTag { text: text.into(), origin: TagOrigin::Body });
    let mut group = criterion.benchmark_group("decide");
    let mut chance = Chance { sequence: 0, draw: 1 };
    for size in SIZES {
        let table = one_group(size);
        for (name, tags) in
            [("no tags", &wishes[..0]), ("one tag", &wishes[..1]), ("eight tags", &wishes[..])]
        {
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| decide(&table, "gpt-4", tags, &mut chance));
            });
        }
    }
    for size in SIZES {
        let table =
            table((0..size).map(|number| deployment(number, format!("model-{}", number / 4))).collect());
        let last = format!("model-{}", (size - 1) / 4);
        group.bench_function(BenchmarkId::new("groups of four", size), |bencher| {
            bencher.iter(|| decide(&table, &last, &wishes[..1], &mut chance));
        });
    }
    group.finish();
}

/// A key of a team that holds one of two reserved tags, in a group that carries them, and in one of a
/// table that reserves nothing.
fn teams(criterion: &mut Criterion) {
    let held = [RequestTag { text: "paid".into(), origin: TagOrigin::Team }];
    let policy = Policy { tags: vec![("paid".into(), TagOrigin::Team)], ..Policy::default() };
    let mut group = criterion.benchmark_group("decide as a team");
    let mut chance = Chance { sequence: 0, draw: 1 };
    for size in SIZES {
        let table = one_group(size);
        for (name, tags) in [("nothing reserved", &[][..]), ("two tags reserved", &["paid", "vip"])] {
            let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
            let reserved = table.reserve(&Reservations::Known(tags));
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                let access = Access::Caller { policy: &policy, reserved: &reserved };
                bencher.iter(|| decide_as(access, &table, "gpt-4", &held, &mut chance));
            });
        }
    }
    group.finish();
}

fn wildcards(criterion: &mut Criterion) {
    let shapes = [
        ("told by their start", "provider-N/*", "provider-7321/gpt-4o"),
        ("told by their end", "openai/*-N", "openai/gpt-4o-7321"),
        ("told by their middle", "*/model-N/*", "openai/model-7321/x"),
    ];
    let mut group = criterion.benchmark_group("10,000 wildcards");
    let mut chance = Chance { sequence: 0, draw: 1 };
    for (name, shape, model) in shapes {
        let patterns = (0..10_000).map(|number| deployment(number, shape.replace('N', &number.to_string())));
        let table = table(patterns.collect());
        group.bench_function(name, |bencher| bencher.iter(|| decide(&table, model, &[], &mut chance)));
        group.bench_function(format!("{name}, no match"), |bencher| {
            bencher.iter(|| decide(&table, "a-name-that-no-pattern-takes", &[], &mut chance));
        });
    }
    group.finish();
}

criterion_group!(benches, groups, teams, wildcards);
criterion_main!(benches);
