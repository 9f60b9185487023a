//! One router: its configuration, and how calls begin.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde_json::Value;
use tagrail::config::{self, Diagnostic, Host, Loaded, Reader};
use tagrail::routing::Reservations;
use tagrail::{Call, CallError, Explained, Operation, Refusal, Router};

use crate::caller::caller;
use crate::failure::{self, About};
use crate::json;
use crate::reply::{Landing, Reply};
use crate::runtime::{generation, handle};
use crate::wait::slot;

/// What is wrong with a configuration, and what it holds.
#[pyfunction]
pub(crate) fn check(
    py: Python<'_>,
    path: Option<PathBuf>,
    document: Option<&Bound<'_, PyAny>>,
    environ: &Bound<'_, PyAny>,
) -> PyResult<Py<PyAny>> {
    let source = match (path, document) {
        (Some(path), None) => Source::File(path),
        (None, Some(document)) => Source::Document(json::value(document)?),
        _ => return Err(PyValueError::new_err("check takes either a path or a document")),
    };
    let loaded = source.load(environ)?;
    let report = config::Report::of(&loaded);
    let mut answer = report.to_json();
    answer["text"] = report.to_text(&source.name(), Reader::Program).into();
    json::told(py, &answer)
}

/// One router: a configuration, what is known of its deployments, and connections.
#[pyclass(frozen, module = "tagrail._core")]
pub(crate) struct Core {
    /// Locked without letting go of the GIL; see `runtime.rs`.
    state: Mutex<State>,
    environ: Py<PyAny>,
}

struct State {
    generation: u32,
    /// `None` while it is moved out.
    router: Option<Arc<Router>>,
    source: Source,
    diagnostics: Vec<Diagnostic>,
    reserved: Option<Reservations>,
}

/// Where a configuration comes from.
#[derive(Clone)]
enum Source {
    Document(Value),
    File(PathBuf),
}

impl Source {
    /// # Errors
    /// What the environment raised when it was asked, and Ctrl-C meanwhile.
    fn load(&self, environ: &Bound<'_, PyAny>) -> PyResult<Loaded> {
        let raised = RefCell::new(None);
        let env = |name: &str| {
            if raised.borrow().is_some() {
                return None;
            }
            match environ.call_method1(intern!(environ.py(), "get"), (name,)) {
                Ok(value) => value.extract::<Option<String>>().ok()?,
                Err(error) => {
                    raised.replace(Some(error));
                    None
                }
            }
        };
        let loaded = match self {
            Source::Document(document) => config::load_value(document, &env),
            Source::File(path) => config::load_for(Host::Program, config::Source::File(path), &env),
        };
        raised.into_inner().map_or(Ok(loaded), Err)
    }

    /// What it is called in a report.
    fn name(&self) -> String {
        match self {
            Source::Document(_) => "the configuration".to_owned(),
            Source::File(path) => path.display().to_string(),
        }
    }
}

impl State {
    fn open(py: Python<'_>, source: Source, environ: &Bound<'_, PyAny>) -> PyResult<State> {
        let Loaded { resolved, diagnostics, document, .. } = source.load(environ)?;
        let Some(resolved) = resolved else { return Err(refused(py, &diagnostics)) };
        // What is in use is what the file said when it was read, in a child of a fork too.
        let source = document.map_or(source, Source::Document);
        let router = Some(Arc::new(Router::new(resolved, Arc::new(()))));
        Ok(State { generation: generation(), router, source, diagnostics, reserved: None })
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // Connections of the parent process, and locks that its threads may have held.
        if self.generation != generation() {
            std::mem::forget(self.router.take());
        }
    }
}

/// Why nothing runs.
fn refused(py: Python<'_>, diagnostics: &[Diagnostic]) -> PyErr {
    failure::of_configuration(py, &told(diagnostics))
}

fn told(diagnostics: &[Diagnostic]) -> Value {
    diagnostics.iter().map(Diagnostic::to_json).collect()
}

/// A call that can be run.
pub(crate) struct Started {
    router: Arc<Router>,
    call: Call,
    about: About,
}

