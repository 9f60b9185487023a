//! The end: stop accepting, let what is in flight finish, up to a limit.

use std::future::Future;
use std::io;

use tokio::sync::watch;

/// Tells every core to stop. Clones tell the same cores.
#[derive(Clone, Debug)]
pub struct Shutdown {
    begun: watch::Sender<bool>,
}

impl Shutdown {
    pub(crate) fn new() -> Shutdown {
        Shutdown { begun: watch::Sender::new(false) }
    }

    /// Begins to drain: no new connections, no new requests on those that are open.
    pub fn begin(&self) {
        self.begun.send_replace(true);
    }

    /// Whether it has.
    pub(crate) fn has_begun(&self) -> bool {
        *self.begun.borrow()
    }

    /// Completes when the drain has begun.
    pub fn begun(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut begun = self.begun.subscribe();
        async move {
            // An error says that the sender is gone, which is an end as well.
            let _ = begun.wait_for(|begun| *begun).await;
        }
    }
}

/// Waits for SIGTERM or SIGINT (elsewhere than on Unix: Ctrl-C).
pub(crate) async fn signal() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
