//! Why a table could not be made of something, and why a request goes nowhere.

use std::fmt::Write as _;

use crate::{DeploymentIndex, Holder, RoutingTable};

/// How bad a [`Mistake`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It works, but hardly as meant.
    Warning,
    /// It cannot work; the deployment to blame is left out.
    Error,
}

/// One thing wrong with a [`crate::TableSpec`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Whether it only deserves a look.
    pub severity: Severity,
    /// Index into `TableSpec::deployments` when one deployment is to blame; when `severity` is
    /// [`Severity::Error`] it is then left out.
    pub deployment: Option<usize>,
    /// The key at fault, as in the config: `tag_regex`, `model_info.id`, `fallbacks`.
    pub key: &'static str,
    /// What is wrong, in one sentence that names the value.
    pub message: String,
    /// The group that is meant, when what is wrong is that all of its deployments were left out.
    pub deserted: Option<String>,
}

/// A request that no deployment may serve right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// No group, id, alias, wildcard or upstream name is called so. 400.
    UnknownModel {
        /// LiteLLM words the refusal differently when the config has a wildcard; one of which nothing is
        /// within the caller's reach does not count.
        wildcards_configured: bool,
    },
    /// The group exists, but all its deployments were left out or are paused, or an alias stands
    /// for nothing. 400.
    NoDeployments,
    /// The id of a wildcard deployment names no model (D24). 400.
    WildcardId,
    /// A list of the caller's does not admit the name. 403.
    ModelDenied {
        /// Whose list.
        holder: Holder,
        /// The list as written.
        models: Vec<String>,
    },
    /// It is not known which tags are reserved, and what the tags permit carries some. 503.
    ReservationsUnknown,
    /// Tags leave nothing, or nothing behind the name is within the caller's reach, which nobody can tell
    /// from that. 401, as LiteLLM has it.
    TagMismatch {
        /// All tags as sent, in LiteLLM's order.
        tags: Vec<String>,
    },
    /// Everything that the tags leave is cooling down. 429.
    Cooling {
        /// Milliseconds until the first of them is back; at least 1.
        retry_after_ms: u64,
        /// Which are cooling.
        cooling: Vec<DeploymentIndex>,
    },
}

impl NoRoute {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            NoRoute::UnknownModel { .. } | NoRoute::NoDeployments | NoRoute::WildcardId => 400,
            NoRoute::TagMismatch { .. } => 401,
            NoRoute::ModelDenied { .. } => 403,
            NoRoute::ReservationsUnknown => 503,
            NoRoute::Cooling { .. } => 429,
        }
    }

    /// LiteLLM's text, for the operator: it names the ids of deployments. `model` is the name as
    /// the client sent it.
    pub fn message(&self, model: &str, table: &RoutingTable) -> String {
        let mut text = self.public_message(model, table);
        if let NoRoute::Cooling { cooling, .. } = self {
            let ids: Vec<&str> =
                cooling.iter().filter_map(|index| Some(table.deployment(*index)?.id.as_str())).collect();
            text.push_str(" pre-call-checks=False, cooldown_list=");
            text.push_str(&python_list(&ids));
        }
        text
    }

    /// The same without anything that the caller did not send.
    pub fn public_message(&self, model: &str, table: &RoutingTable) -> String {
        // LiteLLM has replaced an alias by the time it refuses.
        let name = table.behind_alias(model);
        match self {
            NoRoute::UnknownModel { wildcards_configured: false } => format!(
                "/chat/completions: Invalid model name passed in model={model}. Call `/v1/models` to view available \
                 models for your key."
            ),
            NoRoute::UnknownModel { wildcards_configured: true } | NoRoute::NoDeployments => format!(
                "litellm.BadRequestError: You passed in model={name}. There are no healthy deployments for this \
                 model. Received Model Group={model}\nAvailable Model Group Fallbacks=None"
            ),
            NoRoute::WildcardId => format!(
                "litellm.BadRequestError: model={model} is the id of a wildcard deployment, which stands for no model \
                 of its own. Call it by a name that its wildcard takes."
            ),
            NoRoute::ModelDenied { holder, models } => {
                let holder = match holder {
                    Holder::Key => "key",
                    Holder::Team => "team",
                    Holder::User => "user",
                };
                format!(
                    "{holder} not allowed to access model. This {holder} can only access models={}. Tried to \
                     access {model}",
                    python_list(models)
                )
            }
            NoRoute::ReservationsUnknown => {
                "It cannot be checked right now which deployments are reserved for \
                whom, because the database cannot be reached. Try again."
                    .to_owned()
            }
            NoRoute::TagMismatch { tags } => format!(
                "Not allowed to access model due to tags configuration. Passed model={name} and tags={}",
                python_list(tags)
            ),
            NoRoute::Cooling { retry_after_ms, .. } => format!(
                "No deployments available for selected model, Try again in {} seconds. Passed model={name}.",
                retry_after_ms.div_ceil(1000)
            ),
        }
    }
}

/// A list of strings as Python prints it, which is what clients of LiteLLM have seen and parse.
fn python_list(items: &[impl AsRef<str>]) -> String {
    let mut text = String::from("[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        push_python(&mut text, item.as_ref());
    }
    text.push(']');
    text
}

fn push_python(text: &mut String, item: &str) {
    let quote = if item.contains('\'') && !item.contains('"') { '"' } else { '\'' };
    text.push(quote);
    for character in item.chars() {
        match character {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\\' => text.push_str("\\\\"),
            _ if character == quote => text.extend(['\\', quote]),
            _ if character.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\x{:02x}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
    text.push(quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_look_as_python_prints_them() {
        assert_eq!(
            python_list(&["!default", "it's", "a\"'b", "ñ\n\u{7f}\\"]),
            r#"['!default', "it's", 'a"\'b', 'ñ\n\x7f\\']"#
        );
        assert_eq!(python_list(&[""; 0]), "[]");
    }
}
