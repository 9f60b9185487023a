//! What calls cost.

use std::collections::BTreeMap;

use serde_json::json;
use tagrail_store::{
    Budget, Change, DailyBy, DailyFilter, DailySpend, Key, Kind, Settled, SpendFilter, SpendRow, Spender,
    Spent, StoreError, Tag, Team, Timestamp, User,
};

use tagrail_money::Money;

use crate::place::{Place, key, key_of, now, tag, team, texts, usd, user};

fn row(id: &str) -> SpendRow {
    SpendRow {
        id: id.to_owned(),
        call_id: "call".to_owned(),
        call_type: "acompletion".to_owned(),
        key: "k".to_owned(),
        team_id: Some("a".to_owned()),
        user_id: Some("u".to_owned()),
        tags: texts(&["t", "free"]),
        model: "openai/gpt".to_owned(),
        model_group: "g".to_owned(),
        input_tokens: 10,
        output_tokens: 5,
        cost: usd(0.25),
        started: now(),
        ended: now().plus_ms(900),
        status: 200,
        metadata: json!({"a": 1}).as_object().unwrap().clone(),
        ..SpendRow::default()
    }
}

/// A team, a key of it, a user and a tag.
async fn spenders(place: &Place) -> std::sync::Arc<dyn tagrail_store::Store> {
    let store = place.open().await;
    store.create_team(&team("a"), &[]).await.unwrap();
    store.create_user(&user("u")).await.unwrap();
    store.create_tag(&tag("t")).await.unwrap();
    store.create_key(&Key { user_id: Some("u".to_owned()), ..key_of("k", "a") }).await.unwrap();
    store
}

fn spent_by(settled: &Settled) -> BTreeMap<Spender, (Money, Money)> {
    let each = settled.spent.iter();
    each.map(|Spent { spender, added, spend }| (spender.clone(), (*added, *spend))).collect()
}

fn spender(kind: Kind, id: &str) -> Spender {
    Spender { kind, id: id.to_owned() }
}

fn of(kind: Kind, id: &str) -> Change {
    Change { kind, id: id.to_owned() }
}

pub(crate) async fn a_row_is_settled_once(place: Place) {
    let store = spenders(&place).await;
    let generation = store.changes(1).await.unwrap().generation;
    let rows = [row("2"), row("1"), row("2")];
    let settled = store.settle(&rows).await.unwrap();
    assert_eq!(settled.new, 2);
    let all = [(Kind::Key, "k"), (Kind::Team, "a"), (Kind::User, "u"), (Kind::Tag, "t")];
    let expected: BTreeMap<_, _> = all.map(|(kind, id)| (spender(kind, id), (usd(0.5), usd(0.5)))).into();
    assert_eq!(spent_by(&settled), expected);
    for (kind, id) in all {
        assert_eq!(store.spent(&of(kind, id)).await.unwrap(), Some(usd(0.5)));
    }
    assert_eq!(store.spent(&of(Kind::Tag, "free")).await.unwrap(), None);

    // Again, as after an answer that was lost: what was spent is said, and nothing is added.
    let again = store.settle(&[row("1"), row("3")]).await.unwrap();
    assert_eq!(again.new, 1);
    assert_eq!(spent_by(&again)[&spender(Kind::Key, "k")], (usd(0.25), usd(0.75)));
    let again = store.settle(&rows).await.unwrap();
    assert_eq!((again.new, spent_by(&again)[&spender(Kind::Team, "a")]), (0, (usd(0.0), usd(0.75))));
    assert_eq!(store.settle(&[]).await.unwrap(), Settled::default());

    let key = store.key("k").await.unwrap().unwrap();
    assert_eq!((key.spend, key.last_active), (usd(0.75), Some(now().plus_ms(900))));
    assert_eq!(store.tags(None).await.unwrap()[0].spend, usd(0.75));
    // What is spent is no change of a record: nobody has to read anything again.
    assert_eq!((key.version, store.changes(1).await.unwrap().generation), (0, generation));
    assert_eq!(store.spend(&SpendFilter::default()).await.unwrap(), [row("3"), row("2"), row("1")]);
}

