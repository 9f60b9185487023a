//! The file as written: read, parsed, merged with its includes.

mod kind;
mod scalar;
mod tree;

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::Host;
use crate::findings::Findings;
use crate::node::{Map, Node, Place, Value};

pub(crate) use tree::MAX_DEPTH;

/// The texts that were read, by name: what a diagnostic's excerpt is taken from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    texts: BTreeMap<PathBuf, String>,
    /// The bytes of each text that are not to be shown; nothing is known of one that is not YAML.
    hidden: BTreeMap<PathBuf, Vec<Range<usize>>>,
}

impl Sources {
    /// The text of a file that was read.
    pub fn text(&self, file: &Path) -> Option<&str> {
        self.texts.get(file).map(String::as_str)
    }

    /// The bytes of a file's text that are not to be shown; `None` when it is not YAML.
    pub(crate) fn hidden(&self, file: &Path) -> Option<&[Range<usize>]> {
        self.hidden.get(file).map(Vec::as_slice)
    }
}

/// Reads a file and what it includes.
pub(crate) fn read(path: &Path, sources: &mut Sources, findings: &mut Findings) -> Option<Map> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let text = utf8(&bytes, path, None, findings)?;
            read_text(text, path, sources, findings)
        }
        Err(error) => {
            let (message, help) = if error.kind() == ErrorKind::NotFound {
                (
                    format!("Config file not found: {} ({error})", path.display()),
                    "give the path of a config.yaml with --config",
                )
            } else {
                (
                    format!("cannot read {}: {error}", path.display()),
                    "give the path of a file that this user may read with --config",
                )
            };
            // A program was given the path in its own way.
            let help = (findings.host == Host::Gateway).then(|| help.to_owned());
            findings.refuse("no-file", None, message, help);
            None
        }
    }
}

/// The text of a file. Bytes that are no UTF-8 would be read as other names than were meant.
fn utf8<'a>(bytes: &'a [u8], path: &Path, at: Option<Place>, findings: &mut Findings) -> Option<&'a str> {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Some(text),
        Err(error) => error,
    };
    let valid = error.valid_up_to();
    let line = 1 + bytes[..valid].iter().filter(|byte| **byte == b'\n').count();
    let byte = bytes.get(valid).copied().unwrap_or_default();
    let message = format!(
        "{} is not UTF-8: the byte 0x{byte:02X} in line {line}, at offset {valid}, cannot stand there",
        path.display()
    );
    findings.refuse("not-utf8", at, message, Some("save the file as UTF-8".to_owned()));
    None
}

/// Reads a text as if it were the file `name`, and what it includes.
pub(crate) fn read_text(
    text: &str,
    name: &Path,
    sources: &mut Sources,
    findings: &mut Findings,
) -> Option<Map> {
    // Seen from the text, because its YAML may be broken or several documents.
    let file = findings.files.len();
    let Some(main) = parse_one(text, name, sources, findings) else {
        kind::refuse_text(text, Place { file, line: 1, column: 1 }, findings);
        return None;
    };
    if kind::refuse(&main, findings) {
        return None;
    }
    let map = match main.value {
        Value::Map(map) => map,
        Value::Null => {
            let message = "Config cannot be None or Empty.".to_owned();
            findings.refuse("empty-file", None, format!("{message} {} holds nothing", name.display()), None);
            return None;
        }
        _ => {
            let message = format!("a configuration is a map, and this file holds {}", main.kind());
            findings.refuse(
                "wrong-type",
                Some(main.at),
                message,
                Some("begin with `model_list:`".to_owned()),
            );
            return None;
        }
    };
    let include = Include { root: name, seen: vec![identity(name)], sources, findings };
    Some(include.into(map, name))
}

fn parse_one(text: &str, name: &Path, sources: &mut Sources, findings: &mut Findings) -> Option<Node> {
    let file = findings.files.len();
    findings.files.push(name.to_owned());
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    sources.texts.insert(name.to_owned(), text.to_owned());
    let parsed = tree::parse(text, file, findings)?;
    sources.hidden.insert(name.to_owned(), parsed.hidden);
    Some(parsed.root)
}

