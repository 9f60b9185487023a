use std::path::Path;
use std::sync::atomic::Ordering;

use tagrail::routing::TagOrigin;
use tagrail::{Caller, Operation, Outcome, Router};
use tagrail_store::{Change, Key, Settled, Spender, Spent, Team, User};

use super::*;
use crate::Metrics;
use crate::ledger::Clock;
use crate::ledger::settling_store::SettlingStore;

struct Rig {
    meters: Arc<Meters>,
    clock: Clock,
}

impl Rig {
    fn new() -> Rig {
        let resolved = tagrail::config::load_text(
            "model_list: [{model_name: m, litellm_params: {model: openai/m, api_key: k}}]",
            Path::new("c.yaml"),
            &|_| None,
        )
        .resolved
        .unwrap();
        let clock = Clock::standing_at(Timestamp(1_800_000_000_000));
        let router = Router::new(resolved, Arc::new(()));
        Rig { meters: Arc::new(Meters::new(router, Arc::new(Metrics::new()), clock.clone())), clock }
    }

    fn key(&self, limits: Limits, max: Option<f64>) -> Purse {
        let (key, team, user) = (limited("k", limits, max), None, None);
        Purse::of(&Identity { key, team, user }, &self.meters)
    }

    /// A call is over: its row is on its way.
    fn record(&self, cost: f64) {
        let identity = tagrail::Identity { key: "k".to_owned(), ..tagrail::Identity::default() };
        let caller = Caller { identity, ..Caller::default() };
        self.meters.recorded(&outcome(&caller, cost));
    }

    /// The store has rows, and says what is spent.
    fn settled(&self, added: f64, spend: f64) {
        let spender = Spender { kind: Kind::Key, id: "k".to_owned() };
        self.meters.settled(
            &Settled { new: 1, spent: vec![Spent { spender, added: usd(added), spend: usd(spend) }] },
            true,
        );
    }
}

pub(in crate::ledger) fn usd(dollars: f64) -> Money {
    Money::from_dollars(dollars).unwrap()
}

fn limited(hash: &str, limits: Limits, max: Option<f64>) -> Key {
    let budget = Budget { max: max.map(usd), ..Budget::default() };
    Key { hash: hash.to_owned(), name: "sk-...WWqw".to_owned(), limits, budget, ..Key::default() }
}

/// A call of somebody's, over, that has cost so much.
pub(in crate::ledger) fn outcome(caller: &Caller, cost: f64) -> Outcome<'_> {
    Outcome {
        operation: Operation::ChatCompletions,
        group: "m",
        deployment: "d",
        status: 200,
        duration: std::time::Duration::ZERO,
        first_byte: None,
        usage: None,
        cost: Some(usd(cost)),
        attempts: 1,
        asked: true,
        cut_short: false,
        caller,
        call_id: "",
        model: "m",
        upstream_model: "",
        provider: "",
        api_base: "",
        tags: &[],
        end_user: None,
        estimated: false,
        decision: "",
        started: std::time::SystemTime::UNIX_EPOCH,
    }
}

fn need(tokens: u64, cost: f64) -> Need<'static> {
    Need { model: "m", tags: &[], tokens, tokens_least: tokens, cost: Some(usd(cost)) }
}

fn rpm(limit: u64) -> Limits {
    Limits { rpm: Some(limit), ..Limits::default() }
}

fn refusal(purse: &Purse, need: &Need<'_>) -> OverLimit {
    purse.reserve(need).err().expect("there is no room")
}

