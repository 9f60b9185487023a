//! The ids of OpenAI's stored responses as clients know them.
//!
//! An upstream's id opens a stored conversation to every caller whose requests carry the same provider
//! key, which behind a gateway is all of them. So a client gets an id of the gateway's instead. How it
//! is made is the caller's of this crate; where it stands in a reply is known here.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

/// Makes the ids that clients get.
pub trait NameResponses: Send + Sync {
    /// The client's id of the response that the upstream calls `upstream`. The same each time, since one
    /// stream names its response in several events.
    fn name(&self, upstream: &str) -> String;
}

/// How the responses of one call are named.
#[derive(Clone)]
pub struct ResponseNames {
    /// Makes the ids in the reply.
    pub names: Arc<dyn NameResponses>,
    /// The upstream's id for the request's `previous_response_id`; `None` leaves the field as it is.
    pub previous: Option<String>,
}

impl ResponseNames {
    /// Puts the client's id where an upstream's words have its own of the response that the call continues.
    pub(crate) fn rename_previous(&self, text: &mut String) {
        if let Some(upstream) = self.previous.as_deref().filter(|id| !id.is_empty() && text.contains(id)) {
            *text = text.replace(upstream, &self.names.name(upstream));
        }
    }
}

impl fmt::Debug for ResponseNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseNames").finish_non_exhaustive()
    }
}

/// A part of a frame or a body, and what stands there instead.
pub(crate) type Change = (Range<usize>, Bytes);

/// The changes that give every id in `data` its name. `spans` are those of JSON strings.
pub(crate) fn renamed(
    names: &dyn NameResponses,
    data: &[u8],
    spans: &[Range<usize>],
) -> impl Iterator<Item = Change> {
    spans.iter().filter_map(|span| {
        let upstream: String = serde_json::from_slice(data.get(span.clone())?).ok()?;
        let text = serde_json::Value::from(names.name(&upstream)).to_string();
        Some((span.clone(), Bytes::from(text)))
    })
}

/// Pushes `bytes` with its parts changed; `from` is what their ranges are counted from.
pub(crate) fn spliced(bytes: &Bytes, from: usize, mut changes: Vec<Change>, out: &mut Vec<Bytes>) {
    changes.sort_by_key(|(span, _)| span.start);
    let mut done = 0;
    for (span, text) in changes {
        out.push(bytes.slice(done..from + span.start));
        out.push(text);
        done = from + span.end;
    }
    out.push(bytes.slice(done..));
}
