use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::AtomicI64;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{SpendRow, Timestamp};

const SOON: Duration = Duration::from_millis(1);

fn row(writer: &Writer, number: usize) -> SpendRow {
    SpendRow {
        id: writer.row_id(Timestamp::now()).as_str().to_owned(),
        call_id: format!("call-{number}"),
        tags: vec!["with \"quotes\"\n".to_owned()],
        cost: tagrail_money::Money::from_picos(250_000_000_000),
        ..SpendRow::default()
    }
}

fn write(writer: &Writer, numbers: std::ops::Range<usize>) {
    for number in numbers {
        writer.append(&row(writer, number)).unwrap();
    }
}

/// Reads all that readers have, settles it, deletes what is over.
fn settle(mut readers: Vec<Reader>) -> Vec<SpendRow> {
    follow(&mut readers)
}

/// The same, and keeps those to which more may come.
fn follow(readers: &mut Vec<Reader>) -> Vec<SpendRow> {
    let mut rows = Vec::new();
    for reader in readers.iter_mut() {
        loop {
            let batch = reader.read(7).unwrap();
            if batch.rows.is_empty() && batch.damaged == 0 {
                break;
            }
            rows.extend(batch.rows);
        }
        reader.settled();
    }
    for over in readers.extract_if(.., |reader| reader.is_over()) {
        over.delete();
    }
    rows
}

fn calls(rows: &[SpendRow]) -> Vec<String> {
    rows.iter().map(|row| row.call_id.clone()).collect()
}

fn names(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("call-{number}")).collect()
}

fn files(directory: &TempDir) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn rows_are_read_as_they_were_written_and_their_segments_go_when_they_are_settled() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open_on(directory.path(), SOON, 1000, |file| Box::new(file)).unwrap();
    let writer = journal.writer(0);
    let written: Vec<SpendRow> = (0..20).map(|number| row(&writer, number)).collect();
    written.iter().for_each(|row| writer.append(row).unwrap());
    assert!(files(&directory).len() > 3, "a thousand bytes hold few rows");
    assert_eq!(settle(journal.begun()), written);
    assert_eq!(files(&directory).len(), 1, "the segment that is written to stays");
    assert!(journal.begun().is_empty());
    journal.seal();
    write(&writer, 20..21);
    assert_eq!(calls(&settle(journal.begun())), names(20..21));
}

#[test]
fn a_reader_follows_its_writer() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path(), SOON).unwrap();
    let writer = journal.writer(0);
    write(&writer, 0..1);
    let mut readers = journal.begun();
    let reader = readers.first_mut().unwrap();
    assert_eq!(calls(&reader.read(9).unwrap().rows), names(0..1));
    assert_eq!(reader.read(9).unwrap().rows, []);
    write(&writer, 1..3);
    assert!(journal.health().behind > 0);
    assert_eq!(calls(&reader.read(1).unwrap().rows), names(1..2));
    assert_eq!(calls(&reader.read(9).unwrap().rows), names(2..3));
    reader.settled();
    assert_eq!(journal.health(), JournalHealth::default());
}

#[tokio::test]
async fn rows_are_news_once_for_whoever_listens() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path(), SOON).unwrap();
    let writer = journal.writer(0);
    for round in 0..3 {
        write(&writer, 0..2);
        tokio::time::timeout(Duration::from_secs(10), journal.news()).await.unwrap();
        journal.listen();
        let more = tokio::time::timeout(Duration::from_millis(5), journal.news()).await;
        assert!(more.is_err(), "round {round}");
    }
}

