//! Generations: what has changed since somebody last looked.

/// Counts committed changes of teams, keys, users, tags. In the order in which they were committed:
/// who has seen one has seen all smaller ones.
pub type Generation = i64;

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A key, by its hash in hex.
    Key,
    /// A team, by its id; its keys with it.
    Team,
    /// A user, by its id; its keys with it.
    User,
    /// A tag, by its name: reservation, limits, budget.
    Tag,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Change {
    /// Of what.
    pub kind: Kind,
    /// Of which.
    pub id: String,
}

/// All changes behind a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The newest.
    pub generation: Generation,
    /// What changed, each once; `None` when it is not known any more (the log of changes is pruned),
    /// and everything must be looked at again.
    pub changes: Option<Vec<Change>>,
}
