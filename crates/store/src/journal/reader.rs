//! Rows out of the journal, a piece at a time, so that however much waits costs no more memory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::segment::{Segment, header};
use super::writer::MAX_LINE;
use super::{Shared, line, lock};
use crate::SpendRow;

/// How much is read at once: a line of any length is whole in it.
const PIECE: u64 = 2 * MAX_LINE as u64;

/// Reads one segment from where it is settled to its end, following its writer.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    segment: Arc<Segment>,
    file: File,
    /// Where to go on: how far the segment is settled once all rows that were read are.
    at: u64,
    /// In the middle of a line that is too long to be one.
    astray: bool,
    /// The last try failed.
    fails: bool,
}

/// What was read at once.
#[derive(Debug, Default)]
pub struct Batch {
    /// In the order in which they were written.
    pub rows: Vec<SpendRow>,
    /// Lines left out: not as they were written, or cut off.
    pub damaged: u64,
}

impl Reader {
    pub(crate) fn open(shared: Arc<Shared>, segment: Arc<Segment>) -> io::Result<Reader> {
        let file = OpenOptions::new().read(true).write(true).open(segment.path())?;
        let at = segment.settled();
        Ok(Reader { shared, segment, file, at, astray: false, fails: false })
    }

    /// The next rows, at most so many, or none when all that is written has been read. They are not
    /// read again.
    ///
    /// # Errors
    /// The file cannot be read; the next time it is tried from the same place.
    pub fn read(&mut self, most: usize) -> io::Result<Batch> {
        let end = self.segment.written();
        let mut batch = Batch::default();
        if self.at >= end || most == 0 {
            return Ok(batch);
        }
        let piece = self.piece(end - self.at)?;
        let is_last = self.at + piece.len() as u64 == end;
        let mut rest = piece.as_slice();
        while batch.rows.len() < most
            && let Some(length) = rest.iter().position(|byte| *byte == b'\n')
        {
            let (line, behind) = rest.split_at(length);
            self.take(line, &mut batch);
            rest = behind.get(1..).unwrap_or_default();
        }
        if batch.rows.len() < most && (is_last || rest.len() == piece.len()) && !rest.is_empty() {
            // The tail that a crash cut off, or a line longer than any that was written.
            batch.damaged += u64::from(!self.astray);
            self.astray = !is_last;
            rest = &[];
        }
        self.at += (piece.len() - rest.len()) as u64;
        self.note(&batch);
        Ok(batch)
    }

    /// Bytes from where it stands. An error is said once, however often it is tried again.
    fn piece(&mut self, most: u64) -> io::Result<Vec<u8>> {
        let mut piece = vec![0; usize::try_from(most.min(PIECE)).unwrap_or(0)];
        let read = self.file.seek(SeekFrom::Start(self.at)).and_then(|_| self.file.read_exact(&mut piece));
        match read {
            Ok(()) => {
                self.fails = false;
                Ok(piece)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.fails, true) {
                    tracing::error!(file = %self.segment.name(), %error, "a journal cannot be read");
                }
                Err(error)
            }
        }
    }

    fn take(&mut self, line: &[u8], batch: &mut Batch) {
        if std::mem::take(&mut self.astray) {
            return;
        }
        match line::decode(line).and_then(|json| serde_json::from_slice(json).ok()) {
            Some(row) => batch.rows.push(row),
            None => batch.damaged += 1,
        }
    }

    fn note(&self, batch: &Batch) {
        if batch.damaged > 0 {
            self.shared.damaged.fetch_add(batch.damaged, Ordering::Relaxed);
            let (file, lines) = (self.segment.name(), batch.damaged);
            tracing::warn!(%file, lines, "lines of the journal are damaged or cut off, and were left out");
        }
    }

    /// All rows that were read are in the store. Says so in the file, so that they are not read again
    /// after a restart; and if that fails, they are, and count once all the same.
    pub fn settled(&mut self) {
        if self.at == self.segment.settled() {
            return;
        }
        let line = header(self.at);
        let written = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.write_all(&line));
        if let Err(error) = written {
            tracing::debug!(file = %self.segment.name(), %error, "cannot mark what is settled");
        }
        self.segment.set_settled(self.at);
    }

    /// Whether everything is settled and nothing more will come.
    pub fn is_over(&self) -> bool {
        // In this order: what is sealed is not written any more.
        self.segment.is_sealed() && self.segment.settled() >= self.segment.written()
    }

    /// Deletes the segment; to be called when it is over.
    pub fn delete(self) {
        lock(&self.shared.held).retain(|held| !Arc::ptr_eq(held, &self.segment));
        if let Err(error) = std::fs::remove_file(self.segment.path()) {
            tracing::warn!(file = %self.segment.name(), %error, "a settled journal cannot be deleted");
        }
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment").field("path", &self.path()).finish_non_exhaustive()
    }
}