#[test]
fn nobody_takes_the_segments_of_a_living_owner_and_one_takes_those_of_a_dead_one() {
    let directory = tempfile::tempdir().unwrap();
    let first = Journal::open(directory.path(), SOON).unwrap();
    let second = Journal::open(directory.path(), SOON).unwrap();
    let writer = first.writer(0);
    write(&writer, 0..5);
    assert!(first.orphans().unwrap().is_empty() && second.orphans().unwrap().is_empty());
    let begun = first.begun();
    assert!(second.orphans().unwrap().is_empty());
    drop((begun, writer, first));
    let orphans = second.orphans().unwrap();
    assert_eq!(orphans.len(), 1);
    let third = Journal::open(directory.path(), SOON).unwrap();
    assert!(third.orphans().unwrap().is_empty(), "the second has them");
    assert_eq!(calls(&settle(orphans)), names(0..5));
    assert_eq!(files(&directory), Vec::<PathBuf>::new());
}

#[test]
fn what_is_settled_is_not_read_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path(), SOON).unwrap();
    let writer = journal.writer(0);
    write(&writer, 0..5);
    assert_eq!(settle(journal.begun()).len(), 5);
    write(&writer, 5..8);
    drop((writer, journal));
    let journal = Journal::open(directory.path(), SOON).unwrap();
    assert_eq!(calls(&settle(journal.orphans().unwrap())), names(5..8));
}

#[test]
fn a_line_that_a_crash_cut_off_is_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path(), SOON).unwrap();
    write(&journal.writer(0), 0..3);
    drop(journal);
    let mut file = OpenOptions::new().append(true).open(&files(&directory)[0]).unwrap();
    file.write_all(b"0badcafe {\"id\":\"").unwrap();
    drop(file);
    let journal = Journal::open(directory.path(), SOON).unwrap();
    assert_eq!(calls(&settle(journal.orphans().unwrap())), names(0..3));
    assert_eq!(journal.health().damaged, 1);
    assert_eq!(files(&directory), Vec::<PathBuf>::new());
}

#[test]
fn writers_on_many_threads_lose_nothing_and_never_share_an_id() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open_on(directory.path(), SOON, 20_000, |file| Box::new(file)).unwrap();
    let mut rows = thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|number| {
                let writer = journal.writer(number);
                scope.spawn(move || write(&writer, 500 * number..500 * (number + 1)))
            })
            .collect();
        let mut readers = Vec::new();
        let mut rows = Vec::new();
        while !writers.iter().all(|writer| writer.is_finished()) {
            readers.extend(journal.begun());
            for reader in &mut readers {
                rows.extend(reader.read(9).unwrap().rows);
            }
        }
        rows.extend(settle(readers));
        rows
    });
    rows.extend(settle(journal.begun()));
    assert_eq!(rows.iter().map(|row| &row.id).collect::<HashSet<_>>().len(), 2000);
    let called: HashSet<String> = calls(&rows).into_iter().collect();
    assert_eq!((rows.len(), called), (2000, names(0..2000).into_iter().collect()));
    assert_eq!(journal.health().damaged, 0);
}

#[test]
fn a_row_that_is_too_long_is_refused_and_the_next_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path(), SOON).unwrap();
    let writer = journal.writer(0);
    let long = SpendRow { call_id: "x".repeat(300 << 10), ..row(&writer, 0) };
    assert_eq!(writer.append(&long), Err(TooLong));
    write(&writer, 1..2);
    assert_eq!(calls(&settle(journal.begun())), names(1..2));
}

/// Takes so many bytes and then no more, as a full disk does: in the middle of a line.
struct Small<const CUTS: bool> {
    file: File,
    room: &'static AtomicI64,
}

