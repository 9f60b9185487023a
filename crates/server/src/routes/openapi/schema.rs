//! What a field may hold, as a JSON Schema.

use serde_json::{Map, Value, json};

use crate::fields::{Field, Holds};

const DURATION: &str = "^[0-9]{1,12}(s|m|h|d|w|mo)$";

/// A body with these fields. Others are not refused, but named in `warnings` of the answer.
pub(super) fn of_body(fields: &[Field]) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| {
            let mut schema = nullable(of(field.holds));
            schema.insert("description".to_owned(), json!(field.says));
            (field.name.to_owned(), Value::Object(schema))
        })
        .collect();
    json!({ "type": "object", "properties": properties })
}

/// What a field holds when it holds something.
pub(super) fn of(holds: Holds) -> Map<String, Value> {
    let schema = match holds {
        Holds::Text | Holds::Prose => json!({ "type": "string" }),
        Holds::Flag => json!({ "type": "boolean" }),
        Holds::Count => json!({ "type": "integer", "minimum": 0 }),
        Holds::Money => json!({ "type": "number", "minimum": 0 }),
        Holds::Duration => json!({ "type": "string", "pattern": DURATION }),
        Holds::Lifetime => json!({ "type": "string", "pattern": format!("^-1$|{DURATION}") }),
        Holds::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Holds::TextMap => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Holds::CountMap => {
            json!({ "type": "object", "additionalProperties": { "type": "integer", "minimum": 0 } })
        }
        Holds::Object => json!({ "type": "object" }),
        Holds::List => json!({ "type": "array" }),
        Holds::Any => json!({}),
        Holds::OneOf(choices) => json!({ "type": "string", "enum": choices }),
    };
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

/// The same, or `null`.
fn nullable(mut schema: Map<String, Value>) -> Map<String, Value> {
    if let Some(kind) = schema.get_mut("type") {
        *kind = json!([kind.take(), "null"]);
    }
    if let Some(Value::Array(choices)) = schema.get_mut("enum") {
        choices.push(Value::Null);
    }
    schema
}

/// The schemas that have a name.
pub(super) fn shared() -> Value {
    json!({
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": {
                    "type": "object",
                    "required": ["message", "type", "param", "code"],
                    "properties": {
                        "message": { "type": "string" },
                        "type": { "type": ["string", "null"] },
                        "param": {
                            "type": ["string", "null"],
                            "description": "The field that is to blame.",
                        },
                        "code": { "type": ["string", "null"], "description": "The status, as text." },
                    },
                },
            },
        },
        "AnthropicError": {
            "type": "object",
            "required": ["type", "error"],
            "properties": {
                "type": { "const": "error" },
                "error": {
                    "type": "object",
                    "required": ["type", "message"],
                    "properties": { "type": { "type": "string" }, "message": { "type": "string" } },
                },
            },
        },
        "Detail": {
            "type": "object",
            "required": ["detail"],
            "properties": { "detail": {} },
        },
        "Answer": {
            "type": "object",
            "properties": {
                "warnings": {
                    "type": "array",
                    "items": { "type": "string" },
                    "description": "Fields that nobody knows, and fields that are kept and have no effect.",
                },
            },
        },
        "ModelCall": {
            "type": "object",
            "properties": {
                "model": { "type": "string", "description": "A name of the configuration, or one that a wildcard of it matches." },
                "stream": { "type": ["boolean", "null"] },
                "tags": {
                    "type": ["array", "null"],
                    "items": { "type": "string" },
                    "description": "Which deployments may serve: `t` one that carries it, `&t` only what carries it, `!t` none that carries it.",
                },
                "metadata": { "description": "`tags` in it count like `tags`." },
            },
            "description": "A body of the operation's dialect. The rest goes to the provider as it is.",
        },
    })
}
