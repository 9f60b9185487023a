//! Amounts in JSON: a number of dollars. Numbers are read, and texts that hold one, as LiteLLM does.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::Money;

impl Serialize for Money {
    /// [`Money::dollars`], which every reader of JSON makes of the number in any case.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.dollars())
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
        deserializer.deserialize_any(Dollars)
    }
}

struct Dollars;

impl Visitor<'_> for Dollars {
    type Value = Money;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a finite number of dollars")
    }

    fn visit_f64<E: Error>(self, dollars: f64) -> Result<Money, E> {
        Money::from_dollars(dollars).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, dollars: u64) -> Result<Money, E> {
        Ok(Money::from_picos(i64::try_from(dollars).unwrap_or(i64::MAX).saturating_mul(crate::PICOS)))
    }

    fn visit_i64<E: Error>(self, dollars: i64) -> Result<Money, E> {
        Ok(Money::from_picos(dollars.saturating_mul(crate::PICOS)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Money, E> {
        text.parse().map_err(E::custom)
    }
}

/// For what is stored: `#[serde(with = "tagrail_money::exact")]` writes an amount that no floating-point
/// number stands for as text.
pub mod exact {
    use super::{Deserialize as _, Deserializer, Money, Serialize, Serializer};

    /// Writes an amount so that it reads back as the same amount.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(amount: &Money, serializer: S) -> Result<S::Ok, S::Error> {
        match Money::from_dollars(amount.dollars()) {
            Ok(same) if same == *amount => amount.serialize(serializer),
            _ => serializer.collect_str(amount),
        }
    }

    /// Reads what [`serialize`] has written.
    ///
    /// # Errors
    /// It is no amount, or the deserializer's.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
        Money::deserialize(deserializer)
    }

    /// The same for an amount that may be absent.
    pub mod option {
        use super::{Deserializer, Money, Serialize, Serializer};
        use serde::Deserialize as _;

        struct Exact<'a>(&'a Money);

        impl Serialize for Exact<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                super::serialize(self.0, serializer)
            }
        }

        /// As [`super::serialize`].
        ///
        /// # Errors
        /// The serializer's.
        pub fn serialize<S: Serializer>(amount: &Option<Money>, serializer: S) -> Result<S::Ok, S::Error> {
            amount.as_ref().map(Exact).serialize(serializer)
        }

        /// As [`super::deserialize`].
        ///
        /// # Errors
        /// It is no amount, or the deserializer's.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Money>, D::Error> {
            Option::<Money>::deserialize(deserializer)
        }
    }
}
