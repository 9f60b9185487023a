//! How a call was decided, in one line for people and grep:
//!
//! ```text
//! exact gpt-4 free,!eu->gpt-4-free 1/3 r0 f0
//! ```
//!
//! By which step the name was found (`exact`, `wildcard`, `guessed`, `id`, `upstream`; `none` when nobody
//! was tried); the name that the last group was asked by, a fallback's after a fallback; the tags, `-`
//! without any; the deployment tried last; how many deployments the tags permitted, of how many in the
//! group; retries within the group; groups and levels of `order` that had failed before. What is not
//! plain text in names and tags is percent-encoded.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, CONTROLS, PercentEncode, utf8_percent_encode};
use tagrail_routing::Resolution;

/// What would make a line or its fields ambiguous.
const SIGNS: &AsciiSet = &CONTROLS.add(b' ').add(b',').add(b'%').add(b'>');
/// Tags beyond this many bytes are left out of the line; the row has all that the call counts under.
const ROOM_FOR_TAGS: usize = 256;

/// What the line is made from.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    pub(crate) how: Option<Resolution>,
    /// The name that the group was asked by; empty when nobody was tried.
    pub(crate) name: String,
    pub(crate) permitted: usize,
    pub(crate) size: usize,
    pub(crate) retries: u32,
    pub(crate) fallbacks: u32,
}

impl Decided {
    /// The line. `asked` is the name as sent.
    pub(crate) fn text(&self, asked: &str, tags: &[String], deployment: &str) -> String {
        let how = match self.how {
            None => "none",
            Some(Resolution::Exact) => "exact",
            Some(Resolution::Wildcard) => "wildcard",
            Some(Resolution::GuessedProvider) => "guessed",
            Some(Resolution::DeploymentId) => "id",
            Some(Resolution::UpstreamName) => "upstream",
        };
        let name = if self.name.is_empty() { asked } else { &self.name };
        let mut text = String::with_capacity(96);
        // Writing to a String cannot fail, here and below.
        let _ = write!(text, "{how} {} ", plain(name));
        let start = text.len();
        for tag in tags {
            if text.len() - start > ROOM_FOR_TAGS {
                text.push_str(",...");
                break;
            }
            if text.len() > start {
                text.push(',');
            }
            text.extend(plain(tag));
        }
        if text.len() == start {
            text.push('-');
        }
        if self.how.is_some() {
            let Decided { permitted, size, retries, fallbacks, .. } = self;
            let _ = write!(text, "->{} {permitted}/{size} r{retries} f{fallbacks}", plain(deployment));
        }
        text
    }
}

fn plain(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, SIGNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_who_and_after_what() {
        let decided = Decided {
            how: Some(Resolution::Exact),
            name: "gpt-4".into(),
            permitted: 1,
            size: 3,
            retries: 2,
            fallbacks: 1,
        };
        let tags = ["free".to_owned(), "!e u,\n".to_owned()];
        assert_eq!(decided.text("gpt-4", &tags, "a>b"), "exact gpt-4 free,!e%20u%2C%0A->a%3Eb 1/3 r2 f1");
        assert_eq!(decided.text("gpt-4", &[], "a"), "exact gpt-4 -->a 1/3 r2 f1");
    }

    #[test]
    fn where_nobody_was_tried_there_is_no_deployment() {
        assert_eq!(Decided::default().text("nope", &["t".to_owned()], ""), "none nope t");
    }

    #[test]
    fn many_tags_do_not_make_a_long_line() {
        let tags = vec!["tag".to_owned(); 1000];
        let text = Decided::default().text("m", &tags, "");
        assert!(text.len() < 300 && text.ends_with(",..."), "{text}");
    }
}
