//! What a name that nobody knows was probably meant to be.

use tagrail_providers::work;

use crate::fields::Field;

/// How many of the unknown names of one body are compared with those that are known, letter by letter.
const COMPARED: usize = 16;

/// The warning. `before` says how many there are already.
pub(super) fn unknown(name: &str, fields: &[Field], before: usize) -> String {
    // It goes back to whoever wrote it, and should not make the answer long.
    let shown: String = name.chars().take(64).collect();
    match (before < COMPARED).then(|| nearest(name, fields)).flatten() {
        Some(near) => format!("unknown field `{shown}` is ignored, did you mean `{near}`?"),
        None => format!("unknown field `{shown}` is ignored"),
    }
}

fn nearest(name: &str, fields: &[Field]) -> Option<&'static str> {
    if name.len() > 64 {
        return None;
    }
    let near = fields.iter().map(|field| (distance(name, field.name), field.name)).min()?;
    let few = ((name.chars().count() + 1) / 3).min(3);
    (near.0 <= few).then_some(near.1)
}

/// How many letters must be put in, left out or replaced (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, own) in from.to_lowercase().chars().enumerate() {
        work::step(to.len());
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(own != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
