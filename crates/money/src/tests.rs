use proptest::prelude::*;

use super::*;

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

#[test]
fn ten_times_a_tenth_is_one() {
    let tenth = Money::from_dollars(0.1).unwrap();
    assert_eq!(tenth, Money::from_picos(100_000_000_000));
    assert_eq!((0..10).map(|_| tenth).sum::<Money>(), money("1"));
    assert_eq!((0..10).fold(Money::ZERO, |sum, _| sum + tenth), money("1"));
}

#[test]
fn decimal_text_is_read_exactly() {
    for (text, picos) in [
        ("0", 0),
        ("-0", 0),
        ("1", PICOS),
        (" 1.5 ", PICOS + PICOS / 2),
        ("+2e0", 2 * PICOS),
        ("1e-12", 1),
        ("1E+3", 1000 * PICOS),
        (".5", PICOS / 2),
        ("5.", 5 * PICOS),
        ("-0.3", -3 * PICOS / 10),
        ("0.1234567890125", 123_456_789_012),
        ("0.1234567890135", 123_456_789_014),
        ("0.12345678901250001", 123_456_789_013),
        ("4e-13", 0),
        ("5e-13", 0),
        ("6e-13", 1),
        ("15e-13", 2),
        ("9e-14", 0),
        ("1e-999999999999999999999", 0),
        ("0e999999999999999999999", 0),
        ("9223372.036854775807", i64::MAX),
        ("9223372.036854775808", i64::MAX),
        ("1e999999999999999999999", i64::MAX),
        ("-1e300", i64::MIN),
        ("0000000000000000000000000000000000000000000000000000001", PICOS),
        ("100000000000000000000000000000000000000000000000000000000e-56", PICOS),
    ] {
        assert_eq!(text.parse(), Ok(Money(picos)), "{text}");
    }
    for text in ["", "-", "+", ".", "e5", "1e", "1e+", "NaN", "inf", "1,5", "0x1", "1_0", "١", "--1", "1e5.0"]
    {
        assert_eq!(text.parse::<Money>(), Err(NotMoney), "{text}");
    }
}

#[test]
fn floating_point_numbers_stand_for_their_decimal_text() {
    for dollars in
        [0.1, 0.2, 0.3, 0.7, 1.1, 2.675, 1e-6, 1.5e-7, 123.456, 1e-12, 8.191_123_456_789_012, 9e6, 1e-30]
    {
        assert_eq!(Money::from_dollars(dollars), dollars.to_string().parse(), "{dollars}");
    }
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(Money::from_dollars(bad), Err(NotMoney));
    }
    assert_eq!(Money::saturating_from_dollars(f64::NAN), Money::ZERO);
    assert_eq!(Money::saturating_from_dollars(f64::INFINITY), Money::MAX);
    assert_eq!(Money::saturating_from_dollars(1e18), Money::MAX);
    assert_eq!(Money::saturating_from_dollars(f64::NEG_INFINITY), Money(i64::MIN));
}

#[test]
fn amounts_are_shown_as_plain_decimals() {
    for (picos, text) in [
        (0, "0"),
        (1, "0.000000000001"),
        (-1, "-0.000000000001"),
        (PICOS / 10, "0.1"),
        (12 * PICOS, "12"),
        (i64::MAX, "9223372.036854775807"),
        (i64::MIN, "-9223372.036854775808"),
    ] {
        assert_eq!(Money(picos).to_string(), text);
        assert_eq!(text.parse(), Ok(Money(picos)));
    }
}

#[test]
fn prices_are_multiplied_exactly_and_rounded_once() {
    let cost = |count, dollars| Money::of([(count, Rate::from_dollars(dollars))]);
    assert_eq!(cost(1_000_000, 1.5e-7), money("0.15"));
    assert_eq!(cost(3, 0.1), money("0.3"));
    assert_eq!(cost(7, 1e-13), money("7e-13"));
    assert_eq!(cost(5, 1e-13), Money::ZERO, "half to even");
    assert_eq!(cost(15, 1e-13), Money(2), "half to even");
    let parts = [(1, Rate::from_dollars(4e-13)), (1, Rate::from_dollars(4e-13))];
    assert_eq!(Money::of(parts), Money::PICO, "rounded after the sum");
    assert_eq!(cost(u64::MAX, f64::MAX), Money::MAX);
    assert_eq!(cost(u64::MAX, f64::INFINITY), Money::MAX);
    for nothing in [-1.0, f64::NAN, 0.0, -0.0, f64::NEG_INFINITY, 1e-19] {
        assert_eq!(cost(1000, nothing), Money::ZERO, "{nothing}");
    }
}

