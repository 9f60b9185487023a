//! Request bodies as text: every legal spelling of a document, with what it means kept beside it.

use proptest::prelude::*;

/// A field as it was written, and the key that a parser reads.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) key: String,
    /// The key between its quotes.
    pub(crate) spelt: String,
    pub(crate) value: String,
}

/// A body, and the fields that it was made of.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) fields: Vec<Field>,
    pub(crate) text: String,
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => Just(" "), 1 => Just("\n\t"), 1 => Just("\r\n  ")]
}

/// A number in one of JSON's spellings, also beyond what a float holds.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,8})?([eE][+-]?[0-9]{1,2})?",
    ]
}

/// A character as it can stand in a string: itself where that is legal, or escaped.
fn spelling(letter: char, choice: u8) -> String {
    let short = match letter {
        '"' => Some("\\\""),
        '\\' => Some("\\\\"),
        '/' => Some("\\/"),
        '\u{8}' => Some("\\b"),
        '\u{c}' => Some("\\f"),
        '\n' => Some("\\n"),
        '\r' => Some("\\r"),
        '\t' => Some("\\t"),
        _ => None,
    };
    let must = letter < ' ' || letter == '"' || letter == '\\';
    match (choice % 8, short) {
        (0, _) | (_, None) if must || choice.is_multiple_of(8) => {
            letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
        }
        (1..=3, Some(short)) => short.to_owned(),
        (_, Some(short)) if must => short.to_owned(),
        _ => letter.to_string(),
    }
}

/// The inside of a string and its text.
pub(crate) fn string() -> impl Strategy<Value = (String, String)> {
    let letter =
        prop_oneof![8 => prop::char::range(' ', '~'), 2 => any::<char>(), 1 => prop::char::range('\0', ' ')];
    prop::collection::vec((letter, any::<u8>()), 0..24).prop_map(|letters| {
        letters.into_iter().map(|(letter, choice)| (spelling(letter, choice), letter)).unzip()
    })
}

fn quoted() -> impl Strategy<Value = String> {
    string().prop_map(|(spelt, _)| format!("\"{spelt}\""))
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => quoted(),
        2 => number(),
        1 => prop_oneof![Just("null"), Just("true"), Just("false")].prop_map(str::to_owned),
    ]
}

fn list_of(element: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (prop::collection::vec((space(), element, space()), 0..5), space()).prop_map(|(elements, inside)| {
        let elements: Vec<_> =
            elements.into_iter().map(|(a, element, b)| [a, &element, b].concat()).collect();
        if elements.is_empty() { format!("[{inside}]") } else { format!("[{}]", elements.join(",")) }
    })
}

/// An object of these fields.
fn object(fields: &[(Field, [&str; 4])], inside: &str) -> String {
    let fields: Vec<_> = fields
        .iter()
        .map(|(field, [a, b, c, d])| format!("{a}\"{}\"{b}:{c}{}{d}", field.spelt, field.value))
        .collect();
    if fields.is_empty() { format!("{{{inside}}}") } else { format!("{{{}}}", fields.join(",")) }
}

fn spaces() -> impl Strategy<Value = [&'static str; 4]> {
    [space(), space(), space(), space()]
}

fn object_of(field: impl Strategy<Value = Field>) -> impl Strategy<Value = String> {
    (prop::collection::vec((field, spaces()), 0..4), space())
        .prop_map(|(fields, inside)| object(&fields, inside))
}

fn named(
    key: impl Strategy<Value = (String, String)> + 'static,
    value: BoxedStrategy<String>,
) -> BoxedStrategy<Field> {
    (key, value).prop_map(|((spelt, key), value)| Field { key, spelt, value }).boxed()
}

/// A key written plainly or, now and then, with one of its letters escaped.
fn key(keys: &'static [&'static str]) -> impl Strategy<Value = (String, String)> {
    (prop::sample::select(keys), 0..40usize).prop_map(|(key, at)| {
        let spelt = key.chars().enumerate().map(|(index, letter)| {
            if index == at { format!("\\u{:04x}", letter as u32) } else { letter.to_string() }
        });
        (if at < 2 { spelt.collect() } else { key.to_owned() }, key.to_owned())
    })
}

/// Any JSON value.
pub(crate) fn value() -> BoxedStrategy<String> {
    scalar()
        .prop_recursive(4, 24, 4, |inner| {
            prop_oneof![list_of(inner.clone()), object_of(named(string(), inner))]
        })
        .boxed()
}

fn tags() -> BoxedStrategy<String> {
    prop_oneof![4 => list_of(quoted()), 2 => list_of(scalar()), 1 => value()].boxed()
}

fn metadata() -> BoxedStrategy<String> {
    let keys = key(&["tags", "user_id", "trace"]);
    let object = object_of(named(keys, prop_oneof![tags(), scalar()].boxed())).boxed();
    let written = object.clone().prop_map(|object| serde_json::Value::from(object).to_string());
    prop_oneof![5 => object, 2 => written, 1 => value()].boxed()
}

fn options() -> BoxedStrategy<String> {
    let flag = prop_oneof![Just("true".to_owned()), Just("false".to_owned()), scalar()].boxed();
    prop_oneof![4 => object_of(named(key(&["include_usage", "include_obfuscation"]), flag)), 1 => scalar()]
        .boxed()
}

/// A field of a body: those that the gateway knows with values near what it expects, and others.
fn field() -> BoxedStrategy<Field> {
    let extra = prop_oneof![
        named(key(&["temperature", "seed", "x", "user", "priority", "messages"]), value()),
        named(key(&["tags", "model", "stream", "api_key", "metadata"]), scalar().boxed()),
    ];
    prop_oneof![
        3 => named(key(&["model"]), prop_oneof![6 => quoted(), 1 => value()].boxed()),
        2 => named(key(&["tags"]), tags()),
        2 => named(key(&["metadata", "litellm_metadata"]), metadata()),
        1 => named(key(&["stream", "disable_fallbacks"]), prop_oneof![Just("true".to_owned()), scalar()].boxed()),
        1 => named(key(&["stream_options"]), options()),
        1 => named(key(&["num_retries", "timeout", "request_timeout", "stream_timeout"]), scalar().boxed()),
        1 => named(key(&["fallbacks"]), prop_oneof![list_of(quoted()).boxed(), value()].boxed()),
        1 => named(key(&["extra_body"]), prop_oneof![4 => object_of(extra).boxed(), 1 => scalar().boxed()].boxed()),
        2 => named(key(&["user", "api_key", "api_base", "headers", "cache", "priority", "no-log"]), value()),
        4 => named(key(&["messages", "temperature", "seed", "store", "x"]), value()),
        1 => named(string(), value()),
    ]
    .boxed()
}

/// A body.
pub(crate) fn document() -> impl Strategy<Value = Document> {
    (prop::collection::vec((field(), spaces()), 0..9), space(), space(), space()).prop_map(
        |(fields, before, inside, after)| {
            let text = [before, &object(&fields, inside), after].concat();
            Document { fields: fields.into_iter().map(|(field, _)| field).collect(), text }
        },
    )
}
