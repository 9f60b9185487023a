//! Names as header values: what fits no header is percent-encoded (row D33).

use bytes::Bytes;
use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What cannot stand in a header value as it is, and the sign that says so.
const UNFIT: &AsciiSet = &CONTROLS.add(b'%');

/// The same, of a name whose spaces would be trimmed.
const UNFIT_OR_SPACE: &AsciiSet = &UNFIT.add(b' ');

/// A name as a header value: as it is, in Latin-1 like LiteLLM's, where that is possible; else
/// percent-encoded (row D33).
pub fn header_text(name: &str) -> HeaderValue {
    let trimmed = name.starts_with(' ') || name.ends_with(' ');
    let latin = |character: char| matches!(character, ' '..='~' | '\u{a0}'..='\u{ff}');
    let text = if trimmed || !name.chars().all(latin) {
        Bytes::from(utf8_percent_encode(name, if trimmed { UNFIT_OR_SPACE } else { UNFIT }).to_string())
    } else if name.is_ascii() {
        Bytes::copy_from_slice(name.as_bytes())
    } else {
        name.chars().map(|character| character as u8).collect()
    };
    HeaderValue::from_maybe_shared(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit_no_header_are_percent_encoded() {
        assert_eq!(header_text("openai/gpt-4o"), "openai/gpt-4o");
        assert_eq!(header_text("fo::hi there"), "fo::hi there");
        assert_eq!(header_text("a\r\nb"), "a%0D%0Ab");
        assert_eq!(header_text("größe").as_bytes(), b"gr\xF6\xDFe");
        assert_eq!(header_text("łódź 50%"), "%C5%82%C3%B3d%C5%BA 50%25");
        assert_eq!(header_text("50%"), "50%");
        assert_eq!(header_text(" a"), "%20a");
    }
}