#[test]
fn requests_are_counted_for_a_minute_from_the_first() {
    let rig = Rig::new();
    let purse = rig.key(rpm(2), None);
    for _ in 0..2 {
        purse.reserve(&need(1, 0.0)).unwrap().settle(Used::default());
        rig.clock.advance(20_000);
    }
    let over = refusal(&purse, &need(1, 0.0));
    assert_eq!(over.kind, "throttling_error");
    assert_eq!(
        over.message,
        "Rate limit exceeded for api_key: k. Limit type: requests. Current limit: 2, Remaining: 0. \
         Limit resets at: 2027-01-15 08:01:00 UTC"
    );
    assert_eq!(over.retry_after, Some(std::time::Duration::from_secs(20)));
    let header = |name: &str| {
        let found = over.headers.iter().find(|(header, _)| header.as_str() == name);
        found.map(|(_, value)| value.to_str().unwrap()).unwrap_or_default()
    };
    for (name, value) in [
        ("rate_limit_type", "requests"),
        ("reset_at", "2027-01-15 08:01:00 UTC"),
        ("x-litellm-key-rpm-limit", "2"),
        ("x-ratelimit-api_key-limit-requests", "2"),
        ("x-ratelimit-api_key-remaining-requests", "0"),
    ] {
        assert_eq!(header(name), value, "{name}");
    }
    rig.clock.advance(20_000);
    assert!(purse.reserve(&need(1, 0.0)).is_ok(), "a minute after the first");
}

#[test]
fn tokens_are_reserved_corrected_and_given_back() {
    let rig = Rig::new();
    let purse = rig.key(Limits { tpm: Some(100), ..Limits::default() }, None);
    let held = purse.reserve(&need(80, 0.0)).unwrap();
    assert!(
        refusal(&purse, &need(21, 0.0))
            .message
            .contains("Limit type: tokens. Current limit: 100, Remaining: 20.")
    );
    held.settle(Used { tokens: 10, cost: usd(0.0) });
    let held = purse.reserve(&need(90, 0.0)).unwrap();
    drop(held);
    purse.reserve(&need(90, 0.0)).unwrap().settle(Used { tokens: 95, cost: usd(0.0) });
    assert!(purse.reserve(&need(1, 0.0)).is_err(), "what was used beyond the estimate counts");
    assert!(rig.key(Limits { tpm: Some(1), ..Limits::default() }, None).reserve(&need(2, 0.0)).is_err());
}

#[test]
fn tokens_of_a_minute_that_is_over_do_not_come_off_the_next() {
    let rig = Rig::new();
    let purse = rig.key(Limits { tpm: Some(100), ..Limits::default() }, None);
    let long = purse.reserve(&need(100, 0.0)).unwrap();
    rig.clock.advance(60_000);
    let short = purse.reserve(&need(60, 0.0)).unwrap();
    long.settle(Used { tokens: 5, cost: usd(0.0) });
    assert!(purse.reserve(&need(41, 0.0)).is_err());
    short.settle(Used { tokens: 60, cost: usd(0.0) });
}

#[test]
fn places_are_taken_while_calls_are_under_way() {
    let rig = Rig::new();
    let purse = rig.key(Limits { parallel: Some(2), ..Limits::default() }, None);
    let first = purse.reserve(&need(1, 0.0)).unwrap();
    let second = purse.reserve(&need(1, 0.0)).unwrap();
    let over = refusal(&purse, &need(1, 0.0));
    assert!(over.message.contains("Limit type: max_parallel_requests."), "{}", over.message);
    drop(first);
    let third = purse.reserve(&need(1, 0.0)).unwrap();
    assert!(purse.reserve(&need(1, 0.0)).is_err());
    second.settle(Used::default());
    third.settle(Used::default());
    assert!(purse.reserve(&need(1, 0.0)).is_ok());
}

