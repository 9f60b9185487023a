//! Rows into the journal. Appending never fails: what cannot be written waits in memory, up to a limit.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::segment::Segment;
use super::{RowId, RowIds, Shared, line, lock};
use crate::Timestamp;

/// The longest line: what a reader holds in memory at most.
pub(crate) const MAX_LINE: usize = 256 << 10;

/// How much may wait in memory for the disk, per writer.
const MAX_WAITING: usize = 8 << 20;

/// Between two tries on a disk that is full.
const AGAIN: Duration = Duration::from_millis(100);

/// Appends the rows of one core.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
    /// Contended only while rows wait: the syncing thread then tries again.
    pen: Arc<Mutex<Pen>>,
}

/// A row is longer than a line may be; it was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// What a writer writes with.
pub(crate) struct Pen {
    writer: usize,
    number: u64,
    ids: RowIds,
    segment: Option<Arc<Segment>>,
    /// The line being written; its memory is used again.
    line: Vec<u8>,
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    tried: Option<Instant>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, writer: usize) -> Writer {
        let pen = Arc::new(Mutex::new(Pen {
            writer,
            number: 0,
            ids: RowIds::new(),
            segment: None,
            line: Vec::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            tried: None,
        }));
        lock(&shared.pens).push(Arc::downgrade(&pen));
        Writer { shared, pen }
    }

    /// An id for a row: larger than all that this writer gave before.
    pub fn row_id(&self, now: Timestamp) -> RowId {
        lock(&self.pen).ids.next(now)
    }

    /// Appends a row: anything that reads back as a [`crate::SpendRow`]. When this returns, the row
    /// survives the end of the process; if the disk is full, as soon as it is not.
    ///
    /// # Errors
    /// The row is longer than a line may be.
    pub fn append(&self, row: &impl Serialize) -> Result<(), TooLong> {
        let mut pen = lock(&self.pen);
        let mut line = std::mem::take(&mut pen.line);
        line::encode(row, &mut line);
        let fits = line.len() <= MAX_LINE;
        if fits {
            pen.put(&line, &self.shared);
        }
        pen.line = line;
        drop(pen);
        if !fits {
            return Err(TooLong);
        }
        self.shared.written();
        Ok(())
    }
}

impl Pen {
    /// Writes a line behind those that wait, or lets it wait.
    fn put(&mut self, line: &[u8], shared: &Shared) {
        if !self.waiting.is_empty() && self.tried.is_some_and(|tried| tried.elapsed() >= AGAIN) {
            self.retry(shared);
        }
        if !self.waiting.is_empty() {
            return self.wait(line, shared);
        }
        if let Err(error) = self.write(line, shared) {
            shared.fails("written", &error);
            self.tried = Some(Instant::now());
            self.wait(line, shared);
        }
    }

    fn wait(&mut self, line: &[u8], shared: &Shared) {
        if self.waiting_bytes + line.len() > MAX_WAITING {
            shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.waiting_bytes += line.len();
        self.waiting.push_back(line.to_vec());
        shared.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// Tries to write what waits.
    pub(crate) fn retry(&mut self, shared: &Shared) {
        while let Some(line) = self.waiting.pop_front() {
            if let Err(error) = self.write(&line, shared) {
                shared.fails("written", &error);
                self.tried = Some(Instant::now());
                self.waiting.push_front(line);
                return;
            }
            self.waiting_bytes -= line.len();
            shared.waiting.fetch_sub(1, Ordering::Relaxed);
            shared.written();
        }
    }

    /// The segment is full, or everything ends.
    pub(crate) fn seal(&mut self) {
        if let Some(segment) = self.segment.take() {
            segment.seal();
        }
    }

    fn write(&mut self, line: &[u8], shared: &Shared) -> std::io::Result<()> {
        let full = |segment: &Arc<Segment>| segment.written() >= shared.segment_bytes;
        if self.segment.as_ref().is_none_or(|segment| full(segment) || segment.is_sealed()) {
            let next = Segment::create(shared, self.writer, self.number)?;
            self.number += 1;
            self.seal();
            self.segment = Some(next);
        }
        match &self.segment {
            Some(segment) => segment.append(line),
            None => Ok(()),
        }
    }
}

impl Drop for Pen {
    /// Nobody will write what waits, and nobody else can tell that the segment has its end.
    fn drop(&mut self) {
        self.seal();
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the row is longer than a line of the journal may be")
    }
}

impl std::error::Error for TooLong {}
