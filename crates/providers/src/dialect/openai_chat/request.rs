//! A chat request, decoded. What cannot be understood is a 400 that says where it stands.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::schema::{File, Function, ImageUrl, Message, OneOrMany, Request, ResponseFormat, ToolCall};
use crate::dialect::{ChatRequest, Format, Part, Role, Source, Text, Tool, ToolChoice, Turn};
use crate::{UpstreamError, tree_bytes};

/// Bytes that a request may take as a tree besides its text, by [`tree_bytes`].
const MAX_TREE: usize = 32 * 1024 * 1024;

/// The most that an error quotes of a request, in bytes.
const LONGEST_QUOTE: usize = 256;

/// Room for trees.
struct Room(usize);

impl Room {
    fn take(&mut self, json: &[u8]) -> Result<(), UpstreamError> {
        self.0 = self.0.checked_sub(tree_bytes(json)).ok_or_else(|| {
            UpstreamError::too_large(format!(
                "the request has too many values to be translated for this provider; they may take {MAX_TREE} \
                 bytes of memory (fixed)"
            ))
        })?;
        Ok(())
    }
}

/// Reads the body of a chat request.
///
/// # Errors
/// It is not what OpenAI's reference describes (400), or it has too many values (413).
pub(crate) fn decode(body: &[u8]) -> Result<ChatRequest, UpstreamError> {
    let mut room = Room(MAX_TREE);
    room.take(body)?;
    let request: Request = serde_json::from_slice(body).map_err(|error| {
        let what = format!("not a chat request: {}", short(error.to_string()));
        UpstreamError::unsayable("request_body", what)
    })?;
    let mut chat = ChatRequest {
        tool_choice: request.tool_choice.map(tool_choice).transpose()?.flatten(),
        parallel_tools: request.parallel_tool_calls,
        max_tokens: request.max_completion_tokens.or(request.max_tokens),
        stop: match request.stop {
            Some(OneOrMany::One(stop)) => vec![stop],
            Some(OneOrMany::Many(stops)) => stops,
            None => Vec::new(),
        },
        temperature: request.temperature,
        top_p: request.top_p,
        user: request.user,
        effort: request.reasoning_effort,
        format: request.response_format.and_then(format),
        stream: request.stream.unwrap_or(false),
        other: request.other,
        ..ChatRequest::default()
    };
    for (at, tool) in request.tools.into_iter().flatten().enumerate() {
        chat.tools.push(self::tool(tool, &format!("tools[{at}]"))?);
    }
    for (at, message) in request.messages.into_iter().enumerate() {
        add(&mut chat, message, &format!("messages[{at}]"), &mut room)?;
    }
    Ok(chat)
}

fn add(chat: &mut ChatRequest, message: Message, at: &str, room: &mut Room) -> Result<(), UpstreamError> {
    let mut parts = content(message.content, message.cache_control.clone(), &format!("{at}.content"))?;
    let role = match message.role.as_str() {
        "system" | "developer" => {
            for part in parts {
                match part {
                    Part::Text(text) => chat.system.push(text),
                    _ => return Err(wrong(&format!("{at}.content"), "may hold only text")),
                }
            }
            return Ok(());
        }
        "user" => Role::User,
        "assistant" => {
            parts.splice(0..0, message.thinking_blocks.into_iter().flatten().map(Part::Native));
            for (index, call) in message.tool_calls.into_iter().flatten().enumerate() {
                parts.push(called(call, &format!("{at}.tool_calls[{index}]"), room)?);
            }
            Role::Assistant
        }
        "tool" => {
            let missing = || wrong(&format!("{at}.tool_call_id"), "is missing");
            let call = message.tool_call_id.ok_or_else(missing)?;
            parts = vec![Part::Answer { call, parts, cache: message.cache_control }];
            Role::User
        }
        _ => return Err(wrong(&format!("{at}.role"), "must be system, developer, user, assistant or tool")),
    };
    chat.turns.push(Turn { role, parts });
    Ok(())
}

/// A text, or a list of parts. `cache` is the message's own `cache_control`, which stands for its last
/// part.
fn content(content: Value, cache: Option<Value>, at: &str) -> Result<Vec<Part>, UpstreamError> {
    match content {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![Part::Text(Text { text, cache })]),
        Value::Array(parts) => {
            parts.into_iter().enumerate().map(|(i, value)| part(value, &format!("{at}[{i}]"))).collect()
        }
        _ => Err(wrong(at, "must be a text or a list of parts")),
    }
}

