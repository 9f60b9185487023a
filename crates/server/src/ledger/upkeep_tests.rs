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
    assert_eq!(left(Retention { period: Some(30 * DAY), disabled: false }).await, ["new", "of today"]);
    assert_eq!(left(Retention { period: Some(45 * DAY), disabled: false }).await, ["new", "of today", "old"]);
}

#[tokio::test]
async fn without_spend_logs_rows_stay_only_until_no_journal_can_hold_them() {
    assert_eq!(left(Retention { period: None, disabled: true }).await, ["new"]);
    assert_eq!(left(Retention { period: Some(Duration::ZERO), disabled: false }).await, ["new"]);
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
