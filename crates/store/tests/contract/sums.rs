//! Sums by day: what they are kept under, how they are asked for, and when they go. Resets that a wrong clock
//! has left behind.

use tagrail_store::{
    Budget, Counted, DailyBy, DailyFilter, DailySpend, Key, Kind, OTHER, SpendFilter, SpendRow, SumBy, Team,
    Timestamp,
};

use crate::place::{Place, key, now, team, usd};

const DAY: i64 = 86_400_000;

fn row(id: &str, model: &str, tags: &[&str]) -> SpendRow {
    let (id, key, model_group) = (id.to_owned(), "k".to_owned(), model.to_owned());
    let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
    SpendRow {
        id,
        key,
        model_group,
        tags,
        cost: usd(1.0),
        started: now(),
        ended: now(),
        status: 200,
        ..SpendRow::default()
    }
}

async fn sums(store: &dyn tagrail_store::Store, by: DailyBy, sum: SumBy) -> Vec<DailySpend> {
    store.daily(by, &DailyFilter { sum, ..DailyFilter::default() }).await.unwrap()
}

pub(crate) async fn names_that_are_not_told_apart_are_summed_as_one(place: Place) {
    let store = place.open().await;
    let other = |id: &str, model: &str, tags: &[&str]| SpendRow {
        sums_other_model: true,
        sums_other_tags: vec!["x".to_owned(), "y".to_owned()],
        ..row(id, model, tags)
    };
    store
        .settle(&[
            row("1", "g", &["t"]),
            other("2", "made up", &["t", "x", "&y"]),
            other("3", "again", &["x"]),
        ])
        .await
        .unwrap();
    let models = sums(&*store, DailyBy::Model, SumBy::Each).await;
    let models: Vec<_> = models.iter().map(|sum| (sum.id.as_str(), sum.requests)).collect();
    assert_eq!(models, [(OTHER, 2), ("g", 1)]);
    // A call counts once for all of them.
    let tags = sums(&*store, DailyBy::Tag, SumBy::Id).await;
    let mut tags: Vec<_> = tags.iter().map(|sum| (sum.id.as_str(), sum.requests, sum.cost)).collect();
    tags.sort_unstable_by(|one, other| one.0.cmp(other.0));
    assert_eq!(tags, [(OTHER, 2, usd(2.0)), ("t", 2, usd(2.0))]);
    // The rows keep them.
    let rows = store.spend(&SpendFilter::default()).await.unwrap();
    assert!(rows.iter().any(|row| row.model_group == "made up" && row.tags == ["t", "x", "&y"]));
}

pub(crate) async fn calls_without_rows_are_in_the_sums(place: Place) {
    let store = place.open().await;
    let counted = Counted {
        key: "k".to_owned(),
        team_id: Some("a".to_owned()),
        user_id: None,
        model_group: "g".to_owned(),
        day: now().0 / DAY,
        calls: 5,
    };
    store
        .count(&[counted.clone(), Counted { model_group: String::new(), calls: 2, ..counted }])
        .await
        .unwrap();
    store.settle(&[row("1", "g", &[])]).await.unwrap();
    let of_key = sums(&*store, DailyBy::Key, SumBy::Each).await;
    let of_key: Vec<_> = of_key.iter().map(|sum| (sum.model.as_str(), sum.requests, sum.failed)).collect();
    assert_eq!(of_key, [("", 2, 2), ("g", 6, 5)]);
    let all = |sum: &DailySpend| (sum.requests, sum.failed);
    assert_eq!(all(&sums(&*store, DailyBy::Tag, SumBy::All).await[0]), (8, 7));
    let teams = sums(&*store, DailyBy::Team, SumBy::Id).await;
    assert_eq!(teams.iter().find(|sum| sum.id == "a").map(all), Some((7, 7)));
    assert!(store.spend(&SpendFilter::default()).await.unwrap().len() == 1);
}

pub(crate) async fn sums_are_added_up_as_they_are_asked_for(place: Place) {
    let store = place.open().await;
    let later = SpendRow { started: now().plus_ms(DAY), ..row("3", "h", &["t"]) };
    let larger = SpendRow { cost: usd(8.0), key: "l".to_owned(), ..row("4", "g", &[]) };
    store.settle(&[row("1", "g", &["t"]), row("2", "h", &["t"]), later, larger]).await.unwrap();
    let shape = |sums: Vec<DailySpend>| {
        let of = sums.into_iter().map(|sum| (sum.day, sum.id, sum.model, sum.cost));
        of.collect::<Vec<_>>()
    };
    let expected = |all: &[(&str, &str, &str, f64)]| -> Vec<_> {
        all.iter()
            .map(|(day, id, model, cost)| (day.to_string(), id.to_string(), model.to_string(), usd(*cost)))
            .collect()
    };
    let (one, two) = (now().day(), now().plus_ms(DAY).day());
    let by = |sum| sums(&*store, DailyBy::Key, sum);
    assert_eq!(shape(by(SumBy::All).await), expected(&[("", "", "", 11.0)]));
    assert_eq!(shape(by(SumBy::Id).await), expected(&[("", "l", "", 8.0), ("", "k", "", 3.0)]));
    let by_day = [(&*one, "k", "", 2.0), (&*one, "l", "", 8.0), (&*two, "k", "", 1.0)];
    assert_eq!(shape(by(SumBy::DayAndId).await), expected(&by_day));
    let by_model = [("", "k", "g", 1.0), ("", "k", "h", 2.0), ("", "l", "g", 8.0)];
    assert_eq!(shape(by(SumBy::IdAndModel).await), expected(&by_model));
    let first = DailyFilter { sum: SumBy::Id, limit: 1, ..DailyFilter::default() };
    assert_eq!(store.daily(DailyBy::Key, &first).await.unwrap()[0].id, "l");
    // Nothing is a sum of nothing.
    let none = DailyFilter { sum: SumBy::All, from: Some("2030-01-01".to_owned()), ..DailyFilter::default() };
    assert!(store.daily(DailyBy::Key, &none).await.unwrap().iter().all(|sum| sum.requests == 0));
}

