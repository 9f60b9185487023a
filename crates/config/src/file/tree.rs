//! Text to tree. `serde-saphyr` parses, resolves anchors and gives the spans; what a plain scalar
//! means, which of two equal keys wins and what `<<` merges in which order is decided here, as
//! PyYAML decides it: the generated id of a deployment depends on the order of its keys.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{DuplicateKeyPolicy, Error, Location, MergeKeyPolicy, NonFiniteFloatPolicy, Spanned};

use super::scalar;
use crate::confidential::{Scope, masked};
use crate::findings::Findings;
use crate::node::{Entry, Map, Node, Place, Value};

/// Depth of nested lists and maps. Configurations have six; the stack has room for this many.
pub(crate) const MAX_DEPTH: usize = 48;
/// Events replayed for aliases in all: enough for ten thousand deployments that merge twenty
/// defaults each, too few for a bomb.
const MAX_REPLAYED: usize = 500_000;
/// Nodes in a file: a hundred thousand deployments.
const MAX_NODES: usize = 3_000_000;

/// A file that is YAML.
pub(super) struct Parsed {
    pub(super) root: Node,
    /// The bytes of its text that are not to be shown.
    pub(super) hidden: Vec<Range<usize>>,
}

/// Parses one file. `None` when it is not YAML; the reason is then among the findings.
pub(super) fn parse(text: &str, file: usize, findings: &mut Findings) -> Option<Parsed> {
    match serde_saphyr::from_str_with_options::<Written>(text, options()) {
        Ok(written) => {
            let mut settle = Settle { text, file, findings, hidden: Vec::new() };
            let root = settle.node(written, Scope::File);
            Some(Parsed { root, hidden: settle.hidden })
        }
        Err(error) => {
            refuse(text, file, &error, findings);
            None
        }
    }
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_documents: 1,
            // One anchor may serve every deployment; what that costs, the replay limit bounds.
            max_aliases: MAX_NODES,
            max_merge_keys: MAX_NODES,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPLAYED,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    }
}

/// What is wrong with the YAML. The commonest mistake gets its own words.
fn refuse(text: &str, file: usize, error: &Error, findings: &mut Findings) {
    let at = error.location().map(|found| place(file, found));
    let cause = match error {
        Error::AliasError { error, .. } => error,
        error => error,
    };
    let value = at.and_then(|at| value_at(text, at)).filter(|_| may_be_unquoted(cause));
    let (message, help) = match value {
        Some(value) if value.starts_with('*') && is_shown(text, at, value) => (
            format!("`{value}` without quotes is a YAML alias, not a pattern"),
            Some(format!("write it in quotes: \"{value}\"")),
        ),
        Some(value) if value.starts_with('*') => (
            "a `*` without quotes begins a YAML alias, not a pattern".to_owned(),
            Some("write the value in quotes".to_owned()),
        ),
        Some(value) if value.starts_with(['%', '@', '`']) => (
            "a value may not begin with this character".to_owned(),
            Some("write the value in quotes".to_owned()),
        ),
        _ => limit_words(cause).unwrap_or_else(|| (yaml_words(error), None)),
    };
    findings.refuse("yaml", at, message, help);
}

/// Whether the mistake can be that somebody left out the quotes: not where a limit was passed, which
/// happens at aliases that are meant.
fn may_be_unquoted(error: &Error) -> bool {
    let limits = matches!(
        error,
        Error::Budget { .. }
            | Error::AliasReplayLimitExceeded { .. }
            | Error::AliasReplayCounterOverflow { .. }
            | Error::AliasReplayStackDepthExceeded { .. }
            | Error::AliasExpansionLimitExceeded { .. }
            | Error::MultipleDocuments { .. }
    );
    !limits
}

/// What to say of a limit that was passed.
fn limit_words(error: &Error) -> Option<(String, Option<String>)> {
    let words = |message: &str, help: &str| Some((message.to_owned(), Some(help.to_owned())));
    match error {
        Error::Budget { breach: BudgetBreach::Documents { .. }, .. } | Error::MultipleDocuments { .. } => {
            words(
                "a configuration is only one document, and a second one begins here",
                "remove the `---`, or include the other part from a file of its own",
            )
        }
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => words(
            &format!("lists and maps stand more than {MAX_DEPTH} deep in each other here"),
            "no key of a configuration needs that; look for a bracket that is not closed",
        ),
        Error::Budget { .. } => words(
            "the file is larger than a configuration may be",
            "split it over several gateways, or use wildcards",
        ),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => words(
            "the aliases up to here expand to more than a configuration may hold",
            "write out what they stand for, or let anchors contain fewer aliases",
        ),
        _ => None,
    }
}

/// Whether an excerpt would show a value.
fn is_shown(text: &str, at: Option<Place>, value: &str) -> bool {
    let shown = at.and_then(|at| masked(text, at.line, at.column, None));
    shown.is_some_and(|shown| shown.line.contains(value))
}

/// The text that begins at a place, up to a space or the end of an item.
fn value_at(text: &str, at: Place) -> Option<&str> {
    let line = text.lines().nth(at.line.checked_sub(1)?)?;
    let (start, _) = line.char_indices().nth(at.column.checked_sub(1)?)?;
    line[start..].split([' ', ',', '}', ']']).next()
}

