//! What has changed, here or in another process: read by generation, twice a second and when the store
//! says so, and applied to the cache, the reservations and the meters.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tagrail::routing::Reservations;
use tagrail_store::{Generation, Kind, Store, StoreError};
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep, timeout};

use super::Books;

/// How long a change of another process may go unnoticed when its notice is lost.
const POLL: Duration = Duration::from_millis(500);

/// How long the store may take to say what changed, before it counts as gone.
pub(super) const ANSWER: Duration = Duration::from_secs(3);

/// How long further budgets are awaited that are used for the first time, before their sums are read.
const ADDED: Duration = Duration::from_millis(10);

/// How often counts are held against the store's sums.
const RECONCILE: Duration = Duration::from_secs(10);

/// How far this process has read.
#[derive(Default)]
pub(super) struct Follower {
    /// Held while changes are applied: they are applied in their order.
    seen: Mutex<Seen>,
    /// Something was changed by this process itself.
    pub(super) wake: Notify,
}

#[derive(Default)]
struct Seen {
    generation: Generation,
    /// Something was missed: everything is looked at anew.
    doubtful: bool,
    /// The store's reserved tags, when they are known.
    reserved: Option<BTreeSet<String>>,
}

/// Follows for ever.
pub(super) async fn follow(books: Arc<Books>) {
    let mut next_reconciling = Instant::now() + RECONCILE;
    loop {
        let answer = timeout(ANSWER, books.begin()).await;
        books.set_connected(matches!(answer, Ok(Ok(()))));
        if let Ok(Err(error @ StoreError::Broken(_))) = &answer {
            tracing::error!(%error, "changes of teams and keys cannot be read");
        }
        match (books.store(), answer) {
            (Ok(store), Ok(Ok(()))) => {
                match timeout(ANSWER, books.meters.read_shared(&*store)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "what others have spent was not read"),
                    Err(_) => tracing::debug!("what others have spent was not read in time"),
                }
                // Each is enough; a lost notice costs no more than the poll's time.
                tokio::select! {
                    () = store.notified() => {}
                    () = books.follower.wake.notified() => {}
                    // Others that are used for the first time now are read with it.
                    () = books.meters.shared.added.notified() => sleep(ADDED).await,
                    () = sleep(POLL) => {}
                }
            }
            _ => sleep(POLL).await,
        }
        if Instant::now() >= next_reconciling {
            next_reconciling = Instant::now() + RECONCILE;
            // A store that has become slow must not keep changes from being followed.
            let _ = timeout(2 * ANSWER, reconcile(&books)).await;
        }
    }
}

/// Holds what is counted here against what the store says.
async fn reconcile(books: &Books) {
    books.meters.mark();
    if books.journal.health().waiting > 0 {
        // It waits for room on the disk, and is neither in the journal nor in the store.
        return;
    }
    if let Ok(store) = books.store()
        && books.drained(ANSWER).await
        && let Err(error) = books.meters.reconcile(&*store).await
    {
        tracing::debug!(%error, "sums were not reconciled");
    }
}

/// Applies whatever has changed since the last time.
pub(super) async fn catch_up(books: &Books) -> Result<(), StoreError> {
    let store = books.store()?;
    let mut seen = books.follower.seen.lock().await;
    let since = if seen.doubtful { 0 } else { seen.generation };
    let read = store.changes(since).await?;
    // A generation that goes back is another database's.
    let changes = read.changes.filter(|_| since > 0 && read.generation >= since);
    match &changes {
        Some(changes) => {
            if changes.iter().any(|change| matches!(change.kind, Kind::Tag | Kind::Team)) {
                seen.reserved = Some(reserved(&*store).await?);
                reserve(books, &seen);
            }
            if !changes.is_empty() {
                books.meters.mistrust(Some(changes));
                books.known.forget(changes);
                books.meters.refresh(&*store, Some(changes)).await?;
            }
        }
        None => {
            seen.reserved = Some(reserved(&*store).await?);
            reserve(books, &seen);
            books.meters.mistrust(None);
            books.known.forget_all();
            books.meters.refresh(&*store, None).await?;
        }
    }
    seen.generation = read.generation;
    seen.doubtful = false;
    Ok(())
}

/// Something was changed and could not be read: nothing that is remembered is relied on.
pub(super) async fn doubt(books: &Books) {
    let mut seen = books.follower.seen.lock().await;
    seen.doubtful = true;
    seen.reserved = None;
    reserve(books, &seen);
    books.known.forget_all();
}

async fn reserved(store: &dyn Store) -> Result<BTreeSet<String>, StoreError> {
    let (_, names) = store.reserved().await?;
    Ok(names.into_iter().collect())
}

/// Tells the router, which adds those of its configuration.
fn reserve(books: &Books, seen: &Seen) {
    let known = seen.reserved.clone().map(Reservations::Known);
    books.router.reserve(known.unwrap_or(Reservations::Unknown));
}

#[cfg(test)]
#[path = "follower_tests.rs"]
mod tests;