fn part(value: Value, at: &str) -> Result<Part, UpstreamError> {
    let Value::Object(mut part) = value else { return Err(wrong(at, "must be an object")) };
    let cache = part.remove("cache_control");
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind.as_str() {
        "text" => Ok(Part::Text(Text { text: field(&mut part, "text", at)?, cache })),
        "refusal" => Ok(Part::Text(Text { text: field(&mut part, "refusal", at)?, cache })),
        "image_url" => {
            let at = format!("{at}.image_url");
            let image = match part.remove("image_url") {
                Some(Value::String(url)) => ImageUrl { url, format: None },
                image => read(image.unwrap_or_default(), &at)?,
            };
            Ok(Part::Image { source: located(&image.url, image.format, &at)?, cache })
        }
        "file" => {
            let at = format!("{at}.file");
            let file: File = field(&mut part, "file", &at)?;
            let source = match (file.file_data, file.file_id) {
                (Some(data), _) => located(&data, None, &at)?,
                (None, Some(id)) if id.starts_with("http") => Source::Url(id),
                (None, Some(id)) => Source::File(id),
                (None, None) => return Err(wrong(&at, "needs file_data or file_id")),
            };
            Ok(Part::Document { source, title: file.filename, cache })
        }
        // Not OpenAI's: clients of LiteLLM send these to Anthropic's models.
        "document" | "thinking" | "redacted_thinking" | "search_result" => {
            part.extend(cache.map(|cache| ("cache_control".to_owned(), cache)));
            Ok(Part::Native(Value::Object(part)))
        }
        _ => Err(wrong(
            &format!("{at}.type"),
            &format!("is {:?}, which cannot be sent to this model", short(kind)),
        )),
    }
}

/// A `data:` URL's content, or the URL of a file elsewhere.
fn located(url: &str, format: Option<String>, at: &str) -> Result<Source, UpstreamError> {
    let Some(rest) = url.strip_prefix("data:") else {
        return match url.split_once("://") {
            Some(("http" | "https", _)) => Ok(Source::Url(url.to_owned())),
            _ => Err(wrong(at, "must be an http(s) or data: URL")),
        };
    };
    let parts = rest.split_once(',').and_then(|(head, data)| Some((head.strip_suffix(";base64")?, data)));
    let Some((head, data)) = parts else {
        return Err(wrong(at, "must be base64, as in data:image/png;base64,…"));
    };
    let media_type = format.unwrap_or_else(|| head.split(';').next().unwrap_or(head).to_owned());
    Ok(Source::Base64 { media_type, data: data.to_owned() })
}

fn called(call: ToolCall, at: &str, room: &mut Room) -> Result<Part, UpstreamError> {
    let arguments = call.function.arguments.trim();
    room.take(arguments.as_bytes())?;
    let input =
        if arguments.is_empty() { Ok(Value::Object(Map::new())) } else { serde_json::from_str(arguments) };
    match input {
        Ok(input @ Value::Object(_)) => {
            Ok(Part::Call { id: call.id, name: call.function.name, input, cache: call.cache_control })
        }
        _ => Err(wrong(&format!("{at}.function.arguments"), "must be the text of a JSON object")),
    }
}

fn tool(value: Value, at: &str) -> Result<Tool, UpstreamError> {
    let Value::Object(mut tool) = value else { return Err(wrong(at, "must be an object")) };
    if tool.get("type").and_then(Value::as_str) != Some("function") {
        return Ok(Tool::Native(Value::Object(tool)));
    }
    let outer = tool.remove("cache_control");
    let function: Function = field(&mut tool, "function", &format!("{at}.function"))?;
    Ok(Tool::Function {
        name: function.name,
        description: function.description,
        schema: function.parameters,
        cache: outer.or(function.cache_control),
    })
}

fn tool_choice(value: Value) -> Result<Option<ToolChoice>, UpstreamError> {
    let kind = value.as_str().or_else(|| value.get("type").and_then(Value::as_str)).unwrap_or_default();
    let name = || value.pointer("/function/name").or_else(|| value.get("name")).and_then(Value::as_str);
    match kind {
        "auto" => Ok(Some(ToolChoice::Auto)),
        "none" => Ok(Some(ToolChoice::Never)),
        "required" | "any" => Ok(Some(ToolChoice::Any)),
        "function" | "tool" => match name() {
            Some(name) => Ok(Some(ToolChoice::Named(name.to_owned()))),
            None => Err(wrong("tool_choice", "names no function")),
        },
        _ if value.is_null() => Ok(None),
        _ => Err(wrong("tool_choice", "must be auto, none, required or a function")),
    }
}