pub(crate) async fn sums_are_kept_by_day(place: Place) {
    let store = place.open().await;
    let tomorrow = Timestamp::parse("2026-11-22").unwrap();
    let failed = SpendRow { status: 429, cost: Money::ZERO, team_id: None, tags: vec![], ..row("2") };
    let late = SpendRow { started: tomorrow, tags: texts(&["&t", "!x", "t"]), ..row("3") };
    store.settle(&[row("1"), failed]).await.unwrap();
    store.settle(&[late, row("4"), SpendRow { model_group: "h".to_owned(), ..row("5") }]).await.unwrap();

    let sum = |day: &str, id: &str, model: &str, requests: u64, failed: u64| DailySpend {
        day: day.to_owned(),
        id: id.to_owned(),
        model: model.to_owned(),
        cost: usd(0.25 * (requests - failed) as f64),
        input_tokens: 10 * requests,
        output_tokens: 5 * requests,
        requests,
        failed,
    };
    let (first, second) = ("2026-11-21", "2026-11-22");
    let all = DailyFilter::default();
    let teams = store.daily(DailyBy::Team, &all).await.unwrap();
    let expected = [
        sum(first, "", "g", 1, 1),
        sum(first, "a", "g", 2, 0),
        sum(first, "a", "h", 1, 0),
        sum(second, "a", "g", 1, 0),
    ];
    assert_eq!(teams, expected);
    let keys = store.daily(DailyBy::Key, &all).await.unwrap();
    assert_eq!(keys, [sum(first, "k", "g", 3, 1), sum(first, "k", "h", 1, 0), sum(second, "k", "g", 1, 0)]);
    let models = store.daily(DailyBy::Model, &all).await.unwrap();
    assert_eq!(models, [sum(first, "g", "g", 3, 1), sum(first, "h", "h", 1, 0), sum(second, "g", "g", 1, 0)]);
    let of_tag = DailyFilter { id: Some("t".to_owned()), ..DailyFilter::default() };
    let tags = store.daily(DailyBy::Tag, &of_tag).await.unwrap();
    assert_eq!(tags, [sum(first, "t", "g", 2, 0), sum(first, "t", "h", 1, 0), sum(second, "t", "g", 1, 0)]);
    let from = DailyFilter { from: Some(second.to_owned()), ..DailyFilter::default() };
    assert_eq!(store.daily(DailyBy::User, &from).await.unwrap(), [sum(second, "u", "g", 1, 0)]);
    let until = DailyFilter { until: Some(first.to_owned()), ..DailyFilter::default() };
    assert_eq!(store.daily(DailyBy::User, &until).await.unwrap().len(), 2);
}

pub(crate) async fn rows_are_found_by_what_they_are(place: Place) {
    let store = place.open().await;
    let at = |minute: i64| now().plus_ms(minute * 60_000);
    let rows = [
        SpendRow { started: at(0), ..row("1") },
        SpendRow { started: at(1), key: "l".to_owned(), call_id: "other".to_owned(), ..row("2") },
        SpendRow { started: at(2), team_id: None, user_id: Some("v".to_owned()), ..row("3") },
    ];
    store.settle(&rows).await.unwrap();
    let text = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (SpendFilter { key: text("l"), ..SpendFilter::default() }, "2"),
        (SpendFilter { user_id: text("v"), ..SpendFilter::default() }, "3"),
        (SpendFilter { team_id: text("a"), ..SpendFilter::default() }, "21"),
        (SpendFilter { request_id: text("other"), ..SpendFilter::default() }, "2"),
        (SpendFilter { request_id: text("3"), ..SpendFilter::default() }, "3"),
        (SpendFilter { from: Some(at(1)), ..SpendFilter::default() }, "32"),
        (SpendFilter { until: Some(at(1)), ..SpendFilter::default() }, "1"),
        (SpendFilter { limit: 2, ..SpendFilter::default() }, "32"),
        (SpendFilter { key: text("k"), request_id: text("call"), limit: 1, ..SpendFilter::default() }, "3"),
        (SpendFilter { key: text("' OR 1=1 --"), ..SpendFilter::default() }, ""),
    ] {
        let found: String = store.spend(&filter).await.unwrap().into_iter().map(|row| row.id).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}

