//! The fields of a chat request that mean something to another dialect.

use serde::Deserialize;
use serde_json::{Map, Number, Value};

#[derive(Deserialize)]
pub(super) struct Request {
    pub(super) messages: Vec<Message>,
    #[serde(default)]
    pub(super) tools: Option<Vec<Value>>,
    #[serde(default)]
    pub(super) tool_choice: Option<Value>,
    #[serde(default)]
    pub(super) parallel_tool_calls: Option<bool>,
    #[serde(default)]
    pub(super) max_tokens: Option<u64>,
    #[serde(default)]
    pub(super) max_completion_tokens: Option<u64>,
    #[serde(default)]
    pub(super) stop: Option<OneOrMany>,
    #[serde(default)]
    pub(super) temperature: Option<Number>,
    #[serde(default)]
    pub(super) top_p: Option<Number>,
    #[serde(default)]
    pub(super) user: Option<String>,
    #[serde(default)]
    pub(super) reasoning_effort: Option<String>,
    #[serde(default)]
    pub(super) response_format: Option<ResponseFormat>,
    #[serde(default)]
    pub(super) stream: Option<bool>,
    #[serde(flatten)]
    pub(super) other: Map<String, Value>,
}

#[derive(Deserialize)]
pub(super) struct Message {
    pub(super) role: String,
    #[serde(default)]
    pub(super) content: Value,
    #[serde(default)]
    pub(super) tool_calls: Option<Vec<ToolCall>>,
    #[serde(default)]
    pub(super) tool_call_id: Option<String>,
    /// LiteLLM's name for Anthropic's thinking, given back.
    #[serde(default)]
    pub(super) thinking_blocks: Option<Vec<Value>>,
    #[serde(default)]
    pub(super) cache_control: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct ToolCall {
    pub(super) id: String,
    pub(super) function: CalledFunction,
    #[serde(default)]
    pub(super) cache_control: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct CalledFunction {
    pub(super) name: String,
    #[serde(default)]
    pub(super) arguments: String,
}

#[derive(Deserialize)]
pub(super) struct Function {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) parameters: Option<Value>,
    #[serde(default)]
    pub(super) cache_control: Option<Value>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ResponseFormat {
    Text,
    JsonObject,
    JsonSchema { json_schema: JsonSchema },
}

#[derive(Deserialize)]
pub(super) struct JsonSchema {
    #[serde(default)]
    pub(super) schema: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
pub(super) struct ImageUrl {
    pub(super) url: String,
    #[serde(default)]
    pub(super) format: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct File {
    #[serde(default)]
    pub(super) file_data: Option<String>,
    #[serde(default)]
    pub(super) file_id: Option<String>,
    #[serde(default)]
    pub(super) filename: Option<String>,
}
