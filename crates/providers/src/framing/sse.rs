//! Server-sent events (the WHATWG HTML standard, "Interpreting an event stream"): frames out of
//! bytes, each with the bytes it came in, so that a stream can be forwarded untouched.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Cuts a stream at its blank lines. Line ends may be LF, CR LF or CR, also mixed.
///
/// A chunk that holds whole frames is sliced, not copied; only a frame that two chunks share is put
/// together in a buffer. How the stream was cut into chunks makes no difference to the frames.
#[derive(Debug)]
pub struct SseFramer {
    rest: BytesMut,
    limit: usize,
    /// Nothing stands in the current line yet.
    fresh: bool,
    /// The last byte was a CR, and an LF may follow that belongs to it.
    cr: bool,
}

/// One frame: an event, a comment, or both; the blank line that ends it included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseFrame {
    bytes: Bytes,
    complete: bool,
}

/// A frame that exceeds the limit. The stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseTooLong {
    /// The limit in bytes.
    pub limit: usize,
}

impl SseFramer {
    /// The default limit of one frame, in bytes: 16 MiB, which no provider's image comes near.
    pub const LIMIT: usize = 16 << 20;

    /// At the beginning of a stream; no frame may be longer than `limit` bytes.
    pub fn new(limit: usize) -> SseFramer {
        SseFramer { rest: BytesMut::new(), limit, fresh: true, cr: false }
    }

    /// Takes the next bytes and appends the frames that they complete.
    ///
    /// # Errors
    /// A frame, complete or not, is longer than the limit. The frames before it were appended.
    pub fn push(&mut self, mut chunk: Bytes, frames: &mut Vec<SseFrame>) -> Result<(), SseTooLong> {
        while let Some(end) = self.end_in(&chunk) {
            self.bound(end)?;
            let tail = chunk.split_to(end);
            let bytes = if self.rest.is_empty() {
                tail
            } else {
                self.rest.extend_from_slice(&tail);
                self.rest.split().freeze()
            };
            frames.push(SseFrame { bytes, complete: true });
        }
        self.bound(chunk.len())?;
        self.rest.extend_from_slice(&chunk);
        Ok(())
    }

    /// The stream has ended: what stands behind its last blank line. The standard drops it unless
    /// [`SseFrame::is_complete`] (a blank line that ends in CR needs the next byte, or the end).
    pub fn end(&mut self) -> Option<SseFrame> {
        let complete = self.cr && self.fresh;
        self.fresh = true;
        self.cr = false;
        let bytes = self.rest.split().freeze();
        (!bytes.is_empty()).then_some(SseFrame { bytes, complete })
    }

    fn bound(&self, more: usize) -> Result<(), SseTooLong> {
        if self.rest.len() + more > self.limit { Err(SseTooLong { limit: self.limit }) } else { Ok(()) }
    }

    /// Where in the chunk the current frame ends; when it does not, the chunk counts as read.
    fn end_in(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut at = 0;
        if self.cr {
            let next = chunk.first()?;
            self.cr = false;
            at = usize::from(*next == b'\n');
            if self.fresh {
                return Some(at);
            }
            self.fresh = true;
        }
        loop {
            let rest = chunk.get(at..).unwrap_or_default();
            let Some(length) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.fresh &= rest.is_empty();
                return None;
            };
            self.fresh &= length == 0;
            at += length + 1;
            if rest.get(length) == Some(&b'\r') {
                match chunk.get(at) {
                    None => {
                        self.cr = true;
                        return None;
                    }
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                }
            }
            if self.fresh {
                return Some(at);
            }
            self.fresh = true;
        }
    }
}

impl Default for SseFramer {
    fn default() -> SseFramer {
        SseFramer::new(SseFramer::LIMIT)
    }
}

impl SseFrame {
    /// The frame as it came, its blank line included.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether a blank line ends it.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The event's name: the last `event` field. `None` without one, or when it is no UTF-8.
    pub fn event(&self) -> Option<&str> {
        let name = self.fields().filter(|(name, _)| *name == b"event").last()?.1;
        std::str::from_utf8(self.bytes.get(name)?).ok()
    }

