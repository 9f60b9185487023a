use std::sync::atomic::{AtomicI64, Ordering};

use tagrail_store::{Kind, SpendRow};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::settling_store::SettlingStore;
use super::*;

const LONG: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_secs(86_400);
const NOW: i64 = 1_795_000_000_000;

fn row(id: &str, age: Duration) -> (String, SpendRow) {
    let ended = Timestamp(NOW - i64::try_from(age.as_millis()).unwrap());
    (id.to_owned(), SpendRow { id: id.to_owned(), call_id: id.to_owned(), ended, ..SpendRow::default() })
}

fn upkeep(store: &Arc<SettlingStore>, retention: Retention) -> Upkeep {
    Upkeep {
        store: store.clone(),
        retention: Box::new(move || retention),
        reset: Box::new(drop),
        now: Box::new(|| Timestamp(NOW)),
        before_start: Box::new(|| None),
    }
}

async fn left(retention: Retention) -> Vec<String> {
    let store = Arc::new(SettlingStore::new());
    let ages = [("new", Duration::from_secs(60)), ("of today", DAY / 2), ("old", 40 * DAY)];
    store.rows.lock().unwrap().extend(ages.map(|(id, age)| row(id, age)));
    let many = (0..2500).map(|number| row(&format!("older {number}"), 50 * DAY));
    store.rows.lock().unwrap().extend(many);
    upkeep(&store, retention).prune().await.unwrap();
    let mut calls = store.calls();
    calls.retain(|call| !call.starts_with("older") || call == "older 0");
    calls
}

#[tokio::test]
async fn rows_go_when_they_are_older_than_they_are_kept() {
    assert_eq!(left(Retention::default()).await, ["new", "of today", "old", "older 0"]);
    assert_eq!(
        left(Retention { period: Some(30 * DAY), disabled: false, daily: None }).await,
        ["new", "of today"]
    );
    assert_eq!(
        left(Retention { period: Some(45 * DAY), disabled: false, daily: None }).await,
        ["new", "of today", "old"]
    );
}

#[tokio::test]
async fn without_spend_logs_rows_stay_only_until_no_journal_can_hold_them() {
    assert_eq!(left(Retention { period: None, disabled: true, daily: None }).await, ["new"]);
    assert_eq!(left(Retention { period: Some(Duration::ZERO), disabled: false, daily: None }).await, ["new"]);
}

#[tokio::test]
async fn budgets_that_are_due_are_reset_and_told_of_also_after_the_store_was_gone() {
    let store = Arc::new(SettlingStore::new());
    store.gone(true);
    let (tell, mut told) = mpsc::unbounded_channel();
    let clock = Arc::new(AtomicI64::new(NOW));
    let asked = clock.clone();
    let upkeep = Upkeep {
        reset: Box::new(move |changes| tell.send(changes).unwrap()),
        now: Box::new(move || Timestamp(asked.fetch_add(1, Ordering::Relaxed))),
        ..upkeep(&store, Retention::default())
    };
    let task = tokio::spawn(upkeep.run());
    while clock.load(Ordering::Relaxed) == NOW {
        tokio::task::yield_now().await;
    }
    let due = vec![Change { kind: Kind::Key, id: "k".to_owned() }];
    store.due.lock().unwrap().extend(due.clone());
    store.gone(false);
    assert_eq!(timeout(LONG, told.recv()).await.unwrap(), Some(due));
    task.abort();
}

#[tokio::test]
async fn sums_of_days_go_when_they_are_older_than_they_are_kept() {
    let store = Arc::new(SettlingStore::new());
    upkeep(&store, Retention { daily: Some(400 * DAY), ..Retention::default() }).prune().await.unwrap();
    let first = Timestamp(NOW - 400 * 86_400_000).day();
    assert_eq!(*store.pruned_days.lock().unwrap(), [first]);
    upkeep(&store, Retention::default()).prune().await.unwrap();
    assert_eq!(store.pruned_days.lock().unwrap().len(), 1);
}

/// Runs it for this long, with a clock that jumps after an hour; gives the store.
async fn run_with(jump: Duration, before_start: Option<Timestamp>, hours: u32) -> Arc<SettlingStore> {
    let store = Arc::new(SettlingStore::new());
    store.rows.lock().unwrap().extend([row("a", 5 * DAY)]);
    let begun = Instant::now();
    let now = move || {
        let elapsed = begun.elapsed();
        let wrong = if elapsed >= Duration::from_secs(30) { jump } else { Duration::ZERO };
        Timestamp(NOW + i64::try_from((elapsed + wrong).as_millis()).unwrap())
    };
    let retention = Retention { period: Some(30 * DAY), ..Retention::default() };
    let upkeep = Upkeep {
        now: Box::new(now),
        before_start: Box::new(move || before_start),
        ..upkeep(&store, retention)
    };
    let _ = timeout(hours * Duration::from_secs(3600), upkeep.run()).await;
    store
}

#[tokio::test(start_paused = true)]
async fn nothing_is_pruned_while_the_clock_may_be_wrong() {
    let store = run_with(400 * DAY, None, 20).await;
    assert_eq!(store.calls(), ["a"]);
    // If it stays, it is right.
    assert!(run_with(400 * DAY, None, 30).await.calls().is_empty());
    // Nor after a start whose clock is far ahead of what the last gateway wrote.
    let before = Some(Timestamp(NOW - 400 * 86_400_000));
    assert_eq!(run_with(Duration::ZERO, before, 20).await.calls(), ["a"]);
}
