//! Reading what a client sends, within its limits: size of the head, size of the body, and the
//! time that it may take to arrive.

pub(crate) mod held;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use tagrail::config::GeneralSettings;
use tokio::sync::Semaphore;

use crate::error::Problem;
use held::Held;

/// Names and values of all request headers; more is 431.
pub(crate) const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Path and query; more is 414.
const MAX_URI_BYTES: usize = 8 * 1024;

/// What is read and thrown away of a body whose request is answered already, so that the client can finish
/// writing and sees the answer instead of a reset connection.
const MAX_DISCARDED: usize = 64 * 1024 * 1024;

/// How long that may take.
const DISCARD_TIME: Duration = Duration::from_secs(30);

/// How long a client may send nothing meanwhile.
const DISCARD_PAUSE: Duration = Duration::from_secs(5);

/// How many bodies are thrown away at a time, in this process. Connections with more are closed.
const MAX_DISCARDING: usize = 256;

static DISCARDING: Semaphore = Semaphore::const_new(MAX_DISCARDING);

/// Refuses heads that are too big, that do not name one host, or whose body is coded.
pub(crate) fn check_head(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let length = uri.path_and_query().map_or(0, |target| target.as_str().len());
    if length > MAX_URI_BYTES {
        let message = format!("Request URI is {length} bytes long; the limit is {MAX_URI_BYTES}.");
        return Err(Problem::new(StatusCode::URI_TOO_LONG, message));
    }
    let total: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if total > MAX_HEADER_BYTES {
        let message = format!("Request headers are {total} bytes long; the limit is {MAX_HEADER_BYTES}.");
        return Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message));
    }
    // Section 6.1 of RFC 9112: whoever does not undo a coding must not pass by it.
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if !codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        let message = "Of transfer codings only chunked is understood.";
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, message).closing());
    }
    // RFC 9112, section 3.2: who is meant must be read in one way.
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), None) => Ok(()),
        (None, _) if version < Version::HTTP_11 => Ok(()),
        (None, _) => Err(Problem::new(StatusCode::BAD_REQUEST, "The request has no Host header.")),
        _ => Err(Problem::new(StatusCode::BAD_REQUEST, "The request has more than one Host header.")),
    }
}

/// The longest body of a route that manages, in bytes; more is 413. Such bodies are parsed into trees, which
/// take many times their length.
pub(crate) const MAX_MANAGEMENT_BODY: usize = 1024 * 1024;

/// How long a body may be, and who says so.
#[derive(Clone, Copy)]
struct Limit {
    bytes: usize,
    setting: &'static str,
}

/// Reads a whole body of a call on behalf of a key, and takes room for it.
pub(crate) async fn read<B>(
    headers: &HeaderMap,
    body: B,
    general: &GeneralSettings,
    key: &str,
) -> Result<(Bytes, Held), Problem>
where
    B: Body<Data = Bytes>,
{
    let limit = Limit { bytes: general.max_body_bytes, setting: "general_settings.max_request_size_mb" };
    read_within(headers, body, limit, general, key).await
}

/// Reads a whole body of a route that manages.
pub(crate) async fn read_management<B>(
    headers: &HeaderMap,
    body: B,
    general: &GeneralSettings,
) -> Result<(Bytes, Held), Problem>
where
    B: Body<Data = Bytes>,
{
    let limit = if general.max_body_bytes < MAX_MANAGEMENT_BODY {
        Limit { bytes: general.max_body_bytes, setting: "general_settings.max_request_size_mb" }
    } else {
        Limit { bytes: MAX_MANAGEMENT_BODY, setting: "of every route that does not call a model" }
    };
    read_within(headers, body, limit, general, "management").await
}

async fn read_within<B>(
    headers: &HeaderMap,
    body: B,
    limit: Limit,
    general: &GeneralSettings,
    key: &str,
) -> Result<(Bytes, Held), Problem>
where
    B: Body<Data = Bytes>,
{
    let announced = announced(headers);
    if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|encoding| !is_identity(encoding)) {
        let message = format!("Content-Encoding {encoding:?} is not understood; send the body as it is.");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let refused = match announced {
        Some(length) if length > limit.bytes as u64 => Some(too_large(limit)),
        Some(length) => held::expect(length, general.max_bytes_in_flight).err(),
        None => None,
    };
    if let Some(refused) = refused {
        return Err(refused);
    }
    let room = Room { limit, most: general.max_bytes_in_flight, key };
    in_time(pin!(body), announced.unwrap_or(0), room, general).await
}