pub(crate) async fn sums_of_old_days_go_a_batch_at_a_time(place: Place) {
    let store = place.open().await;
    let rows: Vec<_> = (0..30)
        .map(|day: i64| SpendRow { started: now().plus_ms(-day * DAY), ..row(&day.to_string(), "g", &["t"]) })
        .collect();
    store.settle(&rows).await.unwrap();
    let before = now().plus_ms(-9 * DAY).day();
    let mut batches = 0;
    while store.prune_daily(&before, 8).await.unwrap() > 0 {
        batches += 1;
    }
    assert_eq!(batches, 3);
    for by in [DailyBy::Key, DailyBy::Team, DailyBy::User, DailyBy::Tag, DailyBy::Model] {
        let left = sums(&*store, by, SumBy::Each).await;
        assert_eq!(left.len(), 10, "{by:?}");
        assert!(left.iter().all(|sum| sum.day >= before));
    }
    assert_eq!(store.spend(&SpendFilter::default()).await.unwrap().len(), 30);
}

pub(crate) async fn rows_are_read_page_by_page(place: Place) {
    let store = place.open().await;
    let rows: Vec<_> = (0..25)
        .map(|number| SpendRow {
            started: now().plus_ms(number / 5),
            ..row(&format!("{number:02}"), "g", &[])
        })
        .collect();
    store.settle(&rows).await.unwrap();
    let newest: Vec<String> = (0..25).rev().map(|number| format!("{number:02}")).collect();
    let (mut by_offset, mut by_last) = (Vec::new(), Vec::new());
    let mut filter = SpendFilter { limit: 7, ..SpendFilter::default() };
    for page in 0..4 {
        let offset = SpendFilter { offset: 7 * page, ..filter.clone() };
        by_offset.extend(store.spend(&offset).await.unwrap().into_iter().map(|row| row.id));
    }
    loop {
        let rows = store.spend(&filter).await.unwrap();
        let Some(last) = rows.last() else { break };
        filter.behind = Some((last.started, last.id.clone()));
        by_last.extend(rows.into_iter().map(|row| row.id));
    }
    assert_eq!((by_offset, by_last), (newest.clone(), newest));
}

pub(crate) async fn a_reset_beyond_its_duration_is_computed_again(place: Place) {
    let store = place.open().await;
    let budget = |duration: &str, reset_at: Timestamp| Budget {
        max: Some(usd(1.0)),
        duration: Some(duration.to_owned()),
        reset_at: Some(reset_at),
        ..Budget::default()
    };
    let wrong = now().plus_ms(400 * DAY);
    store.create_team(&Team { budget: budget("1d", wrong), ..team("a") }, &[]).await.unwrap();
    for number in 0..250 {
        let hash = format!("right {number}");
        let right = budget("1mo", Timestamp::parse("2026-12-01").unwrap());
        store.create_key(&Key { budget: right, ..key(&hash) }).await.unwrap();
    }
    store.create_key(&Key { budget: budget("7d", wrong), spend: usd(0.5), ..key("z wrong") }).await.unwrap();
    let mut corrected = store.correct_resets(now()).await.unwrap();
    corrected.sort_by(|one, other| one.id.cmp(&other.id));
    let corrected: Vec<_> = corrected.iter().map(|change| (change.kind, change.id.as_str())).collect();
    assert_eq!(corrected, [(Kind::Team, "a"), (Kind::Key, "z wrong")]);
    let reset = store.team("a").await.unwrap().unwrap().budget.reset_at;
    assert_eq!(reset, Timestamp::parse("2026-11-22"));
    let after = store.key("z wrong").await.unwrap().unwrap();
    assert_eq!((after.budget.reset_at, after.spend), (Timestamp::parse("2026-11-23"), usd(0.5)));
    let generation = store.changes(0).await.unwrap().generation;
    assert!(store.correct_resets(now()).await.unwrap().is_empty());
    assert_eq!(store.changes(0).await.unwrap().generation, generation);
}
