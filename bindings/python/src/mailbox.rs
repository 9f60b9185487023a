//! Where an event loop picks up what has finished.
//!
//! The runtime puts results into a list and makes a descriptor readable that the loop watches: it needs
//! no GIL for that, and however many calls finish before the loop looks, it is woken once.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyNotImplementedError, PyOSError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::task::AbortHandle;

use crate::core::Core;
use crate::failure;
use crate::reply::{Landing, Reply};
use crate::runtime::{generation, handle};
use crate::stream::{Incoming, Watcher};
use crate::wait::lost;

/// Both ends of a pair of sockets: one to write to from the runtime, one for the loop to watch.
#[cfg(unix)]
type Pair = (std::os::unix::net::UnixStream, std::os::unix::net::UnixStream);

/// What all of one loop's calls share.
pub(crate) struct Post {
    generation: u32,
    /// What the runtime has finished, by the number of its future.
    arrived: Mutex<Vec<(u64, Parcel)>>,
    /// The loop has been told of what has arrived and has not come yet.
    told: AtomicBool,
    /// Python's side: who waits for what.
    waiting: Mutex<HashMap<u64, Py<PyAny>>>,
    next: AtomicU64,
    #[cfg(unix)]
    pair: Option<Pair>,
    wake: Option<Py<PyAny>>,
}

/// What a future waits for.
pub(crate) enum Parcel {
    /// The end of a call.
    Landing(Box<Landing>),
    /// A stream has something new.
    Chunk(Arc<Incoming>),
    /// Nothing: the task is gone. A future that was cancelled is not there any more to be told.
    Lost,
}

impl Post {
    fn open(wake: Option<Py<PyAny>>) -> PyResult<Post> {
        let failed = |error: std::io::Error| PyOSError::new_err(error.to_string());
        #[cfg(unix)]
        let pair = match wake {
            Some(_) => None,
            None => {
                let pair = std::os::unix::net::UnixStream::pair().map_err(failed)?;
                pair.0.set_nonblocking(true).and_then(|()| pair.1.set_nonblocking(true)).map_err(failed)?;
                Some(pair)
            }
        };
        #[cfg(not(unix))]
        if wake.is_none() {
            return Err(PyNotImplementedError::new_err("there are no descriptors to watch on this system"));
        }
        Ok(Post {
            generation: generation(),
            arrived: Mutex::default(),
            told: AtomicBool::new(false),
            waiting: Mutex::default(),
            next: AtomicU64::new(0),
            #[cfg(unix)]
            pair,
            wake,
        })
    }