impl Started {
    /// Runs it, on the runtime.
    pub(crate) async fn landing(self) -> Landing {
        let Started { router, call, about } = self;
        Landing::of(router.call(&call).await, about)
    }
}

/// What a gateway would find in the headers: the `user_agent` that `tag_regex` looks at. LiteLLM's router
/// takes it from the metadata.
fn headers(body: &Bound<'_, PyDict>) -> PyResult<HeaderMap> {
    let mut headers = HeaderMap::new();
    for field in [intern!(body.py(), "litellm_metadata"), intern!(body.py(), "metadata")] {
        let Some(metadata) = body.get_item(field)? else { continue };
        let Ok(metadata) = metadata.cast::<PyDict>() else { continue };
        let Some(agent) = metadata.get_item(intern!(body.py(), "user_agent"))? else { continue };
        if let Ok(agent) = agent.extract::<String>()
            && let Ok(agent) = HeaderValue::try_from(agent)
        {
            headers.insert(header::USER_AGENT, agent);
            break;
        }
    }
    Ok(headers)
}

fn operation(name: &str) -> PyResult<Operation> {
    Ok(match name {
        "chat" => Operation::ChatCompletions,
        "completions" => Operation::Completions,
        "embeddings" => Operation::Embeddings,
        "responses" => Operation::Responses,
        "messages" => Operation::Messages,
        _ => return Err(PyValueError::new_err(format!("there is no operation {name:?}"))),
    })
}

impl Core {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The router of this process. A child of a fork makes its own: with the same configuration, without
    /// connections, and without what its parent knows of the deployments' health.
    fn router(&self, py: Python<'_>) -> PyResult<Arc<Router>> {
        let inherited = {
            let state = self.state();
            match &state.router {
                Some(router) if state.generation == generation() => return Ok(router.clone()),
                _ => (state.source.clone(), state.reserved.clone()),
            }
        };
        // Unlocked: Python's environment is asked, and whoever waited here for the lock would hold the GIL.
        let (source, reserved) = inherited;
        let mut own = State::open(py, source, self.environ.bind(py))?;
        if let (Some(router), Some(reserved)) = (&own.router, &reserved) {
            router.reserve(reserved.clone());
        }
        own.reserved = reserved;
        let mut state = self.state();
        // Another thread may have been quicker, and have changed its router since.
        if state.generation != generation() {
            std::mem::swap(&mut *state, &mut own);
        }
        let router = state.router.clone();
        drop(state);
        drop(own);
        router.ok_or_else(|| failure::closed(py))
    }

    /// Reads a call.
    pub(crate) fn start(
        &self,
        py: Python<'_>,
        name: &str,
        body: &Bound<'_, PyDict>,
        on_behalf: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Started> {
        let call_id =
            body.get_item(intern!(py, "litellm_call_id"))?.and_then(|id| id.extract::<String>().ok());
        let model = body.get_item(intern!(py, "model"))?.and_then(|name| name.extract::<String>().ok());
        let retries =
            body.get_item(intern!(py, "num_retries"))?.and_then(|number| number.extract::<u32>().ok());
        let about = About::new(model.unwrap_or_default(), call_id, retries);
        let call = Call::read(operation(name)?, headers(body)?, json::body(body)?.into(), None);
        let call = call.map_err(|error| failure::of_body(py, &error, &about))?.in_process();
        let call = match on_behalf {
            Some(_) => call.by(caller(on_behalf)?, HeaderValue::from_static("")),
            None => call,
        };
        Ok(Started { router: self.router(py)?, call, about })
    }
}

#[pymethods]
impl Core {
    #[new]
    fn new(document: &Bound<'_, PyAny>, environ: &Bound<'_, PyAny>) -> PyResult<Core> {
        let source = Source::Document(json::value(document)?);
        let state = State::open(document.py(), source, environ)?;
        Ok(Core { state: Mutex::new(state), environ: environ.clone().unbind() })
    }

    #[staticmethod]
    fn from_file(path: PathBuf, environ: &Bound<'_, PyAny>) -> PyResult<Core> {
        let state = State::open(environ.py(), Source::File(path), environ)?;
        Ok(Core { state: Mutex::new(state), environ: environ.clone().unbind() })
    }

