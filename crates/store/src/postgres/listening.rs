//! Notices of other replicas' changes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::sql::CHANNEL;

/// How long after a connection was lost, or not to be had, the next is tried.
const AGAIN: Duration = Duration::from_millis(500);

/// A connection that listens, from the first time on that somebody waits for it.
pub(super) struct Listening {
    options: PgConnectOptions,
    woken: Arc<Notify>,
    task: OnceLock<JoinHandle<()>>,
}

impl Listening {
    pub(super) fn new(options: PgConnectOptions) -> Listening {
        Listening { options, woken: Arc::new(Notify::new()), task: OnceLock::new() }
    }

    /// Waits for a notice. One that came while nobody waited ends the next wait at once. The connection
    /// is a task's and not the waiting one's, which usually waits for something else as well and gives up.
    pub(super) async fn notified(&self) {
        self.task.get_or_init(|| {
            let (options, woken) = (self.options.clone(), self.woken.clone());
            tokio::spawn(async move {
                loop {
                    if let Err(error) = listen(&options, &woken).await {
                        tracing::debug!("no notices from the database: {error}");
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            })
        });
        self.woken.notified().await;
    }

    pub(super) fn stop(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn listen(options: &PgConnectOptions, woken: &Notify) -> Result<(), sqlx::Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(options.clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // Whatever was said before this connection listened, nobody heard.
        woken.notify_one();
        // `None` is a connection that was lost and is there again.
        listener.try_recv().await?;
    }
}
