use std::path::Path;

use tagrail_store::{Counted, Timestamp, Writer};
use tokio::sync::watch;

use super::super::settling_store::{REFUSED, SettlingStore};
use super::*;

const LONG: Duration = Duration::from_secs(20);

struct Fixture {
    store: Arc<SettlingStore>,
    journal: Arc<Journal>,
    drain: Drain,
    refused: Arc<Refused>,
    /// How many rows of whom were told to be settled: own, others'.
    told: Arc<watch::Sender<(usize, usize)>>,
}

fn open(directory: &Path) -> Arc<Journal> {
    Arc::new(Journal::open(directory, Duration::from_millis(1)).unwrap())
}

fn start(journal: Arc<Journal>, store: Arc<SettlingStore>) -> Fixture {
    let told = Arc::new(watch::Sender::new((0, 0)));
    let tell = told.clone();
    let settled: OnSettled = Arc::new(move |settled, own| {
        tell.send_modify(|(of_own, of_others)| *(if own { of_own } else { of_others }) += settled.new);
    });
    let refused = Arc::new(Refused::new(|_| true));
    let names = Arc::new(KnowsAll);
    let parts = DrainParts {
        journal: journal.clone(),
        refused: refused.clone(),
        names,
        store: store.clone(),
        settled,
    };
    let drain = Drain::start(&Handle::current(), parts);
    Fixture { store, journal, drain, refused, told }
}

struct KnowsAll;

impl Known for KnowsAll {
    fn has_model(&self, _: &str) -> bool {
        true
    }
    fn has_tag(&self, _: &str) -> bool {
        true
    }
}

fn write(writer: &Writer, calls: &[&str]) {
    for call in calls {
        let id = writer.row_id(Timestamp::now()).as_str().to_owned();
        writer.append(&SpendRow { id, call_id: (*call).to_owned(), ..SpendRow::default() }).unwrap();
    }
}

fn files(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

#[tokio::test]
async fn rows_reach_the_store_by_themselves_and_at_once_when_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = start(open(directory.path()), Arc::new(SettlingStore::new()));
    let writers = [fixture.journal.writer(0), fixture.journal.writer(1)];
    write(&writers[0], &["a"]);
    write(&writers[1], &["b"]);
    let mut told = fixture.told.subscribe();
    timeout(LONG, told.wait_for(|told| *told == (2, 0))).await.unwrap().unwrap();
    write(&writers[0], &["c"]);
    assert!(fixture.drain.flush(LONG).await);
    assert_eq!(fixture.store.calls(), ["a", "b", "c"]);
    assert_eq!(fixture.journal.health().behind, 0);
}

#[tokio::test]
async fn many_rows_take_few_transactions() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let writer = journal.writer(0);
    (0..1200).for_each(|_| write(&writer, &["x"]));
    let fixture = start(journal, Arc::new(SettlingStore::new()));
    assert!(fixture.drain.flush(LONG).await);
    assert_eq!(fixture.store.calls().len(), 1200);
    assert!(*fixture.store.asked.borrow() <= 4, "{}", *fixture.store.asked.borrow());
}

#[tokio::test]
async fn rows_wait_while_the_store_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = start(open(directory.path()), Arc::new(SettlingStore::new()));
    let writer = fixture.journal.writer(0);
    fixture.store.gone(true);
    write(&writer, &["a"]);
    assert!(!fixture.drain.flush(LONG).await, "who asks hears that there is no store, and is not kept");
    assert!(fixture.journal.health().behind > 0);
    write(&writer, &["b"]);
    let mut asked = fixture.store.asked.subscribe();
    timeout(LONG, asked.wait_for(|asked| *asked >= 2)).await.unwrap().unwrap();
    fixture.store.gone(false);
    let mut told = fixture.told.subscribe();
    timeout(LONG, told.wait_for(|told| *told == (2, 0))).await.unwrap().unwrap();
    assert_eq!(fixture.store.calls(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn rows_are_tried_at_once_when_the_store_takes_changes_again() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = start(open(directory.path()), Arc::new(SettlingStore::new()));
    let writer = fixture.journal.writer(0);
    fixture.store.gone(true);
    write(&writer, &["a"]);
    // The last pause is as long as pauses get.
    let mut asked = fixture.store.asked.subscribe();
    asked.wait_for(|asked| *asked >= 8).await.unwrap();
    fixture.store.gone(false);
    let before = Instant::now();
    fixture.drain.retry();
    fixture.told.subscribe().wait_for(|told| *told == (1, 0)).await.unwrap();
    assert!(before.elapsed() < PAUSES.0);
}

#[tokio::test]
async fn counts_reach_the_store_once_also_after_it_was_gone() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = start(open(directory.path()), Arc::new(SettlingStore::new()));
    fixture.store.gone(true);
    let counted = Counted { key: "k".to_owned(), calls: 3, ..Counted::default() };
    fixture.refused.put_back(vec![counted.clone()]);
    assert!(!fixture.drain.flush(LONG).await);
    fixture.refused.put_back(vec![counted.clone()]);
    fixture.store.gone(false);
    fixture.drain.retry();
    while !fixture.drain.flush(LONG).await {}
    assert_eq!(*fixture.store.counted.lock().unwrap(), [Counted { calls: 6, ..counted }]);
}

