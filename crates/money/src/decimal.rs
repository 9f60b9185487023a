//! From decimal text and floating-point numbers to whole counts.
//!
//! A floating-point number stands for the shortest decimal text that reads back as it, which is what was
//! written in a configuration, a price table or a request.

use std::fmt;
use std::str::FromStr;

use crate::{Money, clamp, half_even};

/// Digits after the point of an amount.
const PICO_DIGITS: u32 = 12;
/// Digits after the point of a price.
const ATTO_DIGITS: u32 = 18;

/// Whole numbers up to this one have at most 15 digits, and no two such decimals are the same
/// floating-point number.
const UNIQUE: f64 = 1e15;

/// More than any amount has, little enough to be added up as an `i128`.
const MOST: i128 = i128::MAX / 4;

/// Text or a number that is no amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotMoney;

impl fmt::Display for NotMoney {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a finite number of dollars")
    }
}

impl std::error::Error for NotMoney {}

impl FromStr for Money {
    type Err = NotMoney;

    /// Reads a decimal number of dollars, with an exponent or without. Rounded and brought into the range as by
    /// [`Money::from_dollars`].
    fn from_str(text: &str) -> Result<Money, NotMoney> {
        parse(text.trim(), PICO_DIGITS).map(|picos| Money::from_picos(clamp(picos))).ok_or(NotMoney)
    }
}

/// Pico-dollars.
pub(crate) fn picos_of(dollars: f64) -> Result<i64, NotMoney> {
    if !dollars.is_finite() {
        return Err(NotMoney);
    }
    let count = whole(dollars, 1e12).or_else(|| parse(&dollars.to_string(), PICO_DIGITS)).ok_or(NotMoney)?;
    Ok(clamp(count))
}

/// Atto-dollars; zero of what is negative or NaN.
pub(crate) fn attos_of(dollars: f64) -> i128 {
    if dollars.is_nan() || dollars <= 0.0 {
        return 0;
    }
    if dollars.is_infinite() {
        return MOST;
    }
    let short = whole(dollars, 1e12).map(|picos| picos * crate::ATTOS_PER_PICO);
    let attos = short.or_else(|| whole(dollars, 1e18)).or_else(|| parse(&dollars.to_string(), ATTO_DIGITS));
    attos.unwrap_or(0)
}

/// The number as a count of these parts of a dollar, where it is exactly that and no text is needed to know. The quotient of
/// two whole numbers that a float holds is the float closest to that decimal.
fn whole(dollars: f64, parts: f64) -> Option<i128> {
    let count = (dollars * parts).round();
    (count.abs() <= UNIQUE && count / parts == dollars).then_some(count as i128)
}

/// A decimal number times ten to the power of `scale`, rounded half to even. `None` for what is no number.
fn parse(text: &str, scale: u32) -> Option<i128> {
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
    let all = || before.bytes().chain(after.bytes());
    if before.len() + after.len() == 0 || !all().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // The place of the point after scaling, counted from the first digit.
    let point = i64::try_from(before.len()).ok()?.saturating_add(exponent).saturating_add(i64::from(scale));
    let count = count(all().map(|byte| i128::from(byte - b'0')), point);
    Some(if negative { -count } else { count })
}

/// An exponent; one that no number of digits can make up for is cut short.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let far = if text.starts_with('-') { i64::MIN / 4 } else { i64::MAX / 4 };
    Some(text.parse::<i64>().map_or(far, |exponent| exponent.clamp(i64::MIN / 4, i64::MAX / 4)))
}

/// The digits up to the point as a number, rounded by those after it.
fn count(digits: impl Iterator<Item = i128>, point: i64) -> i128 {
    let mut digits = digits.peekable();
    let mut count: i128 = 0;
    let mut place = 0;
    while place < point {
        let Some(digit) = digits.next() else {
            // Zeros up to the point. Ten times nothing is nothing, however often.
            for _ in place..point {
                if count == 0 || count >= MOST {
                    break;
                }
                count = count.saturating_mul(10);
            }
            return count.min(MOST);
        };
        count = count.saturating_mul(10).saturating_add(digit).min(MOST);
        place += 1;
    }
    // A point before the first digit stands for zeros in between: less than half.
    if point < 0 {
        return 0;
    }
    let first = digits.next().unwrap_or(0);
    let more = digits.any(|digit| digit > 0);
    half_even(count.saturating_mul(100).saturating_add(first * 10 + i128::from(more)), 100).min(MOST)
}
