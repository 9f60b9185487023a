//! The inner loop of the scanner: how far a string goes on without anything to look at.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The first byte at or behind `at` that is a quote, a backslash or a control character; the length
/// of `bytes` when there is none.
///
/// Short strings are settled word by word; long ones go on in blocks, whose test the compiler turns
/// into vector instructions of the baseline target.
#[inline]
pub(crate) fn plain_run(bytes: &[u8], mut at: usize) -> usize {
    for _ in 0..2 {
        match word(bytes, at) {
            Some(0) => at += 8,
            Some(marks) => return at + marks.trailing_zeros() as usize / 8,
            None => return tail(bytes, at),
        }
    }
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<64>) {
        if special_inside(block) {
            break;
        }
        at += 64;
    }
    while let Some(marks) = word(bytes, at) {
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    tail(bytes, at)
}

/// The high bit of each special byte among the next eight. Only the lowest mark is exact (a borrow
/// can set the ones above it), and only that one is used.
#[inline]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let word = u64::from_le_bytes(*bytes.get(at..)?.first_chunk::<8>()?);
    let quote = word ^ (LOW * u64::from(b'"'));
    let slash = word ^ (LOW * u64::from(b'\\'));
    let marks = quote.wrapping_sub(LOW) & !quote
        | slash.wrapping_sub(LOW) & !slash
        | word.wrapping_sub(LOW * 0x20) & !word;
    Some(marks & HIGH)
}

#[inline]
fn special_inside(block: &[u8; 64]) -> bool {
    block.iter().fold(0, |any, byte| any | u8::from(special(*byte))) != 0
}

#[inline]
fn special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

fn tail(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| special(*byte)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::plain_run;

    #[test]
    fn finds_the_first_special_byte_wherever_it_is() {
        for length in 0..120 {
            for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
                for place in 0..length {
                    // Neighbours that a borrow or a wrong comparison would take for special.
                    let mut bytes: Vec<u8> =
                        (0..length).map(|i| [0x20, 0x21, 0x23, 0x5b, 0xa2, 0xff][i % 6]).collect();
                    assert_eq!(plain_run(&bytes, 0), length);
                    bytes[place] = special;
                    if place + 3 < length {
                        bytes[place + 2] = b'"';
                    }
                    for from in 0..=place {
                        assert_eq!(plain_run(&bytes, from), place, "{length} {place} {from}");
                    }
                }
            }
        }
    }
}
