//! The model list while the router runs. Every change is the whole of the next configuration: it is read,
//! compiled and put in use at once, or it is refused and nothing has changed. Calls under way keep the
//! configuration that they began with, and what is known of a deployment stays with its id.

use serde_json::{Value, json};
use tagrail_config::{DeploymentSettings, Diagnostic};
use tagrail_routing::DeploymentSpec;

use super::build::{ConfigError, Origin};
use crate::{Deployment, ModelList, Router};

/// Why there is nothing to change.
const COMPILED: &str = "this router was made of a compiled configuration, and how that was written is not known: \
                        use Router::replace, or make the router with Router::builder";
const TAKEN: &str = "there is a deployment of this id already: use Router::upsert_deployment to replace it";

/// Where the deployment of an id stands.
struct Seat {
    id: String,
    /// Its item of the list.
    item: usize,
    /// Of an item with a list of organizations, which is as many deployments: its own.
    organization: Option<String>,
}

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
        self.change(|document, seats| match deployment.seat(seats) {
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
        self.change(|document, seats| {
            let place = deployment.seat(seats).and_then(|seat| seat.set_apart(seats, document));
            let Some(entry) = place.and_then(|place| document["model_list"].get_mut(place)) else {
                return deployment.push(document);
            };
            *entry = deployment.into();
            Ok(true)
        })
    }

    /// Takes out the deployment of this id, and gives its entry as it was written; `None` when there is
    /// none.
    ///
    /// # Errors
    /// What is left cannot be used without it; nothing has changed.
    pub fn remove_deployment(&self, id: &str) -> Result<Option<Value>, ConfigError> {
        let mut removed = None;
        self.change(|document, seats| {
            let seat = seats.iter().find(|seat| seat.id == id);
            let place = seat.and_then(|seat| seat.set_apart(seats, document));
            if let (Some(place), Some(list)) = (place, document["model_list"].as_array_mut()) {
                removed = (place < list.len()).then(|| list.remove(place));
            }
            Ok(removed.is_some())
        })?;
        Ok(removed)
    }

    /// The deployments in use, as they were written and in their order, each with its id; [`set_model_list`]
    /// takes them back. They hold the keys that they were written with. Of a router made of a compiled
    /// configuration, of which it is not known how it was written, there are none.
    ///
    /// [`set_model_list`]: Router::set_model_list
    pub fn model_list(&self) -> Vec<Value> {
        let origin = self.origin();
        let Some(list) = origin.as_ref().and_then(|origin| origin.document["model_list"].as_array()) else {
            return Vec::new();
        };
        self.in_use().iter().filter_map(|seat| seat.entry(list)).collect()
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
        change: impl FnOnce(&mut Value, &[Seat]) -> Result<bool, ConfigError>,
    ) -> Result<(), ConfigError> {
        let mut origin = self.origin();
        let Some(current) = &*origin else { return Err(ConfigError::because(COMPILED)) };
        let mut document = current.document.clone();
        if !change(&mut document, &self.seats())? {
            return Ok(());
        }
        let (resolved, next): (_, Origin) = current.with(&document)?;
        self.put(resolved);
        *origin = Some(next);
        Ok(())
    }

    /// The deployments in use, in their order.
    fn in_use(&self) -> Vec<Seat> {
        let snapshot = self.snapshot();
        let specs = snapshot.table.deployments().iter().zip(&snapshot.deployments);
        let is_left_out = |id: &str, item| {
            snapshot.left_out.iter().any(|it| it.place == item && it.id.as_deref() == Some(id))
        };
        let in_use = specs.filter(|(spec, own)| !is_left_out(&spec.id, own.place));
        let seat = |(spec, own): (&DeploymentSpec, &DeploymentSettings)| {
            let organization = own.shown_params.get("organization").and_then(Value::as_str);
            Seat { id: spec.id.clone(), item: own.place, organization: organization.map(str::to_owned) }
        };
        in_use.map(seat).collect()
    }

    /// The same with those that were left out for a mistake.
    fn seats(&self) -> Vec<Seat> {
        let snapshot = self.snapshot();
        let left_out = snapshot.left_out.iter();
        let mut seats = self.in_use();
        seats.extend(
            left_out.filter_map(|it| Some(Seat { id: it.id.clone()?, item: it.place, organization: None })),
        );
        seats
    }
}

impl Seat {
    /// The entry as it was written, with its id, and of several organizations with its own.
    fn entry(&self, list: &[Value]) -> Option<Value> {
        let mut entry = list.get(self.item)?.clone();
        match &mut entry["model_info"] {
            Value::Object(info) => drop(info.insert("id".to_owned(), self.id.as_str().into())),
            none => *none = json!({ "id": self.id }),
        }
        if let Some(own) = self.organization.as_deref().filter(|_| self.is_of_several(list)) {
            entry["litellm_params"]["organization"] = own.into();
        }
        Some(entry)
    }

    fn is_of_several(&self, list: &[Value]) -> bool {
        list.get(self.item).is_some_and(|entry| entry["litellm_params"]["organization"].is_array())
    }

    /// The item of this deployment alone: what it is written together with gets items of its own.
    fn set_apart(&self, seats: &[Seat], document: &mut Value) -> Option<usize> {
        let list = document["model_list"].as_array_mut()?;
        if self.organization.is_none() || !self.is_of_several(list) {
            return Some(self.item);
        }
        let together: Vec<&Seat> =
            seats.iter().filter(|seat| seat.item == self.item && seat.organization.is_some()).collect();
        let entries: Vec<Value> = together.iter().filter_map(|seat| seat.entry(list)).collect();
        list.splice(self.item..=self.item, entries);
        Some(self.item + together.iter().position(|seat| seat.id == self.id)?)
    }
}

impl Deployment {
    /// Where the deployment of its id stands. An id may be a number, as in the configuration.
    fn seat<'a>(&self, seats: &'a [Seat]) -> Option<&'a Seat> {
        let id = match &self.value()["model_info"]["id"] {
            Value::String(id) => id.clone(),
            Value::Number(id) => id.to_string(),
            _ => return None,
        };
        seats.iter().find(|seat| seat.id == id)
    }

    fn push(self, document: &mut Value) -> Result<bool, ConfigError> {
        match &mut document["model_list"] {
            Value::Array(list) => list.push(self.into()),
            none => *none = Value::Array(vec![self.into()]),
        }
        Ok(true)
    }
}
