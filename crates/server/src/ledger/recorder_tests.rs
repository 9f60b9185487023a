use std::sync::Mutex;
use std::time::Instant;

use tagrail::{Caller, Identity, Usage};
use tagrail_store::{Journal, SpendRow};

use super::*;

#[derive(Default)]
struct Next(Mutex<Vec<String>>);

impl Recorder for Next {
    fn record(&self, outcome: &Outcome<'_>) {
        self.0.lock().unwrap().push(outcome.call_id.to_owned());
    }

    fn cooled(&self, deployment: &str, _until: Duration) {
        self.0.lock().unwrap().push(format!("cooled {deployment}"));
    }
}

fn caller() -> Caller {
    let identity = Identity {
        key: "5716a74acfe2".to_owned(),
        key_alias: Some("ci".to_owned()),
        team: Some("team-a".to_owned()),
        user: None,
    };
    Caller { identity, ..Caller::default() }
}

fn outcome<'a>(caller: &'a Caller, tags: &'a [String]) -> Outcome<'a> {
    Outcome {
        operation: Operation::ChatCompletions,
        group: "gpt",
        deployment: "one",
        status: 200,
        duration: Duration::from_millis(1500),
        first_byte: Some(Duration::from_millis(200)),
        usage: Some(Usage { input: 3, output: 4, ..Usage::default() }),
        cost: Some(Money::from_picos(500_000_000_001)),
        attempts: 1,
        asked: true,
        cut_short: true,
        caller,
        call_id: "mine",
        model: "gpt-alias",
        upstream_model: "openai/gpt-4o",
        provider: "openai",
        api_base: "http://127.0.0.1/v1",
        tags,
        end_user: Some("somebody"),
        estimated: true,
        decision: "gpt: one of 2",
        started: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_000_000_000),
    }
}

/// What is in the journal when these have been recorded.
fn journalled(outcomes: &[Outcome<'_>]) -> Vec<SpendRow> {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path(), Duration::from_millis(1)).unwrap();
    let recorder = recorder(journal.writer(0), Arc::new(Refused::new(|name| name == "known")), Arc::new(()));
    outcomes.iter().for_each(|outcome| recorder.record(outcome));
    journal.begun().remove(0).read(99).unwrap().rows
}

fn tags(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_call_becomes_a_row_with_all_that_is_known_of_it() {
    let (caller, tags) = (caller(), tags(&["a", "b", "a"]));
    let row = journalled(&[outcome(&caller, &tags)]).remove(0);
    let expected = SpendRow {
        id: row.id.clone(),
        call_id: "mine".to_owned(),
        call_type: "acompletion".to_owned(),
        key: "5716a74acfe2".to_owned(),
        key_alias: Some("ci".to_owned()),
        team_id: Some("team-a".to_owned()),
        user_id: None,
        end_user: Some("somebody".to_owned()),
        tags: vec!["a".to_owned(), "b".to_owned()],
        model: "openai/gpt-4o".to_owned(),
        model_group: "gpt-alias".to_owned(),
        deployment: "one".to_owned(),
        provider: "openai".to_owned(),
        api_base: "http://127.0.0.1/v1".to_owned(),
        input_tokens: 3,
        output_tokens: 4,
        estimated: true,
        cost: Money::from_picos(500_000_000_001),
        started: Timestamp(1_795_000_000_000),
        first_byte: Some(Timestamp(1_795_000_000_200)),
        ended: Timestamp(1_795_000_001_500),
        status: 200,
        cut_short: true,
        decision: "gpt: one of 2".to_owned(),
        metadata: serde_json::Map::new(),
        ..SpendRow::default()
    };
    assert_eq!(row, expected);
    assert!(
        row.id.len() == 32 && row.id.starts_with(&format!("{:012x}", 1_795_000_001_500_i64)),
        "{}",
        row.id
    );
}

#[test]
fn a_call_that_failed_has_a_row_too_and_a_repeated_call_id_has_two() {
    let caller = caller();
    let failed = Outcome { status: 503, usage: None, cost: None, deployment: "", ..outcome(&caller, &[]) };
    let rows = journalled(&[failed, outcome(&caller, &[]), outcome(&caller, &[])]);
    assert_eq!(rows.iter().map(|row| row.status).collect::<Vec<_>>(), [503, 200, 200]);
    assert!(rows.is_sorted_by(|one, next| one.id < next.id) && rows.iter().all(|row| row.call_id == "mine"));
}

#[test]
fn whatever_a_client_writes_leaves_a_row_that_can_be_read() {
    let caller = caller();
    let long = "ä".repeat(1 << 20);
    let odd: Vec<String> = (0..9000).map(|number| format!("\u{1}\u{2}\u{3}\u{4}{number}\u{0}")).collect();
    let many: Vec<String> = (0..30).map(|number| format!("tag-{}", number % 20)).collect();
    let of = |tags| Outcome { model: &long, end_user: Some(&long), call_id: &long, ..outcome(&caller, tags) };
    let rows = journalled(&[
        Outcome { cost: Some(Money::MAX), ..of(&odd) },
        of(&many),
        of(std::slice::from_ref(&long)),
    ]);
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.model_group.len() <= MAX_TEXT && !row.model_group.is_empty()));
    assert!(!rows[0].tags.is_empty() && rows[0].cost == Money::MAX);
    assert_eq!((rows[1].tags.len(), rows[2].tags.len()), (20, 0));
}