/// What a file is known by: the same file under two names is included once.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

struct Include<'a> {
    root: &'a Path,
    seen: Vec<PathBuf>,
    sources: &'a mut Sources,
    findings: &'a mut Findings,
}

impl Include<'_> {
    /// Merges into `map` what it includes, then what those include, breadth first as LiteLLM does.
    fn into(mut self, mut map: Map, name: &Path) -> Map {
        let mut pending = VecDeque::from(self.entries(&map, name));
        while let Some((path, at)) = pending.pop_front() {
            let known_as = identity(&path);
            if self.seen.contains(&known_as) {
                self.again(&path, at);
                continue;
            }
            self.seen.push(known_as);
            if let Some(included) = self.one(&path, at) {
                pending.extend(self.entries(&included, &path));
                merge(&mut map, included);
            }
        }
        map.entries.retain(|entry| entry.key != "include");
        map
    }

    /// A file is read once, and two that include a third are no mistake. One that includes itself or
    /// what it is included by was hardly meant to.
    fn again(&mut self, path: &Path, at: Place) {
        let known_as = identity(path);
        let itself = self.findings.files.get(at.file).is_some_and(|from| identity(from) == known_as);
        if itself || self.seen.first() == Some(&known_as) {
            let what =
                if itself { "a file includes itself" } else { "this file is included by the one it names" };
            let message = format!("{what}, which is ignored");
            self.findings.warn("include-again", at, message, Some("remove the line".to_owned()));
        }
    }

    /// The files that a map includes, and where it says so.
    fn entries(&mut self, map: &Map, name: &Path) -> Vec<(PathBuf, Place)> {
        let Some(list) = map.get("include") else { return Vec::new() };
        let entries = list.as_list().map(|entries| {
            entries.iter().map(|entry| Some((entry.as_text()?, entry.at))).collect::<Option<Vec<_>>>()
        });
        match entries.flatten() {
            Some(entries) => entries.into_iter().map(|(path, at)| (self.locate(path, name), at)).collect(),
            None => {
                let message = "'include' must be a list of file paths".to_owned();
                self.findings.refuse(
                    "wrong-type",
                    Some(list.at),
                    message,
                    Some("write `include: [models.yaml]`".into()),
                );
                Vec::new()
            }
        }
    }

    fn one(&mut self, path: &Path, at: Place) -> Option<Map> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let (message, help) = if error.kind() == ErrorKind::NotFound {
                    (
                        format!("Included file not found: {}", path.display()),
                        "a path is looked up beside the file that includes it",
                    )
                } else {
                    (
                        format!("cannot read the included {}: {error}", path.display()),
                        "name a file that this user may read",
                    )
                };
                self.findings.refuse("include-missing", Some(at), message, Some(help.to_owned()));
                return None;
            }
        };
        let text = utf8(&bytes, path, Some(at), self.findings)?;
        let node = parse_one(text, path, self.sources, self.findings)?;
        match node.value {
            Value::Map(map) => Some(map),
            _ => {
                let message = format!(
                    "Included config file is not a YAML mapping: {} holds {}",
                    path.display(),
                    node.kind()
                );
                self.findings.refuse("wrong-type", Some(at), message, None);
                None
            }
        }
    }

    /// Beside the including file; else, as older configurations rely on, beside the main file.
    fn locate(&self, path: &str, declared_in: &Path) -> PathBuf {
        let beside = |file: &Path| file.parent().unwrap_or(Path::new("")).join(path);
        let near = beside(declared_in);
        let root = beside(self.root);
        if !near.exists() && root.exists() { root } else { near }
    }
}

/// Lists are appended; every other value of the included file wins.
fn merge(map: &mut Map, included: Map) {
    for mut entry in included.entries {
        if entry.key == "include" {
            continue;
        }
        let old = map.entries.iter_mut().find(|old| old.key == entry.key).map(|old| &mut old.value.value);
        match (old, &mut entry.value.value) {
            (Some(Value::List(list)), Value::List(more)) => list.append(more),
            _ => {
                map.set(entry);
            }
        }
    }
}
