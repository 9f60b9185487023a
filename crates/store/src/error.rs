//! Why the store did not do what was asked.

use std::fmt;

/// Why.
#[derive(Debug)]
pub enum StoreError {
    /// It cannot be asked right now (no connection, locked, disk full): 503, try again.
    Unavailable(String),
    /// Something of that name is there already: 409, or LiteLLM's 400.
    Taken {
        /// Of what: `team_id`, `key_alias`, `key`, `user_id`, `tag`.
        field: &'static str,
        /// The value; never a key's.
        value: String,
    },
    /// Somebody else changed it meanwhile: read it again and repeat.
    Conflict,
    /// No such thing.
    Missing {
        /// Of what: `team_id`, `key`, `user_id`, `tag`.
        field: &'static str,
        /// The value; never a key's.
        value: String,
    },
    /// What is stored cannot be read, or the database is not what it should be: a fault to look at.
    Broken(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Unavailable(why) => write!(f, "the database cannot be reached: {why}"),
            StoreError::Taken { field, value } => write!(f, "{field} `{value}` is taken"),
            StoreError::Conflict => f.write_str("it was changed by somebody else meanwhile"),
            StoreError::Missing { field, value } => write!(f, "there is no {field} `{value}`"),
            StoreError::Broken(why) => write!(f, "the database cannot be used: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}
