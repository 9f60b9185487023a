//! The model list while the router runs. Every change is the whole of the next configuration: it is read,
//! compiled and put in use at once, or it is refused and nothing has changed. Calls under way keep the
//! configuration that they began with, and what is known of a deployment stays with its id.

use serde_json::{Map, Value};
use tagrail_config::Diagnostic;

use super::build::{ConfigError, Origin};
use crate::{Deployment, ModelList, Router};

/// Why there is nothing to change.
const COMPILED: &str = "this router was made of a compiled configuration, and how that was written is not known: \
                        use Router::replace, or make the router with Router::builder";
const TAKEN: &str = "there is a deployment of this id already: use Router::upsert_deployment to replace it";

/// The model list while the router runs.
///
/// ```
/// use tagrail::{Deployment, Router};
///
/// let router = Router::builder()
///     .model_list([Deployment::new("small", "openai/gpt-4o-mini").api_key("sk-1").id("mini")])
///     .build()?;
/// router.add_deployment(Deployment::new("large", "openai/gpt-4o").api_key("sk-1").id("full"))?;
/// assert_eq!(router.model_names(), ["small", "large"]);
/// assert!(router.remove_deployment("mini")?.is_some());
/// assert_eq!(router.model_names(), ["large"]);
/// # Ok::<(), tagrail::ConfigError>(())
/// ```
impl Router {
    /// Puts another model list in use.
    ///
    /// # Errors
    /// It has mistakes; nothing has changed.
    pub fn set_model_list(&self, list: impl Into<ModelList>) -> Result<(), ConfigError> {
        let list: Value = list.into().into();
        self.change(|document, _| {
            document["model_list"] = list;
            Ok(true)
        })
    }

    /// Adds a deployment.
    ///
    /// # Errors
    /// It has a mistake, or there is one of its id already; nothing has changed.
    pub fn add_deployment(&self, deployment: impl Into<Deployment>) -> Result<(), ConfigError> {
        let deployment = deployment.into();
        self.change(|document, placed| match deployment.id_in(placed) {
            Some(_) => Err(ConfigError::because(TAKEN)),
            None => deployment.push(document),
        })
    }

    /// Adds a deployment, or puts it in the place of the one with its `model_info.id`.
    ///
    /// # Errors
    /// It has a mistake; nothing has changed.
    pub fn upsert_deployment(&self, deployment: impl Into<Deployment>) -> Result<(), ConfigError> {
        let deployment = deployment.into();
        self.change(|document, placed| match deployment.id_in(placed) {
            Some(place) => {
                document["model_list"][place] = deployment.into();
                Ok(true)
            }
            None => deployment.push(document),
        })
    }

    /// Takes out the deployment of this id, and gives its entry as it was written; `None` when there is
    /// none.
    ///
    /// # Errors
    /// What is left cannot be used without it; nothing has changed.
    pub fn remove_deployment(&self, id: &str) -> Result<Option<Value>, ConfigError> {
        let mut removed = None;
        self.change(|document, placed| {
            let place = placed.iter().find(|(known, _)| known == id).map(|(_, place)| *place);
            if let (Some(place), Some(list)) = (place, document["model_list"].as_array_mut()) {
                removed = (place < list.len()).then(|| list.remove(place));
            }
            Ok(removed.is_some())
        })?;
        Ok(removed)
    }

    /// The deployments in use, as they were written and in their order, each with its id. They hold the keys
    /// that they were written with.
    pub fn model_list(&self) -> Vec<Value> {
        let origin = self.origin();
        let Some(list) = origin.as_ref().and_then(|origin| origin.document["model_list"].as_array()) else {
            return Vec::new();
        };
        let entry = |(id, place): (String, usize)| {
            let mut entry = list.get(place)?.clone();
            let info =
                entry.as_object_mut()?.entry("model_info").or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(info) = info {
                info.insert("id".to_owned(), id.into());
            }
            Some(entry)
        };
        self.in_use().into_iter().filter_map(entry).collect()
    }

    /// The names that can be called: aliases first, then groups in their order, wildcards as written.
    pub fn model_names(&self) -> Vec<String> {
        self.snapshot().table.names().into_iter().map(str::to_owned).collect()
    }

    /// What was noticed in the configuration in use.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        self.origin().as_ref().map(|origin| origin.diagnostics.clone()).unwrap_or_default()
    }

    /// One change after another; of one that says that it is none, nothing comes.
    fn change(
        &self,
        change: impl FnOnce(&mut Value, &[(String, usize)]) -> Result<bool, ConfigError>,
    ) -> Result<(), ConfigError> {
        let mut origin = self.origin();
        let Some(current) = &*origin else { return Err(ConfigError::because(COMPILED)) };
        let mut document = current.document.clone();
        if !change(&mut document, &self.placed())? {
            return Ok(());
        }
        let (resolved, next): (_, Origin) = current.with(&document)?;
        self.put(resolved);
        *origin = Some(next);
        Ok(())
    }

    /// The ids in use, and the places in the list that they stand at.
    fn in_use(&self) -> Vec<(String, usize)> {
        let snapshot = self.snapshot();
        let specs = snapshot.table.deployments().iter();
        specs.zip(&snapshot.deployments).map(|(spec, own)| (spec.id.clone(), own.place)).collect()
    }

    /// The same with those that were left out for a mistake.
    fn placed(&self) -> Vec<(String, usize)> {
        let snapshot = self.snapshot();
        let left_out = snapshot.left_out.iter();
        let mut placed = self.in_use();
        placed.extend(left_out.filter_map(|it| Some((it.id.clone()?, it.place))));
        placed
    }
}

impl Deployment {
    /// Where the deployment of its id stands.
    fn id_in(&self, placed: &[(String, usize)]) -> Option<usize> {
        let id = self.value()["model_info"]["id"].as_str()?;
        placed.iter().find(|(known, _)| known == id).map(|(_, place)| *place)
    }

    fn push(self, document: &mut Value) -> Result<bool, ConfigError> {
        match &mut document["model_list"] {
            Value::Array(list) => list.push(self.into()),
            none => *none = Value::Array(vec![self.into()]),
        }
        Ok(true)
    }
}
