use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use tagrail::routing::{RequestTag, TagOrigin};
use tagrail::{Allowance, Caller, Need, Outcome, Reservation, Router, Used};
use tagrail_store::{Budget, Identity, Key, Kind, Settled, SpendRow, Tag, Team, Timestamp};

use super::super::allowance::Purse;
use super::super::allowance::tests::{outcome, usd};
use super::super::settling_store::SettlingStore;
use super::*;
use crate::Metrics;
use crate::ledger::Clock;

/// The budget of each spender, in dollars.
const BUDGETS: [(Kind, &str, f64); 4] =
    [(Kind::Key, "0", 0.7), (Kind::Key, "1", 0.7), (Kind::Team, "t", 1.0), (Kind::Tag, "gold", 0.9)];

fn of(kind: Kind, id: &str) -> Change {
    Change { kind, id: id.to_owned() }
}

fn budget(max: f64) -> Budget {
    Budget { max: Some(usd(max)), ..Budget::default() }
}

/// What a call uses up, besides its tags.
fn need(cost: Money) -> Need<'static> {
    Need { model: "m", tags: &[], tokens: 1, tokens_least: 1, cost: Some(cost) }
}

fn gold() -> [RequestTag<'static>; 1] {
    [RequestTag { text: "gold".into(), origin: TagOrigin::Body }]
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

struct UnderWay {
    reservation: Box<dyn Reservation>,
    key: usize,
    tagged: bool,
    estimate: Money,
}

impl UnderWay {
    fn spenders(&self) -> Vec<Change> {
        spenders(self.key, self.tagged)
    }
}

fn spenders(key: usize, tagged: bool) -> Vec<Change> {
    let tag = tagged.then(|| of(Kind::Tag, "gold"));
    [of(Kind::Key, &key.to_string()), of(Kind::Team, "t")].into_iter().chain(tag).collect()
}

/// One process.
struct Gateway {
    meters: Arc<Meters>,
    clock: Clock,
    purses: [Purse; 2],
    under_way: Vec<UnderWay>,
    unwritten: Vec<SpendRow>,
    /// In the store, which has not been heard here.
    unheard: Option<Settled>,
    /// Sums that were read and are on their way.
    reading: Option<(Asked, HashMap<Change, Money>)>,
}

impl Gateway {
    fn new() -> Gateway {
        let text = "model_list: [{model_name: g, litellm_params: {model: openai/m, api_key: k}}]";
        let resolved = tagrail::config::load_text(text, Path::new("c.yaml"), &|_| None).resolved.unwrap();
        let clock = Clock::standing_at(Timestamp(1_800_000_000_000));
        let router = Router::new(resolved, Arc::new(()));
        let meters = Arc::new(Meters::new(router, Arc::new(Metrics::new()), clock.clone()));
        meters.set_tags(vec![Tag { name: "gold".to_owned(), budget: budget(0.9), ..Tag::default() }]);
        let purses = ["0", "1"].map(|hash| {
            let key = Key { hash: hash.to_owned(), budget: budget(0.7), ..Key::default() };
            let team = Team { id: "t".to_owned(), budget: budget(1.0), ..Team::default() };
            Purse::of(&Identity { key, team: Some(team), user: None }, &meters)
        });
        let (under_way, unwritten) = (Vec::new(), Vec::new());
        Gateway { meters, clock, purses, under_way, unwritten, unheard: None, reading: None }
    }

    /// Writes down what a call cost, and lets go of what it had reserved.
    fn end(&mut self, at: usize, cost: Money, id: usize) {
        let call = self.under_way.swap_remove(at);
        let identity = tagrail::Identity {
            key: call.key.to_string(),
            team: Some("t".to_owned()),
            ..tagrail::Identity::default()
        };
        let tags = if call.tagged { vec!["gold".to_owned()] } else { Vec::new() };
        let caller = Caller { identity, ..Caller::default() };
        self.meters.recorded(&Outcome { cost: Some(cost), tags: &tags, ..outcome(&caller, 0.0) });
        self.unwritten.push(SpendRow {
            id: id.to_string(),
            key: call.key.to_string(),
            team_id: Some("t".to_owned()),
            tags,
            cost,
            ..SpendRow::default()
        });
        call.reservation.settle(Used { tokens: 1, cost });
    }

    fn write(&mut self, store: &SettlingStore) {
        self.hear();
        let rows = std::mem::take(&mut self.unwritten);
        self.unheard = Some(run(store.settle(&rows)).unwrap());
    }

    fn hear(&mut self) {
        if let Some(settled) = self.unheard.take() {
            self.meters.settled(&settled, true);
        }
    }

    fn ask(&mut self, store: &SettlingStore) {
        let asked = self.meters.shared.ask();
        let sums = run(store.spent_many(&asked.spenders())).unwrap();
        self.reading = Some((asked, sums));
    }

    fn hear_sums(&mut self) {
        if let Some((asked, sums)) = self.reading.take() {
            self.meters.shared.hear(asked, &sums);
        }
    }

    /// Spent as far as is known, reserved, and by how many calls.
    fn seen(&self, spender: &Change) -> (Money, Money, u64) {
        self.meters.look(spender, |counts| (counts.spent(), counts.reserved, counts.holders))
    }

    /// Of calls under way, at most.
    fn may_spend(&self, spender: &Change) -> Money {
        let of = self.under_way.iter().filter(|call| call.spenders().contains(spender));
        of.map(|call| call.estimate).sum()
    }
}

/// Gateways on one store, and by how much each budget may be exceeded, from what was known when the last call
/// was admitted.
struct Rig {
    store: SettlingStore,
    gateways: Vec<Gateway>,
    bounds: BTreeMap<Change, Money>,
    /// Taken away by resets.
    taken: BTreeMap<Change, Money>,
    rows: usize,
}

/// What may happen. The first number says at which gateway, the second to which of its calls.
#[derive(Clone, Debug)]
enum Step {
    Begin {
        at: usize,
        key: usize,
        tagged: bool,
        estimate: i64,
    },
    Extend {
        at: usize,
        call: usize,
        estimate: i64,
    },
    /// What it has cost, in thousandths of its estimate.
    End {
        at: usize,
        call: usize,
        part: i64,
    },
    Abandon {
        at: usize,
        call: usize,
    },
    Write {
        at: usize,
    },
    Hear {
        at: usize,
    },
    Ask {
        at: usize,
    },
    HearSums {
        at: usize,
    },
    /// All that was recorded is in the store, and sums are held against it.
    Reconcile {
        at: usize,
    },
    /// Budgets of keys and of the team start over, in the store.
    Reset,
    HearReset {
        at: usize,
    },
    Jump {
        at: usize,
        by: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (at, call, estimate) = (0..4usize, 0..16usize, 1..400_000_000_000_i64);
    prop_oneof![
        8 => (at.clone(), 0..2usize, any::<bool>(), estimate.clone())
            .prop_map(|(at, key, tagged, estimate)| Step::Begin { at, key, tagged, estimate }),
        1 => (at.clone(), call.clone(), estimate)
            .prop_map(|(at, call, estimate)| Step::Extend { at, call, estimate }),
        6 => (at.clone(), call.clone(), 0..=1000_i64).prop_map(|(at, call, part)| Step::End { at, call, part }),
        1 => (at.clone(), call).prop_map(|(at, call)| Step::Abandon { at, call }),
        3 => at.clone().prop_map(|at| Step::Write { at }),
        2 => at.clone().prop_map(|at| Step::Hear { at }),
        3 => at.clone().prop_map(|at| Step::Ask { at }),
        2 => at.clone().prop_map(|at| Step::HearSums { at }),
        1 => at.clone().prop_map(|at| Step::Reconcile { at }),
        1 => Just(Step::Reset),
        1 => at.clone().prop_map(|at| Step::HearReset { at }),
        1 => (at, -200_000..200_000_i64).prop_map(|(at, by)| Step::Jump { at, by }),
    ]
}

impl Rig {
    fn new(gateways: usize) -> Rig {
        let store = SettlingStore::new();
        let known = BUDGETS.map(|(kind, id, _)| (of(kind, id), Money::ZERO));
        store.spenders.lock().unwrap().extend(known.clone());
        let gateways = (0..gateways).map(|_| Gateway::new()).collect();
        Rig { store, gateways, bounds: BTreeMap::new(), taken: known.into(), rows: 0 }
    }

    /// Spent since the last reset, by all gateways together.
    fn spent(&self, spender: &Change) -> Money {
        let rows = self.gateways.iter().flat_map(|gateway| &gateway.unwritten);
        let of = |row: &&SpendRow| {
            let key: usize = row.key.parse().unwrap();
            spenders(key, !row.tags.is_empty()).contains(spender)
        };
        let unwritten: Money = rows.filter(of).map(|row| row.cost).sum();
        self.store.spenders.lock().unwrap()[spender] + unwritten
    }

    /// The bound of docs/teams.md: the budget, the estimate of the call that was admitted last, and what the other
    /// gateways had spent or reserved by then that was not known where it was admitted.
    fn admitted(&mut self, at: usize, spender: &Change, estimate: Money) -> Money {
        let max = BUDGETS.iter().find(|(kind, id, _)| of(*kind, id) == *spender).unwrap().2;
        let others: Money = self.gateways.iter().map(|gateway| gateway.may_spend(spender)).sum();
        let others = others.less(self.gateways[at].may_spend(spender));
        let unknown = self.spent(spender).less(self.gateways[at].seen(spender).0);
        self.bounds.insert(spender.clone(), usd(max) + estimate + others + unknown);
        unknown
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let count = self.gateways.len();
        let place = |gateways: &[Gateway], at: usize, call: usize| {
            let calls = gateways[at].under_way.len();
            (calls > 0).then(|| call % calls.max(1))
        };
        match *step {
            Step::Begin { at, key, tagged, estimate } => {
                let (at, estimate) = (at % count, Money::from_picos(estimate));
                self.begin(at, (key, tagged), estimate)?;
            }
            Step::Extend { at, call, estimate } => {
                let at = at % count;
                let Some(call) = place(&self.gateways, at, call) else { return Ok(()) };
                self.extend(at, call, Money::from_picos(estimate));
            }
            Step::End { at, call, part } => {
                let at = at % count;
                let Some(call) = place(&self.gateways, at, call) else { return Ok(()) };
                let estimate = self.gateways[at].under_way[call].estimate;
                self.rows += 1;
                self.gateways[at].end(call, Money::from_picos(estimate.picos() / 1000 * part), self.rows);
            }
            Step::Abandon { at, call } => {
                let at = at % count;
                if let Some(call) = place(&self.gateways, at, call) {
                    drop(self.gateways[at].under_way.swap_remove(call));
                }
            }
            Step::Write { at } => self.gateways[at % count].write(&self.store),
            Step::Hear { at } => self.gateways[at % count].hear(),
            Step::Ask { at } => self.gateways[at % count].ask(&self.store),
            Step::HearSums { at } => self.gateways[at % count].hear_sums(),
            Step::Reconcile { at } => {
                let gateway = &mut self.gateways[at % count];
                gateway.meters.mark();
                gateway.write(&self.store);
                gateway.hear();
                run(gateway.meters.reconcile(&self.store)).unwrap();
            }
            Step::Reset => {
                let mut spent = self.store.spenders.lock().unwrap();
                for (spender, spent) in spent.iter_mut().filter(|(spender, _)| spender.kind != Kind::Tag) {
                    *self.taken.get_mut(spender).unwrap() += std::mem::take(spent);
                }
            }
            Step::HearReset { at } => {
                let changes = [of(Kind::Key, "0"), of(Kind::Key, "1"), of(Kind::Team, "t")];
                let meters = &self.gateways[at % count].meters;
                meters.mistrust(Some(&changes));
                run(meters.refresh(&self.store, Some(&changes))).unwrap();
            }
            Step::Jump { at, by } => self.gateways[at % count].clock.advance(by),
        }
        Ok(())
    }

    fn begin(
        &mut self,
        at: usize,
        (key, tagged): (usize, bool),
        estimate: Money,
    ) -> Result<(), TestCaseError> {
        let gateway = &self.gateways[at];
        let fits = spenders(key, tagged).iter().all(|spender| {
            let max = usd(BUDGETS.iter().find(|(kind, id, _)| of(*kind, id) == *spender).unwrap().2);
            let (spent, reserved, holders) = gateway.seen(spender);
            spent < max && (holders == 0 || spent + reserved + estimate <= max)
        });
        let gold = gold();
        let tags: &[_] = if tagged { &gold } else { &[] };
        let reserved = gateway.purses[key].reserve(&Need { tags, ..need(estimate) });
        prop_assert_eq!(reserved.is_ok(), fits);
        if let Ok(reservation) = reserved {
            self.gateways[at].under_way.push(UnderWay { reservation, key, tagged, estimate });
            for spender in spenders(key, tagged) {
                let unknown = self.admitted(at, &spender, estimate);
                prop_assert!(self.gateways.len() > 1 || unknown == Money::ZERO, "{:?}", unknown);
            }
        }
        Ok(())
    }

    fn extend(&mut self, at: usize, call: usize, estimate: Money) {
        let held = &mut self.gateways[at].under_way[call];
        let gold = gold();
        let tags: &[_] = if held.tagged { &gold } else { &[] };
        if held.reservation.extend(&Need { tags, ..need(estimate) }).is_ok() && estimate > held.estimate {
            held.estimate = estimate;
            for spender in held.spenders() {
                self.admitted(at, &spender, estimate);
            }
        }
    }

    /// Everything comes to its end and is heard everywhere.
    fn finish(&mut self) {
        for gateway in &mut self.gateways {
            while !gateway.under_way.is_empty() {
                self.rows += 1;
                let estimate = gateway.under_way[0].estimate;
                gateway.end(0, estimate, self.rows);
            }
            gateway.write(&self.store);
            gateway.hear();
            gateway.hear_sums();
        }
        for gateway in &self.gateways {
            run(gateway.meters.read_shared(&self.store)).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens in whichever order, what is spent stays within the stated bound; with one gateway that is the
    /// budget and one call's estimate. In the end all sums are exact.
    #[test]
    fn budgets_are_exceeded_by_no_more_than_is_stated(
        gateways in 1..=4_usize,
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut rig = Rig::new(gateways);
        let within = |rig: &Rig| rig.bounds.iter().all(|(spender, bound)| rig.spent(spender) <= *bound);
        for step in &steps {
            rig.take(step)?;
            prop_assert!(within(&rig), "{:?}", step);
        }
        rig.finish();
        prop_assert!(within(&rig));
        let rows = rig.store.rows.lock().unwrap().clone();
        for (spender, sum) in rig.store.spenders.lock().unwrap().iter() {
            let of = rows.values().filter(|row| {
                spenders(row.key.parse().unwrap(), !row.tags.is_empty()).contains(spender)
            });
            prop_assert_eq!(of.map(|row| row.cost).sum::<Money>(), *sum + rig.taken[spender]);
            for gateway in &rig.gateways {
                let watched = gateway.meters.look(spender, |counts| {
                    assert_eq!((counts.pending, counts.reserved, counts.holders), (Money::ZERO, Money::ZERO, 0));
                    assert_eq!((counts.parallel, counts.window.held), (0, 0));
                    counts.watched
                });
                prop_assert!(!watched || gateway.seen(spender).0 == *sum);
            }
        }
    }
}

#[tokio::test]
async fn spending_elsewhere_is_seen_without_rows_of_its_own() {
    let (gateway, store) = (Gateway::new(), SettlingStore::new());
    store.spenders.lock().unwrap().insert(of(Kind::Key, "0"), usd(5.0));
    gateway.meters.read_shared(&store).await.unwrap();
    assert_eq!(store.sums.load(std::sync::atomic::Ordering::SeqCst), 0, "nobody calls");
    let call = need(usd(0.1));
    drop(gateway.purses[0].reserve(&call).expect("nothing else is known yet"));
    gateway.meters.shared.added.notified().await;
    gateway.meters.read_shared(&store).await.unwrap();
    let over = gateway.purses[0].reserve(&call).err().expect("what others have spent counts");
    assert!(over.message.contains("Current cost: 5.0"), "{}", over.message);
    // A budget that is refused is read again, too.
    store.spenders.lock().unwrap().insert(of(Kind::Key, "0"), Money::ZERO);
    gateway.meters.read_shared(&store).await.unwrap();
    assert!(gateway.purses[0].reserve(&call).is_ok());
}

#[tokio::test]
async fn a_store_that_does_not_answer_leaves_what_was_known() {
    let (gateway, store) = (Gateway::new(), SettlingStore::new());
    store.spenders.lock().unwrap().insert(of(Kind::Key, "0"), usd(0.6));
    let call = need(usd(0.1));
    drop(gateway.purses[0].reserve(&call).unwrap());
    gateway.meters.read_shared(&store).await.unwrap();
    store.gone(true);
    assert!(gateway.meters.read_shared(&store).await.is_err());
    let seen = gateway.seen(&of(Kind::Key, "0"));
    assert_eq!(seen, (usd(0.6), Money::ZERO, 0));
    assert!(gateway.purses[0].reserve(&call).is_ok());
}

#[tokio::test]
async fn many_budgets_are_read_in_turns_and_unused_ones_not_at_all() {
    let (gateway, store) = (Gateway::new(), SettlingStore::new());
    let purses: Vec<Purse> = (10..2510)
        .map(|number| {
            let hash = number.to_string();
            store.spenders.lock().unwrap().insert(of(Kind::Key, &hash), usd(5.0));
            let key = Key { hash, budget: budget(1.0), ..Key::default() };
            Purse::of(&Identity { key, team: None, user: None }, &gateway.meters)
        })
        .collect();
    let call = need(usd(0.1));
    for purse in &purses {
        drop(purse.reserve(&call).unwrap());
    }
    for _ in 0..3 {
        gateway.meters.read_shared(&store).await.unwrap();
    }
    assert!(purses.iter().all(|purse| purse.facts().key_spend == usd(5.0)));
    let reads = || store.sums.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(reads(), 3);
    for later in 1..=2 {
        gateway.meters.shared.sweep(Instant::now() + later * UNUSED);
    }
    let before = reads();
    gateway.meters.read_shared(&store).await.unwrap();
    assert_eq!(reads(), before, "nothing was used");
    assert!(purses[0].reserve(&call).is_err());
    gateway.meters.read_shared(&store).await.unwrap();
    assert_eq!(reads(), before + 1);
}