/// Reads a body within the time that it may take to arrive.
async fn in_time<B: Body<Data = Bytes>>(
    body: Pin<&mut B>,
    announced: u64,
    room: Room<'_>,
    general: &GeneralSettings,
) -> Result<(Bytes, Held), Problem> {
    let arrival = general.request_arrival_timeout;
    let mut reading = pin!(collect(body, announced, room));
    // Mostly all of it is there with the head, and then no timer is needed.
    if let Poll::Ready(read) = poll_fn(|context| Poll::Ready(reading.as_mut().poll(context))).await {
        return read;
    }
    match tokio::time::timeout(arrival, reading).await {
        Ok(read) => read,
        Err(_) => {
            let message = format!(
                "The request body did not arrive within {} seconds (general_settings.request_arrival_timeout).",
                arrival.as_secs_f64()
            );
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, message).closing())
        }
    }
}

/// How much of a body may be taken.
struct Room<'a> {
    limit: Limit,
    /// See [`GeneralSettings::max_bytes_in_flight`].
    most: usize,
    key: &'a str,
}

async fn collect<B: Body<Data = Bytes>>(
    mut body: Pin<&mut B>,
    announced: u64,
    room: Room<'_>,
) -> Result<(Bytes, Held), Problem> {
    let Room { limit, most, key } = room;
    let mut held = Held::default();
    let Some(first) = next(body.as_mut()).await? else { return Ok((Bytes::new(), held)) };
    if first.len() > limit.bytes {
        return Err(too_large(limit));
    }
    held.grow(first.len(), most, key)?;
    if body.is_end_stream() {
        return Ok(held.carried_by(first));
    }
    // The announced length is within the limit, but memory is taken only for what comes: a
    // thousand clients that announce a lot and send nothing must cost nothing.
    let mut all =
        BytesMut::with_capacity((announced as usize).clamp(first.len(), 8 * first.len().max(8 * 1024)));
    all.extend_from_slice(&first);
    drop(first);
    while let Some(data) = next(body.as_mut()).await? {
        if all.len() + data.len() > limit.bytes {
            return Err(too_large(limit).closing());
        }
        held.grow(data.len(), most, key)?;
        let missing = (announced as usize).saturating_sub(all.len());
        if all.capacity() - all.len() < data.len() {
            all.reserve(data.len().max(missing.min(all.len())));
        }
        all.extend_from_slice(&data);
    }
    Ok(held.carried_by(all.freeze()))
}

/// The next data frame; trailers are dropped.
async fn next<B: Body<Data = Bytes>>(mut body: Pin<&mut B>) -> Result<Option<Bytes>, Problem> {
    loop {
        match poll_fn(|context| body.as_mut().poll_frame(context)).await {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(_)) => {
                let message = "The request body ended early or is not valid HTTP.";
                return Err(Problem::new(StatusCode::BAD_REQUEST, message).closing());
            }
        }
    }
}

/// Whether the connection ends with the answer when a body was not read. A client that waits for `100 Continue`
/// may send it or not, and one that announces too much would be cut off.
pub(crate) fn ends_unread(headers: &HeaderMap) -> bool {
    headers.contains_key(EXPECT) || announced(headers).is_some_and(|length| length > MAX_DISCARDED as u64)
}

/// Reads and drops what is left of a body whose request is being answered, within bounds, beside the answer. To
/// be called when the answer is known: reading before it would ask for the body of a client that waits
/// for `100 Continue`. Beyond the bounds the connection is closed.
pub(crate) fn discard<B>(body: B)
where
    B: Body<Data = Bytes> + Send + 'static,
{
    if body.is_end_stream() {
        return;
    }
    let Ok(permit) = DISCARDING.try_acquire() else { return };
    tokio::spawn(async move {
        let _permit = permit;
        let mut body = pin!(body);
        let reading = async {
            let mut left = MAX_DISCARDED;
            while let Ok(Ok(Some(data))) = tokio::time::timeout(DISCARD_PAUSE, next(body.as_mut())).await {
                let Some(rest) = left.checked_sub(data.len()) else { return };
                left = rest;
            }
        };
        // Whether all of it came or not, the answer was the same.
        let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
    });
}

/// A request's body that a handler reads, and of which the rest is there when the handler is done.
pub(crate) struct Shared<B>(Arc<Mutex<Option<B>>>);

impl<B> Shared<B> {
    pub(crate) fn new(body: B) -> Shared<B> {
        Shared(Arc::new(Mutex::new(Some(body))))
    }

    /// Takes what is left from the handler.
    pub(crate) fn take(&self) -> Option<B> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Clone for Shared<B> {
    fn clone(&self) -> Shared<B> {
        Shared(self.0.clone())
    }
}

impl<B: Body + Unpin> Body for Shared<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match &mut *self.lock() {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.lock().as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

fn is_identity(encoding: &HeaderValue) -> bool {
    encoding.is_empty() || encoding.as_bytes().eq_ignore_ascii_case(b"identity")
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(limit: Limit) -> Problem {
    let Limit { bytes, setting } = limit;
    let message = format!("Request body is too large; the limit is {bytes} bytes ({setting}).");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}