/// As two replicas do that drain one journal, or one that was killed and its successor.
pub(crate) async fn two_stores_settle_the_same_rows_once(place: Place) {
    let store = spenders(&place).await;
    let rows: Vec<SpendRow> = (0..200).map(|number| row(&format!("{number:03}"))).collect();
    let mut settling = tokio::task::JoinSet::new();
    for turn in 0..4 {
        let (store, rows) = (place.open().await, rows.clone());
        settling.spawn(async move {
            let mut new = 0;
            for batch in 0..10 {
                let begin = (batch * 7 + turn * 3) % 10 * 20;
                let mut batch = rows[begin..begin + 20].to_vec();
                if turn % 2 == 1 {
                    batch.reverse();
                }
                new += store.settle(&batch).await.unwrap().new;
            }
            new
        });
    }
    assert_eq!(settling.join_all().await.into_iter().sum::<usize>(), 200);
    assert_eq!(store.spent(&of(Kind::Key, "k")).await.unwrap(), Some(usd(50.0)));
    assert_eq!(store.spent(&of(Kind::Tag, "t")).await.unwrap(), Some(usd(50.0)));
    let days = store.daily(DailyBy::Key, &DailyFilter::default()).await.unwrap();
    assert_eq!((days[0].requests, days[0].cost), (200, usd(50.0)));
    assert_eq!(store.spend(&SpendFilter::default()).await.unwrap().len(), 200);
}

pub(crate) async fn thousands_of_rows_are_settled_at_once(place: Place) {
    let store = spenders(&place).await;
    let rows: Vec<SpendRow> = (0..5000)
        .map(|number| SpendRow {
            team_id: Some(format!("team {}", number % 50)),
            ..row(&format!("{number:05}"))
        })
        .collect();
    let begun = std::time::Instant::now();
    assert_eq!(store.settle(&rows).await.unwrap().new, 5000);
    // One statement for each row would take longer than this.
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    assert_eq!(store.spent(&of(Kind::Key, "k")).await.unwrap(), Some(usd(1250.0)));
    assert_eq!(store.daily(DailyBy::Team, &DailyFilter::default()).await.unwrap().len(), 50);
}

/// A pseudo-random amount, below a cent and down to a pico-dollar.
fn odd_amount(number: i64) -> Money {
    Money::from_picos(number.wrapping_mul(6_364_136_223_846_793_005).rem_euclid(9_999_999_967))
}

pub(crate) async fn sums_are_exactly_those_of_the_rows(place: Place) {
    let store = spenders(&place).await;
    store.create_tag(&tag("odd")).await.unwrap();
    let rows: Vec<SpendRow> = (0..4000)
        .map(|number| SpendRow {
            cost: odd_amount(number),
            tags: if number % 3 == 0 { texts(&["t", "odd", "&odd"]) } else { texts(&["t"]) },
            ..row(&format!("{number:05}"))
        })
        .collect();
    // Largest first, smallest first: the order must not matter.
    for (at, batch) in rows.chunks(500).enumerate() {
        let mut batch = batch.to_vec();
        batch.sort_by_key(|row| row.cost);
        if at % 2 == 0 {
            batch.reverse();
        }
        store.settle(&batch).await.unwrap();
    }
    let all: Money = rows.iter().map(|row| row.cost).sum();
    let odd: Money = rows.iter().step_by(3).map(|row| row.cost).sum();
    let spenders =
        [(Kind::Key, "k", all), (Kind::Team, "a", all), (Kind::User, "u", all), (Kind::Tag, "t", all)];
    let asked: Vec<Change> = spenders.iter().map(|(kind, id, _)| of(*kind, id)).collect();
    let many = store.spent_many(&asked).await.unwrap();
    for (kind, id, sum) in spenders.into_iter().chain([(Kind::Tag, "odd", odd)]) {
        assert_eq!(store.spent(&of(kind, id)).await.unwrap(), Some(sum), "{kind:?} {id}");
        assert!(id == "odd" || many[&of(kind, id)] == sum);
    }
    let days = store.daily(DailyBy::Tag, &DailyFilter::default()).await.unwrap();
    let by_tag = |tag: &str| days.iter().filter(|day| day.id == tag).map(|day| day.cost).sum::<Money>();
    assert_eq!((by_tag("t"), by_tag("odd")), (all, odd));
    let read = store.spend(&SpendFilter::default()).await.unwrap();
    assert_eq!(read.iter().map(|row| row.cost).sum::<Money>(), all);
}

