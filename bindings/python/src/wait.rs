//! A thread of Python's waits for the runtime: without the GIL, and not longer than Ctrl-C takes.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;

/// How often a waiting thread looks whether it is to stop. Python runs a signal's handler only when the
/// main thread comes back to it.
const LOOK: Duration = Duration::from_millis(50);

/// Where the runtime puts something that a thread waits for.
pub(crate) struct Slot<T> {
    value: Mutex<Option<T>>,
    filled: Condvar,
}

impl<T: Send> Slot<T> {
    pub(crate) fn new() -> Arc<Slot<T>> {
        Arc::new(Slot { value: Mutex::new(None), filled: Condvar::new() })
    }

    pub(crate) fn fill(&self, value: T) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        self.filled.notify_one();
    }

    /// Waits until it is filled.
    ///
    /// # Errors
    /// What a signal's handler raised, `KeyboardInterrupt` above all.
    pub(crate) fn wait(&self, py: Python<'_>) -> PyResult<T> {
        loop {
            let value = py.detach(|| {
                let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
                let waited = self.filled.wait_timeout_while(value, LOOK, |value| value.is_none());
                waited.unwrap_or_else(PoisonError::into_inner).0.take()
            });
            if let Some(value) = value {
                return Ok(value);
            }
            py.check_signals()?;
        }
    }
}
