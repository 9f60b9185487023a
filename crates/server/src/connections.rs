//! How many clients may be connected, and who goes when more come: idle connections, those without a valid key
//! first and the longest idle before the others. Busy ones stay; when all are, a new one gets 503.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::activity::Activity;
use crate::supervise::Pulse;

/// How long evicted connections have to go before a new one is refused.
const EVICTION: Duration = Duration::from_secs(1);

/// Refused connections that may read their reply at a time, beyond the limit. More are closed at once.
const REFUSED: usize = 16;

/// How long a client that is closed on may take to read what it was told.
const LINGER: Duration = Duration::from_secs(1);

/// What is read and dropped of a client meanwhile.
const LINGER_BYTES: usize = 1 << 20;

const BODY: &str = r#"{"error":{"message":"The gateway has as many connections as it can take (general_settings.max_connections). Try again.","type":"overloaded_error","param":null,"code":"503"}}"#;

/// The connections of all cores. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Connections(Arc<Table>);

#[derive(Debug)]
struct Table {
    limit: usize,
    permits: Arc<Semaphore>,
    refused: Arc<Semaphore>,
    /// By their numbers, which grow. Locked when one comes or goes, not by requests.
    open: Mutex<HashMap<u64, Activity>>,
    next: AtomicU64,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) activity: Activity,
    number: u64,
    table: Arc<Table>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    /// The most that may be open.
    pub(crate) fn new(limit: usize) -> Connections {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Connections(Arc::new(Table {
            limit,
            permits: Arc::new(Semaphore::new(limit)),
            refused: Arc::new(Semaphore::new(REFUSED)),
            open: Mutex::default(),
            next: AtomicU64::new(0),
        }))
    }

    /// A place for a new connection on the core with this pulse. At the limit, idle ones make room; `None`:
    /// all are busy.
    pub(crate) async fn enter(&self, clock: &Arc<Pulse>) -> Option<Entry> {
        let permit = match self.0.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) if self.evict() == 0 => return None,
            Err(_) => timeout(EVICTION, self.0.permits.clone().acquire_owned()).await.ok()?.ok()?,
        };
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let activity = Activity::new(clock.clone());
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, activity.clone());
        Some(Entry { activity, number, table: self.0.clone(), _permit: permit })
    }

    /// Ends idle connections: some at a time, so that a flood of new ones does not look through all for each.
    /// How many were told to go.
    pub(crate) fn evict(&self) -> usize {
        let mut idle: Vec<(bool, u64, u64, Activity)> = {
            let open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
            let ranked = open.iter().filter_map(|(number, activity)| {
                let (authenticated, since) = activity.eviction_rank()?;
                Some((authenticated, since, *number, activity.clone()))
            });
            ranked.collect()
        };
        let count = (self.0.limit / 64 + 1).min(idle.len());
        if count < idle.len() {
            idle.select_nth_unstable_by_key(count, |(authenticated, since, number, _)| {
                (*authenticated, *since, *number)
            });
        }
        for (.., activity) in &idle[..count] {
            activity.evict();
        }
        count
    }

    /// Tells a client that there is no room. The core goes on meanwhile.
    pub(crate) fn refuse(&self, stream: TcpStream) {
        let reply = format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{BODY}",
            BODY.len()
        );
        let Ok(permit) = self.0.refused.clone().try_acquire_owned() else {
            // It reads that if it has not written yet; a close is an answer, too.
            let _ = stream.try_write(reply.as_bytes());
            return;
        };
        tokio::spawn(async move {
            let _permit = permit;
            let mut stream = stream;
            // It may have gone, and was not to be served anyway.
            if let Ok(Ok(())) = timeout(LINGER, stream.write_all(reply.as_bytes())).await {
                linger(stream).await;
            }
        });
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.table.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

/// Closes a connection whose client may still be writing: a close with unread bytes would reset it, and the
/// client might lose the reply. So what it sends is read and dropped for a moment.
pub(crate) async fn linger(mut stream: TcpStream) {
    let reading = async {
        // It may have been done already.
        stream.shutdown().await.ok();
        let mut buffer = vec![0; 8 * 1024];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match stream.read(&mut buffer).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        std::io::Result::Ok(())
    };
    // However it ends, the connection is dropped.
    let _ = timeout(LINGER, reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::Pulses;

    #[tokio::test]
    async fn a_connection_that_panics_gives_its_place_back() {
        let clock = Pulses::default().add("core-0".to_owned());
        let connections = Connections::new(1);
        let entry = connections.enter(&clock).await.unwrap();
        let served = tokio::spawn(async move {
            let _busy = entry.activity.begin();
            panic!("on purpose");
        });
        assert!(served.await.unwrap_err().is_panic());
        assert!(connections.0.open.lock().unwrap().is_empty());
        assert!(connections.enter(&clock).await.is_some());
    }

    #[tokio::test]
    async fn idle_connections_go_by_key_and_then_by_age() {
        let clock = Pulses::default().add("core-0".to_owned());
        let connections = Connections::new(3);
        let mut entries = Vec::new();
        for _ in 0..3 {
            entries.push(connections.enter(&clock).await.unwrap());
        }
        entries[0].activity.authenticated();
        let goes = |entries: &[Entry]| -> Vec<bool> {
            entries.iter().map(|entry| entry.activity.takes_eviction()).collect()
        };
        assert_eq!(connections.evict(), 1);
        assert_eq!(goes(&entries), [false, true, false], "the oldest without a key");
        let busy = [entries[1].activity.begin(), entries[2].activity.begin()];
        assert_eq!(connections.evict(), 1);
        assert_eq!(goes(&entries), [true, false, false], "busy ones stay");
        let last = entries[0].activity.begin();
        assert_eq!(connections.evict(), 0);
        assert!(connections.enter(&clock).await.is_none(), "all are busy");
        drop((busy, last));
        entries.pop();
        assert!(connections.enter(&clock).await.is_some());
    }
}
