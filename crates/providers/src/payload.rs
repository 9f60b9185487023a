//! Encoded images and documents of a request that is translated: they are taken out before it is parsed and
//! put back as slices of the original into what was written. Most of a long request is such content, and a
//! translation only moves it.

use bytes::Bytes;
use memchr::memmem;

use crate::UpstreamError;
use crate::estimate::string_end;
use crate::work;

/// Shorter content stays where it is.
const SHORTEST: usize = 8 * 1024;
/// The head of a `data:` URL is not longer.
const LONGEST_HEAD: usize = 256;
/// What stands for content that was taken out, with its number in six digits. Letters and digits alone, so
/// that no dialect spells it otherwise.
const MARK: &str = "TagrailPayload";
/// The length of a mark with its number.
const MARKED: usize = MARK.len() + 6;
/// More of them than any provider takes.
const MOST: usize = 10_000;

/// The longest request that is translated, in bytes, not counting encoded content.
pub(crate) const MAX_TRANSLATED: usize = 8 * 1024 * 1024;

/// What was taken out, in its order.
pub(crate) struct Payloads(Vec<Bytes>);

/// Takes encoded content out of a document that comes in pieces, none of which ends inside of a string.
///
/// # Errors
/// 413: what is left is too long to be translated.
pub(crate) fn take_out(pieces: &[Bytes]) -> Result<(Vec<u8>, Payloads), UpstreamError> {
    let mut found: Vec<(usize, usize, usize)> = Vec::new();
    // Who writes marks of their own has to do without.
    if !pieces.iter().any(|piece| memmem::find(piece, MARK.as_bytes()).is_some()) {
        for (number, piece) in pieces.iter().enumerate() {
            work::step(2 * piece.len());
            contents(piece, |from, to| found.push((number, from, to)));
        }
        found.truncate(MOST);
    }
    let total: usize = pieces.iter().map(Bytes::len).sum();
    let out: usize = found.iter().map(|(_, from, to)| to - from).sum();
    let left = total - out + found.len() * MARKED;
    if left > MAX_TRANSLATED {
        return Err(UpstreamError::too_large(format!(
            "the request is too long to be translated for this provider: {left} bytes without encoded images and \
             documents, and the limit is {MAX_TRANSLATED} (fixed)"
        )));
    }
    work::step(left);
    let (mut text, mut payloads) = (Vec::with_capacity(left), Vec::with_capacity(found.len()));
    let mut found = found.into_iter().peekable();
    for (number, piece) in pieces.iter().enumerate() {
        let mut at = 0;
        while let Some((_, from, to)) = found.next_if(|(of, ..)| *of == number) {
            text.extend_from_slice(&piece[at..from]);
            text.extend_from_slice(format!("{MARK}{:06}", payloads.len()).as_bytes());
            payloads.push(piece.slice(from..to));
            at = to;
        }
        text.extend_from_slice(&piece[at..]);
    }
    Ok((text, Payloads(payloads)))
}

impl Payloads {
    /// Puts the content back into what was written.
    ///
    /// # Errors
    /// A mark is there that was not made here (400).
    pub(crate) fn put_back(mut self, text: Vec<u8>) -> Result<Vec<Bytes>, UpstreamError> {
        let text = Bytes::from(text);
        if self.0.is_empty() {
            return Ok(vec![text]);
        }
        work::step(text.len());
        let (mut pieces, mut before) = (Vec::with_capacity(2 * self.0.len() + 1), 0);
        for at in memmem::find_iter(&text, MARK) {
            let digits = text.get(at + MARK.len()..at + MARKED).unwrap_or_default();
            let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
            // Each stands there once: content that came twice could make a request of any length.
            let content = number.and_then(|number| self.0.get_mut(number)).map(std::mem::take);
            let Some(content) = content.filter(|content| !content.is_empty()) else {
                let message = format!("the request holds the text {MARK}, which cannot be translated");
                return Err(UpstreamError::unsayable("request_body", message));
            };
            pieces.extend([text.slice(before..at), content]);
            before = at + MARKED;
        }
        pieces.push(text.slice(before..));
        Ok(pieces)
    }
}

