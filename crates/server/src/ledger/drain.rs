//! From the journal into the store: follows this process's own segments, and takes over those of
//! processes that live no more. Runs on the store's runtime.

use std::sync::Arc;
use std::time::Duration;

use tagrail_store::{Journal, Reader, Settled, SpendRow, Store, StoreError};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::names::{Folding, Known};
use super::refused::Refused;

/// Rows in one transaction, at most.
const BATCH: usize = 2000;

/// After the first row, how long more are awaited for one transaction: spend is seen that much later.
const GATHER: Duration = Duration::from_millis(50);

/// How often somebody may have died.
const ORPHANS: Duration = Duration::from_secs(5);

/// After a failure of the store: from, and up to.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Told of every batch that is in the store: what came of it, and whether the calls were this process's.
pub(crate) type OnSettled = Arc<dyn Fn(&Settled, bool) + Send + Sync>;

/// What a drain works with.
pub(crate) struct DrainParts {
    /// Where rows come from.
    pub(crate) journal: Arc<Journal>,
    /// What was counted instead.
    pub(super) refused: Arc<Refused>,
    /// Which names are known.
    pub(super) names: Arc<dyn Known>,
    /// Where it goes.
    pub(crate) store: Arc<dyn Store>,
    /// Told of every batch; on the drain's task.
    pub(crate) settled: OnSettled,
}

/// A handle to the task that drains.
#[derive(Debug)]
pub(crate) struct Drain {
    journal: Arc<Journal>,
    asked: mpsc::UnboundedSender<Asked>,
    task: JoinHandle<()>,
}

/// What is asked of the task; it answers when all rows written before are in the store, those that were
/// found of others as well, and not at all when the store does not answer.
enum Asked {
    Flush(oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
    /// The store takes changes again: what waits need not wait longer. No answer.
    Retry,
}

impl Drain {
    /// Starts on the store's runtime. `settled` is called there.
    pub(crate) fn start(runtime: &Handle, parts: DrainParts) -> Drain {
        let (asked, asking) = mpsc::unbounded_channel();
        let journal = parts.journal.clone();
        let course = Course::new(parts, asking);
        Drain { journal, asked, task: runtime.spawn(course.run()) }
    }

    /// Waits until every row written so far is in the store, at most so long. Whether it is.
    pub(crate) async fn flush(&self, within: Duration) -> bool {
        self.ask(Asked::Flush, within).await
    }

    /// Settles what there is, at most so long, and ends; what is left waits in the journal for the next
    /// start. For when nothing is written any more. Whether all of it is settled.
    pub(crate) async fn stop(&self, within: Duration) -> bool {
        self.journal.seal();
        let is_settled = self.ask(Asked::Stop, within).await;
        // Its readers hold locks that the next process needs.
        self.task.abort();
        is_settled
    }

    /// Whether the task is over: told to, or by a panic.
    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// The store takes changes again.
    pub(crate) fn retry(&self) {
        // When the task has ended, there is nothing left to try.
        let _ = self.asked.send(Asked::Retry);
    }

    async fn ask(&self, what: fn(oneshot::Sender<()>) -> Asked, within: Duration) -> bool {
        let (answer, answered) = oneshot::channel();
        if self.asked.send(what(answer)).is_err() {
            return false;
        }
        matches!(timeout(within, answered).await, Ok(Ok(())))
    }
}

/// The task.
struct Course {
    parts: DrainParts,
    folding: Folding,
    asking: mpsc::UnboundedReceiver<Asked>,
    answers: Vec<oneshot::Sender<()>>,
    stops: bool,
    own: Side,
    orphans: Side,
    next_look: Instant,
    /// Until the next try; `None` while the store answers.
    pause: Option<Duration>,
}

/// Segments, and the rows read from them that are not in the store yet.
#[derive(Default)]
struct Side {
    readers: Vec<Reader>,
    rows: Vec<SpendRow>,
}

impl Course {
    fn new(parts: DrainParts, asking: mpsc::UnboundedReceiver<Asked>) -> Course {
        Course {
            parts,
            folding: Folding::default(),
            asking,
            answers: Vec::new(),
            stops: false,
            own: Side::default(),
            orphans: Side::default(),
            next_look: Instant::now(),
            pause: None,
        }
    }

    async fn run(mut self) {
        loop {
            self.look();
            let answers = std::mem::take(&mut self.answers);
            match self.pass().await {
                Ok(()) if self.orphans.readers.is_empty() => {
                    self.recovered();
                    for answer in answers {
                        // Who asked may have gone.
                        let _ = answer.send(());
                    }
                    if self.stops {
                        return;
                    }
                    self.wait().await;
                }
                // There is more. Sums that are asked for after a restart hold what was spent before it.
                Ok(()) => {
                    self.recovered();
                    self.answers = answers;
                    self.hear();
                }
                // Those who asked hear by its silence that there is no store.
                Err(error) => self.rest(&error).await,
            }
        }
    }

    /// Finds what others have left behind.
    fn look(&mut self) {
        if Instant::now() < self.next_look || self.stops {
            return;
        }
        self.next_look = Instant::now() + ORPHANS;
        match self.parts.journal.orphans() {
            Ok(readers) => self.orphans.readers.extend(readers),
            Err(error) => tracing::warn!(%error, "the journal's directory cannot be read"),
        }
    }

