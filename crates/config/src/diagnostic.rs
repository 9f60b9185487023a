//! What is wrong with a configuration, where, and what to write instead.

use std::fmt;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Level, Message, Origin, Renderer, Snippet};
use serde_json::json;

use crate::confidential::masked;
use crate::file::Sources;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Works, but is probably not what was meant.
    Warning,
    /// Something is left out, or nothing runs.
    Error,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// As given on the command line or in `include`.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// A stable code, `kebab-case`: `unknown-key`, `unset-variable`, `wrong-type`.
    pub code: &'static str,
    /// One sentence that names the key and the value (never a secret).
    pub message: String,
    /// Where; `None` when it is about the file as a whole, or about a value.
    pub spot: Option<Spot>,
    /// Where in a value: `model_list[3].litellm_params.tags`; `None` when it is about a file.
    pub path: Option<String>,
    /// What to write instead.
    pub help: Option<String>,
    /// Whether nothing is started because of it; an error that stops nothing leaves a deployment out.
    pub stops: bool,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// `config.yaml:3:5: warning[unknown-key]: ... (did you mean ...?)`, on one line; of a value,
/// `model_list[3].litellm_params.tags: error[wrong-type]: ...`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(spot) = &self.spot {
            write!(f, "{spot}: ")?;
        }
        if let Some(path) = &self.path {
            write!(f, "{path}: ")?;
        }
        write!(f, "{}[{}]: {}", self.severity, self.code, self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl Diagnostic {
    /// The finding with the line that it is about, for a terminal; `colours` when that shows them.
    /// Values of keys that hold secrets are masked.
    pub fn render(&self, sources: &Sources, colours: bool) -> String {
        let level = match self.severity {
            Severity::Warning => Level::WARNING,
            Severity::Error => Level::ERROR,
        };
        let title = level.primary_title(self.message.as_str()).id(self.code);
        let excerpt = self.spot.as_ref().and_then(|spot| Excerpt::of(spot, sources));
        let mut group = title.elements(Vec::<Message<'_>>::new());
        if let Some(spot) = &self.spot {
            let path = spot.file.display().to_string();
            group = match &excerpt {
                Some(excerpt) => {
                    let mark = AnnotationKind::Primary.span(excerpt.start..excerpt.end);
                    let snippet = Snippet::source(excerpt.line.as_str()).line_start(spot.line).path(path);
                    group.element(snippet.annotation(mark))
                }
                None => group.element(Origin::path(path).line(spot.line).char_column(spot.column)),
            };
        }
        if let Some(path) = &self.path {
            group = group.element(Origin::path(path.as_str()));
        }
        if let Some(fate) = self.fate() {
            group = group.element(Level::NOTE.message(fate));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }

    /// What becomes of the configuration for it.
    fn fate(&self) -> Option<&'static str> {
        match (self.severity, self.stops) {
            (_, true) if self.path.is_some() => Some("nothing runs with this"),
            (_, true) => Some("nothing is started with this"),
            (Severity::Error, false) => Some("this deployment is left out"),
            (Severity::Warning, false) => None,
        }
    }

    /// The finding for a machine: `severity`, `code`, `message`, `file`, `line`, `column`, `help`,
    /// `stops`; what is not known is null. One about a value has its `path` besides.
    pub fn to_json(&self) -> serde_json::Value {
        let spot = self.spot.as_ref();
        let mut json = json!({
            "severity": self.severity.to_string(),
            "code": self.code,
            "message": self.message,
            "file": spot.map(|spot| spot.file.display().to_string()),
            "line": spot.map(|spot| spot.line),
            "column": spot.map(|spot| spot.column),
            "help": self.help,
            "stops": self.stops,
        });
        if let Some(path) = &self.path {
            json["path"] = path.as_str().into();
        }
        json
    }
}

/// The line of a spot as it may be shown, and what of it is meant, in bytes.
struct Excerpt {
    line: String,
    start: usize,
    end: usize,
}

impl Excerpt {
    fn of(spot: &Spot, sources: &Sources) -> Option<Excerpt> {
        let shown = masked(sources.text(&spot.file)?, spot.line, spot.column, sources.hidden(&spot.file))?;
        let end = shown.start + word(&shown.line[shown.start..]);
        Some(Excerpt { line: shown.line, start: shown.start, end })
    }
}

/// Length of the scalar, bracket or key that a text begins with.
fn word(text: &str) -> usize {
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => text[1..].find(quote).map_or(text.len(), |at| at + 2),
        Some(bracket @ ('[' | '{')) => bracket.len_utf8(),
        _ => {
            text.find([' ', ',', ']', '}']).map_or(text.len(), |end| text[..end].trim_end_matches(':').len())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::load_text;

    /// A mistake in the second line of a configuration that runs.
    const RETIRES: &str = "router_settings:\n  num_retires: 2\nmodel_list: [{model_name: m, litellm_params: {model: openai/m, api_key: k}}]\n";

    fn diagnostic(text: &str) -> (Diagnostic, Sources) {
        let loaded = load_text(text, Path::new("config.yaml"), &|_| None);
        (loaded.diagnostics.into_iter().next().unwrap(), loaded.sources)
    }

    #[test]
    fn a_finding_shows_its_line() {
        let (found, sources) = diagnostic(RETIRES);
        insta::assert_snapshot!(found.render(&sources, false), @r"
        warning[unknown-key]: `num_retires` is not a key of router_settings, and is ignored
         --> config.yaml:2:3
          |
        2 |   num_retires: ***
          |   ^^^^^^^^^^^
          |
          = help: did you mean `num_retries`?
        ");
    }

    #[test]
    fn an_excerpt_shows_no_secret() {
        let (found, sources) =
            diagnostic("general_settings: {master_key: sk-secret, master_kay: sk-other}\n");
        let rendered = found.render(&sources, false);
        assert!(rendered.contains("master_kay"), "{rendered}");
        assert!(!rendered.contains("sk-secret"), "{rendered}");
    }

    /// Whatever is wrong, no rendering, line or JSON of it holds the canary.
    #[test]
    fn a_password_in_an_address_is_in_no_finding() {
        for address in [
            r#""http://user:canary@127.0.0.1/ok""#,
            "http://user:canary@127.0.0.1/ok",
            "'http://user:can?ary@127.0.0.1/ok'",
            "user:canary@127.0.0.1/ok",
            "http://h:port/?key=canary",
            "ftp://h/?key=canary#canary",
            "[\"http://user:canary@h\"]",
            "{url: \"http://user:canary@h\"}",
        ] {
            let text = format!(
                "model_list:\n- model_name: m\n  litellm_params: {{model: openai/m, api_base: {address}, api_kee: 1}}\n"
            );
            let loaded = load_text(&text, Path::new("config.yaml"), &|_| None);
            assert!(!loaded.diagnostics.is_empty(), "{address}");
            for found in &loaded.diagnostics {
                for shown in
                    [found.render(&loaded.sources, false), found.to_string(), found.to_json().to_string()]
                {
                    assert!(!shown.contains("canary") && !shown.contains("user:can"), "{shown}");
                }
            }
        }
    }

    /// Wherever a secret stands, and whatever is wrong with it, no finding shows it.
    #[test]
    fn a_secret_is_in_no_finding() {
        let deployment = "model_list:\n- model_name: m\n  litellm_params:\n    model: openai/m\n";
        for text in [
            "general_settings:\n  database_ur: postgresql://u:canary@h/db\n".to_owned(),
            "general_settings:\n  slack_webhok: https://hooks/canary\n".to_owned(),
            "general_settings: canary\n".to_owned(),
            "general_settings: sk-canary\n".to_owned(),
            "general_settings:\n  sk-canary: 1\n".to_owned(),
            "general_settings: {master_key: [canary]}\n".to_owned(),
            "canary\n".to_owned(),
            "litellm_settings: {fallbacks: sk-canary}\n".to_owned(),
            "credential_list:\n- credential_nam: n\n  credential_values: {region: canary}\n".to_owned(),
            "credential_list:\n- {credential_nam: n, credential_values: {region: canary}}\n".to_owned(),
            "credential_list: [canary]\n".to_owned(),
            "credential_list: canary\n".to_owned(),
            "environment_variables: {PATH: canary}\n".to_owned(),
            "environment_variables: [canary]\n".to_owned(),
            "api_kee: canary\nx: [\n".to_owned(),
            "api_key:\n  *canary\n".to_owned(),
            "api_key: *canary\n".to_owned(),
            "{api_key: %canary}\n".to_owned(),
            format!("{deployment}    api_key:\n    - canary\n"),
            format!("{deployment}    api_key:\n    - sk-canary\n    - [canary]\n"),
            format!("{deployment}    api_key: {{a: canary}}\n"),
            format!("{deployment}    api_key: |\n      canary\n      canary\n    timeout: x\n"),
            format!("{deployment}    headers: {{x-tenant: [canary]}}\n"),
            format!("{deployment}    api_kee: canary\n"),
            format!("{deployment}    api_kee: |\n      canary\n"),
            format!("{deployment}    tags: sk-canary\n"),
            format!("{deployment}  api_key: canary\n"),
        ] {
            let loaded = load_text(&text, Path::new("config.yaml"), &|_| None);
            assert!(!loaded.diagnostics.is_empty(), "{text}");
            for found in &loaded.diagnostics {
                for shown in
                    [found.render(&loaded.sources, false), found.to_string(), found.to_json().to_string()]
                {
                    assert!(!shown.contains("canary"), "{text}\n{shown}");
                }
            }
        }
    }

    #[test]
    fn a_finding_about_the_whole_file_has_no_excerpt() {
        let (found, sources) = diagnostic("");
        assert_eq!(found.spot, None);
        let rendered = found.render(&sources, false);
        assert!(rendered.contains("Config cannot be None or Empty."), "{rendered}");
    }

    #[test]
    fn machines_get_every_field() {
        let (found, _) = diagnostic(RETIRES);
        let json = found.to_json();
        assert_eq!(json["severity"], "warning");
        assert_eq!(json["code"], "unknown-key");
        assert_eq!(
            (&json["file"], &json["line"], &json["column"]),
            (&"config.yaml".into(), &2.into(), &3.into())
        );
        assert_eq!(json["help"], "did you mean `num_retries`?");
        assert_eq!(json["stops"], false);
    }

    #[test]
    fn one_line_says_it_all() {
        let (found, _) = diagnostic(RETIRES);
        assert_eq!(
            found.to_string(),
            "config.yaml:2:3: warning[unknown-key]: `num_retires` is not a key of router_settings, and is ignored \
             (did you mean `num_retries`?)"
        );
    }
}
