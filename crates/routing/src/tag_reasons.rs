//! The wording of what the tag stage did, for `explain`.

use crate::tag::{ParsedTag, Wish};
use crate::tag_filter::{Pool, TagFilter};

impl TagFilter<'_> {
    /// Why the deployment at `position` is permitted.
    pub(crate) fn why_kept(&self, position: usize, pool: Pool) -> String {
        let carried = self.plain_tags(|text| self.carries(position, text));
        match pool {
            Pool::Open => "no deployment of the group declares tags, so none of the request's matter".into(),
            Pool::Matched if carried.is_empty() => "its tag_regex fits the User-Agent".into(),
            Pool::Matched => format!("carries {}", list(&carried)),
            Pool::Required => format!("carries all that is required: {}", list(&self.required())),
            Pool::Regex | Pool::RegexMiss => "its tag_regex fits the User-Agent".into(),
            Pool::Default => "in the default pool, which serves requests without a plain tag".into(),
            Pool::DefaultForUnknown => {
                format!(
                    "in the default pool, as no deployment of the group carries {}",
                    list(&self.plain_tags(|_| true))
                )
            }
            Pool::Everything => {
                "the request has no plain tag and the group no default pool, so all may serve".into()
            }
            Pool::WithoutRegex => "no tag_regex fits the User-Agent, and this deployment has none".into(),
            Pool::FailedOpen => {
                "the tags fit nothing, and allow_fail_open drops those that the caller sent".into()
            }
        }
    }

    /// Why it is not.
    pub(crate) fn why_removed(&self, position: usize, pool: Pool) -> String {
        if let Some(text) = self.broken_constraint(self.parsed(), position) {
            return text;
        }
        let plain = self.plain_tags(|_| true);
        match pool {
            Pool::Matched if self.match_any => format!("carries none of {}", list(&plain)),
            Pool::Matched => {
                format!("lacks {}", list(&self.plain_tags(|text| !self.carries(position, text))))
            }
            Pool::Default => "not in the default pool, which serves requests without a plain tag".into(),
            Pool::DefaultForUnknown if !self.has_default(self.group.all()) => {
                format!("no deployment of the group carries {}, and there is no default pool", list(&plain))
            }
            Pool::DefaultForUnknown => {
                format!(
                    "not in the default pool, which serves as no deployment of the group carries {}",
                    list(&plain)
                )
            }
            Pool::Regex => "a tag_regex of others fits the User-Agent, none of this deployment does".into(),
            Pool::WithoutRegex => "its tag_regex does not fit the User-Agent".into(),
            Pool::RegexMiss => {
                "no tag_regex of the group fits the User-Agent, and there is no default pool".into()
            }
            Pool::FailedOpen => "the group fails open to its default pool, and this is not in it".into(),
            Pool::Open | Pool::Required | Pool::Everything => "its tags do not fit".into(),
        }
    }

    /// Why an admin's constraints do not leave it.
    pub(crate) fn why_not_left(&self, position: usize) -> String {
        let granted = self.granted.iter().map(|(text, _)| ParsedTag::read(text, self.prefix));
        self.broken_constraint(granted, position).unwrap_or_else(|| "its tags do not fit".into())
    }

    fn broken_constraint<'t>(
        &self,
        mut tags: impl Iterator<Item = ParsedTag<'t>>,
        position: usize,
    ) -> Option<String> {
        tags.find_map(|tag| match tag.wish {
            Wish::Exclude(text) if self.carries(position, text) => {
                Some(format!("carries `{text}`, which `!{text}` excludes"))
            }
            Wish::Require(text) if !self.carries(position, text) => {
                Some(format!("does not carry `{text}`, which `&{text}` requires"))
            }
            _ => None,
        })
    }

    fn carries(&self, position: usize, text: &str) -> bool {
        self.carriers(text).is_some_and(|carriers| carriers.contains(position))
    }

    fn plain_tags(&self, counts: impl Fn(&str) -> bool) -> Vec<&str> {
        let plain = self.parsed().filter_map(|tag| match tag.wish {
            Wish::Plain(text) => Some(text),
            _ => None,
        });
        plain.filter(|text| counts(text)).collect()
    }

    fn required(&self) -> Vec<&str> {
        let required = self.parsed().filter_map(|tag| match tag.wish {
            Wish::Require(text) => Some(text),
            _ => None,
        });
        required.collect()
    }
}

/// Tags that one reason names, and bytes of each. There is a reason for every deployment, and the tags are
/// the caller's to choose.
const MOST_NAMED: usize = 32;
const LONGEST_NAMED: usize = 256;

fn list(tags: &[&str]) -> String {
    let named = |tag: &&str| match tag.len() <= LONGEST_NAMED {
        true => format!("`{tag}`"),
        false => format!("`{}...`", &tag[..tag.floor_char_boundary(LONGEST_NAMED)]),
    };
    let text = tags.iter().take(MOST_NAMED).map(named).collect::<Vec<_>>().join(", ");
    match tags.len().checked_sub(MOST_NAMED) {
        None | Some(0) => text,
        Some(more) => format!("{text} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_some_tags_whatever_their_number() {
        assert_eq!(list(&["a", "b"]), "`a`, `b`");
        let many = list(&["t"; 1000]);
        assert!(many.ends_with("`t` and 968 more") && many.len() < 200, "{many}");
        assert!(list(&["\u{e9}".repeat(1000).as_str(); 32]).len() < 10_000);
    }
}
