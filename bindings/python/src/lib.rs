//! The compiled part of the Python package: `tagrail._core`.
//!
//! Python asks, a thread of our own calls: it runs the only runtime, never holds the GIL, and what it
//! has finished is picked up by whoever waits. `_core.pyi` beside the Python says what is offered.
//!
//! Map: `core.rs` a router and its configuration; `runtime.rs` the thread, and forks; `wait.rs` waiting
//! for it from a thread of Python's, `mailbox.rs` from an event loop; `reply.rs` answers, `stream.rs`
//! the ones that come in chunks; `failure.rs` what is told when there is none; `json.rs` Python's values
//! to bytes and back; `caller.rs` on whose behalf.

mod caller;
mod core;
mod failure;
mod json;
mod mailbox;
mod reply;
mod runtime;
mod stream;
mod wait;

/// LiteLLM's Router, compiled.
#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    use crate::core::{Core, check};
    #[pymodule_export]
    use crate::mailbox::{Mailbox, Ticket};
    #[pymodule_export]
    use crate::reply::Reply;
    #[pymodule_export]
    use crate::runtime::forked;

    /// Whoever forks this process is to say so.
    #[pymodule_init]
    fn init(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        crate::runtime::watch_forks(module)
    }

    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
