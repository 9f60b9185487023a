//! How the database is, as far as that shows in work that was done.

use std::fmt;

/// Why it cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It does not answer.
    Unreachable,
    /// It answers and takes no change: a standby, a session or a file that is read-only.
    ReadOnly,
    /// There is no room on its disk.
    Full,
    /// Another process holds a lock on it.
    Locked,
    /// Its disk or its file fails.
    Failing,
    /// It is not the database that was opened: emptied, deleted or exchanged.
    Replaced,
}

impl Condition {
    /// In one word, for programs.
    pub fn word(self) -> &'static str {
        match self {
            Condition::Unreachable => "database_unreachable",
            Condition::ReadOnly => "database_read_only",
            Condition::Full => "database_full",
            Condition::Locked => "database_locked",
            Condition::Failing => "database_failing",
            Condition::Replaced => "database_replaced",
        }
    }
}

/// A write that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwritable {
    /// In what state the database is.
    pub condition: Condition,
    /// In its words.
    pub why: String,
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.condition.word(), self.why)
    }
}

impl std::error::Error for Unwritable {}