fn format(format: ResponseFormat) -> Option<Format> {
    match format {
        ResponseFormat::Text => None,
        ResponseFormat::JsonObject => Some(Format::Json),
        ResponseFormat::JsonSchema { json_schema } => {
            Some(json_schema.schema.map_or(Format::Json, Format::Schema))
        }
    }
}

fn field<T: DeserializeOwned>(
    object: &mut Map<String, Value>,
    key: &str,
    at: &str,
) -> Result<T, UpstreamError> {
    read(object.remove(key).unwrap_or_default(), at)
}

fn read<T: DeserializeOwned>(value: Value, at: &str) -> Result<T, UpstreamError> {
    serde_json::from_value(value)
        .map_err(|error| wrong(at, &format!("is not what it should be: {}", short(error.to_string()))))
}

/// A text that may quote all of a request.
fn short(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(LONGEST_QUOTE));
    text
}

fn wrong(at: &str, what: &str) -> UpstreamError {
    UpstreamError::unsayable(at, format!("{at} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> (String, String) {
        let error = decode(body.as_bytes()).unwrap_err();
        assert_eq!(error.status, 400);
        (error.param.unwrap(), error.message)
    }

    #[test]
    fn mistakes_are_named_by_where_they_stand() {
        for (messages, at) in [
            (r#"{"role":"robot","content":"x"}"#, "messages[0].role"),
            (r#"{"role":"user","content":5}"#, "messages[0].content"),
            (r#"{"role":"user","content":[{"type":"input_audio"}]}"#, "messages[0].content[0].type"),
            (r#"{"role":"user","content":[{"type":"text"}]}"#, "messages[0].content[0]"),
            (
                r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}"#,
                "messages[0].content[0].image_url",
            ),
            (
                r#"{"role":"system","content":[{"type":"image_url","image_url":"http://h/i"}]}"#,
                "messages[0].content",
            ),
            (r#"{"role":"tool","content":"x"}"#, "messages[0].tool_call_id"),
            (
                r#"{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"[1]"}}]}"#,
                "messages[0].tool_calls[0].function.arguments",
            ),
        ] {
            assert_eq!(refused(&format!(r#"{{"messages":[{messages}]}}"#)).0, at);
        }
        assert_eq!(refused(r#"{"messages":[],"tool_choice":"sometimes"}"#).0, "tool_choice");
        assert!(refused(r#"{"messages":"x"}"#).1.contains("not a chat request"));
    }

    #[test]
    fn an_error_does_not_repeat_the_request() {
        let long = "x".repeat(100_000);
        for body in [
            format!(r#"{{"messages":"{long}"}}"#),
            format!(r#"{{"messages":[{{"role":"user","content":[{{"type":"{long}"}}]}}]}}"#),
            format!(r#"{{"messages":[{{"role":"user","content":[{{"type":"file","file":"{long}"}}]}}]}}"#),
        ] {
            assert!(refused(&body).1.len() < 600);
        }
    }

    #[test]
    fn what_is_parsed_is_bounded_wherever_it_stands() {
        let many = format!("[{}0]", "0,".repeat(MAX_TREE / 216));
        let arguments = format!(r#"{{"a":{many}}}"#);
        for body in [
            format!(r#"{{"messages":[],"x":{many}}}"#),
            format!(r#"{{"messages":[],"tools":{many}}}"#),
            format!(
                r#"{{"messages":[{{"role":"assistant","tool_calls":[{{"id":"c","function":{{"name":"f","arguments":"{}"}}}}]}}]}}"#,
                arguments.replace('"', "\\\"")
            ),
        ] {
            let error = decode(body.as_bytes()).unwrap_err();
            assert_eq!(
                (error.status, error.param.as_deref()),
                (413, Some("request_body")),
                "{}",
                error.message
            );
        }
    }

    #[test]
    fn what_is_null_was_not_said() {
        let chat =
            decode(br#"{"messages":[],"tools":null,"tool_choice":null,"stop":null,"temperature":null}"#)
                .unwrap();
        assert!(chat.tools.is_empty() && chat.stop.is_empty());
        assert_eq!((chat.tool_choice, chat.temperature), (None, None));
    }
}
