//! Tags and metadata of teams and keys. LiteLLM keeps tags, and limits by model, inside of `metadata`,
//! and so answers show them; here they are of their own, so that writing metadata anew loses neither.

use serde_json::{Map, Value, json};
use tagrail_store::Limits;

use crate::error::Problem;
use crate::fields::limits::set_limits;
use crate::fields::{Asked, Field, Holds, acts, value};

/// The fields.
pub(crate) const LABELS: &[Field] = &[
    acts(
        "tags",
        Holds::Texts,
        "Tags of every call, and what may be reached through reserved ones; [] for none.",
    ),
    acts("metadata", Holds::Object, "Anything; `tags` in it are the same as `tags` beside it."),
];

/// Most tags of one team or key.
const MOST_TAGS: usize = 64;

/// Longest tag, in bytes.
const LONGEST_TAG: usize = 256;

/// What the fields of [`LABELS`] say.
pub(crate) struct Labels<'a> {
    pub(crate) tags: &'a mut Vec<String>,
    pub(crate) metadata: &'a mut Map<String, Value>,
    pub(crate) limits: &'a mut Limits,
}

impl Labels<'_> {
    /// Sets what was written. Metadata replaces metadata, but what LiteLLM keeps in it and is not named
    /// in it stays (row D16). Beside each other `tags` counts, and `metadata.tags` does not.
    ///
    /// # Errors
    /// 400 or 422 for what can be no tag.
    pub(crate) fn set(self, asked: &Asked) -> Result<(), Problem> {
        if asked.is_there("metadata") {
            let mut written = asked.object("metadata").cloned().unwrap_or_default();
            if let Some(tags) = named(&mut written, "tags", Holds::Texts)? {
                *self.tags = checked("metadata.tags", texts(&tags))?;
            }
            for (name, limits) in [
                ("model_rpm_limit", &mut self.limits.model_rpm),
                ("model_tpm_limit", &mut self.limits.model_tpm),
            ] {
                if let Some(by_model) = named(&mut written, name, Holds::CountMap)? {
                    let entries = by_model.as_object().into_iter().flatten();
                    *limits =
                        entries.filter_map(|(model, count)| Some((model.clone(), count.as_u64()?))).collect();
                }
            }
            *self.metadata = written;
        }
        if let Some(tags) = asked.texts("tags") {
            *self.tags = checked("tags", tags)?;
        }
        set_limits(asked, self.limits);
        Ok(())
    }
}

/// Takes one of our fields out of metadata and checks it.
fn named(metadata: &mut Map<String, Value>, name: &str, holds: Holds) -> Result<Option<Value>, Problem> {
    let full = match name {
        "tags" => "metadata.tags",
        "model_rpm_limit" => "metadata.model_rpm_limit",
        _ => "metadata.model_tpm_limit",
    };
    match metadata.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(found) => value::checked(&acts(full, holds, ""), found).map(Some),
    }
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| Some(item.as_str()?.to_owned())).collect()
}

/// Tags that can be routed by, each once.
pub(crate) fn checked(name: &str, tags: Vec<String>) -> Result<Vec<String>, Problem> {
    let mut each: Vec<String> = Vec::new();
    for tag in tags {
        if !each.contains(&tag) {
            check_tag(name, &tag)?;
            each.push(tag);
        }
    }
    if each.len() > MOST_TAGS {
        return Err(value::bad(name, format!("`{name}` has too many tags; the limit is {MOST_TAGS}.")));
    }
    Ok(each)
}

/// One tag. Tags are compared letter by letter, so that space around one is a tag that nothing carries.
pub(crate) fn check_tag(name: &str, tag: &str) -> Result<(), Problem> {
    let problem = match tag {
        "" | "!" | "&" => "holds a tag without a name",
        tag if tag.trim() != tag => "holds a tag with space around it",
        tag if tag.chars().any(char::is_control) => "holds a tag with a control character",
        tag if tag.len() > LONGEST_TAG => "holds a tag of more than 256 bytes",
        _ => return Ok(()),
    };
    Err(value::bad(name, format!("`{name}` {problem}.")))
}

/// Metadata as LiteLLM shows it.
pub(crate) fn shown(metadata: &Map<String, Value>, tags: &[String], limits: &Limits) -> Value {
    let mut shown = metadata.clone();
    if !tags.is_empty() {
        shown.insert("tags".to_owned(), json!(tags));
    }
    for (name, by_model) in [("model_rpm_limit", &limits.model_rpm), ("model_tpm_limit", &limits.model_tpm)] {
        if !by_model.is_empty() {
            shown.insert(name.to_owned(), json!(by_model));
        }
    }
    Value::Object(shown)
}
