//! Lists as LiteLLM's texts show them.

use std::fmt::Write;

/// A list of strings as Python prints it.
pub fn python_list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::from("[");
    for (position, item) in items.enumerate() {
        if position > 0 {
            text.push_str(", ");
        }
        let quote = if item.contains('\'') && !item.contains('"') { '"' } else { '\'' };
        text.push(quote);
        for character in item.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                control if u32::from(control) < 0x20 || u32::from(control) == 0x7f => {
                    let _ = write!(text, "\\x{:02x}", u32::from(control));
                }
                same if same == quote => {
                    text.push('\\');
                    text.push(same);
                }
                other => text.push(other),
            }
        }
        text.push(quote);
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_look_as_python_prints_them() {
        assert_eq!(python_list(["!default", "a"].into_iter()), "['!default', 'a']");
        assert_eq!(python_list([].into_iter()), "[]");
        assert_eq!(python_list(["it's"].into_iter()), "[\"it's\"]");
        assert_eq!(python_list(["it's \"so\""].into_iter()), r#"['it\'s "so"']"#);
        assert_eq!(python_list(["a\\b\nc\u{1}"].into_iter()), r"['a\\b\nc\x01']");
        assert_eq!(python_list(["ü"].into_iter()), "['ü']");
    }
}