#[test]
fn whoever_counts_besides_is_told_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path(), Duration::from_millis(1)).unwrap();
    let next = Arc::new(Next::default());
    let recorder = recorder(journal.writer(0), Arc::new(Refused::new(|name| name == "known")), next.clone());
    recorder.record(&outcome(&caller(), &[]));
    recorder.cooled("one", Duration::from_secs(5));
    assert_eq!(*next.0.lock().unwrap(), ["mine", "cooled one"]);
}

/// Run by hand: `cargo test --release -p tagrail-server -- --ignored what_a_row_costs --nocapture`.
#[test]
#[ignore = "a measurement"]
fn what_a_row_costs() {
    const ROWS: u32 = 200_000;
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path(), Duration::from_millis(50)).unwrap();
    let recorder = recorder(journal.writer(0), Arc::new(Refused::new(|name| name == "known")), Arc::new(()));
    let (caller, tags) = (caller(), tags(&["teamA", "free"]));
    let outcome = outcome(&caller, &tags);
    let start = Instant::now();
    (0..ROWS).for_each(|_| recorder.record(&outcome));
    eprintln!("{:?} for a row", start.elapsed() / ROWS);
}

#[test]
fn refused_calls_beyond_the_first_of_a_minute_are_counted_instead_of_written() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path(), Duration::from_millis(1)).unwrap();
    let refused = Arc::new(Refused::new(|name| name == "known"));
    let next = Arc::new(Next::default());
    let recorder = recorder(journal.writer(0), refused.clone(), next.clone());
    let caller = caller();
    let refuse = |model: &str, minutes: u64| {
        let started = SystemTime::UNIX_EPOCH + Duration::from_secs(60 * minutes);
        let of = outcome(&caller, &[]);
        recorder.record(&Outcome {
            status: 429,
            asked: false,
            cost: None,
            usage: None,
            model,
            started,
            ..of
        });
    };
    (0..100).for_each(|call| refuse(&format!("made up {call}"), 1));
    (0..50).for_each(|_| refuse("known", 1));
    // An upstream's refusal has been asked for, and a new minute has rows again.
    recorder.record(&Outcome { status: 429, ..outcome(&caller, &[]) });
    refuse("known", 2);
    assert_eq!(journal.begun().remove(0).read(999).unwrap().rows.len(), 20 + 2);
    let counted: Vec<_> = refused.take().into_iter().map(|of| (of.model_group, of.calls)).collect();
    assert_eq!(counted, [(String::new(), 80), ("known".to_owned(), 50)]);
    assert_eq!(next.0.lock().unwrap().len(), 152);
    assert!(refused.take().is_empty());
}
