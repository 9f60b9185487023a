//! Lines on their way to standard output and standard error. Adding one never waits and never fails: what does
//! not fit is counted and left out, so that a reader who has stopped, or a stream that is closed, costs
//! log lines and no calls. One thread writes.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Most lines that wait to be written.
pub(crate) const MAX_LINES: usize = 8192;

/// Most bytes of them.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// Longest line; the rest of a longer one is cut off. A banner of several lines counts as one.
pub(crate) const MAX_LINE: usize = 16 << 10;

/// Ends a line that was cut.
const CUT: &[u8] = b"... (cut)\n";

/// Between two tries on a stream that cannot take more at the moment and does not block either.
const PAUSE: Duration = Duration::from_millis(50);

/// Where a line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

/// The two streams that lines are written to.
pub(crate) trait Sink: Send + 'static {
    /// Writes all of it. May block.
    ///
    /// # Errors
    /// The stream does not take it.
    fn write(&mut self, target: Target, bytes: &[u8]) -> io::Result<()>;
}

/// The process's own standard streams.
pub(crate) struct StandardStreams;

impl Sink for StandardStreams {
    fn write(&mut self, target: Target, bytes: &[u8]) -> io::Result<()> {
        match target {
            Target::Out => {
                let mut out = io::stdout().lock();
                write_patiently(&mut out, bytes)?;
                out.flush()
            }
            Target::Error => write_patiently(&mut io::stderr().lock(), bytes),
        }
    }
}

/// The parent process may have made the stream non-blocking.
fn write_patiently(stream: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The queue. Clones are the same queue.
#[derive(Clone)]
pub(crate) struct Queue(Arc<Shared>);

struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
    /// Called with the number of lines that were left out.
    on_drop: fn(u64),
}

#[derive(Default)]
struct Pending {
    lines: VecDeque<(Target, Vec<u8>)>,
    bytes: usize,
    /// Left out since the last notice.
    dropped: u64,
    /// A line has been taken out and is not written yet.
    writing: bool,
}

