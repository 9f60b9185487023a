//! Floats as Python prints them: clients of LiteLLM parse, and sometimes compare, these texts.

use std::fmt::Write;
use std::time::Duration;

/// `repr(float)`: shortest digits that read back the same; exponent form below 1e-4 and from 1e16.
pub(crate) fn python_float(into: &mut String, value: f64) {
    if !value.is_finite() {
        into.push_str(if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        });
        return;
    }
    let start = into.len();
    if value != 0.0 && !(1e-4..1e16).contains(&value.abs()) {
        // Writing into a String does not fail.
        let _ = write!(into, "{value:e}");
        let Some(at) = into[start..].find('e').map(|at| start + at) else { return };
        let (sign, digits) = match into[at + 1..].strip_prefix('-') {
            Some(digits) => ('-', digits.to_owned()),
            None => ('+', into[at + 1..].to_owned()),
        };
        into.truncate(at + 1);
        let _ = write!(into, "{sign}{digits:0>2}");
    } else {
        let _ = write!(into, "{value}");
        if !into[start..].contains('.') {
            into.push_str(".0");
        }
    }
}

/// Milliseconds with up to three decimals: `328.536`, `7.0`. Every answer has two of them, so the
/// digits are not left to `write!`.
pub(crate) fn milliseconds(into: &mut String, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let mut whole = [0; 20];
    let mut at = whole.len();
    let mut left = micros / 1000;
    while left > 0 || at == whole.len() {
        at -= 1;
        whole[at] = left % 10;
        left /= 10;
    }
    whole[at..].iter().for_each(|digit| into.push(figure(*digit)));
    into.push('.');
    let rest = micros % 1000;
    for place in [100, 10, 1] {
        into.push(figure(rest / place % 10));
        if rest % place == 0 {
            break;
        }
    }
}

fn figure(digit: u64) -> char {
    char::from(b'0' + digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(value: f64) -> String {
        let mut text = String::new();
        python_float(&mut text, value);
        text
    }

    #[test]
    fn floats_look_as_python_prints_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (1.5e-5, "1.5e-05"),
            (4.9999999999999996e-6, "4.9999999999999996e-06"),
            (0.0001, "0.0001"),
            (0.00015, "0.00015"),
            (9e-6, "9e-06"),
            (1.0, "1.0"),
            (6000.0, "6000.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e-110, "1.25e-110"),
            (-2e-5, "-2e-05"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn durations_are_milliseconds_without_trailing_zeros() {
        for (micros, text) in [
            (328_536, "328.536"),
            (7_000, "7.0"),
            (7_500, "7.5"),
            (7_050, "7.05"),
            (7_005, "7.005"),
            (0, "0.0"),
        ] {
            let mut seen = String::new();
            milliseconds(&mut seen, Duration::from_micros(micros));
            assert_eq!(seen, text);
        }
    }
}