    /// Settles all own rows that there are, and one batch of others: recovering much must not delay
    /// what is spent now.
    async fn pass(&mut self) -> Result<(), StoreError> {
        let Course { parts, folding, own, orphans, .. } = self;
        parts.journal.listen();
        own.readers.extend(parts.journal.begun());
        while own.settle(parts, folding, true).await? > 0 {}
        count(&parts.refused, &*parts.store).await?;
        if orphans.settle(parts, folding, false).await? == 0 {
            // What is left of them cannot be read now; they are found again.
            orphans.readers.clear();
        }
        Ok(())
    }

    /// Until there are rows, somebody asks, or it is time to look for orphans.
    async fn wait(&mut self) {
        tokio::select! {
            () = self.parts.journal.news() => {}
            () = self.parts.refused.news() => {}
            () = sleep_until(self.next_look) => {}
            asked = self.asking.recv() => self.take(asked),
        }
        let until = Instant::now() + GATHER;
        while self.answers.is_empty() && !self.stops {
            match timeout_at(until, self.asking.recv()).await {
                Ok(asked) => self.take(asked),
                Err(_) => return self.hear(),
            }
        }
        self.hear();
    }

    /// Takes notice of all who ask.
    fn hear(&mut self) {
        while let Ok(asked) = self.asking.try_recv() {
            self.take(Some(asked));
        }
    }

    fn take(&mut self, asked: Option<Asked>) {
        match asked {
            Some(Asked::Flush(answer)) => self.answers.push(answer),
            Some(Asked::Stop(answer)) => {
                self.stops = true;
                self.answers.push(answer);
            }
            Some(Asked::Retry) => {}
            // Nobody can ask any more.
            None => self.stops = true,
        }
    }

    /// The store does not answer: the rows stay where they are.
    async fn rest(&mut self, error: &StoreError) {
        let pause = self.pause.map_or(PAUSES.0, |pause| (2 * pause).min(PAUSES.1));
        if self.pause.replace(pause).is_none() {
            tracing::warn!(%error, "what calls cost waits in the journal");
        }
        let until = Instant::now() + pause;
        while let Ok(asked) = timeout_at(until, self.asking.recv()).await {
            match asked {
                // Once more, and that is the last time.
                Some(Asked::Stop(answer)) if !self.stops => {
                    self.stops = true;
                    self.answers.push(answer);
                    return;
                }
                Some(Asked::Retry) => return,
                // Its answer is that it is dropped.
                Some(_) => {}
                None => return sleep_until(until).await,
            }
        }
    }

    fn recovered(&mut self) {
        if self.pause.take().is_some() {
            tracing::info!("what calls cost reaches the database again");
        }
    }
}

/// Adds up what has no rows.
async fn count(refused: &Refused, store: &dyn Store) -> Result<(), StoreError> {
    let counted = refused.take();
    if counted.is_empty() {
        return Ok(());
    }
    let done = store.count(&counted).await;
    if done.is_err() {
        refused.put_back(counted);
    }
    done
}

impl Side {
    /// Settles one batch; how many rows it was.
    async fn settle(
        &mut self,
        parts: &DrainParts,
        folding: &mut Folding,
        is_own: bool,
    ) -> Result<usize, StoreError> {
        self.gather(parts, folding);
        if !self.rows.is_empty() {
            match parts.store.settle(&self.rows).await {
                Ok(done) => (parts.settled)(&done, is_own),
                Err(error @ StoreError::Broken(_)) => self.sort_out(parts, is_own, error).await?,
                Err(error) => return Err(error),
            }
        }
        let count = self.rows.len();
        self.rows.clear();
        for reader in &mut self.readers {
            reader.settled();
        }
        for over in self.readers.extract_if(.., |reader| reader.is_over()) {
            over.delete();
        }
        Ok(count)
    }

    /// The store does not take the rows as they are. One of them must not keep all others from it for
    /// ever: if any can be settled alone, those that cannot are put aside.
    async fn sort_out(
        &mut self,
        parts: &DrainParts,
        is_own: bool,
        error: StoreError,
    ) -> Result<(), StoreError> {
        let mut refused = Vec::new();
        for row in &self.rows {
            match parts.store.settle(std::slice::from_ref(row)).await {
                Ok(done) => (parts.settled)(&done, is_own),
                Err(StoreError::Broken(_)) => refused.push(row),
                Err(error) => return Err(error),
            }
        }
        if refused.len() == self.rows.len() {
            return Err(error);
        }
        parts.journal.put_aside(&refused, &error).map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    /// Reads on to a full batch. Rows that could not be settled stay at its head.
    fn gather(&mut self, parts: &DrainParts, folding: &mut Folding) {
        for reader in &mut self.readers {
            // It has said so itself when it cannot be read, and is read again the next time.
            if let Ok(mut batch) = reader.read(BATCH.saturating_sub(self.rows.len())) {
                batch.rows.iter_mut().for_each(|row| folding.fold(row, &*parts.names));
                self.rows.extend(batch.rows);
            }
        }
    }
}

#[cfg(test)]
#[path = "drain_tests.rs"]
mod tests;
