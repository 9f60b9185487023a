//! One line: the CRC-32 of the rest in eight hex digits, a space, JSON, an end of line. JSON holds no
//! raw line end, so that whatever is damaged ends at the next one.

use serde::Serialize;

/// Digits and the space.
const LEAD: usize = 9;

/// Writes a value as a line over what `line` held.
pub(crate) fn encode(value: &impl Serialize, line: &mut Vec<u8>) {
    line.clear();
    line.extend_from_slice(b"00000000 ");
    // A Vec takes everything, and rows are plain structs.
    if serde_json::to_writer(&mut *line, value).is_err() {
        line.truncate(LEAD);
    }
    finish(line);
}

/// The same for a payload that is bytes already.
pub(crate) fn encode_bytes(payload: &[u8]) -> Vec<u8> {
    let mut line = b"00000000 ".to_vec();
    line.extend_from_slice(payload);
    finish(&mut line);
    line
}

fn finish(line: &mut Vec<u8>) {
    let (lead, payload) = line.split_at_mut(LEAD);
    let crc = crc32fast::hash(payload);
    for (at, digit) in lead.iter_mut().take(8).enumerate() {
        let nibble = (crc >> (28 - 4 * at)) as u8 & 15;
        *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    }
    line.push(b'\n');
}

/// What a line without its end holds; `None` when it is not as it was written.
pub(crate) fn decode(line: &[u8]) -> Option<&[u8]> {
    let (lead, payload) = line.split_at_checked(LEAD)?;
    let digits = lead.strip_suffix(b" ")?;
    if !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let crc = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (crc == crc32fast::hash(payload)).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written_and_not_at_all_when_it_was_changed() {
        let mut line = Vec::new();
        encode(&serde_json::json!({"a": "x\ny"}), &mut line);
        let whole = line.strip_suffix(b"\n").unwrap();
        assert_eq!(decode(whole), Some(&br#"{"a":"x\ny"}"#[..]));
        for at in 0..whole.len() {
            let mut changed = whole.to_vec();
            changed[at] ^= 0x20;
            assert_eq!(decode(&changed), None, "{}", String::from_utf8_lossy(&changed));
            assert_eq!(decode(&whole[..at]), None);
        }
    }
}
