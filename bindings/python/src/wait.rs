//! A thread of Python's waits for the runtime: without the GIL, and not longer than Ctrl-C takes.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

/// How often the main thread looks whether it is to stop: Python runs a signal's handler only when that
/// thread comes back to it.
const LOOK: Duration = Duration::from_millis(50);

/// How often others do, for whom signals are nothing. A hundred threads that look as often as the main
/// thread would take the GIL two thousand times a second.
const SELDOM: Duration = Duration::from_secs(5);

/// Where something is put that a thread waits for.
struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

enum State<T> {
    Open,
    Filled(T),
    /// Whoever was to fill it is gone.
    Lost,
}

/// The end that waits.
pub(crate) struct Waiting<T>(Arc<Slot<T>>);

/// The end that fills. Dropped, it tells that nothing will come.
pub(crate) struct Filling<T>(Arc<Slot<T>>);

/// Both ends of a slot.
pub(crate) fn slot<T: Send>() -> (Filling<T>, Waiting<T>) {
    let slot = Arc::new(Slot { state: Mutex::new(State::Open), changed: Condvar::new() });
    (Filling(slot.clone()), Waiting(slot))
}

impl<T> Slot<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Filling<T> {
    pub(crate) fn fill(self, value: T) {
        *self.0.state() = State::Filled(value);
    }
}

impl<T> Drop for Filling<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if let State::Open = *state {
            *state = State::Lost;
        }
        drop(state);
        self.0.changed.notify_one();
    }
}

impl<T: Send> Waiting<T> {
    /// Waits until it is filled.
    ///
    /// # Errors
    /// What a signal's handler raised, `KeyboardInterrupt` above all.
    pub(crate) fn wait(self, py: Python<'_>) -> PyResult<T> {
        let mut look = LOOK;
        loop {
            let state = py.detach(|| {
                let is_open = |state: &mut State<T>| matches!(state, State::Open);
                let waited = self.0.changed.wait_timeout_while(self.0.state(), look, is_open);
                std::mem::replace(&mut *waited.unwrap_or_else(PoisonError::into_inner).0, State::Open)
            });
            match state {
                State::Filled(value) => return Ok(value),
                State::Lost => return Err(lost()),
                State::Open => py.check_signals()?,
            }
            if look == LOOK && !is_main_thread(py).unwrap_or(true) {
                look = SELDOM;
            }
        }
    }
}

/// Asked only when a call takes its time.
fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import(intern!(py, "threading"))?;
    let main = threading.call_method0(intern!(py, "main_thread"))?.getattr(intern!(py, "ident"))?;
    main.eq(threading.call_method0(intern!(py, "get_ident"))?)
}

/// A task of the runtime's has ended without a result, which only a panic does.
pub(crate) fn lost() -> PyErr {
    PyRuntimeError::new_err("the call ended without a result: a mistake in tagrail, please report it")
}
