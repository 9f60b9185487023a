//! The file as written: read, parsed, merged with its includes.

mod scalar;
mod tree;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::findings::Findings;
use crate::node::{Map, Node, Place, Value};

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
        Ok(bytes) => read_text(&String::from_utf8_lossy(&bytes), path, sources, findings),
        Err(error) => {
            findings.refuse(
                "no-file",
                None,
                format!("Config file not found: {} ({error})", path.display()),
                Some("give the path of a config.yaml with --config".to_owned()),
            );
            None
        }
    }
}

/// Reads a text as if it were the file `name`, and what it includes.
pub(crate) fn read_text(
    text: &str,
    name: &Path,
    sources: &mut Sources,
    findings: &mut Findings,
) -> Option<Map> {
    let main = parse_one(text, name, sources, findings)?;
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
        let Ok(bytes) = std::fs::read(path) else {
            let message = format!("Included file not found: {}", path.display());
            let help = "a path is looked up beside the file that includes it".to_owned();
            self.findings.refuse("include-missing", Some(at), message, Some(help));
            return None;
        };
        let node = parse_one(&String::from_utf8_lossy(&bytes), path, self.sources, self.findings)?;
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
