//! Frames do not depend on how the stream was cut, and no byte is lost or moved.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use bytes::Bytes;
use proptest::prelude::*;
use tagrail_providers::{SseFrame, SseFramer};

/// Pieces of event streams, well formed and not.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec!["\n", "\r", "\r\n", "\n\n", "\r\n\r\n"]).prop_map(str::to_owned),
        3 => prop::sample::select(vec![
            "data: {\"a\":1}", "data:x", "data", "data: ", "event: delta", "event", ": ping", "id: 7", ":",
            "\u{feff}", "data: [DONE]", "retry: 10",
        ]).prop_map(str::to_owned),
        1 => "[a-zé: ]{0,12}",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

/// Feeds the stream in these pieces; complete frames, and what is left at the end.
fn frames(pieces: &[&[u8]]) -> (Vec<SseFrame>, Option<SseFrame>) {
    let mut framer = SseFramer::default();
    let mut frames = Vec::new();
    for piece in pieces {
        framer.push(Bytes::copy_from_slice(piece), &mut frames).unwrap();
    }
    let rest = framer.end();
    match rest {
        Some(frame) if frame.is_complete() => {
            frames.push(frame);
            (frames, None)
        }
        rest => (frames, rest),
    }
}

/// The stream cut at these places.
fn cut<'a>(stream: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places.iter().map(|place| place.index(stream.len() + 1)).collect();
    places.extend([0, stream.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect()
}

/// The standard read literally: lines first, then fields, one event at each blank line. For each
/// event its data and its name.
fn events(stream: &[u8]) -> Vec<(Option<String>, Option<String>)> {
    let text = std::str::from_utf8(stream).unwrap();
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let (mut data, mut name): (Vec<&str>, Option<&str>) = (Vec::new(), None);
    let mut lines: Vec<_> = text.split('\n').collect();
    lines.pop();
    for line in lines {
        if line.is_empty() {
            let data = std::mem::take(&mut data);
            events.push(((!data.is_empty()).then(|| data.join("\n")), name.take().map(str::to_owned)));
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        match field {
            "data" => data.push(value.strip_prefix(' ').unwrap_or(value)),
            "event" => name = Some(value.strip_prefix(' ').unwrap_or(value)),
            _ => {}
        }
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn cuts_make_no_difference(stream in stream(), places in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let whole = frames(&[&stream]);
        prop_assert_eq!(&frames(&cut(&stream, &places)), &whole);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(&frames(&bytes), &whole);
    }

    #[test]
    fn all_bytes_come_out_in_their_order(stream in stream()) {
        let (frames, rest) = frames(&[&stream]);
        let bytes: Vec<u8> = frames.iter().chain(&rest).flat_map(|frame| frame.bytes().to_vec()).collect();
        prop_assert_eq!(bytes, stream);
    }

    #[test]
    fn frames_say_what_the_standard_reads(stream in stream()) {
        // A byte order mark counts at the beginning of the stream only, and is not what this is about.
        prop_assume!(!stream.windows(3).any(|bytes| bytes == "\u{feff}".as_bytes()));
        let (frames, _) = frames(&[&stream]);
        let read: Vec<_> = frames
            .iter()
            .map(|frame| {
                let data = frame.data().map(|data| String::from_utf8(data.into_owned()).unwrap());
                if let Some(span) = frame.data_span() {
                    assert_eq!(data.as_deref().map(str::as_bytes), Some(&frame.bytes()[span]));
                }
                (data, frame.event().map(str::to_owned))
            })
            .collect();
        prop_assert_eq!(read, events(&stream));
    }
}