pub(crate) async fn sums_of_many_spenders_are_read_at_once(place: Place) {
    let store = spenders(&place).await;
    store.settle(&[row("1")]).await.unwrap();
    let asked = [of(Kind::Key, "k"), of(Kind::Key, "nobody"), of(Kind::Tag, "t"), of(Kind::Team, "' OR 1=1")];
    let expected = [(of(Kind::Key, "k"), usd(0.25)), (of(Kind::Tag, "t"), usd(0.25))];
    assert_eq!(store.spent_many(&asked).await.unwrap(), expected.into());
    assert!(store.spent_many(&[]).await.unwrap().is_empty());
}

/// SQLite would turn such a sum into a floating-point number, and PostgreSQL refuse the batch for ever.
pub(crate) async fn a_sum_stays_in_range(place: Place) {
    let store = spenders(&place).await;
    let huge = |id: &str| SpendRow { cost: Money::MAX, ..row(id) };
    for batch in [&[row("1"), huge("2")][..], &[huge("3"), huge("4")], &[row("5")]] {
        let settled = store.settle(batch).await.unwrap();
        assert_eq!(settled.new, batch.len());
        assert_eq!(spent_by(&settled)[&spender(Kind::Key, "k")].1, Money::MAX);
    }
    for (kind, id) in [(Kind::Key, "k"), (Kind::Team, "a"), (Kind::User, "u"), (Kind::Tag, "t")] {
        assert_eq!(store.spent(&of(kind, id)).await.unwrap(), Some(Money::MAX));
    }
    let days = store.daily(DailyBy::Key, &DailyFilter::default()).await.unwrap();
    assert_eq!((days[0].cost, days[0].requests), (Money::MAX, 5));
    let read = store.spend(&SpendFilter::default()).await.unwrap();
    assert_eq!(read.iter().filter(|row| row.cost == Money::MAX).count(), 3, "rows keep what they say");
}

/// A row that cannot be written would hold up the journal for ever.
pub(crate) async fn what_a_client_wrote_cannot_stop_it(place: Place) {
    let store = spenders(&place).await;
    // Digits that do not compress, or an index would take them after all.
    let digits: String =
        (1..20_000_u64).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let odd = format!("\0'\"\\{{}}ü🦀{digits}");
    let poison = SpendRow {
        call_id: odd.clone(),
        end_user: Some(odd.clone()),
        tags: vec![odd.clone(), String::new()],
        model_group: odd.clone(),
        decision: odd.clone(),
        input_tokens: u64::MAX,
        output_tokens: u64::MAX,
        cost: Money::from_picos(i64::MIN),
        metadata: json!({ "a": odd, "\0": 1 }).as_object().unwrap().clone(),
        ..row("1")
    };
    let unbounded = SpendRow { id: "2".to_owned(), cost: Money::from_picos(-1), ..poison.clone() };
    let rows = [poison.clone(), unbounded, row("3"), SpendRow { started: Timestamp(i64::MAX), ..row("4") }];
    assert_eq!(store.settle(&rows).await.unwrap().new, 4);
    assert_eq!(store.spent(&of(Kind::Key, "k")).await.unwrap(), Some(usd(0.5)));
    let by_call = SpendFilter { request_id: Some(odd.clone()), ..SpendFilter::default() };
    let found = store.spend(&by_call).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[1], SpendRow { cost: Money::ZERO, ..poison });
    let days = store.daily(DailyBy::Model, &DailyFilter::default()).await.unwrap();
    assert_eq!(days.iter().map(|day| day.requests).sum::<u64>(), 4);
}

