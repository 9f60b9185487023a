//! Which values of a file an excerpt may show, by where they stand.

use super::{is_header_map, is_secret};
use crate::keys::{CALL, ENTRY, GENERAL, INFO, LITELLM, PARAMS, ROUTER, Section, Standing, TOP, is_price};

/// What stands at a place of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Nobody's business, with all that is below it.
    Hidden,
    /// Shown, but for what its keys or its shape give away.
    Open,
    /// The whole file.
    File,
    /// `model_list`.
    Deployments,
    /// `credential_list`.
    Credentials,
    /// An item of `credential_list`.
    Credential,
    /// A map with known keys.
    Keys(Known),
}

/// Maps with known keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Deployment,
    Params,
    Info,
    Router,
    Litellm,
    General,
}

impl Scope {
    /// What stands behind a key. The value of a key that nobody knows may be anything: a misspelt
    /// `database_url` is a password like the other.
    pub(crate) fn below(self, key: &str) -> Scope {
        if key == "<<" {
            return self;
        }
        if is_secret(key) || is_header_map(key) {
            return Scope::Hidden;
        }
        match self {
            Scope::Hidden => Scope::Hidden,
            Scope::Open => Scope::Open,
            Scope::File => of_file(key),
            Scope::Deployments => Scope::Keys(Known::Deployment).below(key),
            Scope::Credentials | Scope::Credential => match key {
                "credential_name" | "credential_info" => Scope::Open,
                _ => Scope::Hidden,
            },
            Scope::Keys(known) => match (known, key) {
                (Known::Deployment, "litellm_params") | (Known::Router, "default_litellm_params") => {
                    Scope::Keys(Known::Params)
                }
                (Known::Deployment, "model_info") => Scope::Keys(Known::Info),
                _ if known.knows(key) => Scope::Open,
                _ => Scope::Hidden,
            },
        }
    }

    /// What an item of a list is.
    pub(crate) fn item(self) -> Scope {
        match self {
            Scope::Deployments => Scope::Keys(Known::Deployment),
            Scope::Credentials => Scope::Credential,
            other => other,
        }
    }

    /// Whether a scalar here is hidden: also where a map should be, as nobody knows what it is. A
    /// reference is no secret, and says which variable to set.
    pub(crate) fn hides(self, scalar: &str) -> bool {
        self != Scope::Open && !scalar.trim_start_matches(['"', '\'']).starts_with("os.environ/")
    }
}

impl Known {
    fn knows(self, key: &str) -> bool {
        let section = match self {
            Known::Deployment => &ENTRY,
            Known::Params => &PARAMS,
            Known::Info => &INFO,
            Known::Router => &ROUTER,
            Known::Litellm => &LITELLM,
            Known::General => &GENERAL,
        };
        let call = self == Known::Params && CALL.contains(&key);
        is_key_of(section, key) || call || is_price(key)
    }
}

fn is_key_of(section: &Section, key: &str) -> bool {
    !matches!(section.standing(key), Standing::Unknown)
}

fn of_file(key: &str) -> Scope {
    match key {
        "model_list" => Scope::Deployments,
        "credential_list" => Scope::Credentials,
        "environment_variables" => Scope::Hidden,
        "router_settings" => Scope::Keys(Known::Router),
        "litellm_settings" => Scope::Keys(Known::Litellm),
        "general_settings" => Scope::Keys(Known::General),
        // Defaults to merge are kept under names of their owner's.
        _ if is_key_of(&TOP, key) || crate::keys::is_scratch(key) => Scope::Open,
        _ => Scope::Hidden,
    }
}

/// Whether a key is one of any map, and its value no secret by its place: all that is to be known of
/// a line of a file that is not YAML.
pub(crate) fn is_known_anywhere(key: &str) -> bool {
    let known =
        [Known::Deployment, Known::Params, Known::Info, Known::Router, Known::Litellm, Known::General];
    key == "credential_name" || is_key_of(&TOP, key) || known.iter().any(|known| known.knows(key))
}

/// Whether everything below a key of a file that is not YAML is hidden.
pub(crate) fn hides_below(key: &str) -> bool {
    is_secret(key)
        || is_header_map(key)
        || matches!(key, "credential_list" | "credential_values" | "environment_variables")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(path: &[&str]) -> Scope {
        path.iter().fold(Scope::File, |scope, key| if *key == "-" { scope.item() } else { scope.below(key) })
    }

    #[test]
    fn what_is_shown_depends_on_where_it_stands() {
        for path in [
            &["model_list", "-", "litellm_params", "tags", "-"][..],
            &["model_list", "-", "litellm_params", "temperature"],
            &["router_settings", "fallbacks", "-", "gpt-4o", "-"],
            &["credential_list", "-", "credential_name"],
            &["x-defaults", "model"],
        ] {
            assert_eq!(scope(path), Scope::Open, "{path:?}");
        }
        for path in [
            &["databse_url"][..],
            &["general_settings", "database_ur"],
            &["general_settings", "master_key", "-"],
            &["credential_list", "-", "credential_values", "region"],
            &["credential_list", "credential_values", "region"],
            &["environment_variables", "ANY"],
            &["model_list", "-", "litellm_params", "extra_headers", "x-tenant"],
            &["x-defaults", "api_key"],
        ] {
            assert_eq!(scope(path), Scope::Hidden, "{path:?}");
        }
        assert!(scope(&["general_settings"]).hides("hunter2"));
        assert!(!scope(&["general_settings", "master_key"]).hides("os.environ/KEY"));
    }
}
