//! The most tokens that a provider may count for a prompt: what is reserved before a call.
//!
//! Every byte of the body counts, keys and brackets included: they stand for what a provider's template
//! adds to each message. Letters and blanks are half a token each, and every other byte (a digit, a sign, a
//! byte of a character outside ASCII) is a whole one, which no tokenizer that works on bytes exceeds. Encoded
//! data inside an image, a file or a recording counts as that; anywhere else it is text.

use std::borrow::Cow;

use super::string_end;

/// An image, in tokens: OpenAI's and Anthropic's most at the usual detail.
const IMAGE: u64 = 6_000;
/// An image at `detail: low`.
const SMALL_IMAGE: u64 = 3_000;
/// An image at `detail: original`, which no model scales down.
const ORIGINAL_IMAGE: u64 = 16_000;
/// A file, a recording or a video whose bytes are not in the request.
const REFERENCE: u64 = 100_000;
/// The least and the most that an encoded file counts for.
const FILE: (u64, u64) = (6_000, 200_000);
/// Base64 characters of a file, or of a recording, that may make one token.
const FILE_BYTES: u64 = 4;
const SOUND_BYTES: u64 = 16;
/// What a provider may add to every prompt, and to one with tools.
const ADDED: u64 = 16;
const ADDED_FOR_TOOLS: u64 = 1_024;

/// What a prompt may count for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Prompt {
    /// Tokens, in halves.
    halves: u64,
    pub(super) images: u64,
    /// There is a file, a recording or a video.
    pub(super) has_files: bool,
    has_tools: bool,
    /// The provider adds text of its own choice: search results, an earlier conversation.
    pub(super) grows: bool,
}

impl Prompt {
    /// Tokens at most, but for what the provider adds where the prompt grows.
    pub(super) fn tokens(&self) -> u64 {
        let added = if self.has_tools { ADDED + ADDED_FOR_TOOLS } else { ADDED };
        self.halves.div_ceil(2).saturating_add(added)
    }
}

/// What an object is, by its `type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Unknown,
    Image,
    File,
    Sound,
    Text,
}

/// An object or a list that is being read.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    is_object: bool,
    kind: Kind,
    /// The key that the next value belongs to: one of those that mean something.
    key: Key,
    /// What `detail` says of an image, in tokens.
    image: Option<u64>,
    /// Encoded data of which it is not known yet what it is: its halves as text, and its length.
    text: u64,
    encoded: u64,
    /// A list of token ids.
    ids: bool,
    /// `tools`, or one of them.
    tools: bool,
}

/// Keys that mean something here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    #[default]
    Other,
    Type,
    Detail,
    /// Holds encoded data in an image, a file or a recording.
    Data,
    /// Holds the object that the data is in.
    Source,
    /// Of the body itself.
    Ids,
    Tools,
    Grows,
}

/// Measures a validated document. Time grows with its length alone.
pub(super) fn measure(json: &[u8], per_image: Option<u64>) -> Prompt {
    let mut reader = Reader { json, prompt: Prompt::default(), open: Vec::with_capacity(16), per_image };
    reader.read();
    reader.prompt
}

struct Reader<'a> {
    json: &'a [u8],
    prompt: Prompt,
    open: Vec<Frame>,
    /// What the model counts for any image, where it has a count of its own.
    per_image: Option<u64>,
}

