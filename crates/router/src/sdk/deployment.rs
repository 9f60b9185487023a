//! One entry of a model list.

use std::time::Duration;

use serde_json::{Value, json};

/// One entry of a model list, in LiteLLM's shape: `model_name`, `litellm_params`, `model_info`. Made by its
/// methods or of a plain value, and turned back into one by `Value::from`.
///
/// ```
/// use serde_json::{Value, json};
/// use tagrail::Deployment;
///
/// let typed = Deployment::new("anthropic/*", "anthropic/*")
///     .api_key("os.environ/ANTHROPIC_API_KEY")
///     .tags(["paid"])
///     .order(1)
///     .id("claude");
/// assert_eq!(
///     Value::from(typed),
///     json!({
///         "model_name": "anthropic/*",
///         "litellm_params": {
///             "model": "anthropic/*",
///             "api_key": "os.environ/ANTHROPIC_API_KEY",
///             "tags": ["paid"],
///             "order": 1,
///         },
///         "model_info": {"id": "claude"},
///     })
/// );
/// ```
#[derive(Clone, PartialEq)]
pub struct Deployment(Value);

/// A model list: of [`Deployment`]s, of plain values, or a plain value as a whole.
#[derive(Clone, PartialEq)]
pub struct ModelList(Value);

impl Deployment {
    /// Calls by `model_name` (which may hold wildcards) go to `model`: provider, slash, the provider's name
    /// of it.
    pub fn new(model_name: impl Into<String>, model: impl Into<String>) -> Deployment {
        Deployment(json!({
            "model_name": model_name.into(),
            "litellm_params": { "model": model.into() },
        }))
    }

    /// The key; `os.environ/NAME` is looked up.
    #[must_use]
    pub fn api_key(self, key: impl Into<String>) -> Deployment {
        self.param("api_key", key.into())
    }

    /// Where it is, when it is not where its provider usually is.
    #[must_use]
    pub fn api_base(self, base: impl Into<String>) -> Deployment {
        self.param("api_base", base.into())
    }

    /// Tags that it serves.
    #[must_use]
    pub fn tags(self, tags: impl IntoIterator<Item = impl Into<String>>) -> Deployment {
        self.param("tags", texts(tags))
    }

    /// Patterns of the `User-Agent`s that it serves.
    #[must_use]
    pub fn tag_regex(self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Deployment {
        self.param("tag_regex", texts(patterns))
    }

    /// Smaller orders are asked first.
    #[must_use]
    pub fn order(self, order: i64) -> Deployment {
        self.param("order", order)
    }

    /// Its share among equals.
    #[must_use]
    pub fn weight(self, weight: impl Into<Value>) -> Deployment {
        self.param("weight", weight)
    }

    /// How long one try may take.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Deployment {
        self.param("timeout", timeout.as_secs_f64())
    }

    /// How often its failures are tried again.
    #[must_use]
    pub fn num_retries(self, retries: u32) -> Deployment {
        self.param("num_retries", retries)
    }

    /// Most calls at a time; more wait.
    #[must_use]
    pub fn max_parallel_requests(self, most: u32) -> Deployment {
        self.param("max_parallel_requests", most)
    }

    /// Answers with this text and asks nobody.
    #[must_use]
    pub fn mock_response(self, text: impl Into<String>) -> Deployment {
        self.param("mock_response", text.into())
    }

    /// US dollars for a token of the prompt and for one of the answer, instead of the listed prices.
    #[must_use]
    pub fn price(self, input: f64, output: f64) -> Deployment {
        self.param("input_cost_per_token", input).param("output_cost_per_token", output)
    }

    /// Its id, instead of one made of its parameters: what is known of a deployment stays with it.
    #[must_use]
    pub fn id(self, id: impl Into<String>) -> Deployment {
        self.info("id", id.into())
    }

    /// One more of `litellm_params`.
    #[must_use]
    pub fn param(self, key: impl Into<String>, value: impl Into<Value>) -> Deployment {
        self.set("litellm_params", key.into(), value.into())
    }

    /// One more of `model_info`.
    #[must_use]
    pub fn info(self, key: impl Into<String>, value: impl Into<Value>) -> Deployment {
        self.set("model_info", key.into(), value.into())
    }

    /// The entry.
    pub(super) fn value(&self) -> &Value {
        &self.0
    }

    fn set(mut self, section: &str, key: String, value: Value) -> Deployment {
        // What is no object is named when the configuration is read.
        if let Value::Object(entry) = &mut self.0 {
            match entry.entry(section).or_insert(Value::Null) {
                Value::Object(section) => drop(section.insert(key, value)),
                none @ Value::Null => *none = json!({ key: value }),
                _ => {}
            }
        }
        self
    }
}

impl From<Deployment> for Value {
    fn from(deployment: Deployment) -> Value {
        deployment.0
    }
}

impl From<Value> for Deployment {
    fn from(entry: Value) -> Deployment {
        Deployment(entry)
    }
}

impl From<ModelList> for Value {
    fn from(list: ModelList) -> Value {
        list.0
    }
}

impl From<Value> for ModelList {
    fn from(list: Value) -> ModelList {
        ModelList(list)
    }
}

impl<T: Into<Value>> From<Vec<T>> for ModelList {
    fn from(entries: Vec<T>) -> ModelList {
        ModelList(Value::Array(entries.into_iter().map(Into::into).collect()))
    }
}

impl<T: Into<Value>, const N: usize> From<[T; N]> for ModelList {
    fn from(entries: [T; N]) -> ModelList {
        ModelList(Value::Array(entries.into_iter().map(Into::into).collect()))
    }
}

/// It holds keys.
impl std::fmt::Debug for Deployment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Deployment({} -> {})", self.0["model_name"], self.0["litellm_params"]["model"])
    }
}

/// It holds keys.
impl std::fmt::Debug for ModelList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ModelList({} entries)", self.0.as_array().map_or(0, Vec::len))
    }
}

fn texts(texts: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    texts.into_iter().map(Into::into).collect()
}