/// Finds encoded content in the strings of a piece.
fn contents(piece: &[u8], mut found: impl FnMut(usize, usize)) {
    let mut at = 0;
    while let Some(quote) = memchr::memchr(b'"', &piece[at..]) {
        let start = at + quote + 1;
        let end = string_end(piece, start).min(piece.len());
        if end - start >= SHORTEST {
            let from = start + head(&piece[start..end]);
            if end - from >= SHORTEST && is_encoded(&piece[from..end]) {
                found(from, end);
            }
        }
        at = (end + 1).min(piece.len());
    }
}

/// How long the head of a `data:` URL is whose content stays as it is; 0 for other texts.
fn head(text: &[u8]) -> usize {
    if !text.starts_with(b"data:") || text.starts_with(b"data:text/") {
        return 0;
    }
    let head = &text[..text.len().min(LONGEST_HEAD)];
    match memchr::memchr(b',', head) {
        Some(comma) if head[..comma].ends_with(b";base64") => comma + 1,
        _ => 0,
    }
}

fn is_encoded(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(letter: &str) -> String {
        letter.repeat(SHORTEST)
    }

    fn taken(pieces: &[&str]) -> (String, Payloads) {
        let pieces: Vec<_> = pieces.iter().map(|piece| Bytes::copy_from_slice(piece.as_bytes())).collect();
        let (text, payloads) = take_out(&pieces).unwrap();
        (String::from_utf8(text).unwrap(), payloads)
    }

    #[test]
    fn content_is_taken_out_and_put_back_wherever_it_moved() {
        let (one, two) = (image("A"), image("B"));
        let (url, bare) = (format!("[\"data:image/png;base64,{one}\","), format!("\"{two}\",\"short\"]"));
        let (text, payloads) = taken(&[&url, &bare]);
        let (first, second) = (format!("{MARK}000000"), format!("{MARK}000001"));
        assert_eq!(text, format!("[\"data:image/png;base64,{first}\",\"{second}\",\"short\"]"));
        let pieces = payloads.put_back(format!("<{second}><{first}>").into_bytes()).unwrap();
        assert_eq!(pieces.concat(), format!("<{two}><{one}>").into_bytes());
    }

    #[test]
    fn texts_stay() {
        let prose = "word ".repeat(SHORTEST);
        let encoded = image("A");
        for text in [
            prose.clone(),
            format!("data:text/plain;base64,{encoded}"),
            format!("data:image/png,{encoded}"),
            format!("{encoded}\\n"),
        ] {
            let text = format!("\"{text}\"");
            assert_eq!(taken(&[&text]).0, text);
        }
    }

    #[test]
    fn marks_of_others_bring_nothing() {
        let written = format!("[\"{MARK}000000\",\"{}\"]", image("A"));
        assert_eq!(taken(&[&written]).0, written);
        for spelt in [format!("{MARK}000000{MARK}000000"), format!("{MARK}000001"), format!("{MARK}é")] {
            let (_, payloads) = taken(&[&format!("\"{}\"", image("A"))]);
            assert_eq!(payloads.put_back(spelt.into_bytes()).unwrap_err().status, 400);
        }
    }

    #[test]
    fn what_is_left_is_bounded() {
        let long = Bytes::from(format!("\"{}\"", "a ".repeat(MAX_TRANSLATED / 2)));
        let error = take_out(&[long]).err().unwrap();
        assert_eq!(error.status, 413);
        let content = Bytes::from(format!("\"{}\"", "a".repeat(2 * MAX_TRANSLATED)));
        assert_eq!(take_out(&[content]).unwrap().0.len(), MARKED + 2);
    }
}
