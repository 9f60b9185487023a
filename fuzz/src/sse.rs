//! Event streams: frames do not depend on the cuts, and hold every byte of the stream.

use bytes::Bytes;
use tagrail_providers::{SseFrame, SseFramer};

pub(crate) const DICTIONARY: &[&str] = &[
    "data: ",
    "data:",
    "event: ",
    "id: ",
    "retry: ",
    ": ping",
    "\n\n",
    "\r\n\r\n",
    "\r\r",
    "\n",
    "\r",
    "\r\n",
    "[DONE]",
    "\u{feff}",
    "{\"choices\":[]}",
];

/// The first byte says how the rest is cut.
pub(crate) fn run(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    let whole = frames(stream, stream.len().max(1));
    assert_eq!(frames(stream, usize::from(*cut) % 16 + 1), whole);
    let bytes: Vec<u8> = whole.iter().flat_map(|frame| frame.bytes().to_vec()).collect();
    assert_eq!(bytes, stream);
    for frame in &whole {
        let data = frame.data();
        frame.event();
        if let Some(span) = frame.data_span() {
            assert_eq!(data.as_deref(), frame.bytes().get(span));
        }
    }
}

fn frames(stream: &[u8], piece: usize) -> Vec<SseFrame> {
    let mut framer = SseFramer::default();
    let mut frames = Vec::new();
    for chunk in stream.chunks(piece) {
        let fits = framer.push(Bytes::copy_from_slice(chunk), &mut frames);
        assert!(fits.is_ok());
    }
    frames.extend(framer.end());
    frames
}