impl Reader<'_> {
    fn read(&mut self) {
        let mut at = 0;
        while let Some(&byte) = self.json.get(at) {
            match byte {
                b'"' => at = self.string(at + 1),
                b'{' | b'[' => {
                    self.prompt.halves += 1;
                    self.enter(byte == b'{');
                    at += 1;
                }
                b'}' | b']' => {
                    self.prompt.halves += 1;
                    self.leave();
                    at += 1;
                }
                b':' | b',' => {
                    self.prompt.halves += 1;
                    at += 1;
                }
                byte if byte.is_ascii_whitespace() => at += 1,
                _ => at = self.scalar(at),
            }
        }
    }

    fn enter(&mut self, is_object: bool) {
        let outer = self.open.last().copied().unwrap_or_default();
        let ids = !is_object && (outer.key == Key::Ids || outer.ids);
        let tools = outer.key == Key::Tools || outer.tools && !outer.is_object;
        if outer.key == Key::Tools {
            self.prompt.has_tools = true;
        }
        if outer.key == Key::Grows && self.open.len() == 1 {
            self.prompt.grows = true;
        }
        self.open.push(Frame { is_object, ids, tools, ..Frame::default() });
    }

    /// An object ends: encoded data in it is what the object is, or what the one around it turns out to be.
    fn leave(&mut self) {
        let Some(frame) = self.open.pop() else { return };
        match frame.kind {
            Kind::Image => {
                self.prompt.images += 1;
                let tokens = self.per_image.or(frame.image).unwrap_or(IMAGE);
                self.prompt.halves = self.prompt.halves.saturating_add(2 * tokens);
            }
            Kind::File | Kind::Sound => {
                let bytes = if frame.kind == Kind::File { FILE_BYTES } else { SOUND_BYTES };
                let tokens = match frame.encoded {
                    0 => REFERENCE,
                    encoded => (encoded / bytes).clamp(FILE.0, FILE.1),
                };
                self.prompt.has_files = true;
                self.prompt.halves = self.prompt.halves.saturating_add(2 * tokens);
            }
            Kind::Text => self.prompt.halves = self.prompt.halves.saturating_add(frame.text),
            Kind::Unknown => match self.open.last_mut() {
                Some(outer) if outer.is_object && matches!(outer.key, Key::Source | Key::Data) => {
                    outer.text += frame.text;
                    outer.encoded += frame.encoded;
                    outer.image = outer.image.or(frame.image);
                }
                _ => self.prompt.halves = self.prompt.halves.saturating_add(frame.text),
            },
        }
    }

    /// A number, or `true`, `false`, `null`.
    fn scalar(&mut self, start: usize) -> usize {
        let rest = &self.json[start..];
        let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
        let end = start + rest.iter().position(ends).unwrap_or(rest.len()).max(1);
        let is_id = self.open.last().is_some_and(|frame| frame.ids);
        self.prompt.halves += if is_id { 2 } else { halves(&self.json[start..end]) };
        end
    }

    /// A key or a text, from behind its opening quote; gives the place behind the closing one.
    fn string(&mut self, start: usize) -> usize {
        let end = string_end(self.json, start).min(self.json.len());
        let text = &self.json[start..end];
        let next = (end + 1).min(self.json.len());
        let is_key = self.open.last().is_some_and(|frame| frame.is_object)
            && self.json[next..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
        if is_key {
            self.prompt.halves += halves(text);
            let is_top = self.open.len() == 1;
            if let Some(frame) = self.open.last_mut() {
                frame.key = key(&plain(text), is_top);
            }
        } else {
            self.value(text);
        }
        next
    }

    fn value(&mut self, text: &[u8]) {
        let weight = halves(text);
        let is_top = self.open.len() == 1;
        let Some(frame) = self.open.last_mut() else { return };
        let key = if frame.is_object { frame.key } else { Key::Other };
        match key {
            Key::Data => {
                frame.text += weight;
                frame.encoded += text.len() as u64;
                return;
            }
            Key::Type => {
                let name = plain(text);
                frame.kind = match &*name {
                    b"image" | b"image_url" | b"input_image" => Kind::Image,
                    b"file" | b"input_file" | b"document" | b"video_url" | b"input_video" | b"video" => {
                        Kind::File
                    }
                    b"input_audio" | b"audio" | b"audio_url" => Kind::Sound,
                    b"text" => Kind::Text,
                    _ => frame.kind,
                };
                if frame.tools && runs_at_the_provider(&name) {
                    self.prompt.grows = true;
                }
            }
            Key::Detail => {
                frame.image = match &*plain(text) {
                    b"low" => Some(SMALL_IMAGE),
                    b"original" => Some(ORIGINAL_IMAGE),
                    _ => None,
                };
            }
            Key::Grows if is_top => self.prompt.grows = true,
            _ => {}
        }
        self.prompt.halves = self.prompt.halves.saturating_add(weight);
    }
}

/// Whether the provider runs such a tool itself, and reads what it finds.
fn runs_at_the_provider(name: &[u8]) -> bool {
    let starts: [&[u8]; 8] = [
        b"web_search",
        b"web_fetch",
        b"file_search",
        b"code_",
        b"mcp",
        b"tool_search",
        b"google_search",
        b"x_search",
    ];
    starts.iter().any(|start| name.starts_with(start))
}

fn key(name: &[u8], is_top: bool) -> Key {
    match name {
        b"type" => Key::Type,
        b"detail" => Key::Detail,
        b"data" | b"url" | b"file_data" | b"image_url" => Key::Data,
        b"source" | b"input_audio" | b"audio_url" | b"video_url" | b"file" => Key::Source,
        b"prompt" | b"input" if is_top => Key::Ids,
        b"tools" | b"functions" if is_top => Key::Tools,
        b"previous_response_id" | b"conversation" | b"mcp_servers" | b"web_search_options" if is_top => {
            Key::Grows
        }
        _ => Key::Other,
    }
}

/// A name as it is meant: it may be spelt with escapes.
fn plain(text: &[u8]) -> Cow<'_, [u8]> {
    /// No name that means something is longer, with an escape for each of its letters.
    const LONGEST: usize = 6 * 32;
    if text.len() > LONGEST || memchr::memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let quoted = [b"\"", text, b"\""].concat();
    serde_json::from_slice::<String>(&quoted)
        .map_or(Cow::Borrowed(text), |name| Cow::Owned(name.into_bytes()))
}