    fn replace(&self, document: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = document.py();
        let source = Source::Document(json::value(document)?);
        let router = self.router(py)?;
        let Loaded { resolved, diagnostics, .. } = source.load(self.environ.bind(py))?;
        let Some(resolved) = resolved else { return Err(refused(py, &diagnostics)) };
        let mut state = self.state();
        router.replace(resolved);
        (state.source, state.diagnostics) = (source, diagnostics);
        Ok(())
    }

    fn diagnostics(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let diagnostics = told(&self.state().diagnostics);
        json::told(py, &diagnostics)
    }

    fn document(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let source = self.state().source.clone();
        match &source {
            Source::Document(document) => json::told(py, document),
            Source::File(_) => Ok(PyDict::new(py).into_any().unbind()),
        }
    }

    fn deployments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let snapshot = self.router(py)?.snapshot();
        let list = PyList::empty(py);
        let is_left_out = |id: &str, place| {
            snapshot.left_out.iter().any(|it| it.place == place && it.id.as_deref() == Some(id))
        };
        for (spec, settings) in snapshot.table.deployments().iter().zip(&snapshot.deployments) {
            if is_left_out(&spec.id, settings.place) {
                continue;
            }
            let told = PyDict::new(py);
            told.set_item("id", &spec.id)?;
            told.set_item("model_name", &spec.group)?;
            told.set_item("place", settings.place)?;
            list.append(told)?;
        }
        Ok(list)
    }

    fn reserve(&self, py: Python<'_>, tags: Option<Vec<String>>) -> PyResult<()> {
        let reservations = match tags {
            Some(tags) => Reservations::Known(tags.into_iter().collect()),
            None => Reservations::Unknown,
        };
        self.router(py)?.reserve(reservations.clone());
        self.state().reserved = Some(reservations);
        Ok(())
    }

    fn call(
        &self,
        py: Python<'_>,
        operation: &str,
        body: &Bound<'_, PyDict>,
        caller: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Reply> {
        let started = self.start(py, operation, body, caller)?;
        let (filling, waiting) = slot();
        let task = handle()?.spawn(async move { filling.fill(started.landing().await) });
        match waiting.wait(py) {
            Ok(landing) => landing.reply(py),
            Err(interrupted) => {
                task.abort();
                Err(interrupted)
            }
        }
    }

    fn choose(
        &self,
        py: Python<'_>,
        operation: &str,
        body: &Bound<'_, PyDict>,
        caller: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<(String, String)> {
        let Started { router, call, about } = self.start(py, operation, body, caller)?;
        let explained = router.explain(&call).map_err(|error| failure::of_call(py, &error, &about))?;
        let Explained { explanation, snapshot, model, .. } = explained;
        match explanation.decision {
            Ok(decision) => {
                let first = decision.first();
                let upstream = snapshot.table.upstream_model(&decision, first).into_owned();
                Ok((snapshot.spec(first).id.clone(), upstream))
            }
            Err(no_route) => {
                let refusal = Refusal::NoRoute(no_route);
                let error = CallError::new(&call, snapshot, model, refusal);
                Err(failure::of_call(py, &error, &about))
            }
        }
    }

    #[pyo3(signature = (operation, body, caller, cooling=None, told=false))]
    fn explain(
        &self,
        py: Python<'_>,
        operation: &str,
        body: &Bound<'_, PyDict>,
        caller: Option<&Bound<'_, PyDict>>,
        cooling: Option<BTreeMap<String, f64>>,
        told: bool,
    ) -> PyResult<Py<PyAny>> {
        let Started { router, call, about } = self.start(py, operation, body, caller)?;
        let mut assumed = Vec::new();
        for (id, seconds) in cooling.iter().flatten() {
            let time = Duration::try_from_secs_f64(*seconds)
                .map_err(|error| PyValueError::new_err(format!("cooling: {id}: {error}")))?;
            assumed.push((id.as_str(), time));
        }
        let explained = router.explain_assuming(&call, !told, &assumed);
        let explained = explained.map_err(|error| failure::of_call(py, &error, &about))?;
        let mut answer = explained.to_json();
        answer["text"] = explained.to_text().into();
        json::told(py, &answer)
    }
}
