//! Amounts of money, counted in whole pico-dollars, so that ten times 0.1 is 1 and sums do not depend on
//! the order in which they are added.
//!
//! [`Money`] is an amount, [`Rate`] the price of one token. Decimal text and floating-point numbers enter
//! through `decimal.rs`; `json.rs` says how amounts are written and read.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

mod decimal;
mod json;

pub use decimal::NotMoney;
pub use json::exact;

/// Pico-dollars in a dollar.
const PICOS: i64 = 1_000_000_000_000;

/// A [`Rate`] is counted in millionths of a pico-dollar.
const ATTOS_PER_PICO: i128 = 1_000_000;

/// An amount of US dollars as a whole number of pico-dollars (10⁻¹² US$).
///
/// The range is ±9,223,372.036854775807 dollars. Arithmetic saturates: a sum that would leave the range
/// stays at its end, so a budget that is spent stays spent.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(i64);

/// The price of one unit, usually a token, in 10⁻¹⁸ US dollars. Never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(i128);

impl Money {
    /// No money.
    pub const ZERO: Money = Money(0);
    /// The largest amount.
    pub const MAX: Money = Money(i64::MAX);
    /// The smallest positive amount.
    pub const PICO: Money = Money(1);

    /// From a count of pico-dollars.
    pub const fn from_picos(picos: i64) -> Money {
        Money(picos)
    }

    /// The count of pico-dollars.
    pub const fn picos(self) -> i64 {
        self.0
    }

    /// The amount whose decimal text the number has: 0.1 is exactly a tenth. Digits beyond the twelfth
    /// after the point are rounded half to even. An amount out of range becomes the end of the range.
    ///
    /// # Errors
    /// The number is NaN or infinite.
    pub fn from_dollars(dollars: f64) -> Result<Money, NotMoney> {
        decimal::picos_of(dollars).map(Money)
    }

    /// As [`Money::from_dollars`]; zero where the number is NaN, the end of the range where it is infinite.
    pub fn saturating_from_dollars(dollars: f64) -> Money {
        Money::from_dollars(dollars).unwrap_or(match dollars {
            _ if dollars.is_nan() => Money::ZERO,
            _ if dollars < 0.0 => Money(i64::MIN),
            _ => Money::MAX,
        })
    }

    /// The closest floating-point number of dollars. Up to 8,192 dollars it is printed with exactly the
    /// digits of the amount, and [`Money::from_dollars`] gives the amount back.
    pub fn dollars(self) -> f64 {
        self.0 as f64 / PICOS as f64
    }

    /// What these units cost together, rounded once, half to even.
    pub fn of(parts: impl IntoIterator<Item = (u64, Rate)>) -> Money {
        let attos = parts
            .into_iter()
            .fold(0_i128, |sum, (count, rate)| sum.saturating_add(rate.0.saturating_mul(i128::from(count))));
        Money(clamp(half_even(attos, ATTOS_PER_PICO)))
    }

    /// Whether it is more than nothing.
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// The sum, at most the end of the range.
    #[must_use]
    pub const fn saturating_add(self, other: Money) -> Money {
        Money(self.0.saturating_add(other.0))
    }

    /// The difference, at least the start of the range.
    #[must_use]
    pub const fn saturating_sub(self, other: Money) -> Money {
        Money(self.0.saturating_sub(other.0))
    }

    /// The sum, where it is in range.
    pub const fn checked_add(self, other: Money) -> Option<Money> {
        match self.0.checked_add(other.0) {
            Some(picos) => Some(Money(picos)),
            None => None,
        }
    }

    /// The difference, where it is in range.
    pub const fn checked_sub(self, other: Money) -> Option<Money> {
        match self.0.checked_sub(other.0) {
            Some(picos) => Some(Money(picos)),
            None => None,
        }
    }

    /// The difference, and nothing where the other amount is larger.
    #[must_use]
    pub fn less(self, other: Money) -> Money {
        self.saturating_sub(other).max(Money::ZERO)
    }
}

impl Rate {
    /// The price whose decimal text the number has. Zero where the number is negative or NaN: nothing
    /// earns money by being used.
    pub fn from_dollars(dollars: f64) -> Rate {
        Rate(decimal::attos_of(dollars))
    }

    /// Whether a unit costs anything.
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }
}

impl Add for Money {
    type Output = Money;

    fn add(self, other: Money) -> Money {
        self.saturating_add(other)
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Money) {
        *self = self.saturating_add(other);
    }
}

impl Sub for Money {
    type Output = Money;

    fn sub(self, other: Money) -> Money {
        self.saturating_sub(other)
    }
}

impl SubAssign for Money {
    fn sub_assign(&mut self, other: Money) {
        *self = self.saturating_sub(other);
    }
}

impl Sum for Money {
    /// Added up without a limit, and brought into the range at the end: the order does not matter.
    fn sum<I: Iterator<Item = Money>>(amounts: I) -> Money {
        Money(clamp(amounts.map(|amount| i128::from(amount.0)).sum()))
    }
}

impl fmt::Display for Money {
    /// Dollars as a plain decimal number, without trailing zeros: `0.1`, `12`, `0.000000000001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0.unsigned_abs() / PICOS as u64, self.0.unsigned_abs() % PICOS as u64);
        let mut text = whole.to_string();
        if part > 0 {
            text.push_str(format!(".{part:012}").trim_end_matches('0'));
        }
        f.pad_integral(self.0 >= 0, "", &text)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${self}")
    }
}

/// Brings a count into the range.
fn clamp(picos: i128) -> i64 {
    i64::try_from(picos).unwrap_or(if picos < 0 { i64::MIN } else { i64::MAX })
}

/// Divides by a positive number, to the closest whole number, half to the even one.
fn half_even(count: i128, by: i128) -> i128 {
    let (quotient, rest) = (count.div_euclid(by), count.rem_euclid(by));
    let half = by - rest;
    if rest > half || (rest == half && quotient % 2 != 0) { quotient + 1 } else { quotient }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
