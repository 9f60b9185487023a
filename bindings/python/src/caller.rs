//! On whose behalf: the program's own caller as the router knows one.

use std::collections::BTreeMap;
use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tagrail::Caller;
use tagrail::routing::{AccessList, Holder, Policy, TagOrigin};

/// Reads a caller; nobody is the operator.
pub(crate) fn caller(fields: Option<&Bound<'_, PyDict>>) -> PyResult<Arc<Caller>> {
    let Some(fields) = fields else { return Ok(Caller::operator()) };
    let mut policy = Policy::default();
    for (key, value) in fields {
        let key: String = key.extract()?;
        if value.is_none() {
            continue;
        }
        let list = || value.extract::<Vec<String>>().map_err(|_| wrong(&key, "a list of texts"));
        let map = || {
            value.extract::<BTreeMap<String, String>>().map_err(|_| wrong(&key, "a map of names to names"))
        };
        match key.as_str() {
            "key_tags" => {
                policy.tags.splice(0..0, list()?.into_iter().map(|tag| (tag, TagOrigin::Key))).for_each(drop)
            }
            "team_tags" => policy.tags.extend(list()?.into_iter().map(|tag| (tag, TagOrigin::Team))),
            "key_models" => {
                policy.models.insert(0, AccessList { holder: Holder::Key, models: list()?, also: Vec::new() })
            }
            "team_models" => {
                policy.models.push(AccessList { holder: Holder::Team, models: list()?, also: Vec::new() });
            }
            "key_aliases" => policy.aliases.extend(map()?),
            "team_aliases" => {
                for (name, target) in map()? {
                    policy.aliases.entry(name).or_insert(target);
                }
            }
            _ => return Err(PyTypeError::new_err(format!("a caller has no {key}"))),
        }
    }
    admit_own_aliases(&mut policy, fields)?;
    Ok(Arc::new(Caller { policy: Some(policy), ..Caller::default() }))
}

/// A team's list admits the names that are aliases of its own.
fn admit_own_aliases(policy: &mut Policy, fields: &Bound<'_, PyDict>) -> PyResult<()> {
    let Some(aliases) = fields.get_item("team_aliases")?.filter(|aliases| !aliases.is_none()) else {
        return Ok(());
    };
    let aliases: BTreeMap<String, String> = aliases.extract()?;
    for list in policy.models.iter_mut().filter(|list| list.holder == Holder::Team) {
        list.also = aliases.keys().cloned().collect();
    }
    Ok(())
}

fn wrong(key: &str, what: &str) -> PyErr {
    PyTypeError::new_err(format!("{key} of a caller is {what}"))
}
