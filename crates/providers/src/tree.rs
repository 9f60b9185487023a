//! What a JSON document takes as a tree, estimated before it is parsed into one.
//!
//! A tree of `serde_json` takes some 70 bytes for each value and some hundred more for each object, whatever
//! they say: `[0,0,0,…]` takes forty times its length. What clients send is parsed only within a bound.

use crate::estimate::string_end;
use crate::work;

/// Bytes for each value: its place in a list or an object that has just grown.
const VALUE: usize = 216;
/// More for each object: its table.
const OBJECT: usize = 330;
/// More for each member: its key.
const MEMBER: usize = 120;

/// About how many bytes the tree of a document takes besides the text of its strings, at most.
pub fn tree_bytes(json: &[u8]) -> usize {
    work::step(json.len());
    let (mut bytes, mut at) = (VALUE, 0);
    while let Some(byte) = json.get(at) {
        bytes += match byte {
            b'"' => {
                at = string_end(json, at + 1);
                0
            }
            b'{' => VALUE + OBJECT,
            b'[' | b',' => VALUE,
            b':' => MEMBER,
            _ => 0,
        };
        at += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_outside_of_strings_make_a_tree() {
        assert_eq!(tree_bytes(b"\"[{,:\\\"[\""), VALUE);
        assert_eq!(tree_bytes(b"[1, 2, 3]"), 4 * VALUE);
        assert_eq!(tree_bytes(br#"{"a": "x", "b": []}"#), 4 * VALUE + OBJECT + 2 * MEMBER);
        assert_eq!(tree_bytes(b"[\"broken"), 2 * VALUE);
    }
}