#[test]
fn models_have_limits_of_their_own_within_the_key() {
    let rig = Rig::new();
    let limits = Limits {
        model_rpm: [("m".to_owned(), 1)].into(),
        model_tpm: [("n".to_owned(), 10)].into(),
        ..Limits::default()
    };
    let purse = rig.key(limits, None);
    let mut held = purse.reserve(&need(5, 0.0)).unwrap();
    let over = refusal(&purse, &need(5, 0.0));
    assert!(over.message.starts_with("Rate limit exceeded for model_per_key: k:m. Limit type: requests."));
    assert!(purse.reserve(&Need { model: "other", ..need(5, 0.0) }).is_ok());
    // The call goes on under another name: what it uses there counts there.
    held.extend(&Need { model: "n", ..need(8, 0.0) }).unwrap();
    assert!(purse.reserve(&Need { model: "n", ..need(3, 0.0) }).is_err());
    held.settle(Used { tokens: 2, cost: usd(0.0) });
    assert!(purse.reserve(&Need { model: "n", ..need(8, 0.0) }).is_ok());
    assert!(purse.reserve(&need(1, 0.0)).is_err(), "the request itself was counted");
}

#[test]
fn a_limit_without_room_leaves_the_others_as_they_were() {
    let rig = Rig::new();
    let key = limited("k", rpm(1), None);
    let limits = Limits { parallel: Some(0), ..Limits::default() };
    let team = Team { id: "t".to_owned(), limits, ..Team::default() };
    let purse = Purse::of(&Identity { key, team: Some(team), user: None }, &rig.meters);
    let over = refusal(&purse, &need(1, 0.0));
    assert!(over.message.starts_with("Rate limit exceeded for team: t."), "{}", over.message);
    assert!(rig.key(rpm(1), None).reserve(&need(1, 0.0)).is_ok(), "the key's one request is still there");
}

#[test]
fn keys_of_one_team_and_one_user_share_theirs() {
    let rig = Rig::new();
    let purse = |hash: &str| {
        let team = Team { id: "t".to_owned(), limits: rpm(2), ..Team::default() };
        let user = User { id: "u".to_owned(), limits: rpm(3), ..User::default() };
        let key = limited(hash, Limits::default(), None);
        Purse::of(&Identity { key, team: Some(team), user: Some(user) }, &rig.meters)
    };
    assert!(purse("a").reserve(&need(1, 0.0)).is_ok());
    assert!(purse("b").reserve(&need(1, 0.0)).is_ok());
    assert!(refusal(&purse("c"), &need(1, 0.0)).message.contains("for team: t."));
    rig.clock.advance(60_000);
    assert!(purse("a").reserve(&need(1, 0.0)).is_ok());
}

#[test]
fn tags_have_limits_for_all_who_carry_them() {
    let rig = Rig::new();
    let tag = Tag { name: "gold".to_owned(), limits: rpm(1), ..Tag::default() };
    rig.meters.set_tags(vec![tag, Tag { name: "free".to_owned(), ..Tag::default() }]);
    let tags = |texts: &[&'static str]| {
        let tag = |text: &&'static str| RequestTag { text: (*text).into(), origin: TagOrigin::Body };
        texts.iter().map(tag).collect::<Vec<_>>()
    };
    let purse = rig.key(Limits::default(), None);
    let gold = tags(&["&gold", "gold", "free"]);
    assert!(purse.reserve(&Need { tags: &gold, ..need(1, 0.0) }).is_ok());
    assert!(refusal(&purse, &Need { tags: &gold, ..need(1, 0.0) }).message.contains("for tag: gold."));
    for others in [tags(&["!gold"]), tags(&["free"]), tags(&[])] {
        assert!(purse.reserve(&Need { tags: &others, ..need(1, 0.0) }).is_ok(), "{others:?}");
    }
    assert!(!purse.has_budget(&gold));
    let budget = Budget { max: Some(usd(1.0)), ..Budget::default() };
    rig.meters.set_tags(vec![Tag { name: "gold".to_owned(), budget, ..Tag::default() }]);
    assert!(purse.has_budget(&gold) && !purse.has_budget(&tags(&["free"])));
}

