//! The one thread that calls upstreams, and what becomes of it in a forked process.
//!
//! A child of a fork has its parent's memory but not its threads: the runtime is gone there, and its
//! connections belong to the parent. So everything is counted by generation, a fork begins the next
//! one, and what is of an earlier generation is made anew or refused, and never touched again.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::runtime::{Builder, Handle};

/// The thread wakes at least this often.
const LULL: Duration = Duration::from_secs(60);

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Locked by threads that hold the GIL and do not let go of it meanwhile: a fork, which needs the GIL
/// too, never finds it locked.
static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

struct Running {
    generation: u32,
    handle: Handle,
}

/// How many forks this process is away from the one that imported the module.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Has Python tell a child of a fork that it is one.
pub(crate) fn watch_forks(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let os = module.py().import("os")?;
    // Systems that do not fork have no such function.
    if let Some(register) = os.getattr_opt("register_at_fork")? {
        let options = PyDict::new(module.py());
        options.set_item("after_in_child", module.getattr("forked")?)?;
        register.call((), Some(&options))?;
    }
    Ok(())
}

/// Tells that this process is the child of a fork.
#[pyfunction]
pub(crate) fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    // Parent and children would all draw the same numbers.
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = clock.map_or(0, |time| time.as_nanos() as u64);
    fastrand::seed(nanos ^ (u64::from(std::process::id()) << 32) ^ fastrand::u64(..));
}

/// The runtime of this process, started at the first call.
pub(crate) fn handle() -> PyResult<Handle> {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let generation = generation();
    if let Some(Running { handle, .. }) = running.as_ref().filter(|known| known.generation == generation) {
        return Ok(handle.clone());
    }
    let handle = start().map_err(|error| {
        PyRuntimeError::new_err(format!("the thread that calls upstreams cannot be started: {error}"))
    })?;
    // Of the parent's nothing may run here, not even what would clean it up.
    std::mem::forget(running.replace(Running { generation, handle: handle.clone() }));
    Ok(handle)
}

/// One thread serves all calls: what of a call is not waiting is some ten microseconds, and threads
/// that share calls spend more than that on handing them over.
fn start() -> std::io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let thread = std::thread::Builder::new().name("tagrail".to_owned());
    thread.spawn(move || {
        runtime.block_on(async {
            // A timer that ends before all others wakes the thread, even if it was this thread that set it:
            // one system call more for every call that is alone. Calls' own limits end after this one.
            loop {
                tokio::time::sleep(LULL).await;
            }
        });
    })?;
    Ok(handle)
}