impl<const CUTS: bool> Disk for Small<CUTS> {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let room = usize::try_from(self.room.load(Ordering::SeqCst)).unwrap_or(0);
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = Disk::write(&self.file, &bytes[..bytes.len().min(room)])?;
        self.room.fetch_sub(i64::try_from(count).unwrap(), Ordering::SeqCst);
        Ok(count)
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        if CUTS { self.file.cut(length) } else { Err(io::ErrorKind::Other.into()) }
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// A disk that is full after 2500 bytes, and later is not: nothing is lost, nothing is out of order.
fn fills_up<const CUTS: bool>(room: &'static AtomicI64, disk: fn(File) -> Box<dyn Disk>) {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open_on(directory.path(), SOON, 1 << 20, disk).unwrap();
    let writer = journal.writer(0);
    write(&writer, 0..50);
    let health = journal.health();
    assert!(health.failing && health.waiting > 30, "{health:?}");
    // The syncing thread may have begun the next segment by now, or not.
    let mut readers = journal.begun();
    let mut rows = follow(&mut readers);
    assert_eq!(rows.len() + usize::try_from(health.waiting).unwrap(), 50);
    let largest = files(&directory).iter().map(|path| fs::metadata(path).unwrap().len()).max();
    assert!(largest < Some(2000), "what is settled goes, so that there is room: {largest:?}");
    room.store(i64::MAX, Ordering::SeqCst);
    // The syncing thread tries again by itself.
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while journal.health().waiting > 0 || journal.health().failing {
        assert!(std::time::Instant::now() < deadline, "{:?}", journal.health());
        thread::yield_now();
    }
    write(&writer, 50..51);
    readers.extend(journal.begun());
    rows.extend(follow(&mut readers));
    assert_eq!(calls(&rows), names(0..51));
    drop((writer, readers, journal));
    let after = Journal::open(directory.path(), SOON).unwrap();
    assert_eq!(settle(after.orphans().unwrap()), []);
}

#[test]
fn rows_wait_in_memory_while_the_disk_is_full() {
    static ROOM: AtomicI64 = AtomicI64::new(2500);
    fills_up::<true>(&ROOM, |file| Box::new(Small::<true> { file, room: &ROOM }));
}

#[test]
fn half_a_line_that_cannot_be_taken_back_spoils_no_other() {
    static ROOM: AtomicI64 = AtomicI64::new(2500);
    fills_up::<false>(&ROOM, |file| Box::new(Small::<false> { file, room: &ROOM }));
}

#[test]
fn memory_for_waiting_rows_is_limited_and_what_is_lost_is_counted() {
    static ROOM: AtomicI64 = AtomicI64::new(0);
    let directory = tempfile::tempdir().unwrap();
    let disk: fn(File) -> Box<dyn Disk> = |file| Box::new(Small::<true> { file, room: &ROOM });
    let journal = Journal::open_on(directory.path(), SOON, 1 << 20, disk).unwrap();
    let writer = journal.writer(0);
    for number in 0..60 {
        let long = SpendRow { call_id: "x".repeat(200 << 10), ..row(&writer, number) };
        writer.append(&long).unwrap();
    }
    let health = journal.health();
    assert!(health.waiting < 50 && health.lost > 10 && health.waiting + health.lost == 60, "{health:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens to the bytes of a segment, only the lines that it happens to are lost.
    #[test]
    fn damage_costs_the_damaged_lines_and_no_other(
        damage in prop::collection::vec((0_usize..10_000, any::<u8>()), 0..6),
        cut in prop::option::of(0_usize..10_000),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path(), SOON).unwrap();
        write(&journal.writer(0), 0..12);
        drop(journal);
        let path = files(&directory).remove(0);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        for (at, byte) in damage {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut % whole.len());
        }
        fs::write(&path, &bytes).unwrap();
        let untouched: Vec<String> = whole
            .split_inclusive(|byte| *byte == b'\n')
            .scan(0, |at, line| {
                let start = std::mem::replace(at, *at + line.len());
                Some((start, line))
            })
            .skip(1)
            .filter(|(start, line)| {
                // Its own bytes, and the end of the line before, without which it is part of that.
                let before = start - 1;
                bytes.get(before..start + line.len()) == whole.get(before..start + line.len())
            })
            .map(|(_, line)| serde_json::from_slice::<SpendRow>(&line[9..]).unwrap().call_id)
            .collect();
        let journal = Journal::open(directory.path(), SOON).unwrap();
        let rows = settle(journal.orphans().unwrap());
        prop_assert_eq!(calls(&rows), untouched);
        prop_assert_eq!(files(&directory), Vec::<PathBuf>::new());
    }
}
