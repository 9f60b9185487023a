//! Whether the path still leads to the file that is open. SQLite does not ask: what it writes into a file
//! that was deleted or emptied is gone, and an empty file in its place would count as a new database.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// What every SQLite file begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The length of a file's header, and where `application_id` stands in it.
const HEADER: usize = 100;
const APPLICATION: std::ops::Range<usize> = 68..72;

/// What is wrong.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The file, in words that follow its path.
    File(&'static str),
    /// The same, but the file is still the one that is open: what is in its log belongs to no content.
    Emptied,
    /// The write-ahead log was deleted; what is in it is in the open file still.
    Log,
}

/// The file that is open.
///
/// It is held for as long as connections are: closing any descriptor of a file ends all of the process'
/// locks on it.
pub(super) struct Witness {
    path: PathBuf,
    file: File,
    own: FileId,
    log: Option<FileId>,
    application: [u8; 4],
}

/// Device and inode.
type FileId = (u64, u64);

impl Witness {
    /// Of a file with open connections. `application` is its `application_id`.
    pub(super) fn of(path: &Path, application: i32) -> io::Result<Witness> {
        let file = File::open(path)?;
        let own = id(&file.metadata()?);
        let log = fs::metadata(log(path)).ok().map(|metadata| id(&metadata));
        Ok(Witness { path: path.to_owned(), file, own, log, application: application.to_be_bytes() })
    }

    /// Looks.
    pub(super) fn look(&self) -> Result<(), Trouble> {
        match fs::metadata(&self.path) {
            Ok(metadata) if id(&metadata) == self.own => {}
            Ok(_) => return Err(Trouble::File("was replaced by another file")),
            Err(_) => return Err(Trouble::File("was deleted or moved away")),
        }
        let mut header = [0; HEADER];
        if read(&self.file, &mut header).is_err() {
            return Err(Trouble::Emptied);
        }
        if !is_own(&header, self.application) {
            return Err(Trouble::Emptied);
        }
        match (self.log, fs::metadata(log(&self.path))) {
            (Some(own), Ok(metadata)) if id(&metadata) != own => Err(Trouble::Log),
            (Some(_), Err(_)) => Err(Trouble::Log),
            _ => Ok(()),
        }
    }

    /// Takes everything out of the log of a file that was emptied. What closes the last connection would
    /// write it into whatever is put back there.
    pub(super) fn drop_log(&self) {
        let emptied = File::options().write(true).open(log(&self.path)).and_then(|log| log.set_len(0));
        if let Err(error) = emptied
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the write-ahead log of an emptied database cannot be emptied");
        }
    }
}

/// Whether what lies at a path may be the database with this `application_id`: it has the header of one.
/// Only while no connection to it is open.
pub(super) fn may_be(path: &Path, application: i32) -> Result<bool, io::Error> {
    let file = File::open(path)?;
    let mut header = [0; HEADER];
    Ok(read(&file, &mut header).is_ok() && is_own(&header, application.to_be_bytes()))
}

fn is_own(header: &[u8; HEADER], application: [u8; 4]) -> bool {
    let found = header.get(APPLICATION).unwrap_or_default();
    // It is written by the first checkpoint.
    header.starts_with(MAGIC) && (found == application || found == [0; 4])
}

fn log(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

#[cfg(unix)]
fn id(metadata: &Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

#[cfg(unix)]
fn read(file: &File, header: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, header, 0)
}

/// An open file can be neither deleted nor replaced there.
#[cfg(not(unix))]
fn id(_: &Metadata) -> FileId {
    (0, 0)
}

#[cfg(not(unix))]
fn read(file: &File, header: &mut [u8]) -> io::Result<()> {
    use std::io::{Read as _, Seek as _};
    let mut file = file;
    file.seek(io::SeekFrom::Start(0))?;
    file.read_exact(header)
}