    /// The event's data: its `data` fields, joined by line feeds. `None` without any, as in comments
    /// and keep-alives.
    pub fn data(&self) -> Option<Cow<'_, [u8]>> {
        let mut fields = self.fields().filter(|(name, _)| *name == b"data").map(|(_, value)| value);
        let first = self.bytes.get(fields.next()?)?;
        let mut joined = Cow::Borrowed(first);
        for value in fields {
            let data = joined.to_mut();
            data.push(b'\n');
            data.extend_from_slice(self.bytes.get(value).unwrap_or_default());
        }
        Some(joined)
    }

    /// Where in [`SseFrame::bytes`] the data stands, when a single field holds all of it: the place
    /// to splice at.
    pub fn data_span(&self) -> Option<Range<usize>> {
        let mut fields = self.fields().filter(|(name, _)| *name == b"data").map(|(_, value)| value);
        let first = fields.next()?;
        fields.next().is_none().then_some(first)
    }

    /// Fields in their order: name, and where the value stands. Comments have an empty name.
    fn fields(&self) -> impl Iterator<Item = (&[u8], Range<usize>)> {
        let bytes: &[u8] = &self.bytes;
        let mut at = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        std::iter::from_fn(move || {
            while at < bytes.len() {
                let start = at;
                let rest = bytes.get(start..)?;
                let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                at = start + length + 1;
                let line = rest.get(..length)?;
                if line.is_empty() {
                    continue;
                }
                let colon = memchr::memchr(b':', line).unwrap_or(length);
                let space = usize::from(line.get(colon + 1) == Some(&b' '));
                let value = (colon + 1 + space).min(length);
                return Some((line.get(..colon)?, start + value..start + length));
            }
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{SseFrame, SseFramer, SseTooLong};

    fn frames(chunks: &[&[u8]]) -> (Vec<SseFrame>, Option<SseFrame>) {
        let mut framer = SseFramer::default();
        let mut frames = Vec::new();
        for chunk in chunks {
            framer.push(Bytes::copy_from_slice(chunk), &mut frames).unwrap();
        }
        (frames, framer.end())
    }

    fn bytes(frames: &[SseFrame]) -> Vec<&[u8]> {
        frames.iter().map(|frame| &frame.bytes()[..]).collect()
    }

    #[test]
    fn a_blank_line_ends_a_frame_in_every_spelling() {
        for (stream, expected) in [
            ("data: a\n\ndata: b\n\n", vec!["data: a\n\n", "data: b\n\n"]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", vec!["data: a\r\n\r\n", "data: b\r\n\r\n"]),
            ("data: a\r\rdata: b\r\n\n", vec!["data: a\r\r", "data: b\r\n\n"]),
            ("data: a\n\r\n\ndata: b\n\n", vec!["data: a\n\r\n", "\n", "data: b\n\n"]),
        ] {
            let (frames, rest) = frames(&[stream.as_bytes()]);
            assert_eq!(bytes(&frames), expected.iter().map(|frame| frame.as_bytes()).collect::<Vec<_>>());
            assert_eq!(rest, None);
        }
    }

    #[test]
    fn a_carriage_return_at_a_cut_waits_for_its_line_feed() {
        let (found, rest) = frames(&[b"data: a\r\n\r", b"\ndata: b\r", b"\n\r\n"]);
        assert_eq!(bytes(&found), [b"data: a\r\n\r\n", b"data: b\r\n\r\n"]);
        assert_eq!(rest, None);
        let (found, rest) = frames(&[b"data: a\r\r"]);
        assert!(found.is_empty());
        assert!(rest.is_some_and(|frame| frame.is_complete() && frame.data().as_deref() == Some(b"a")));
    }

    #[test]
    fn an_unfinished_frame_is_told_apart() {
        let (found, rest) = frames(&[b"data: a\n\ndata: [DO", b"NE]\n"]);
        assert_eq!(found.len(), 1);
        let rest = rest.unwrap();
        assert!(!rest.is_complete());
        assert_eq!(rest.data().as_deref(), Some(&b"[DONE]"[..]));
    }

    #[test]
    fn whole_frames_are_slices_of_their_chunk() {
        let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\ndata: c");
        let mut framer = SseFramer::default();
        let mut frames = Vec::new();
        framer.push(chunk.clone(), &mut frames).unwrap();
        assert_eq!(frames[0].bytes().as_ptr(), chunk.as_ptr());
        assert_eq!(frames[1].bytes().as_ptr(), chunk[9..].as_ptr());
    }

    #[test]
    fn fields_are_read_as_the_standard_has_it() {
        let (found, _) = frames(&[
            b"\xEF\xBB\xBF: hello\nevent: first\nevent:second\ndata: {\"a\":1}\nid: 7\n\n",
            b"data:  one\r\ndata\r\ndata:three\r\n\r\n",
            b": ping\n\n",
        ]);
        assert_eq!(found[0].event(), Some("second"));
        assert_eq!(found[0].data().as_deref(), Some(&b"{\"a\":1}"[..]));
        assert_eq!(&found[0].bytes()[found[0].data_span().unwrap()], b"{\"a\":1}");
        assert_eq!(found[1].data().as_deref(), Some(&b" one\n\nthree"[..]));
        assert_eq!((found[1].data_span(), found[1].event()), (None, None));
        assert_eq!((found[2].data(), found[2].event()), (None, None));
    }

    #[test]
    fn a_frame_that_never_ends_is_refused_before_it_fills_the_memory() {
        for chunks in
            [vec![&b"data: 0123456789"[..]], vec![b"data: 01234", b"5", b"6"], vec![b"data: 01234\n\n"]]
        {
            let mut framer = SseFramer::new(12);
            let mut frames = Vec::new();
            framer.push(Bytes::from_static(b"data: a\n\n"), &mut frames).unwrap();
            let outcome =
                chunks.into_iter().try_for_each(|chunk| framer.push(Bytes::from_static(chunk), &mut frames));
            assert_eq!(outcome, Err(SseTooLong { limit: 12 }));
            assert_eq!(frames.len(), 1);
        }
    }
}
