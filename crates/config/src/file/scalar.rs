//! What a plain scalar means to PyYAML, which is YAML 1.1 with its own ideas of numbers. The users
//! of this file format have never seen another reading: `off` is a boolean, `010` is eight, `1e-7`
//! is text.

use crate::node::Value;

/// Reads a plain (unquoted, untagged) scalar. Dates stay text: PyYAML makes objects of them, which
/// LiteLLM then rejects where text such as an `api_version` was meant.
pub(crate) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => number(text).unwrap_or_else(|| Value::Text(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    let first = *text.as_bytes().first()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    integer(text).map(Value::Int).or_else(|| float(text).map(Value::Float))
}

/// Whole numbers: binary, octal with a leading zero, hexadecimal, decimal, with underscores.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if !digits.as_bytes().first()?.is_ascii_digit() {
        return None;
    }
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'b', ..] => (2, &digits[2..]),
        [b'0', b'x', ..] => (16, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    let digits: String = digits.chars().filter(|c| *c != '_').collect();
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from_str_radix(&digits, radix).ok()?;
    Some(if negative { -value } else { value })
}

/// Fractions need a point, and an exponent needs its sign.
fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    match unsigned {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" if unsigned == text => return Some(f64::NAN),
        _ => {}
    }
    let (whole, rest) = unsigned.split_once('.')?;
    let (fraction, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let whole_is_right = all_digits(whole) && !whole.starts_with('_');
    // Without a whole part, PyYAML wants a digit after the point and takes no sign in front.
    let starts_right = if whole.is_empty() {
        fraction.starts_with(|c: char| c.is_ascii_digit()) && unsigned == text
    } else {
        true
    };
    let exponent_is_right = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['+', '-'])
            .is_some_and(|e| !e.is_empty() && e.bytes().all(|b| b.is_ascii_digit()))
    });
    if !(whole_is_right && all_digits(fraction) && starts_right && exponent_is_right) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_mean_what_pyyaml_reads() {
        for (text, meant) in [
            ("off", Value::Bool(false)),
            ("Yes", Value::Bool(true)),
            ("y", Value::Text("y".into())),
            ("oN", Value::Text("oN".into())),
            ("~", Value::Null),
            ("", Value::Null),
            ("12", Value::Int(12)),
            ("-12", Value::Int(-12)),
            ("1_000", Value::Int(1000)),
            ("010", Value::Int(8)),
            ("089", Value::Text("089".into())),
            ("0o17", Value::Text("0o17".into())),
            ("0b101", Value::Int(5)),
            ("0x1F", Value::Int(31)),
            ("1e3", Value::Text("1e3".into())),
            ("1e-7", Value::Text("1e-7".into())),
            ("1.5e3", Value::Text("1.5e3".into())),
            ("1.5e-7", Value::Float(1.5e-7)),
            ("0.5", Value::Float(0.5)),
            (".5", Value::Float(0.5)),
            ("-.5", Value::Text("-.5".into())),
            ("5.", Value::Float(5.0)),
            (".", Value::Text(".".into())),
            ("1.2.3", Value::Text("1.2.3".into())),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
            ("2024-02-01", Value::Text("2024-02-01".into())),
            ("sk-1234", Value::Text("sk-1234".into())),
            ("0", Value::Int(0)),
            ("+", Value::Text("+".into())),
            ("0x", Value::Text("0x".into())),
        ] {
            assert_eq!(plain(text), meant, "{text}");
        }
    }
}
