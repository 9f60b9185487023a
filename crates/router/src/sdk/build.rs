//! A configuration becomes a router.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tagrail_config::{Diagnostic, Host, Loaded, Resolved, Severity, Source, Sources, load_for};

use crate::{ModelList, Recorder, Router};

/// Looks up an environment variable.
type Environment = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Makes a [`Router`]: of a model list and settings, of a file, or of a file with settings laid over it.
///
/// ```
/// use std::time::Duration;
/// use serde_json::json;
/// use tagrail::{Deployment, Router};
///
/// let router = Router::builder()
///     .model_list([
///         Deployment::new("gpt-4", "openai/gpt-4o").api_key("sk-1").tags(["paid"]),
///         Deployment::from(json!({
///             "model_name": "gpt-4",
///             "litellm_params": {"model": "openai/gpt-4o-mini", "api_key": "sk-2", "tags": ["free"]},
///         })),
///     ])
///     .tag_filtering(true)
///     .num_retries(3)
///     .fallbacks("gpt-4", ["claude"])
///     .cooldown_time(Duration::from_secs(30))
///     .setting("retry_policy", json!({"TimeoutErrorRetries": 1}))
///     .build()?;
/// assert_eq!(router.model_names(), ["gpt-4"]);
/// # Ok::<(), tagrail::ConfigError>(())
/// ```
#[must_use]
pub struct RouterBuilder {
    base: Base,
    /// Sections of a config.yaml, laid over the base.
    pub(super) over: Map<String, Value>,
    ignores_invalid: bool,
    recorder: Arc<dyn Recorder>,
    env: Arc<Environment>,
}

/// What there is to begin with.
enum Base {
    Nothing,
    Yaml(String),
    File(PathBuf),
}

/// A configuration as written, so that its model list can be changed.
pub(crate) struct Origin {
    pub(super) document: Value,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) ignores_invalid: bool,
    pub(super) env: Arc<Environment>,
}

/// A configuration that cannot be used, and everything that is wrong with it.
pub struct ConfigError {
    diagnostics: Vec<Diagnostic>,
    sources: Sources,
    /// Where it is about the router and not about its configuration.
    reason: Option<&'static str>,
}

impl Router {
    /// A router of a model list and settings.
    pub fn builder() -> RouterBuilder {
        RouterBuilder {
            base: Base::Nothing,
            over: Map::new(),
            ignores_invalid: false,
            recorder: Arc::new(()),
            env: Arc::new(|name| std::env::var(name).ok()),
        }
    }

    /// A router of a LiteLLM `config.yaml`, given as text.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let router = tagrail::Router::from_yaml("
    /// model_list:
    ///   - model_name: hello
    ///     litellm_params: {model: openai/gpt-4o, mock_response: Good morning}
    /// ")?;
    /// let reply = router.completion(tagrail::Completion::new("hello").user("Hi")).await?;
    /// assert_eq!(reply.text().as_deref(), Some("Good morning"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// There is a mistake in it, in a single deployment too; [`RouterBuilder::ignore_invalid_deployments`]
    /// goes on without such.
    pub fn from_yaml(text: &str) -> Result<Router, ConfigError> {
        Router::builder().yaml(text).build()
    }

    /// A router of a LiteLLM `config.yaml`, with what it includes.
    ///
    /// # Errors
    /// As [`Router::from_yaml`], or the file cannot be read.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Router, ConfigError> {
        Router::builder().file(path).build()
    }
}

impl RouterBuilder {
    /// Begins with a `config.yaml`, given as text; everything else that is said here is laid over it.
    pub fn yaml(self, text: impl Into<String>) -> RouterBuilder {
        RouterBuilder { base: Base::Yaml(text.into()), ..self }
    }

    /// Begins with a file, and with what it includes.
    pub fn file(self, path: impl AsRef<Path>) -> RouterBuilder {
        RouterBuilder { base: Base::File(path.as_ref().to_owned()), ..self }
    }

    /// The deployments: typed, plain, or both.
    pub fn model_list(mut self, list: impl Into<ModelList>) -> RouterBuilder {
        self.over.insert("model_list".to_owned(), list.into().into());
        self
    }

    /// Any other of `router_settings`.
    pub fn setting(self, key: impl Into<String>, value: impl Into<Value>) -> RouterBuilder {
        self.section("router_settings", key, value)
    }

    /// Any setting of any section: `litellm_settings`, `general_settings`.
    pub fn section(
        mut self,
        section: &str,
        key: impl Into<String>,
        value: impl Into<Value>,
    ) -> RouterBuilder {
        if let Value::Object(settings) = self.over.entry(section).or_insert_with(|| json!({})) {
            settings.insert(key.into(), value.into());
        }
        self
    }

