//! Spend that is not in the store yet: what a call cost is one line in a file before the last byte of
//! its reply leaves, so that it survives `kill -9`, and a store that is gone for a while.
//!
//! Every writer (one for each core) has a segment of its own, `<start>-<process>-<writer>-<number>.journal`,
//! and holds a lock on it for as long as it lives. Whoever can have the lock of a segment knows that its
//! owner is dead, and may settle what is in it. A segment that is full is sealed, and deleted when all
//! of it is in the store; how far that has come is in its first line.
//!
//! Map: `line.rs` one line; `segment.rs` one file; `writer.rs` rows into it, also when the disk is full;
//! `reader.rs` rows out of it; `row_id.rs` their ids; here, the directory with all of it and the thread
//! that syncs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

mod line;
mod reader;
mod row_id;
mod segment;
mod writer;

pub use reader::{Batch, Reader};
pub use row_id::{RowId, RowIds};
pub use writer::{TooLong, Writer};

use segment::{Disk, SUFFIX, Segment, UNBORN};
use writer::Pen;

use crate::{SpendRow, StoreError};

/// A segment is sealed when it is larger: small enough to be read again from its beginning, large
/// enough that files are rarely made.
const SEGMENT_BYTES: u64 = 16 << 20;

/// How long a segment may be without its name: between two steps of the one who makes it.
const BIRTH: Duration = Duration::from_secs(60);

/// Before the syncing thread goes on after a panic.
const AGAIN: Duration = Duration::from_secs(1);

/// The journal of one process.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    syncer: Option<JoinHandle<()>>,
}

/// How the journal is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalHealth {
    /// Rows that could not be written and wait in memory: they would not survive a crash.
    pub waiting: u64,
    /// Rows that are gone, since too many waited.
    pub lost: u64,
    /// Lines that could not be read: cut off by a crash, or damaged on disk.
    pub damaged: u64,
    /// Rows that the store refused, put aside.
    pub refused: u64,
    /// Bytes that are not in the store yet, in this process's own segments.
    pub behind: u64,
    /// Writing or syncing fails; cleared when it works again.
    pub failing: bool,
}

/// What writers, readers and the syncing thread have in common.
pub(crate) struct Shared {
    directory: PathBuf,
    /// Names this process among all that have used the directory.
    process: String,
    segment_bytes: u64,
    /// Segments that this process holds, own and adopted.
    held: Mutex<Vec<Arc<Segment>>>,
    /// Those of them that nobody reads yet.
    unread: Mutex<Vec<Arc<Segment>>>,
    pens: Mutex<Vec<Weak<Mutex<Pen>>>>,
    waiting: AtomicU64,
    lost: AtomicU64,
    damaged: AtomicU64,
    refused: AtomicU64,
    failing: AtomicBool,
    /// There are rows that the reader has not been woken for.
    news: AtomicBool,
    reader: Notify,
    /// There are bytes that the syncing thread has not been woken for.
    dirty: AtomicBool,
    syncer: OnceLock<Thread>,
    ended: AtomicBool,
    /// Makes disks of files; tests make small ones.
    disk: fn(File) -> Box<dyn Disk>,
}

impl Journal {
    /// Opens the journal in a directory, which is made if need be, and starts its syncing thread.
    ///
    /// # Errors
    /// The directory cannot be made or written, or no thread can be started.
    pub fn open(directory: &Path, sync: Duration) -> io::Result<Journal> {
        Journal::open_on(directory, sync, SEGMENT_BYTES, |file| Box::new(file))
    }

    fn open_on(
        directory: &Path,
        sync: Duration,
        segment_bytes: u64,
        disk: fn(File) -> Box<dyn Disk>,
    ) -> io::Result<Journal> {
        make_private(directory)?;
        let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let shared = Arc::new(Shared {
            directory: directory.to_owned(),
            process: format!("{:013}-{}", started.as_millis(), unique()),
            segment_bytes,
            held: Mutex::default(),
            unread: Mutex::default(),
            pens: Mutex::default(),
            waiting: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            news: AtomicBool::new(false),
            reader: Notify::new(),
            dirty: AtomicBool::new(false),
            syncer: OnceLock::new(),
            ended: AtomicBool::new(false),
            disk,
        });
        // Better now than at the first call that is to be written down.
        Segment::probe(&shared)?;
        let of_thread = shared.clone();
        let thread = thread::Builder::new().name("journal".to_owned()).spawn(move || {
            // Unsynced rows would not survive a power failure, and those that wait would wait for ever.
            while catch_unwind(AssertUnwindSafe(|| of_thread.keep(sync))).is_err() {
                tracing::error!("the journal's thread panicked; it is started again");
                thread::sleep(AGAIN);
            }
        })?;
        // Set once, here.
        let _ = shared.syncer.set(thread.thread().clone());
        Ok(Journal { shared, syncer: Some(thread) })
    }

    /// A writer with segments of its own. `number` tells the writers of a process apart.
    pub fn writer(&self, number: usize) -> Writer {
        Writer::new(self.shared.clone(), number)
    }

    /// Readers of this process's own segments that were begun since the last time.
    pub fn begun(&self) -> Vec<Reader> {
        let unread = std::mem::take(&mut *lock(&self.shared.unread));
        unread.into_iter().filter_map(|segment| self.reader(segment)).collect()
    }

    fn reader(&self, segment: Arc<Segment>) -> Option<Reader> {
        match Reader::open(self.shared.clone(), segment.clone()) {
            Ok(reader) => Some(reader),
            Err(error) => {
                tracing::error!(file = %segment.name(), %error, "a journal cannot be read; trying again");
                lock(&self.shared.unread).push(segment);
                None
            }
        }
    }

