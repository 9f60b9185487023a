//! Which names sums by day are kept under. Every name that the configuration or the store knows has sums of
//! its own. What a caller makes up has them too, up to a number for each key and day: beyond it, it is
//! summed as one. Rows keep their names.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use tagrail::{Router, Snapshot};
use tagrail_store::SpendRow;

use super::carried;

/// Made-up models of a key on a day.
const MODELS: usize = 100;

/// Made-up pairs of a tag and a model, of a key on a day: each has a sum.
const PAIRS: usize = 1000;

/// All of them on a day, in this process.
const ALL: usize = 10_000;

/// A day in milliseconds: names are counted by days in UTC.
const DAY: i64 = 86_400_000;

/// What the configuration knows.
pub(super) struct Names {
    models: HashSet<String>,
    tags: HashSet<String>,
}

impl Names {
    fn of(snapshot: &Snapshot) -> Names {
        let table = &snapshot.table;
        let specs = table.deployments();
        let named = specs.iter().flat_map(|spec| [&spec.group, &spec.id, &spec.model]);
        let models = named.cloned().chain(table.names().into_iter().map(str::to_owned)).collect();
        let tags = table.tags().into_iter().map(str::to_owned);
        let tags = tags.chain(snapshot.general.reserved_tags.iter().cloned());
        Names { models, tags: tags.map(bare).collect() }
    }

    /// Whether a model is called so.
    pub(super) fn has_model(&self, name: &str) -> bool {
        self.models.contains(name)
    }

    /// Whether a deployment carries this tag, or the configuration reserves it.
    pub(super) fn has_tag(&self, tag: &str) -> bool {
        self.tags.contains(tag)
    }
}

fn bare(tag: String) -> String {
    match carried(&tag, "") {
        Some(carried) if carried.len() < tag.len() => carried.to_owned(),
        _ => tag,
    }
}

/// The names of the configuration in use.
#[derive(Default)]
pub(super) struct CurrentNames(Mutex<Option<(Arc<Snapshot>, Arc<Names>)>>);

impl CurrentNames {
    pub(super) fn of(&self, router: &Router) -> Arc<Names> {
        let snapshot = router.snapshot();
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some((of, names)) if Arc::ptr_eq(of, &snapshot) => names.clone(),
            _ => {
                let names = Arc::new(Names::of(&snapshot));
                *current = Some((snapshot, names.clone()));
                names
            }
        }
    }
}

/// Who knows names.
pub(super) trait Known: Send + Sync {
    /// Whether a model is called so.
    fn has_model(&self, name: &str) -> bool;
    /// Whether there is such a tag.
    fn has_tag(&self, tag: &str) -> bool;
}

/// Made-up names that have sums.
#[derive(Default)]
pub(super) struct Folding {
    day: i64,
    of_keys: HashMap<String, OfKey>,
    all: usize,
    /// Names are remembered by their hashes: they may be long.
    hasher: RandomState,
}

#[derive(Default)]
struct OfKey {
    models: HashSet<u64>,
    pairs: HashSet<u64>,
}

impl Folding {
    /// Says of a row which of its names are summed as one.
    pub(super) fn fold(&mut self, row: &mut SpendRow, known: &dyn Known) {
        let day = row.started.0.div_euclid(DAY);
        if day > self.day {
            *self = Folding { day, ..Folding::default() };
        }
        let is_known = row.model_group.is_empty() || known.has_model(&row.model_group);
        let model = self.hasher.hash_one(&row.model_group);
        row.sums_other_model = !is_known && !self.admit(&row.key, |of| &mut of.models, model, MODELS);
        let mut others = Vec::new();
        for tag in row.tags.iter().filter_map(|tag| carried(tag, "")) {
            let pair = self.hasher.hash_one((tag, row.sums_other_model, &row.model_group));
            if !known.has_tag(tag) && !self.admit(&row.key, |of| &mut of.pairs, pair, PAIRS) {
                others.push(tag.to_owned());
            }
        }
        row.sums_other_tags = others;
    }

    fn admit(
        &mut self,
        key: &str,
        set: impl Fn(&mut OfKey) -> &mut HashSet<u64>,
        name: u64,
        most: usize,
    ) -> bool {
        if !self.of_keys.contains_key(key) {
            self.of_keys.insert(key.to_owned(), OfKey::default());
        }
        let Some(names) = self.of_keys.get_mut(key).map(set) else { return false };
        if names.contains(&name) {
            return true;
        }
        let has_room = names.len() < most && self.all < ALL;
        if has_room {
            names.insert(name);
            self.all += 1;
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tagrail_store::Timestamp;

    use super::*;

    struct Knows;

    impl Known for Knows {
        fn has_model(&self, name: &str) -> bool {
            name == "g"
        }
        fn has_tag(&self, tag: &str) -> bool {
            tag == "team"
        }
    }

    fn row(key: &str, model: &str, tags: &[String], day: i64) -> SpendRow {
        let (key, model_group) = (key.to_owned(), model.to_owned());
        let tags = tags.to_vec();
        SpendRow { key, model_group, tags, started: Timestamp(day * DAY), ..SpendRow::default() }
    }

    #[test]
    fn made_up_names_have_sums_up_to_a_number_for_each_key_and_day() {
        let mut folding = Folding::default();
        let (mut models, mut pairs) = (BTreeSet::new(), BTreeSet::new());
        for call in 0..500 {
            let tags: Vec<String> = (0..64).map(|tag| format!("{call}-{tag}")).collect();
            let mut row = row("k", &format!("m{call}"), &tags, 1);
            folding.fold(&mut row, &Knows);
            let model = if row.sums_other_model { "" } else { &row.model_group };
            models.insert(model.to_owned());
            let own = row.tags.iter().filter(|tag| !row.sums_other_tags.contains(tag));
            pairs.extend(own.map(|tag| (tag.clone(), model.to_owned())));
        }
        assert_eq!((models.len(), pairs.len()), (MODELS + 1, PAIRS));
        // What has a sum keeps it, what is known has one, and another key has its own number.
        let tags = ["0-0".to_owned(), "&team".to_owned(), "!x".to_owned(), "new".to_owned()];
        let mut again = row("k", "m0", &tags, 1);
        folding.fold(&mut again, &Knows);
        assert_eq!((again.sums_other_model, again.sums_other_tags), (false, vec!["new".to_owned()]));
        let mut known = row("k", "g", &tags[1..2], 1);
        folding.fold(&mut known, &Knows);
        assert!(!known.sums_other_model && known.sums_other_tags.is_empty());
        let mut other = row("other", "m499", &tags, 1);
        folding.fold(&mut other, &Knows);
        assert!(!other.sums_other_model && other.sums_other_tags.is_empty());
        // The next day begins with none.
        let mut next = row("k", "m499", &tags, 2);
        folding.fold(&mut next, &Knows);
        assert!(!next.sums_other_model && next.sums_other_tags.is_empty());
    }

    #[test]
    fn all_keys_together_have_a_number_too() {
        let mut folding = Folding::default();
        let mut admitted = 0;
        for key in 0..300 {
            for model in 0..MODELS {
                let mut row = row(&key.to_string(), &format!("m{model}"), &[], 1);
                folding.fold(&mut row, &Knows);
                admitted += usize::from(!row.sums_other_model);
            }
        }
        assert_eq!(admitted, ALL);
    }
}