    /// Goes on without deployments that have a mistake, as a gateway does; [`Router::diagnostics`] names
    /// them. Otherwise one is enough to refuse the configuration, as with LiteLLM's Router.
    pub fn ignore_invalid_deployments(self, ignore: bool) -> RouterBuilder {
        RouterBuilder { ignores_invalid: ignore, ..self }
    }

    /// Who is told of every call that is over.
    pub fn recorder(self, recorder: Arc<dyn Recorder>) -> RouterBuilder {
        RouterBuilder { recorder, ..self }
    }

    /// Where `os.environ/NAME` and the keys of providers are looked up, instead of in the process's
    /// environment.
    pub fn env(self, env: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> RouterBuilder {
        RouterBuilder { env: Arc::new(env), ..self }
    }

    /// The router. Nothing is connected yet.
    ///
    /// # Errors
    /// The configuration has mistakes: all of them are named.
    pub fn build(self) -> Result<Router, ConfigError> {
        let RouterBuilder { base, over, ignores_invalid, recorder, env } = self;
        let loaded = match &base {
            Base::Nothing => load(&Value::Object(over), &env),
            Base::Yaml(text) => laid_over(Source::Text(text, Path::new("config.yaml")), over, &env)?,
            Base::File(path) => laid_over(Source::File(path), over, &env)?,
        };
        let (resolved, origin) = accepted(loaded, ignores_invalid, env)?;
        let router = Router::new(resolved, recorder);
        *router.origin() = Some(origin);
        Ok(router)
    }
}

impl Origin {
    /// The same with another document: what it means, unless it has mistakes.
    pub(super) fn with(&self, document: &Value) -> Result<(Resolved, Origin), ConfigError> {
        accepted(load(document, &self.env), self.ignores_invalid, self.env.clone())
    }
}

fn load(document: &Value, env: &Arc<Environment>) -> Loaded {
    load_for(Host::Program, Source::Value(document), &|name| env(name))
}

/// What is written in a source, and over it what was said to the builder.
fn laid_over(
    source: Source<'_>,
    over: Map<String, Value>,
    env: &Arc<Environment>,
) -> Result<Loaded, ConfigError> {
    let loaded = load_for(Host::Program, source, &|name| env(name));
    if over.is_empty() {
        return Ok(loaded);
    }
    // What is missing of it cannot be missed any more once it is a value.
    let Loaded { document: Some(mut document), is_whole: true, .. } = loaded else {
        return Err(ConfigError::of(loaded.diagnostics, loaded.sources));
    };
    for (section, value) in over {
        match (&mut document[&section], value) {
            (Value::Object(there), Value::Object(more)) => there.extend(more),
            (there, value) => *there = value,
        }
    }
    Ok(load(&document, env))
}

fn accepted(
    loaded: Loaded,
    ignores_invalid: bool,
    env: Arc<Environment>,
) -> Result<(Resolved, Origin), ConfigError> {
    let Loaded { resolved, diagnostics, sources, document, .. } = loaded;
    let has_errors = diagnostics.iter().any(|found| found.severity == Severity::Error);
    match (resolved, document) {
        (Some(resolved), Some(document)) if ignores_invalid || !has_errors => {
            Ok((resolved, Origin { document, diagnostics, ignores_invalid, env }))
        }
        _ => Err(ConfigError::of(diagnostics, sources)),
    }
}

impl ConfigError {
    fn of(diagnostics: Vec<Diagnostic>, sources: Sources) -> ConfigError {
        ConfigError { diagnostics, sources, reason: None }
    }

    pub(super) fn because(reason: &'static str) -> ConfigError {
        ConfigError { diagnostics: Vec::new(), sources: Sources::default(), reason: Some(reason) }
    }

    /// Everything that was noticed, warnings too.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The same for a terminal: with the lines that it is about, where there are lines.
    pub fn render(&self, colours: bool) -> String {
        let each = self.diagnostics.iter().map(|found| found.render(&self.sources, colours));
        self.reason.map(str::to_owned).into_iter().chain(each).collect::<Vec<_>>().join("\n\n")
    }
}

/// The errors, one a line.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = self.reason {
            return f.write_str(reason);
        }
        f.write_str("the configuration cannot be used")?;
        for found in self.diagnostics.iter().filter(|found| found.severity == Severity::Error) {
            write!(f, "\n{found}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}