#[test]
fn arithmetic_stays_in_range() {
    assert_eq!(Money::MAX + Money::PICO, Money::MAX);
    assert_eq!(Money(i64::MIN) - Money::PICO, Money(i64::MIN));
    assert_eq!(Money::MAX.checked_add(Money::PICO), None);
    assert_eq!(Money::ZERO.checked_sub(Money::PICO), Some(Money(-1)));
    assert_eq!(money("1").less(money("2")), Money::ZERO);
    assert_eq!(
        [Money::MAX, Money::MAX, Money(-i64::MAX), Money(-i64::MAX)].into_iter().sum::<Money>(),
        Money::ZERO
    );
}

#[test]
fn json_holds_numbers_of_dollars() {
    assert_eq!(serde_json::to_string(&money("0.1")).unwrap(), "0.1");
    assert_eq!(serde_json::to_string(&Money::ZERO).unwrap(), "0.0");
    for (json, amount) in
        [("0.1", "0.1"), ("1", "1"), ("-2", "-2"), ("\"0.3\"", "0.3"), ("1e-7", "0.0000001")]
    {
        assert_eq!(serde_json::from_str::<Money>(json).unwrap(), money(amount), "{json}");
    }
    for json in ["null", "true", "\"NaN\"", "[]", "\"\""] {
        assert!(serde_json::from_str::<Money>(json).is_err(), "{json}");
    }
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Stored {
    #[serde(with = "exact")]
    cost: Money,
    #[serde(with = "exact::option", default)]
    max: Option<Money>,
}

proptest! {
    #[test]
    fn stored_amounts_read_back_as_they_were(picos: i64, small in -8_192 * PICOS..8_192 * PICOS) {
        let stored = Stored { cost: Money(picos), max: Some(Money(small)) };
        let text = serde_json::to_string(&stored).unwrap();
        prop_assert_eq!(serde_json::from_str::<Stored>(&text).unwrap(), stored);
        // Through a tree too, where numbers have become floating-point ones.
        let tree: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(serde_json::from_value::<Stored>(tree).unwrap().cost, Money(picos));
    }

    #[test]
    fn amounts_up_to_8192_dollars_are_printed_with_their_digits(picos in 0..8_192 * PICOS) {
        let dollars = Money(picos).dollars();
        prop_assert_eq!(dollars.to_string(), Money(picos).to_string());
        prop_assert_eq!(Money::from_dollars(dollars), Ok(Money(picos)));
    }

    #[test]
    fn a_number_has_the_amount_of_its_shortest_text(dollars in -1e7..1e7, scale in 0..14) {
        let dollars: f64 = dollars / 10_f64.powi(scale);
        prop_assert_eq!(Money::from_dollars(dollars), dollars.to_string().parse());
    }

    #[test]
    fn text_is_never_a_reason_to_panic(text in "[-+]?[0-9.]{0,60}(e[-+]?[0-9]{0,25})?") {
        let _ = text.parse::<Money>();
    }

    #[test]
    fn a_price_of_few_digits_is_exact(count in 0..10_000_000_u64, digits in 1..10_000_i64, zeros in 4..12_u32) {
        // digits × 10^-zeros dollars each.
        let each = digits as f64 / 10_f64.powi(zeros as i32);
        let picos = i128::from(digits) * i128::from(count) * 10_i128.pow(12 - zeros);
        prop_assert_eq!(Money::of([(count, Rate::from_dollars(each))]), Money(clamp(picos)));
    }

    #[test]
    fn a_sum_does_not_depend_on_its_order(picos: Vec<i64>) {
        let forth: Money = picos.iter().copied().map(Money).sum();
        let back: Money = picos.iter().rev().copied().map(Money).sum();
        prop_assert_eq!(forth, back);
    }
}