    /// Called by the runtime.
    pub(crate) fn post(&self, number: u64, parcel: Parcel) {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).push((number, parcel));
        if self.told.swap(true, Ordering::AcqRel) {
            return;
        }
        #[cfg(unix)]
        if let Some((end, _)) = &self.pair {
            // Full, it is readable; closed, nobody waits any more.
            let _ = (&*end).write(&[1]);
        }
        if let Some(wake) = &self.wake {
            // Nothing can be told to an interpreter that is going away.
            Python::try_attach(|py| {
                wake.call0(py).map(drop).unwrap_or_else(|error| error.write_unraisable(py, None))
            });
        }
    }

    /// Takes in what has arrived; whatever comes from now on is told again.
    fn take(&self) -> Vec<(u64, Parcel)> {
        #[cfg(unix)]
        if let Some((_, end)) = &self.pair {
            let mut bytes = [0; 64];
            loop {
                match (&*end).read(&mut bytes) {
                    Ok(64) => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    _ => break,
                }
            }
        }
        self.told.store(false, Ordering::Release);
        std::mem::take(&mut *self.arrived.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What tells a future that a stream has something.
    fn tells(self: &Arc<Post>, number: u64, incoming: &Arc<Incoming>) -> Watcher {
        let (post, incoming) = (self.clone(), incoming.clone());
        Box::new(move || post.post(number, Parcel::Chunk(incoming)))
    }

    fn await_for(&self, future: &Bound<'_, PyAny>) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.waiting().insert(number, future.clone().unbind());
        number
    }

    /// Locked without letting go of the GIL; see `runtime.rs`.
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Py<PyAny>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That a future will be told something; dropped unkept, that nothing comes.
struct Promise {
    post: Arc<Post>,
    number: u64,
    kept: bool,
}

impl Promise {
    fn keep(mut self, landing: Landing) {
        self.kept = true;
        self.post.post(self.number, Parcel::Landing(Box::new(landing)));
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.kept {
            self.post.post(self.number, Parcel::Lost);
        }
    }
}

/// Where finished calls of one event loop are put.
#[pyclass(frozen, module = "tagrail._core")]
pub(crate) struct Mailbox(Arc<Post>);

#[pymethods]
impl Mailbox {
    #[new]
    #[pyo3(signature = (wake=None))]
    fn new(wake: Option<Py<PyAny>>) -> PyResult<Mailbox> {
        Ok(Mailbox(Arc::new(Post::open(wake)?)))
    }

    fn fileno(&self) -> PyResult<i32> {
        #[cfg(unix)]
        if let Some((_, end)) = &self.0.pair {
            return Ok(std::os::fd::AsRawFd::as_raw_fd(end));
        }
        Err(PyNotImplementedError::new_err("this mailbox calls instead of being watched"))
    }

    fn deliver(&self, py: Python<'_>) -> PyResult<()> {
        // A child of a fork that runs its parent's loop on has the same descriptors: what is read there, the
        // parent would wait for.
        if self.0.generation != generation() {
            return Ok(());
        }
        let mut failed = None;
        for (number, parcel) in self.0.take() {
            let Some(future) = self.0.waiting().remove(&number) else { continue };
            let Some(opened) = opened(py, parcel, &self.0, number, &future) else { continue };
            // One future's failure is not to keep the others from being told.
            if let Err(error) = told(future.bind(py), opened) {
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn close(&self) {
        if self.0.generation != generation() {
            return;
        }
        // Dropped unlocked: it may be the last that holds their tasks.
        let abandoned = std::mem::take(&mut *self.0.waiting());
        drop(abandoned);
    }

    fn submit(
        &self,
        py: Python<'_>,
        core: &Core,
        operation: &str,
        body: &Bound<'_, PyDict>,
        caller: Option<&Bound<'_, PyDict>>,
        future: &Bound<'_, PyAny>,
    ) -> PyResult<Ticket> {
        let post = self.of_this_process(py)?;
        let started = core.start(py, operation, body, caller)?;
        let runtime = handle()?;
        let number = post.await_for(future);
        let promise = Promise { post: post.clone(), number, kept: false };
        let task = runtime.spawn(async move { promise.keep(started.landing().await) });
        Ok(Ticket { post: post.clone(), number, call: Some(task.abort_handle()) })
    }

    fn next(&self, py: Python<'_>, reply: &Reply, future: &Bound<'_, PyAny>) -> PyResult<Ticket> {
        let post = self.of_this_process(py)?;
        let incoming = reply.incoming(py)?;
        let number = post.await_for(future);
        incoming.watch(post.tells(number, incoming));
        Ok(Ticket { post: post.clone(), number, call: None })
    }
}

impl Mailbox {
    fn of_this_process(&self, py: Python<'_>) -> PyResult<&Arc<Post>> {
        if self.0.generation == generation() { Ok(&self.0) } else { Err(failure::forked(py, "event loop")) }
    }
}

/// What a future is told; nothing, where another reader of the stream was quicker and it has to wait on.
fn opened(
    py: Python<'_>,
    parcel: Parcel,
    post: &Arc<Post>,
    number: u64,
    future: &Py<PyAny>,
) -> Option<PyResult<Py<PyAny>>> {
    match parcel {
        Parcel::Landing(landing) => Some(
            landing.reply(py).and_then(|reply| Bound::new(py, reply)).map(|reply| reply.into_any().unbind()),
        ),
        Parcel::Lost => Some(Err(lost())),
        Parcel::Chunk(incoming) => {
            let next = incoming.take(py);
            if next.is_none() {
                post.waiting().insert(number, future.clone_ref(py));
                incoming.watch(post.tells(number, &incoming));
            }
            next
        }
    }
}

/// Sets a future.
fn told(future: &Bound<'_, PyAny>, opened: PyResult<Py<PyAny>>) -> PyResult<()> {
    let py = future.py();
    let set = match opened {
        Ok(value) => future.call_method1(intern!(py, "set_result"), (value,)),
        Err(error) => future.call_method1(intern!(py, "set_exception"), (error.into_value(py),)),
    };
    match set {
        // Cancelled, and whoever cancelled it has not come to say so here yet.
        Err(error) if !future.call_method0(intern!(py, "done"))?.is_truthy()? => Err(error),
        _ => Ok(()),
    }
}

/// A call that a future waits for.
#[pyclass(frozen, module = "tagrail._core")]
pub(crate) struct Ticket {
    post: Arc<Post>,
    number: u64,
    call: Option<AbortHandle>,
}

#[pymethods]
impl Ticket {
    fn cancel(&self) {
        if self.post.generation != generation() {
            return;
        }
        // A mailbox that was closed knows of no future any more, and the call is under way still.
        if let Some(call) = &self.call {
            call.abort();
        }
        let known = self.post.waiting().remove(&self.number);
        drop(known);
    }
}
