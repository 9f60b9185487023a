//! The end: stop accepting, let what is in flight finish, up to a limit. And the signals that bring it about.

use std::future::Future;
use std::io;
use std::sync::{Arc, OnceLock};

use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Tells every core to stop. Clones tell the same cores.
#[derive(Clone, Debug)]
pub struct Shutdown {
    stage: watch::Sender<Stage>,
    failure: Arc<OnceLock<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    Draining,
    Hastened,
}

impl Default for Shutdown {
    fn default() -> Shutdown {
        Shutdown { stage: watch::Sender::new(Stage::Running), failure: Arc::default() }
    }
}

impl Shutdown {
    /// Begins to drain: no new connections, no new requests on those that are open.
    pub fn begin(&self) {
        self.reach(Stage::Draining);
    }

    /// Ends the drain: calls in flight are cut off.
    pub fn hasten(&self) {
        self.reach(Stage::Hastened);
    }

    /// Begins to drain because something is gone that the process cannot do without. The first reason counts.
    pub(crate) fn fail(&self, reason: String) {
        tracing::error!(reason, "the process ends: a part of it is gone");
        // Later ones follow from it.
        let _ = self.failure.set(reason);
        self.begin();
    }

    /// Why it was started, if something had failed.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    fn reach(&self, stage: Stage) {
        self.stage.send_if_modified(|now| {
            let is_later = stage > *now;
            *now = stage.max(*now);
            is_later
        });
    }

    /// Whether it has started.
    pub(crate) fn has_begun(&self) -> bool {
        *self.stage.borrow() >= Stage::Draining
    }

    /// Completes when the drain has begun.
    pub fn begun(&self) -> impl Future<Output = ()> + Send + use<> {
        self.reached(Stage::Draining)
    }

    /// Completes when the drain is to end.
    pub(crate) fn hastened(&self) -> impl Future<Output = ()> + Send + use<> {
        self.reached(Stage::Hastened)
    }

    fn reached(&self, stage: Stage) -> impl Future<Output = ()> + Send + use<> {
        let mut now = self.stage.subscribe();
        async move {
            // An error says that the sender is gone, which is an end as well.
            let _ = now.wait_for(|now| *now >= stage).await;
        }
    }
}

/// What the process does about signals, from the moment that it is made: SIGTERM and SIGINT end it in order;
/// SIGHUP, SIGUSR1, SIGUSR2 and SIGXFSZ, which would kill it, are ignored. Elsewhere than on Unix: Ctrl-C.
#[derive(Debug)]
pub struct Signals {
    runtime: Runtime,
    #[cfg(unix)]
    streams: Vec<(&'static str, tokio::signal::unix::Signal)>,
}

impl Signals {
    /// Takes over the signals. What comes before they are waited for is kept.
    ///
    /// # Errors
    /// A handler cannot be installed.
    pub fn install() -> io::Result<Signals> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let _entered = runtime.enter();
            let file_too_large = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
            let streams = vec![
                ("SIGTERM", signal(SignalKind::terminate())?),
                ("SIGINT", signal(SignalKind::interrupt())?),
                ("SIGHUP", signal(SignalKind::hangup())?),
                ("SIGUSR1", signal(SignalKind::user_defined1())?),
                ("SIGUSR2", signal(SignalKind::user_defined2())?),
                // A file beyond the process's limit is an error of the write, as on a full disk.
                ("SIGXFSZ", signal(file_too_large)?),
            ];
            drop(_entered);
            Ok(Signals { runtime, streams })
        }
        #[cfg(not(unix))]
        Ok(Signals { runtime })
    }

    /// Blocks until `finished` sends, and begins and hastens the shutdown as signals come.
    ///
    /// # Errors
    /// As what is sent, or a third signal has come.
    pub(crate) fn attend(
        mut self,
        shutdown: &Shutdown,
        finished: tokio::sync::oneshot::Receiver<io::Result<()>>,
    ) -> io::Result<()> {
        #[cfg(unix)]
        let streams = &mut self.streams;
        self.runtime.block_on(async {
            let mut finished = std::pin::pin!(finished);
            loop {
                #[cfg(unix)]
                let next = next(streams);
                #[cfg(not(unix))]
                let next = async { tokio::signal::ctrl_c().await.map(|()| "Ctrl-C").unwrap_or("a failure") };
                let name = tokio::select! {
                    result = &mut finished => {
                        return result.unwrap_or_else(|_| Err(io::Error::other("the server's end was not seen")));
                    }
                    name = next => name,
                };
                if !matches!(name, "SIGTERM" | "SIGINT" | "Ctrl-C") {
                    tracing::info!(signal = name, "ignored");
                    continue;
                }
                let stage = *shutdown.stage.borrow();
                match stage {
                    Stage::Running => {
                        tracing::info!(signal = name, "stopping: no new requests, those in flight may finish");
                        shutdown.begin();
                    }
                    Stage::Draining => {
                        tracing::warn!(signal = name, "stopping now: requests in flight are cut off");
                        shutdown.hasten();
                    }
                    Stage::Hastened => {
                        return Err(io::Error::other(
                            "ended by one more signal; what calls cost is in the journal, and is settled at the next start",
                        ));
                    }
                }
            }
        })
    }
}

/// The next signal.
#[cfg(unix)]
async fn next(streams: &mut [(&'static str, tokio::signal::unix::Signal)]) -> &'static str {
    std::future::poll_fn(|context| {
        for (name, stream) in streams.iter_mut() {
            if stream.poll_recv(context).is_ready() {
                return std::task::Poll::Ready(*name);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stages_follow_each_other_and_do_not_go_back() {
        let shutdown = Shutdown::default();
        assert!(!shutdown.has_begun());
        shutdown.hasten();
        shutdown.begin();
        shutdown.begun().await;
        shutdown.hastened().await;
    }
}
