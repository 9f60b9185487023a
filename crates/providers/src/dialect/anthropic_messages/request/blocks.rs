//! Turns and their blocks.
//!
//! Anthropic wants the two sides to take turns, answers to tools in the turn right after the calls, no
//! empty texts, and no blank at the end of a reply that it is to go on with.

use serde_json::{Map, Value, json};

use super::{role, set};
use crate::dialect::{Part, Role, Source, Text, Turn};

/// Turns, each side's consecutive ones merged.
pub(super) struct Conversation(Vec<(Role, Vec<Value>)>);

impl Conversation {
    pub(super) fn of(turns: Vec<Turn>) -> Conversation {
        let mut merged: Vec<(Role, Vec<Value>)> = Vec::new();
        for turn in turns {
            let blocks: Vec<Value> = turn.parts.into_iter().filter_map(block).collect();
            match merged.last_mut() {
                _ if blocks.is_empty() => {}
                Some((role, before)) if *role == turn.role => before.extend(blocks),
                _ => merged.push((turn.role, blocks)),
            }
        }
        if let Some((Role::Assistant, blocks)) = merged.last_mut()
            && let Some(Value::String(text)) = blocks.last_mut().and_then(|block| block.get_mut("text"))
        {
            text.truncate(text.trim_end().len());
        }
        Conversation(merged)
    }

    pub(super) fn into_json(self) -> Value {
        self.0
            .into_iter()
            .map(|(side, blocks)| json!({"role": role(side), "content": plain(blocks)}))
            .collect()
    }
}

/// One text and nothing else about it is written as a text.
fn plain(mut blocks: Vec<Value>) -> Value {
    if let [Value::Object(block)] = blocks.as_mut_slice()
        && block.len() == 2
        && block.get("type").is_some_and(|kind| kind == "text")
    {
        return block.remove("text").unwrap_or_default();
    }
    blocks.into()
}

pub(super) fn text(text: Text) -> Value {
    cached(json!({"type": "text", "text": text.text}), text.cache)
}

fn block(part: Part) -> Option<Value> {
    Some(match part {
        Part::Text(part) if part.text.is_empty() => return None,
        Part::Text(part) => text(part),
        Part::Image { source, cache } => {
            cached(json!({"type": "image", "source": self::source(source)}), cache)
        }
        Part::Document { source, title, cache } => {
            let mut block = json!({"type": "document", "source": document(source)});
            if let Some(title) = title {
                block["title"] = title.into();
            }
            cached(block, cache)
        }
        Part::Call { id, name, input, cache } => {
            cached(json!({"type": "tool_use", "id": tool_id(&id), "name": name, "input": input}), cache)
        }
        Part::Answer { call, parts, cache } => {
            let mut block = Map::new();
            block.insert("type".to_owned(), "tool_result".into());
            block.insert("tool_use_id".to_owned(), tool_id(&call).into());
            let content: Vec<Value> = parts.into_iter().filter_map(self::block).collect();
            set(&mut block, "content", (!content.is_empty()).then(|| plain(content)));
            cached(Value::Object(block), cache)
        }
        Part::Native(block) => block,
    })
}

fn source(source: Source) -> Value {
    match source {
        Source::Base64 { media_type, data } => {
            json!({"type": "base64", "media_type": media_type, "data": data})
        }
        Source::Url(url) => json!({"type": "url", "url": url}),
        Source::File(id) => json!({"type": "file", "file_id": id}),
    }
}

/// Documents are PDFs, or plain text, which Anthropic wants as text.
fn document(source: Source) -> Value {
    match source {
        Source::Base64 { media_type, data } if media_type.starts_with("text/") => match decoded(&data) {
            Some(text) => json!({"type": "text", "media_type": "text/plain", "data": text}),
            None => self::source(Source::Base64 { media_type, data }),
        },
        source => self::source(source),
    }
}

fn decoded(data: &str) -> Option<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(data).ok()?;
    String::from_utf8(bytes).ok()
}

/// Anthropic takes letters, digits, `_` and `-` in a call's id; other providers' histories have more.
fn tool_id(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect()
}

fn cached(mut block: Value, cache: Option<Value>) -> Value {
    if let Some(cache) = cache {
        block["cache_control"] = cache;
    }
    block
}