/// Half tokens of a text.
fn halves(text: &[u8]) -> u64 {
    let whole = |byte: &u8| !((byte | 0x20).wrapping_sub(b'a') < 26 || *byte == b' ');
    text.len() as u64 + text.iter().filter(|byte| whole(byte)).count() as u64
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn tokens(body: &Value) -> u64 {
        measure(body.to_string().as_bytes(), None).tokens()
    }

    fn message(content: &Value) -> Value {
        json!({"messages": [{"role": "user", "content": content}]})
    }

    #[test]
    fn letters_are_half_a_token_and_every_other_byte_is_a_whole_one() {
        let empty = tokens(&message(&json!("")));
        for (text, more) in
            [("abcdefgh", 4), ("12345", 5), ("a b c d ", 4), ("{}[]", 4), ("\u{4e2d}\u{6587}", 6)]
        {
            assert_eq!(tokens(&message(&json!(text))) - empty, more, "{text}");
        }
    }

    #[test]
    fn every_prompt_counts_in_every_shape() {
        let one = "four words of text";
        for field in ["prompt", "input"] {
            let of = |value: Value| tokens(&json!({ field: value }));
            assert!((9..40).contains(&(of(json!(one)) - ADDED)));
            assert!(of(json!(vec![one; 500])) >= 500 * 9);
            assert!((4..8).contains(&(of(json!([1, 22, 50_256, 7])) - of(json!([])))));
            let lists = of(json!(vec![vec![50_256; 10]; 500]));
            assert!((5_000..9_000).contains(&lists), "{lists}");
        }
    }

    #[test]
    fn images_count_as_images_wherever_their_bytes_are() {
        let data = "iVBORw0KGgo".repeat(100_000);
        let url = format!("data:image/png;base64,{data}");
        let empty = tokens(&message(&json!([])));
        for (part, expected) in [
            (json!({"type": "image_url", "image_url": {"url": url}}), IMAGE),
            (json!({"image_url": {"detail": "low", "url": url}, "type": "image_url"}), SMALL_IMAGE),
            (json!({"type": "input_image", "image_url": url, "detail": "original"}), ORIGINAL_IMAGE),
            (json!({"type": "input_image", "image_url": "https://x/y.png"}), IMAGE),
            (
                json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}),
                IMAGE,
            ),
            (json!({"source": {"data": data}, "type": "image"}), IMAGE),
        ] {
            let more = tokens(&message(&json!([part]))) - empty;
            assert!((expected..expected + 120).contains(&more), "{part:.60}: {more}");
        }
        let escaped = message(&json!([{"type": "image_url", "image_url": {"url": url}}])).to_string();
        let escaped = escaped.replace("\"type\":\"image_url\"", "\"t\\u0079pe\":\"im\\u0061ge_url\"");
        assert!((IMAGE..IMAGE + 200).contains(&measure(escaped.as_bytes(), None).tokens()));
    }

    #[test]
    fn text_that_looks_like_an_image_is_text() {
        let text = "iVBOR".repeat(100_000);
        for body in [
            message(&json!(text)),
            message(&json!([{"type": "text", "text": text}])),
            message(&json!([{"type": "tool_use", "input": {"data": text}}])),
            json!({ "prompt": text }),
            json!({"tools": [{"parameters": {"url": text}}]}),
        ] {
            assert!(tokens(&body) >= 250_000, "{:.80}", body.to_string());
        }
    }

    #[test]
    fn files_and_recordings_count_by_their_length_within_limits() {
        let of = |part: Value| tokens(&message(&json!([part]))) - tokens(&message(&json!([])));
        let file =
            |data: String| of(json!({"type": "file", "file": {"file_data": data, "filename": "a.pdf"}}));
        assert!((FILE.0..FILE.0 + 60).contains(&file("QUJD".repeat(10))));
        assert!((100_000..100_060).contains(&file("QUJD".repeat(100_000))));
        assert!((FILE.1..FILE.1 + 60).contains(&file("QUJD".repeat(1_000_000))));
        assert!(of(json!({"type": "input_file", "file_id": "file-1"})) >= REFERENCE);
        let sound = of(
            json!({"type": "input_audio", "input_audio": {"data": "QUJD".repeat(100_000), "format": "wav"}}),
        );
        assert!((25_000..25_060).contains(&sound), "{sound}");
    }

    #[test]
    fn what_the_provider_adds_by_itself_is_seen() {
        for body in [
            json!({"previous_response_id": "resp_1", "input": "hi"}),
            json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
            json!({"tools": [{"type": "function", "name": "f"}, {"type": "file_search"}]}),
            json!({"web_search_options": {}}),
        ] {
            assert!(measure(body.to_string().as_bytes(), None).grows, "{body}");
        }
        for body in [
            message(&json!("web_search")),
            json!({"tools": [{"type": "function", "function": {"parameters": {"type": "code_x"}}}]}),
            json!({"messages": [{"type": "web_search"}]}),
        ] {
            assert!(!measure(body.to_string().as_bytes(), None).grows, "{body}");
        }
        let with_tools = json!({"tools": [{"type": "function", "name": "f"}]});
        assert!(tokens(&with_tools) > ADDED_FOR_TOOLS);
    }
}
