//! An answer, whole or in chunks, as Python holds it.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyNotImplemented};
use tagrail::{Answer, AnswerBody, CallError, Cost, Facts, Usage};
use tokio::task::AbortHandle;

use crate::runtime::generation;
use crate::stream::Incoming;
use crate::wait::slot;
use crate::{failure, json};

/// How a call ended, on its way from the runtime to Python.
pub(crate) struct Landing {
    result: Result<(Facts, Body), Box<CallError>>,
    about: failure::About,
}

/// What there is to read.
enum Body {
    Whole(Vec<bytes::Bytes>),
    Stream(Flow),
}

/// A stream, and the task that reads it: without the one the other ends.
struct Flow {
    incoming: Arc<Incoming>,
    reader: AbortHandle,
    generation: u32,
}

impl Landing {
    /// Called on the runtime: a stream begins to be read at once.
    pub(crate) fn of(result: Result<Answer, Box<CallError>>, about: failure::About) -> Landing {
        let result = result.map(|Answer { facts, body }| {
            let body = match body {
                AnswerBody::Whole(pieces) => Body::Whole(pieces),
                stream => {
                    let incoming = Incoming::new(about.answered_by(&facts));
                    let reader = tokio::spawn(incoming.clone().fill(stream)).abort_handle();
                    Body::Stream(Flow { incoming, reader, generation: generation() })
                }
            };
            (facts, body)
        });
        Landing { result, about }
    }

    /// The answer for Python, or what is raised.
    pub(crate) fn reply(self, py: Python<'_>) -> PyResult<Reply> {
        match self.result {
            Ok((facts, body)) => {
                let ended = std::time::Instant::now();
                let total = ended.saturating_duration_since(facts.started).as_secs_f64() * 1e3;
                let streams = matches!(body, Body::Stream(_));
                Ok(Reply { streams, facts, body, total_ms: total, call_id: Mutex::new(self.about.call_id) })
            }
            Err(error) => Err(failure::of_call(py, &error, &self.about)),
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        // A child of a fork has no business with its parent's runtime.
        if self.generation == generation() {
            self.reader.abort();
        }
    }
}

/// An answer: whole, or a stream of chunks.
#[pyclass(frozen, module = "tagrail._core")]
pub(crate) struct Reply {
    #[pyo3(get)]
    streams: bool,
    facts: Facts,
    body: Body,
    total_ms: f64,
    call_id: Mutex<Option<String>>,
}

impl Reply {
    /// The chunks of a stream.
    pub(crate) fn incoming(&self, py: Python<'_>) -> PyResult<&Arc<Incoming>> {
        match &self.body {
            Body::Stream(flow) if flow.generation == generation() => Ok(&flow.incoming),
            Body::Stream(_) => Err(failure::forked(py, "stream")),
            Body::Whole(_) => Err(failure::closed(py)),
        }
    }

    fn whole(&self, py: Python<'_>) -> PyResult<std::borrow::Cow<'_, [u8]>> {
        match &self.body {
            Body::Whole(pieces) => match pieces.as_slice() {
                [one] => Ok(one.as_ref().into()),
                more => Ok(more.concat().into()),
            },
            Body::Stream(_) => Err(failure::closed(py)),
        }
    }
}

#[pymethods]
impl Reply {
    fn data(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        json::parsed(py, &self.whole(py)?)
    }

    fn body<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.whole(py)?))
    }

    fn next(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        loop {
            let incoming = self.incoming(py)?;
            if let Some(next) = incoming.take(py) {
                return next;
            }
            let (filling, waiting) = slot();
            incoming.watch(Box::new(move || filling.fill(())));
            waiting.wait(py)?;
        }
    }

    fn poll(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let next = self.incoming(py)?.take(py);
        next.unwrap_or_else(|| Ok(PyNotImplemented::get(py).to_owned().into_any().unbind()))
    }

    fn close(&self) {
        if let Body::Stream(flow) = &self.body
            && flow.generation == generation()
        {
            flow.reader.abort();
            flow.incoming.close();
        }
    }

    fn facts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Facts { snapshot, deployment, .. } = &self.facts;
        let spec = snapshot.spec(*deployment);
        let model = self.facts.upstream_model.as_deref().unwrap_or(&spec.model);
        let target = &snapshot.deployment(*deployment).target;
        let place = target.resolve(model).ok();
        let base = self.facts.shown_base.as_deref().or(place.as_ref().and_then(|place| place.shown_base));
        let facts = PyDict::new(py);
        facts.set_item(intern!(py, "model_id"), &spec.id)?;
        facts.set_item(intern!(py, "model_group"), &self.facts.group)?;
        facts.set_item(intern!(py, "model"), model)?;
        facts.set_item(intern!(py, "provider"), place.as_ref().map(|place| place.provider.name()))?;
        facts.set_item(intern!(py, "api_base"), base)?;
        facts.set_item(intern!(py, "call_id"), self.call_id())?;
        let (usage, cost) = match &self.body {
            Body::Whole(_) => (self.facts.usage, self.facts.cost),
            Body::Stream(flow) => flow.incoming.spent(),
        };
        facts.set_item(intern!(py, "cost"), cost.map(|cost| cost.total().dollars()))?;
        facts.set_item(intern!(py, "cost_parts"), cost_parts(py, cost)?)?;
        facts.set_item(intern!(py, "usage"), tokens(py, usage)?)?;
        facts.set_item(intern!(py, "retries"), self.facts.retries)?;
        facts.set_item(intern!(py, "max_retries"), self.facts.max_retries)?;
        facts.set_item(intern!(py, "fallbacks"), self.facts.fallbacks)?;
        facts.set_item(intern!(py, "headers"), failure::headers(py, &self.facts.upstream_headers)?)?;
        let upstream_ms = self.facts.upstream_time.as_secs_f64() * 1e3;
        facts.set_item(intern!(py, "response_ms"), self.total_ms)?;
        facts.set_item(intern!(py, "overhead_ms"), (self.total_ms - upstream_ms).max(0.0))?;
        Ok(facts)
    }
}

impl Reply {
    /// Drawn when somebody asks: mostly nobody does.
    fn call_id(&self) -> String {
        let mut id = self.call_id.lock().unwrap_or_else(PoisonError::into_inner);
        id.get_or_insert_with(random_uuid).clone()
    }
}

fn cost_parts<'py>(py: Python<'py>, cost: Option<Cost>) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Some(cost) = cost else { return Ok(None) };
    let parts = PyDict::new(py);
    parts.set_item("input", cost.input.dollars())?;
    parts.set_item("output", cost.output.dollars())?;
    Ok(Some(parts))
}

fn tokens<'py>(py: Python<'py>, usage: Option<Usage>) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Some(usage) = usage else { return Ok(None) };
    let told = PyDict::new(py);
    told.set_item("input", usage.input)?;
    told.set_item("output", usage.output)?;
    told.set_item("cache_read", usage.cache_read)?;
    told.set_item("cache_creation", usage.cache_creation)?;
    Ok(Some(told))
}

/// A version 4 UUID (RFC 9562): a name for the program's logs, no secret.
fn random_uuid() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
