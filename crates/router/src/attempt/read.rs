//! Reading a reply that is passed on whole: within a length of its own, and within a budget that all replies of the
//! process share, so that many long ones at a time cannot take the memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::transport::Lease;

/// Replies up to this length are not counted: connections bound their number.
const UNCOUNTED: usize = 1024 * 1024;
/// Bytes of longer replies that the process holds at a time.
const MOST_IN_FLIGHT: usize = 512 * 1024 * 1024;

/// What is left for long replies.
#[derive(Debug)]
pub(crate) struct ReplyBudget(AtomicUsize);

/// A part of the budget; given back when the last slice of its reply is gone.
struct Share {
    budget: Arc<ReplyBudget>,
    bytes: usize,
}

/// A long reply and its share.
struct Counted {
    body: Bytes,
    _share: Share,
}

/// Why a reply was not read to its end.
#[derive(Debug)]
pub(super) enum ReadError {
    /// It broke off.
    Broken(hyper::Error),
    /// The process holds too many long replies.
    NoRoom,
}

/// Whether a body went on behind what was read of it.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Rest {
    #[default]
    None,
    Some,
}

impl Default for ReplyBudget {
    fn default() -> ReplyBudget {
        ReplyBudget(AtomicUsize::new(MOST_IN_FLIGHT))
    }
}

impl Share {
    /// Grows to `bytes`; false when there is no room.
    fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let left = &self.budget.0;
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(more));
        if taken.is_ok() {
            self.bytes += more;
        }
        taken.is_ok()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// Reads a body up to a length. One frame is handed on as it came.
pub(super) async fn read(
    mut body: Incoming,
    lease: &Lease,
    most: usize,
    budget: &Arc<ReplyBudget>,
) -> Result<(Bytes, Rest), ReadError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(most);
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    let mut share = None;
    let mut rest = Rest::None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(ReadError::Broken)?.into_data() else { continue };
        lease.delivered();
        if first.is_empty() && more.is_empty() {
            first = data;
        } else {
            if more.is_empty() {
                more.reserve(announced.min(most).max(first.len() + data.len()));
                more.extend_from_slice(&first);
            }
            if more.len() + data.len() > UNCOUNTED {
                let share = share.get_or_insert_with(|| Share { budget: budget.clone(), bytes: 0 });
                if !share.grow_to(more.len() + data.len()) {
                    return Err(ReadError::NoRoom);
                }
            }
            more.extend_from_slice(&data);
        }
        if first.len().max(more.len()) > most {
            rest = Rest::Some;
            break;
        }
    }
    let body = if more.is_empty() { first } else { more.freeze() };
    let body = match share {
        Some(share) => Bytes::from_owner(Counted { body, _share: share }),
        None => body,
    };
    Ok((body, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_bounded_together_and_given_back() {
        let budget = Arc::new(ReplyBudget(AtomicUsize::new(100)));
        let share = || Share { budget: budget.clone(), bytes: 0 };
        let (mut one, mut other) = (share(), share());
        assert!(one.grow_to(60) && one.grow_to(70) && other.grow_to(30));
        assert!(!other.grow_to(31));
        let body = Bytes::from_owner(Counted { body: Bytes::from_static(b"reply"), _share: one });
        let slice = body.slice(1..3);
        drop(body);
        assert!(!other.grow_to(31), "a slice is still held");
        drop(slice);
        assert!(other.grow_to(100));
    }
}
