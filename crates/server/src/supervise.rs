//! Threads and tasks that must live: they are started again when they end, or the process ends with them and
//! says which it was. A pulse of each shows that it still gets its turn.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::shutdown::Shutdown;

/// How often a pulse beats.
pub(crate) const BEAT: Duration = Duration::from_secs(1);

/// A pulse that has not beaten for so long is stuck.
const STUCK: Duration = Duration::from_secs(5);

/// Before a task that ended is started again, so that one which cannot live does not take the core.
const PAUSE: Duration = Duration::from_secs(1);

/// What must live, as a whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vitals {
    /// Started with a reason when something ended that cannot be started again.
    pub(crate) shutdown: Shutdown,
    pub(crate) pulses: Pulses,
}

/// The pulses of a process.
#[derive(Clone, Debug)]
pub(crate) struct Pulses(Arc<Beats>);

#[derive(Debug)]
struct Beats {
    start: Instant,
    all: Mutex<Vec<Arc<Pulse>>>,
}

/// When a thread's loop had its last turn.
#[derive(Debug)]
pub(crate) struct Pulse {
    name: String,
    start: Instant,
    /// Milliseconds since the start.
    last: AtomicU64,
}

impl Default for Pulses {
    fn default() -> Pulses {
        Pulses(Arc::new(Beats { start: Instant::now(), all: Mutex::default() }))
    }
}

impl Pulses {
    /// A pulse that beats now for the first time.
    pub(crate) fn add(&self, name: String) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse { name, start: self.0.start, last: AtomicU64::new(0) });
        pulse.beat();
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner).push(pulse.clone());
        pulse
    }

    /// The first that is stuck: its name, and for how long it has been.
    pub(crate) fn stuck(&self) -> Option<(String, Duration)> {
        self.stuck_at(self.0.start.elapsed())
    }

    fn stuck_at(&self, now: Duration) -> Option<(String, Duration)> {
        let all = self.0.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().find_map(|pulse| {
            let silent = now.saturating_sub(Duration::from_millis(pulse.last()));
            (silent > STUCK).then(|| (pulse.name.clone(), silent))
        })
    }
}

impl Pulse {
    /// Notes that the loop runs.
    pub(crate) fn beat(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// The last beat, in milliseconds since the process started: a clock that costs one load.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Beats for ever.
    pub(crate) async fn run(&self) {
        loop {
            self.beat();
            tokio::time::sleep(BEAT).await;
        }
    }
}

/// Runs a task for ever: whenever it ends or panics, it is started again after a pause.
pub(crate) async fn keep<F>(name: &'static str, start: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    keep_after(PAUSE, name, start).await;
}

async fn keep_after<F>(pause: Duration, name: &'static str, mut start: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let ended = tokio::spawn(start()).await;
        let why = if ended.is_err() { "panicked" } else { "ended" };
        tracing::error!(task = name, "a task {why}; it is started again");
        tokio::time::sleep(pause).await;
    }
}

/// Runs a thread's work; the process ends when it panics, or when it returns although no shutdown was asked for.
pub(crate) fn guard(name: &str, shutdown: &Shutdown, work: impl FnOnce()) {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(()) if shutdown.has_begun() => {}
        Ok(()) => shutdown.fail(format!("{name} has ended")),
        Err(_) => shutdown.fail(format!("{name} has panicked")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_or_ends_is_started_again() {
        let starts = Arc::new(AtomicUsize::new(0));
        let (counted, (third, mut began)) = (starts.clone(), tokio::sync::mpsc::unbounded_channel());
        let kept = tokio::spawn(keep_after(Duration::ZERO, "test", move || {
            let (number, third) = (counted.fetch_add(1, Ordering::Relaxed), third.clone());
            async move {
                match number {
                    0 => panic!("on purpose"),
                    1 => {}
                    _ => {
                        third.send(()).unwrap();
                        std::future::pending().await
                    }
                }
            }
        }));
        began.recv().await.unwrap();
        assert_eq!(starts.load(Ordering::Relaxed), 3);
        assert!(!kept.is_finished());
        kept.abort();
    }

    #[test]
    fn a_thread_that_panics_ends_the_process_with_its_name() {
        let shutdown = Shutdown::default();
        guard("core-1", &shutdown, || panic!("on purpose"));
        assert!(shutdown.has_begun());
        assert_eq!(shutdown.failure().unwrap(), "core-1 has panicked");
    }

    #[test]
    fn a_thread_that_returns_before_the_shutdown_ends_the_process() {
        let shutdown = Shutdown::default();
        guard("core-0", &shutdown, || {});
        assert_eq!(shutdown.failure().unwrap(), "core-0 has ended");
        let shutdown = Shutdown::default();
        shutdown.begin();
        guard("core-0", &shutdown, || {});
        assert_eq!(shutdown.failure(), None);
    }

    #[test]
    fn a_pulse_that_does_not_beat_is_named() {
        let pulses = Pulses::default();
        let core = pulses.add("core-3".to_owned());
        assert_eq!(pulses.stuck(), None);
        let later = Duration::from_millis(core.last()) + STUCK + Duration::from_secs(2);
        let (name, silent) = pulses.stuck_at(later).unwrap();
        assert_eq!((name.as_str(), silent), ("core-3", STUCK + Duration::from_secs(2)));
    }
}