pub(crate) async fn old_rows_are_pruned_and_their_sums_stay(place: Place) {
    let store = spenders(&place).await;
    let at = |minute: i64| now().plus_ms(minute * 60_000);
    let rows: Vec<SpendRow> =
        (0..10).map(|number| SpendRow { ended: at(number), ..row(&number.to_string()) }).collect();
    store.settle(&rows).await.unwrap();
    assert_eq!(store.prune(at(6), 4).await.unwrap(), 4);
    assert_eq!(store.prune(at(6), 4).await.unwrap(), 2);
    assert_eq!(store.prune(at(6), 4).await.unwrap(), 0);
    let left: String =
        store.spend(&SpendFilter::default()).await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(left, "9876");
    assert_eq!(store.spent(&of(Kind::Key, "k")).await.unwrap(), Some(usd(2.5)));
    assert_eq!(store.daily(DailyBy::Key, &DailyFilter::default()).await.unwrap()[0].requests, 10);
}

pub(crate) async fn budgets_begin_anew_once(place: Place) {
    let store = place.open().await;
    let budget = |reset_at: &str, duration: Option<&str>| Budget {
        max: Some(usd(1.0)),
        duration: duration.map(str::to_owned),
        reset_at: Timestamp::parse(reset_at),
        ..Budget::default()
    };
    let due = budget("2026-11-21", Some("30d"));
    store.create_team(&Team { budget: due.clone(), spend: usd(3.0), ..team("a") }, &[]).await.unwrap();
    let later = budget("2026-12-01", Some("30d"));
    store.create_team(&Team { budget: later.clone(), spend: usd(3.0), ..team("later") }, &[]).await.unwrap();
    store.create_key(&Key { budget: due.clone(), spend: usd(4.0), ..key("k") }).await.unwrap();
    store.create_user(&User { budget: due.clone(), spend: usd(5.0), ..user("u") }).await.unwrap();
    let once = budget("2026-11-21", None);
    store.create_tag(&Tag { budget: once, spend: usd(6.0), ..tag("t") }).await.unwrap();
    let generation = store.changes(1).await.unwrap().generation;

    let mut resetting = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = place.open().await;
        resetting.spawn(async move { store.reset_budgets(now()).await.unwrap() });
    }
    let mut reset: Vec<Change> = resetting.join_all().await.into_iter().flatten().collect();
    reset.sort();
    let expected = [of(Kind::Key, "k"), of(Kind::Team, "a"), of(Kind::User, "u"), of(Kind::Tag, "t")];
    assert_eq!(reset, expected);
    let mut changed = store.changes(generation).await.unwrap().changes.unwrap();
    changed.sort();
    assert_eq!(changed, expected);

    let team = store.team("a").await.unwrap().unwrap();
    assert_eq!((team.spend, team.budget.reset_at), (usd(0.0), Timestamp::parse("2026-12-01")));
    let spared = store.team("later").await.unwrap().unwrap();
    assert_eq!((spared.spend, spared.budget), (usd(3.0), later));
    let tag = store.tags(None).await.unwrap().remove(0);
    assert_eq!((tag.spend, tag.budget.reset_at), (usd(0.0), None));
    // An admin who read it before must read it again, or the reset would be undone.
    let late = store.update_team(&Team { version: 0, budget: due, ..team }, &[]).await;
    assert!(matches!(late, Err(StoreError::Conflict)));
}

