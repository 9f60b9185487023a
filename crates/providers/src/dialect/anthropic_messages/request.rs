//! A chat request, encoded as one for a message.

mod blocks;
mod options;

pub(crate) use options::default_max_tokens;

use serde_json::{Map, Value, json};

use crate::UpstreamError;
use crate::dialect::{ChatRequest, Format, Role, Text, Tool, ToolChoice};

use blocks::Conversation;

/// What the encoding needs to know besides the request.
pub(crate) struct About<'a> {
    /// The model, without its provider.
    pub(crate) model: &'a str,
    /// Its output limit in tokens, when known.
    pub(crate) max_output_tokens: Option<u64>,
    /// Whether to leave out what cannot be said.
    pub(crate) drop_params: bool,
}

/// Writes the body of a Messages request.
///
/// # Errors
/// The request has parameters that Anthropic has no word for, and they may not be dropped.
pub(crate) fn encode(mut chat: ChatRequest, about: &About<'_>) -> Result<Value, UpstreamError> {
    options::refuse_unsayable(&mut chat, about)?;
    let other = std::mem::take(&mut chat.other);
    let max_tokens = options::max_tokens(&chat, &other, about);
    let mut body = Map::new();
    body.insert("model".to_owned(), about.model.into());
    body.insert("max_tokens".to_owned(), max_tokens.into());
    set(&mut body, "system", system(chat.system));
    body.insert("messages".to_owned(), Conversation::of(chat.turns).into_json());
    if !chat.tools.is_empty() {
        set(&mut body, "tool_choice", tool_choice(chat.tool_choice.as_ref(), chat.parallel_tools));
        body.insert("tools".to_owned(), chat.tools.into_iter().map(tool).collect());
    }
    set(&mut body, "temperature", chat.temperature.map(Value::Number));
    set(&mut body, "top_p", chat.top_p.map(Value::Number));
    set(&mut body, "stop_sequences", (!chat.stop.is_empty()).then(|| chat.stop.into()));
    set(&mut body, "metadata", chat.user.map(|user| json!({ "user_id": user })));
    set(&mut body, "stream", chat.stream.then_some(Value::Bool(true)));
    let mut output = Map::new();
    if let Some(Format::Schema(schema)) = chat.format {
        output.insert("format".to_owned(), json!({"type": "json_schema", "schema": schema}));
    }
    if let Some(effort) = chat.effort.as_deref().filter(|_| !other.contains_key("thinking")) {
        options::think(effort, max_tokens, about.model, &mut body, &mut output);
    }
    set(&mut body, "output_config", (!output.is_empty()).then_some(Value::Object(output)));
    // What nobody here knows is between the client and Anthropic, and its own spelling wins.
    body.extend(other);
    Ok(Value::Object(body))
}

fn set(body: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    body.extend(value.map(|value| (key.to_owned(), value)));
}

/// One plain text as a text, anything else as blocks.
fn system(texts: Vec<Text>) -> Option<Value> {
    let mut texts: Vec<Text> = texts.into_iter().filter(|text| !text.text.is_empty()).collect();
    if let [Text { text, cache: None }] = texts.as_mut_slice() {
        return Some(std::mem::take(text).into());
    }
    let blocks: Vec<Value> = texts.into_iter().map(blocks::text).collect();
    (!blocks.is_empty()).then(|| blocks.into())
}

fn tool(tool: Tool) -> Value {
    let (name, description, schema, cache) = match tool {
        Tool::Native(tool) => return tool,
        Tool::Function { name, description, schema, cache } => (name, description, schema, cache),
    };
    let mut schema = match schema {
        Some(Value::Object(schema)) => schema,
        _ => Map::new(),
    };
    // Required by Anthropic, optional with OpenAI.
    schema.entry("type").or_insert_with(|| "object".into());
    let mut tool = Map::new();
    tool.insert("name".to_owned(), name.into());
    set(&mut tool, "description", description.map(Value::from));
    tool.insert("input_schema".to_owned(), Value::Object(schema));
    set(&mut tool, "cache_control", cache);
    Value::Object(tool)
}

fn tool_choice(choice: Option<&ToolChoice>, parallel: Option<bool>) -> Option<Value> {
    let one_at_a_time = parallel == Some(false);
    let mut value = match choice {
        None if !one_at_a_time => return None,
        None | Some(ToolChoice::Auto) => json!({"type": "auto"}),
        Some(ToolChoice::Never) => return Some(json!({"type": "none"})),
        Some(ToolChoice::Any) => json!({"type": "any"}),
        Some(ToolChoice::Named(name)) => json!({"type": "tool", "name": name}),
    };
    if one_at_a_time {
        value["disable_parallel_tool_use"] = true.into();
    }
    Some(value)
}

/// Whose turn a block stands in.
fn role(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}