#[test]
fn whoever_is_alone_crosses_a_budget_once() {
    let rig = Rig::new();
    let purse = rig.key(Limits::default(), Some(1.0));
    let held = purse.reserve(&need(1, 5.0)).expect("something is left");
    let over = refusal(&purse, &need(1, 0.1));
    assert!(over.message.contains("reserved for calls that are under way"), "{}", over.message);
    assert_eq!((over.kind, over.retry_after), ("budget_exceeded", Some(std::time::Duration::from_secs(1))));
    rig.record(4.0);
    held.settle(Used { tokens: 1, cost: usd(4.0) });
    let over = refusal(&purse, &need(1, 0.0));
    let text = "Budget has been exceeded! Key=key (sk-...WWqw) Current cost: 4.0, Max budget: 1.0";
    assert_eq!((over.message.as_str(), over.retry_after), (text, None));
}

#[test]
fn what_is_written_counts_once_before_and_after() {
    let rig = Rig::new();
    let purse = rig.key(Limits::default(), Some(10.0));
    assert_eq!(purse.facts().key_spend, usd(0.0));
    rig.record(3.0);
    rig.record(1.0);
    assert_eq!(purse.facts().key_spend, usd(4.0));
    // Another process has spent 2 of it.
    rig.settled(3.0, 5.0);
    assert_eq!(purse.facts().key_spend, usd(6.0));
    rig.settled(1.0, 6.0);
    assert_eq!(purse.facts().key_spend, usd(6.0));
}

#[tokio::test]
async fn what_the_store_has_without_having_said_so_does_not_count_twice_however_busy_a_key_is() {
    let rig = Rig::new();
    let purse = rig.key(Limits::default(), Some(10.0));
    rig.record(1.0);
    // Written, but the answer was lost; when it was written again it added nothing.
    rig.settled(0.0, 1.0);
    assert_eq!(purse.facts().key_spend, usd(2.0));
    rig.meters.mark();
    rig.record(0.5);
    rig.meters.reconcile(&SettlingStore::new()).await.unwrap();
    assert_eq!(purse.facts().key_spend, usd(1.5));
    rig.settled(0.5, 1.5);
    assert_eq!(purse.facts().key_spend, usd(1.5));
}

#[tokio::test]
async fn a_sum_that_was_read_before_rows_were_written_does_not_take_the_place_of_theirs() {
    let (rig, store) = (Rig::new(), SettlingStore::new());
    let purse = rig.key(Limits::default(), Some(10.0));
    rig.record(1.0);
    let change = [Change { kind: Kind::Key, id: "k".to_owned() }];
    let writing = async {
        *store.spend.lock().unwrap() = usd(1.0);
        rig.settled(1.0, 1.0);
    };
    let (read, ()) = tokio::join!(rig.meters.refresh(&store, Some(&change)), writing);
    read.unwrap();
    assert_eq!(purse.facts().key_spend, usd(1.0));
}

#[tokio::test]
async fn when_everything_has_changed_no_sum_is_asked_for_and_each_comes_with_its_key() {
    let (rig, store) = (Rig::new(), SettlingStore::new());
    let spending = |hash: &str, spend| {
        let key = Key { spend: usd(spend), ..limited(hash, Limits::default(), Some(1.0)) };
        Purse::of(&Identity { key, team: None, user: None }, &rig.meters)
    };
    let before: Vec<Purse> = (0..1000).map(|number| spending(&number.to_string(), 2.0)).collect();
    let changes: Vec<Change> =
        (0..1000).map(|number| Change { kind: Kind::Key, id: number.to_string() }).collect();
    for changed in [Some(&*changes), None] {
        rig.meters.mistrust(changed);
        rig.meters.refresh(&store, changed).await.unwrap();
        assert_eq!(store.sums.load(Ordering::SeqCst), 0);
        assert!(before[7].reserve(&need(1, 0.1)).is_err(), "until it is looked up");
        assert!(spending("7", 0.0).reserve(&need(1, 0.1)).is_ok());
        rig.meters.mistrust(Some(&changes[7..8]));
        spending("7", 2.0);
    }
    rig.meters.mistrust(Some(&changes[7..8]));
    rig.meters.refresh(&store, Some(&changes[7..8])).await.unwrap();
    assert!(before[7].reserve(&need(1, 0.1)).is_ok(), "of few changes, sums are read at once");
}