/// At midnight all budgets of a day are due. One transaction of all of them would hold every other writer
/// up, and past some number never end in time.
pub(crate) async fn very_many_budgets_begin_anew_a_batch_at_a_time(place: Place) {
    const MANY: usize = 401;
    let store = place.open().await;
    for number in 0..MANY {
        let budget = Budget {
            duration: Some("1d".to_owned()),
            reset_at: Timestamp::parse("2026-11-21"),
            ..Budget::default()
        };
        let user = User { budget, spend: usd(5.0), ..user(&format!("{number:03}")) };
        store.create_user(&user).await.unwrap();
    }
    let generation = store.changes(1).await.unwrap().generation;
    let reset = store.reset_budgets(now()).await.unwrap();
    assert_eq!(reset.len(), MANY);
    let changes = store.changes(generation).await.unwrap();
    assert_eq!(changes.changes.unwrap(), reset);
    assert_eq!(changes.generation, generation + 3, "each a transaction of its own");
    assert_eq!(store.spent(&of(Kind::User, "400")).await.unwrap(), Some(usd(0.0)));
    assert_eq!(store.reset_budgets(now()).await.unwrap(), []);
}

pub(crate) async fn a_late_row_of_a_replaced_key_is_its_successors(place: Place) {
    let store = spenders(&place).await;
    let old = store.key("k").await.unwrap().unwrap();
    let second = store.replace_key("k", &Key { hash: "k2".to_owned(), ..old }).await.unwrap();
    store.replace_key("k2", &Key { hash: "k3".to_owned(), ..second }).await.unwrap();
    let rows = [
        row("1"),
        SpendRow { key: "k2".to_owned(), ..row("2") },
        SpendRow { key: "k3".to_owned(), ..row("3") },
    ];
    let settled = store.settle(&rows).await.unwrap();
    assert_eq!(spent_by(&settled)[&spender(Kind::Key, "k3")], (usd(0.75), usd(0.75)));
    assert_eq!(store.spent(&of(Kind::Key, "k3")).await.unwrap(), Some(usd(0.75)));
    // A new key with the first one's hash is another key.
    store.create_key(&key("k")).await.unwrap();
    store.settle(&[row("4")]).await.unwrap();
    assert_eq!(store.spent(&of(Kind::Key, "k")).await.unwrap(), Some(usd(0.25)));
    assert_eq!(store.spent(&of(Kind::Key, "k3")).await.unwrap(), Some(usd(0.75)));
}

/// Batches that name the same spenders in every order, beside deletions and resets of them.
pub(crate) async fn settling_and_deleting_do_not_block_each_other(place: Place) {
    const TURNS: usize = 12;
    let store = place.open().await;
    let mut working = tokio::task::JoinSet::new();
    for worker in 0..2 {
        let store = place.open().await;
        working.spawn(async move {
            for turn in 0..TURNS {
                let rows: Vec<SpendRow> = (0..40)
                    .map(|number| {
                        let which = (number * 7 + turn + worker * 3) % 10;
                        let id = format!("{worker}.{turn}.{number}");
                        let team_id = Some(format!("team{which}"));
                        SpendRow { key: format!("k{which}"), team_id, ..row(&id) }
                    })
                    .collect();
                assert_eq!(store.settle(&rows).await.unwrap().new, 40);
            }
        });
    }
    let other = place.open().await;
    working.spawn(async move {
        let ids: Vec<String> = (0..10).map(|which| format!("team{which}")).collect();
        for _ in 0..TURNS {
            for which in (0..10).rev() {
                let reset_at = Some(Timestamp(1));
                let budget = Budget { duration: Some("1s".to_owned()), reset_at, ..Budget::default() };
                other.create_team(&Team { budget, ..team(&ids[which]) }, &texts(&["t"])).await.unwrap();
                other.create_key(&key_of(&format!("k{which}"), &ids[which])).await.unwrap();
            }
            assert_eq!(other.reset_budgets(now()).await.unwrap().len(), 10);
            assert_eq!(other.delete_teams(&ids).await.unwrap().keys.len(), 10);
        }
    });
    working.join_all().await;
    let days = store.daily(DailyBy::Model, &DailyFilter::default()).await.unwrap();
    assert_eq!(days[0].requests, 2 * 40 * TURNS as u64);
}
