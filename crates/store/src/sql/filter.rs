//! A statement whose conditions depend on what was asked: constant pieces, and the values bound to them.

use super::Value;

/// A statement so far, and its values.
#[derive(Debug)]
pub(crate) struct Filter {
    sql: String,
    values: Vec<Value>,
    conditions: usize,
}

impl Filter {
    /// Begins with `SELECT ... FROM ...`.
    pub(crate) fn new(select: &'static str) -> Filter {
        Filter { sql: select.to_owned(), values: Vec::new(), conditions: 0 }
    }

    /// Adds a condition, if there is a value for it; every `?` in it is that value.
    pub(crate) fn and<V: Into<Value>>(&mut self, condition: &'static str, value: Option<V>) {
        let Some(value) = value else { return };
        self.sql.push_str(if self.conditions == 0 { " WHERE (" } else { " AND (" });
        self.conditions += 1;
        self.bind(condition, value.into());
        self.sql.push(')');
    }

    /// Adds what stands behind the conditions.
    pub(crate) fn then(&mut self, clause: &'static str) {
        self.sql.push_str(clause);
    }

    /// Adds a clause with a value.
    pub(crate) fn bind(&mut self, clause: &'static str, value: Value) {
        self.values.push(value);
        self.sql.push_str(&clause.replace('?', &format!("${}", self.values.len())));
    }

    /// The statement.
    pub(crate) fn sql(&self) -> &str {
        &self.sql
    }

    /// Its values, which are then no longer in it.
    pub(crate) fn take_values(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.values)
    }
}