    /// Segments of processes that live no more, each with its lock: no other process reads them.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn orphans(&self) -> io::Result<Vec<Reader>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.shared.directory)? {
            let name = entry?.file_name();
            if let Some(name) = name.to_str() {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        let mut readers = Vec::new();
        for name in names {
            let path = self.shared.directory.join(&name);
            if name.ends_with(UNBORN) {
                segment::sweep(&path, BIRTH);
            } else if name.ends_with(SUFFIX)
                && let Some(segment) = Segment::adopt(&path, self.shared.disk)
            {
                readers.extend(Reader::open(self.shared.clone(), Arc::new(segment)));
            }
        }
        Ok(readers)
    }

    /// Keeps rows that the store refuses, and will go on refusing, out of the way of all others: in a file of
    /// their own, which is read again by whoever renames it to `.journal`.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn put_aside(&self, rows: &[&SpendRow], why: &StoreError) -> io::Result<()> {
        let name = format!("{}.refused", self.shared.process);
        let mut file =
            segment::private().append(true).create(true).open(self.shared.directory.join(&name))?;
        let mut lines = Vec::new();
        for row in rows {
            let mut line = Vec::new();
            line::encode(row, &mut line);
            lines.append(&mut line);
        }
        file.write_all(&lines)?;
        file.sync_data()?;
        self.shared.refused.fetch_add(rows.len() as u64, Ordering::Relaxed);
        tracing::error!(file = name, rows = rows.len(), error = %why, "the database refuses what calls cost; put aside");
        Ok(())
    }

    /// Waits until rows have come that no reader was told of.
    pub async fn news(&self) {
        self.shared.reader.notified().await;
    }

    /// From here on, the next row that is written is news. Before reading, so that none is missed.
    pub fn listen(&self) {
        self.shared.news.swap(false, Ordering::AcqRel);
    }

    /// How it is doing.
    pub fn health(&self) -> JournalHealth {
        let shared = &self.shared;
        JournalHealth {
            waiting: shared.waiting.load(Ordering::Relaxed),
            lost: shared.lost.load(Ordering::Relaxed),
            damaged: shared.damaged.load(Ordering::Relaxed),
            refused: shared.refused.load(Ordering::Relaxed),
            behind: lock(&shared.held).iter().map(|segment| segment.behind()).sum(),
            failing: shared.failing.load(Ordering::Relaxed),
        }
    }

    /// Tries again what could not be written, seals every segment, so that they can be deleted once
    /// they are settled, and syncs. What is written afterwards goes into new ones.
    pub fn seal(&self) {
        for pen in self.shared.pens() {
            let mut pen = lock(&pen);
            pen.retry(&self.shared);
            pen.seal();
        }
        self.shared.sync();
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.shared.wake_syncer();
        if let Some(thread) = self.syncer.take() {
            // Until it has ended, it holds the locks. A panic of it has been said already.
            let _ = thread.join();
        }
        self.shared.sync();
    }
}

impl Shared {
    /// Rows were written.
    pub(crate) fn written(&self) {
        // A read-modify-write each, so that whoever finds the flag set comes before the one who clears
        // it and then reads.
        if !self.news.swap(true, Ordering::AcqRel) {
            self.reader.notify_one();
        }
        if !self.dirty.swap(true, Ordering::AcqRel) {
            self.wake_syncer();
        }
    }

    fn wake_syncer(&self) {
        if let Some(thread) = self.syncer.get() {
            thread.unpark();
        }
    }

    /// The syncing thread: sleeps while nothing is written, else syncs once per interval.
    fn keep(&self, interval: Duration) {
        while !self.ended.load(Ordering::Acquire) {
            let waits = self.waiting.load(Ordering::Relaxed) > 0;
            if !waits && !self.dirty.load(Ordering::Acquire) {
                thread::park();
                continue;
            }
            thread::park_timeout(interval.max(Duration::from_millis(1)));
            self.dirty.swap(false, Ordering::AcqRel);
            if waits {
                for pen in self.pens() {
                    lock(&pen).retry(self);
                }
            }
            self.sync();
        }
    }

    fn sync(&self) {
        let held = lock(&self.held).clone();
        let mut works = true;
        for segment in held {
            if let Err(error) = segment.sync(&self.directory) {
                self.fails("synced", &error);
                self.dirty.store(true, Ordering::Release);
                works = false;
            }
        }
        if works && self.waiting.load(Ordering::Relaxed) == 0 {
            self.works();
        }
    }

    fn pens(&self) -> Vec<Arc<Mutex<Pen>>> {
        let mut pens = lock(&self.pens);
        pens.retain(|pen| pen.strong_count() > 0);
        pens.iter().filter_map(Weak::upgrade).collect()
    }

    /// One line for an episode, however many rows it holds up.
    pub(crate) fn fails(&self, what: &'static str, error: &io::Error) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the journal of spend cannot be {what}; trying again");
        }
    }

    fn works(&self) {
        if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
            let lost = self.lost.load(Ordering::Relaxed);
            tracing::info!(lost, "the journal of spend can be written again");
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// A poisoned lock guards nothing that a panic could have left half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory that nobody else looks into: what calls cost is nobody else's business.
fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// A process may open a journal twice in a millisecond, and process ids repeat.
fn unique() -> String {
    static OPENED: AtomicU64 = AtomicU64::new(0);
    format!("{}.{}", std::process::id(), OPENED.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
#[path = "journal/tests.rs"]
mod tests;