/// The parser's own words without its place, which has a field of its own.
fn yaml_words(error: &Error) -> String {
    let words = error.to_string();
    let words = words.split(" at line ").next().unwrap_or_default();
    match words.split_once("; use ") {
        Some((fact, _)) => fact.to_owned(),
        None => words.to_owned(),
    }
}

fn place(file: usize, location: Location) -> Place {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).max(1);
    Place { file, line: number(location.line()), column: number(location.column()) }
}

/// The bytes of a scalar.
fn range(at: Location) -> Option<Range<usize>> {
    let (start, len) = at.span().byte_offset().zip(at.span().byte_len())?;
    let start = usize::try_from(start).ok()?;
    Some(start..start.checked_add(usize::try_from(len).ok()?)?)
}

/// A node as the parser gives it.
struct Written {
    shape: Shape,
    at: Location,
}

enum Shape {
    /// The parser inferred something from a plain scalar; what, is read again from the text.
    Plain,
    /// Quoted, tagged, or plain text.
    Text(String),
    List(Vec<Written>),
    Map(Vec<(Spanned<String>, Written)>),
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Shape>::deserialize(deserializer)?;
        Ok(Written { shape: spanned.value, at: spanned.defined })
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a map")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Plain)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Shape, E> {
        Ok(Shape::Plain)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Shape, E> {
        Ok(Shape::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Plain)
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Plain)
    }

    fn visit_str<E>(self, text: &str) -> Result<Shape, E> {
        Ok(Shape::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Shape::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Shape, A::Error> {
        let mut map = Vec::new();
        while let Some(pair) = pairs.next_entry()? {
            map.push(pair);
        }
        Ok(Shape::Map(map))
    }
}

/// Settles what the parser left open.
struct Settle<'a> {
    text: &'a str,
    file: usize,
    findings: &'a mut Findings,
    hidden: Vec<Range<usize>>,
}

impl Settle<'_> {
    fn node(&mut self, written: Written, scope: Scope) -> Node {
        if matches!(written.shape, Shape::Plain | Shape::Text(_)) && scope.hides(self.slice(written.at)) {
            self.hidden.extend(range(written.at));
        }
        let value = match written.shape {
            Shape::Plain => scalar::plain(self.slice(written.at).trim()),
            // Infinities and not-a-number arrive as text because serde's formats differ on them.
            Shape::Text(text) if self.slice(written.at) == text && text.contains('.') => scalar::plain(&text),
            Shape::Text(text) => Value::Text(text),
            Shape::List(list) => {
                Value::List(list.into_iter().map(|item| self.node(item, scope.item())).collect())
            }
            Shape::Map(pairs) => Value::Map(self.map(pairs, scope)),
        };
        Node::new(value, place(self.file, written.at))
    }

    /// The source of a scalar.
    fn slice(&self, at: Location) -> &str {
        range(at).and_then(|range| self.text.get(range)).unwrap_or_default()
    }

    fn map(&mut self, pairs: Vec<(Spanned<String>, Written)>, scope: Scope) -> Map {
        let mut own = Vec::new();
        let mut merged = Vec::new();
        for (key, written) in pairs {
            let at = place(self.file, key.defined);
            let plain_merge = key.value == "<<" && self.slice(key.defined) == "<<";
            let value = self.node(written, scope.below(&key.value));
            if plain_merge {
                self.merge(value, &mut merged);
            } else {
                own.push(Entry { key: key.value, at, value });
            }
        }
        let mut map = Map::default();
        for entry in merged {
            map.set(entry);
        }
        let inherited = map.entries.len();
        let mut written_before: Vec<String> = Vec::new();
        // Only keys that are written twice are worth a word, not those that override a merged one.
        for entry in own {
            let twice = if inherited == 0 {
                map.entry(&entry.key).is_some()
            } else {
                let seen = written_before.contains(&entry.key);
                written_before.push(entry.key.clone());
                seen
            };
            let (key, at) = (entry.key.clone(), entry.at);
            let old = map.set(entry);
            if let (true, Some(old)) = (twice, old) {
                self.findings.warn(
                    "duplicate-key",
                    at,
                    format!(
                        "`{key}` is written twice in one map; the first, in line {}, is lost",
                        old.at.line
                    ),
                    Some("keep one of them".to_owned()),
                );
            }
        }
        map
    }

    /// `<<: *one` or `<<: [*one, *two]`, the first of which wins.
    fn merge(&mut self, value: Node, merged: &mut Vec<Entry>) {
        match value.value {
            Value::Map(map) => merged.extend(map.entries),
            Value::List(list) if list.iter().all(|item| item.as_map().is_some()) => {
                for item in list.into_iter().rev() {
                    self.merge(item, merged);
                }
            }
            _ => self.findings.refuse(
                "yaml",
                Some(value.at),
                "`<<` merges a map or a list of maps".to_owned(),
                Some("write `<<: *anchor`, or quote the key".to_owned()),
            ),
        }
    }
}