#[tokio::test]
async fn what_a_dead_process_left_is_settled_and_its_files_go() {
    let directory = tempfile::tempdir().unwrap();
    let dead = open(directory.path());
    write(&dead.writer(0), &["a", "b"]);
    write(&dead.writer(1), &["c"]);
    let living = open(directory.path());
    let of_living = living.writer(0);
    write(&of_living, &["not ours"]);
    drop(dead);
    let fixture = start(open(directory.path()), Arc::new(SettlingStore::new()));
    let mut told = fixture.told.subscribe();
    timeout(LONG, told.wait_for(|told| *told == (0, 3))).await.unwrap().unwrap();
    assert!(fixture.drain.stop(LONG).await);
    assert_eq!(fixture.store.calls(), ["a", "b", "c"]);
    assert_eq!(files(directory.path()), 1);
}

#[tokio::test]
async fn the_end_settles_what_there_is_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = start(open(directory.path()), Arc::new(SettlingStore::new()));
    write(&fixture.journal.writer(0), &["a", "b"]);
    assert!(fixture.drain.stop(LONG).await);
    assert_eq!(fixture.store.calls(), ["a", "b"]);
    assert_eq!(files(directory.path()), 0);
}

#[tokio::test]
async fn an_end_without_a_store_is_short_and_leaves_the_rows_to_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = start(open(directory.path()), Arc::new(SettlingStore::new()));
    fixture.store.gone(true);
    write(&fixture.journal.writer(0), &["a"]);
    assert!(!fixture.drain.stop(LONG).await);
    drop(fixture);
    let next = start(open(directory.path()), Arc::new(SettlingStore::new()));
    let mut told = next.told.subscribe();
    timeout(LONG, told.wait_for(|told| *told == (0, 1))).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_batch_that_was_committed_without_an_answer_is_there_once() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let writer = journal.writer(0);
    write(&writer, &["a", "a"]);
    let rows = journal.begun().remove(0).read(9).unwrap().rows;
    let store = Arc::new(SettlingStore::new());
    store.settle(&rows).await.unwrap();
    drop((writer, journal));
    let fixture = start(open(directory.path()), store);
    let mut asked = fixture.store.asked.subscribe();
    timeout(LONG, asked.wait_for(|asked| *asked == 2)).await.unwrap().unwrap();
    assert!(fixture.drain.stop(LONG).await);
    assert_eq!(fixture.store.calls(), ["a", "a"], "a call id may repeat");
    assert_eq!(*fixture.told.borrow(), (0, 0));
}

#[tokio::test]
async fn a_row_that_the_store_refuses_keeps_no_other_from_it() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = start(open(directory.path()), Arc::new(SettlingStore::new()));
    let writer = fixture.journal.writer(0);
    write(&writer, &[REFUSED]);
    // Alone it could be the store that is wrong.
    assert!(!fixture.drain.flush(LONG).await);
    assert_eq!(fixture.journal.health().refused, 0);
    write(&writer, &["a", "b"]);
    let mut told = fixture.told.subscribe();
    timeout(LONG, told.wait_for(|told| *told == (2, 0))).await.unwrap().unwrap();
    assert!(fixture.drain.stop(LONG).await);
    assert_eq!(fixture.store.calls(), ["a", "b"]);
    assert_eq!(fixture.journal.health().refused, 1);
    let aside = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
    // Once the reason is gone, it is settled by being given the name of a journal.
    std::fs::rename(&aside, aside.with_extension("journal")).unwrap();
    let orphans = fixture.journal.orphans().unwrap().remove(0).read(9).unwrap();
    assert_eq!((orphans.damaged, orphans.rows[0].call_id.as_str()), (0, REFUSED));
}