impl Queue {
    /// A queue and the thread that writes it.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn start(mut sink: impl Sink, on_drop: fn(u64)) -> io::Result<Queue> {
        let shared = Shared { pending: Mutex::default(), changed: Condvar::new(), on_drop };
        let queue = Queue(Arc::new(shared));
        let of_thread = queue.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            loop {
                // A panic of a write must not end the log.
                let written = catch_unwind(AssertUnwindSafe(|| of_thread.write_all(&mut sink)));
                if written.is_err() {
                    thread::sleep(PAUSE);
                }
            }
        })?;
        Ok(queue)
    }

    /// Adds a line, unless too much waits already.
    pub(crate) fn push(&self, target: Target, line: &[u8]) {
        let mut line = line.to_vec();
        if line.len() > MAX_LINE {
            line.truncate(MAX_LINE - CUT.len());
            line.extend_from_slice(CUT);
        }
        let mut pending = self.lock();
        if pending.lines.len() >= MAX_LINES || pending.bytes + line.len() > MAX_BYTES {
            pending.dropped += 1;
            drop(pending);
            (self.0.on_drop)(1);
            return;
        }
        pending.bytes += line.len();
        pending.lines.push_back((target, line));
        drop(pending);
        self.0.changed.notify_all();
    }

    /// Waits until all lines are written, at most so long. Whether they are.
    pub(crate) fn flush(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        let mut pending = self.lock();
        while pending.writing || !pending.lines.is_empty() || pending.dropped > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            pending = match self.0.changed.wait_timeout(pending, left) {
                Ok((pending, _)) => pending,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        true
    }

    /// Writes one line after the other, for ever.
    fn write_all(&self, sink: &mut impl Sink) {
        loop {
            let (target, line) = self.next();
            if sink.write(target, &line).is_err() {
                (self.0.on_drop)(1);
            }
        }
    }

    /// The next line, when there is one; after those that waited, how many were left out.
    fn next(&self) -> (Target, Vec<u8>) {
        let mut pending = self.lock();
        pending.writing = false;
        loop {
            if let Some((target, line)) = pending.lines.pop_front() {
                pending.bytes -= line.len();
                pending.writing = true;
                return (target, line);
            }
            let dropped = std::mem::take(&mut pending.dropped);
            if dropped > 0 {
                pending.writing = true;
                let notice = format!(
                    "tagrail: {dropped} log lines were dropped: they came faster than standard error was read\n"
                );
                return (Target::Error, notice.into_bytes());
            }
            self.0.changed.notify_all();
            pending = self.0.changed.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `tracing` writes an event to: one line with each call.
pub(crate) struct LogWriter(pub(crate) Queue);

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(Target::Error, line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// Blocks before each write until the test lets it go on; keeps what was written.
    struct Gated {
        gate: mpsc::Receiver<()>,
        written: mpsc::Sender<String>,
    }

    impl Sink for Gated {
        fn write(&mut self, _: Target, bytes: &[u8]) -> io::Result<()> {
            self.gate.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.written.send(String::from_utf8_lossy(bytes).into_owned()).ok();
            Ok(())
        }
    }

    fn gated(on_drop: fn(u64)) -> (Queue, mpsc::Sender<()>, mpsc::Receiver<String>) {
        let ((open, gate), (sender, written)) = (mpsc::channel(), mpsc::channel());
        (Queue::start(Gated { gate, written: sender }, on_drop).unwrap(), open, written)
    }

    #[test]
    fn lines_beyond_the_bound_are_counted_and_announced_once() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let (queue, open, written) = gated(|count| {
            DROPPED.fetch_add(count, Ordering::Relaxed);
        });
        for number in 0..2 * MAX_LINES {
            queue.push(Target::Error, format!("{number}\n").as_bytes());
        }
        let dropped = DROPPED.load(Ordering::Relaxed);
        // One line may have been taken out already.
        let expected = MAX_LINES as u64;
        assert!((expected - 1..=expected).contains(&dropped), "{dropped}");
        let _ = open.send(());
        for _ in 0..=MAX_LINES + 1 {
            let _ = open.send(());
        }
        assert!(queue.flush(LONG));
        let lines: Vec<String> = written.try_iter().collect();
        assert_eq!(lines[..2], ["0\n", "1\n"]);
        let notices = lines.iter().filter(|line| line.contains("were dropped")).count();
        assert_eq!(notices, 1);
        assert!(lines.last().unwrap().contains(&format!("{dropped} log lines were dropped")));
    }

    #[test]
    fn bytes_are_bounded_as_lines_are() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let (queue, _open, _written) = gated(|count| {
            DROPPED.fetch_add(count, Ordering::Relaxed);
        });
        let line = vec![b'x'; 2 * MAX_LINE];
        for _ in 0..200 {
            queue.push(Target::Error, &line);
        }
        let kept = 200 - DROPPED.load(Ordering::Relaxed);
        let most = (MAX_BYTES / MAX_LINE) as u64;
        assert!((most..=most + 1).contains(&kept), "{kept} lines of {MAX_LINE} bytes");
        assert!(!queue.flush(Duration::from_millis(1)), "they are still there");
    }

    #[test]
    fn a_long_line_is_cut_and_ends_as_a_line() {
        let (queue, open, written) = gated(|_| {});
        queue.push(Target::Error, &vec![b'x'; MAX_BYTES + 1]);
        let _ = open.send(());
        let line = written.recv_timeout(LONG).unwrap();
        assert_eq!(line.len(), MAX_LINE);
        assert!(line.ends_with("x... (cut)\n"));
    }

    #[test]
    fn a_stream_that_fails_or_panics_does_not_end_the_log() {
        struct Bad(mpsc::Sender<String>);
        impl Sink for Bad {
            fn write(&mut self, _: Target, bytes: &[u8]) -> io::Result<()> {
                match bytes {
                    b"error\n" => return Err(io::ErrorKind::BrokenPipe.into()),
                    b"panic\n" => panic!("on purpose"),
                    _ => drop(self.0.send(String::from_utf8_lossy(bytes).into_owned())),
                }
                Ok(())
            }
        }
        let (sender, written) = mpsc::channel();
        let queue = Queue::start(Bad(sender), |_| {}).unwrap();
        for line in ["error\n", "panic\n", "fine\n"] {
            queue.push(Target::Error, line.as_bytes());
        }
        assert_eq!(written.recv_timeout(LONG).unwrap(), "fine\n");
        assert!(queue.flush(LONG));
    }
}
