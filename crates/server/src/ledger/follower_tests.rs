use std::path::Path;
use std::sync::atomic::Ordering;

use tagrail::{Caller, Identity, Money, Router};
use tagrail_store::{Journal, SpendRow, Timestamp};

use super::super::allowance::tests::{outcome, usd};
use super::super::settling_store::SettlingStore;
use super::super::{Clock, LedgerParts, Opening};
use super::*;
use crate::Metrics;

/// Books over a store that may fail to say what has changed.
async fn books(store: &Arc<SettlingStore>, directory: &Path) -> Arc<Books> {
    let resolved = tagrail::config::load_text(
        "model_list: [{model_name: m, litellm_params: {model: openai/m, api_key: k}}]",
        Path::new("c.yaml"),
        &|_| None,
    )
    .resolved
    .unwrap();
    let store = store.clone();
    let opening = Opening::with(
        move || {
            let store: Arc<dyn Store> = store.clone();
            async move { Ok(store) }
        },
        false,
    );
    let parts = LedgerParts {
        store: opening,
        journal: directory.to_owned(),
        router: Router::new(resolved, Arc::new(())),
        metrics: Arc::new(Metrics::new()),
        clock: Clock::default(),
    };
    let journal = Journal::open(directory, Duration::from_millis(50)).unwrap();
    let books = Arc::new(Books::new(parts, journal));
    books.begin().await.unwrap();
    books
}

async fn knows_what_is_reserved(books: &Books) -> bool {
    books.follower.seen.lock().await.reserved.is_some()
}

#[tokio::test]
async fn a_change_that_cannot_be_read_at_once_is_read_again_before_all_that_is_known_is_doubted() {
    let (store, directory) = (Arc::new(SettlingStore::new()), tempfile::tempdir().unwrap());
    let books = books(&store, directory.path()).await;
    store.unheard.store(2, Ordering::SeqCst);
    books.take_notice(true).await;
    assert_eq!(store.unheard.load(Ordering::SeqCst), 0);
    assert!(knows_what_is_reserved(&books).await);
}

#[tokio::test]
async fn a_change_that_cannot_be_read_leaves_nothing_to_be_relied_on() {
    let (store, directory) = (Arc::new(SettlingStore::new()), tempfile::tempdir().unwrap());
    let books = books(&store, directory.path()).await;
    store.unheard.store(usize::MAX, Ordering::SeqCst);
    books.take_notice(false).await;
    assert!(knows_what_is_reserved(&books).await, "nothing was changed");
    books.take_notice(true).await;
    assert!(!knows_what_is_reserved(&books).await);
    store.unheard.store(0, Ordering::SeqCst);
    catch_up(&books).await.unwrap();
    assert!(knows_what_is_reserved(&books).await, "and it recovers");
}

#[tokio::test]
async fn what_waits_for_the_disk_is_not_taken_for_written() {
    let (store, directory) = (Arc::new(SettlingStore::new()), tempfile::tempdir().unwrap());
    let directory = directory.path().join("journal");
    let books = books(&store, &directory).await;
    let key = books.meters.of(Kind::Key, "k", Money::ZERO);
    let identity = Identity { key: "k".to_owned(), ..Identity::default() };
    let writer = books.journal.writer(0);
    std::fs::remove_dir_all(&directory).unwrap();
    books.meters.recorded(&outcome(&Caller { identity, ..Caller::default() }, 1.0));
    let id = writer.row_id(Timestamp::now()).as_str().to_owned();
    writer.append(&SpendRow { id, ..SpendRow::default() }).unwrap();
    reconcile(&books).await;
    assert_eq!(key.spent(), usd(1.0), "it is nowhere else");

    std::fs::create_dir(&directory).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while books.journal.health().waiting > 0 {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    reconcile(&books).await;
    assert_eq!(store.rows.lock().unwrap().len(), 1);
    assert_eq!(key.spent(), Money::ZERO, "by the store, which has it now");
}
