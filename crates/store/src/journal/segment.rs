//! One file of the journal, held by its lock.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::{Shared, line, lock};

/// What the name of a segment ends with.
pub(crate) const SUFFIX: &str = ".journal";

/// What it ends with until it is locked.
pub(crate) const UNBORN: &str = ".new";

/// The first line is as long as this: how far the segment is settled, in twenty digits.
pub(crate) const HEADER: u64 = 30;

/// What a segment is written to.
pub(crate) trait Disk: Send + Sync {
    /// Writes some or all of it.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Takes back what was written beyond a length.
    fn cut(&self, length: u64) -> io::Result<()>;
    /// Has it on the medium.
    fn sync(&self) -> io::Result<()>;
}

impl Disk for File {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self;
        Write::write(&mut file, bytes)
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        let mut file = self;
        self.set_len(length)?;
        file.seek(SeekFrom::Start(length)).map(drop)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A segment that this process holds.
pub(crate) struct Segment {
    path: PathBuf,
    /// Its lock goes with it.
    disk: Box<dyn Disk>,
    /// How far it is written in whole lines.
    written: AtomicU64,
    settled: AtomicU64,
    synced: AtomicU64,
    named: AtomicBool,
    sealed: AtomicBool,
}

impl Segment {
    /// Begins a segment. It gets its name when it is locked, so that nobody takes it for an orphan.
    pub(crate) fn create(shared: &Shared, writer: usize, number: u64) -> io::Result<Arc<Segment>> {
        let path = shared.directory.join(format!("{}-{writer}-{number:06}{SUFFIX}", shared.process));
        let unborn = path.with_extension(&UNBORN[1..]);
        let file = create_private(&unborn)?;
        let made = begin(&file).and_then(|()| std::fs::rename(&unborn, &path));
        if let Err(error) = made {
            // It may be gone; and if it is not, it is swept away later.
            let _ = std::fs::remove_file(&unborn);
            return Err(error);
        }
        let segment = Arc::new(Segment {
            path,
            disk: (shared.disk)(file),
            written: AtomicU64::new(HEADER),
            settled: AtomicU64::new(HEADER),
            synced: AtomicU64::new(0),
            named: AtomicBool::new(false),
            sealed: AtomicBool::new(false),
        });
        lock(&shared.held).push(segment.clone());
        lock(&shared.unread).push(segment.clone());
        Ok(segment)
    }

    /// Takes over the segment of an owner that lives no more; `None` when it lives, or another has been
    /// faster.
    pub(crate) fn adopt(path: &Path, disk: fn(File) -> Box<dyn Disk>) -> Option<Segment> {
        let file = OpenOptions::new().read(true).write(true).open(path).ok()?;
        file.try_lock().ok()?;
        let length = file.metadata().ok()?.len();
        let settled = settled(&file, length);
        Some(Segment {
            path: path.to_owned(),
            disk: disk(file),
            written: AtomicU64::new(length),
            settled: AtomicU64::new(settled),
            synced: AtomicU64::new(length),
            named: AtomicBool::new(true),
            sealed: AtomicBool::new(true),
        })
    }

    /// Whether segments can be made at all.
    pub(crate) fn probe(shared: &Shared) -> io::Result<()> {
        let path = shared.directory.join(format!("{}-probe{UNBORN}", shared.process));
        let made = create_private(&path).and_then(|file| begin(&file));
        let _ = std::fs::remove_file(&path);
        made
    }

    /// Appends a line, or nothing. Only its writer does, one line after the other.
    pub(crate) fn append(&self, line: &[u8]) -> io::Result<()> {
        let start = self.written.load(Ordering::Relaxed);
        let mut rest = line;
        while !rest.is_empty() {
            match self.disk.write(rest) {
                Ok(0) => return self.take_back(start, io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.take_back(start, error),
            }
        }
        self.written.store(start + line.len() as u64, Ordering::Release);
        Ok(())
    }

    /// Half a line would swallow the next. If it cannot be cut off, nothing more is written behind it;
    /// nor behind rows: once they are settled their file goes, which makes room on a full disk.
    fn take_back(&self, start: u64, error: io::Error) -> io::Result<()> {
        if self.disk.cut(start).is_err() || start > HEADER {
            self.seal();
        }
        Err(error)
    }

    /// How far it can be read.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// How far it is in the store.
    pub(crate) fn settled(&self) -> u64 {
        self.settled.load(Ordering::Relaxed)
    }

    pub(crate) fn set_settled(&self, upto: u64) {
        self.settled.store(upto, Ordering::Relaxed);
    }

    pub(crate) fn behind(&self) -> u64 {
        self.written().saturating_sub(self.settled())
    }

    /// Nothing more will be written to it.
    pub(crate) fn seal(&self) {
        self.sealed.store(true, Ordering::Release);
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    /// Has on the medium what is written, and the first time the name as well.
    pub(crate) fn sync(&self, directory: &Path) -> io::Result<()> {
        let written = self.written();
        if self.synced.load(Ordering::Relaxed) >= written {
            return Ok(());
        }
        self.disk.sync()?;
        if !self.named.load(Ordering::Relaxed) {
            File::open(directory)?.sync_all()?;
            self.named.store(true, Ordering::Relaxed);
        }
        self.synced.store(written, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn name(&self) -> std::borrow::Cow<'_, str> {
        self.path.file_name().unwrap_or_default().to_string_lossy()
    }
}

/// The first line of a segment that is settled up to there.
pub(crate) fn header(settled: u64) -> Vec<u8> {
    line::encode_bytes(format!("{settled:020}").as_bytes())
}

/// Deletes what somebody began to make and did not finish.
pub(crate) fn sweep(path: &Path, after: Duration) {
    let Ok(file) = File::open(path) else { return };
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    let is_old = modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > after));
    if is_old && file.try_lock().is_ok() {
        // Another process may have been faster.
        let _ = std::fs::remove_file(path);
    }
}

fn begin(file: &File) -> io::Result<()> {
    let mut writer = file;
    file.try_lock()?;
    writer.write_all(&header(HEADER))
}

fn create_private(path: &Path) -> io::Result<File> {
    private().read(true).write(true).create_new(true).open(path)
}

/// Files that nobody else reads.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// How far it is settled as its first line says; from the very beginning when that is damaged: rows
/// that are settled twice count once.
fn settled(file: &File, length: u64) -> u64 {
    let mut first = [0; HEADER as usize];
    let mut file = file;
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_exact(&mut first));
    let digits = read.ok().and_then(|()| line::decode(first.strip_suffix(b"\n")?));
    let position = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
    position.map_or(0, |position| position.min(length))
}