#[test]
fn a_meter_stays_while_somebody_needs_it_and_then_goes() {
    let rig = Rig::new();
    let kept = rig.key(rpm(5), None);
    let held = kept.reserve(&need(1, 0.0)).unwrap();
    let many = 5000;
    for number in 0..many {
        drop(rig.meters.of(Kind::Key, &format!("idle-{number}"), Money::ZERO));
    }
    assert!(rig.meters.count(Kind::Key) < many / 2, "{}", rig.meters.count(Kind::Key));
    held.settle(Used::default());
    for _ in 0..4 {
        assert!(rig.key(rpm(5), None).reserve(&need(1, 0.0)).is_ok());
    }
    assert!(kept.reserve(&need(1, 0.0)).is_err(), "the window was not forgotten");
}

/// A call that needs so much in any case, and may use more.
fn open_ended(least: u64, most: u64) -> Need<'static> {
    Need { tokens_least: least, ..need(most, 0.0) }
}

#[test]
fn a_call_without_a_limit_of_its_own_is_admitted_while_there_is_room_for_its_prompt() {
    let rig = Rig::new();
    let purse = rig.key(Limits { tpm: Some(100), ..Limits::default() }, None);
    let held = purse.reserve(&open_ended(10, 5000)).expect("its prompt fits in");
    let over = refusal(&purse, &need(1, 0.0));
    assert_eq!((over.kind, over.retry_after), ("throttling_error", Some(std::time::Duration::from_secs(1))));
    assert!(over.message.contains("reserved for calls that are under way"), "{}", over.message);
    held.settle(Used { tokens: 60, cost: Money::ZERO });
    assert!(purse.reserve(&need(41, 0.0)).is_err(), "its own limit does not fit in");
    let held = purse.reserve(&open_ended(40, 5000)).expect("one call crosses the limit");
    held.settle(Used { tokens: 5000, cost: Money::ZERO });
    let over = refusal(&purse, &open_ended(1, 5000));
    assert_eq!(over.retry_after, Some(std::time::Duration::from_secs(60)));
    assert!(!over.message.contains("under way"), "{}", over.message);
}

#[test]
fn a_retry_that_may_use_more_is_not_refused_for_what_its_call_holds_itself() {
    let rig = Rig::new();
    let purse = rig.key(Limits { tpm: Some(100), ..Limits::default() }, None);
    let mut held = purse.reserve(&open_ended(10, 500)).unwrap();
    held.extend(&open_ended(10, 800)).unwrap();
    assert!(held.extend(&need(900, 0.0)).is_err(), "a limit of its own that never fits");
    held.settle(Used { tokens: 90, cost: Money::ZERO });
    assert!(purse.reserve(&need(10, 0.0)).is_ok());
}

#[test]
fn a_budget_of_one_takes_ten_calls_of_a_tenth() {
    let rig = Rig::new();
    let purse = rig.key(Limits::default(), Some(1.0));
    for number in 0..10 {
        let held = purse.reserve(&need(1, 0.1)).unwrap_or_else(|over| panic!("{number}: {}", over.message));
        rig.record(0.1);
        held.settle(Used { tokens: 1, cost: usd(0.1) });
    }
    let over = refusal(&purse, &need(1, 0.1));
    assert!(over.message.contains("Current cost: 1.0, Max budget: 1.0"), "{}", over.message);

    let parallel = rig_of_ten_at_once();
    assert_eq!(parallel, 10);
}

/// How many calls of 0.1 fit into a budget of 1 at the same time.
fn rig_of_ten_at_once() -> usize {
    let rig = Rig::new();
    let purse = rig.key(Limits::default(), Some(1.0));
    let held: Vec<_> = (0..20).map_while(|_| purse.reserve(&need(1, 0.1)).ok()).collect();
    held.len()
}
