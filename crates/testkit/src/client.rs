//! A client that shows every byte and when it came.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::PATIENCE;

/// One connection. Reading is up to the test: what it does not read stays in the socket.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: BytesMut,
    framing: Framing,
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    Chunked,
    Length(usize),
    UntilClose,
}

/// A response: its head, and as much of its body as was read.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The body without transfer encoding; empty after [`Client::head`].
    pub body: Bytes,
}

/// A piece of a body, and when it was read.
#[derive(Clone, Debug)]
pub struct Piece {
    /// A chunk's payload, or what one read gave.
    pub bytes: Bytes,
    /// When it was complete.
    pub at: Instant,
}

impl Response {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header as text, empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header is text"))
    }
}

impl Client {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.expect("somebody listens");
        stream.set_nodelay(true).expect("a socket takes options");
        Client { stream, buffer: BytesMut::new(), framing: Framing::UntilClose }
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("the other side takes bytes");
    }

    /// Sends bytes that the other side may refuse to take; says whether it took them.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Sends a POST with a JSON body.
    pub async fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &Value) {
        let body = body.to_string();
        let mut request = format!("POST {path} HTTP/1.1\r\nhost: {}\r\n", self.stream.peer_addr().unwrap());
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!(
            "content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
        self.send(request).await;
    }

    /// Reads status line and headers.
    pub async fn head(&mut self) -> Response {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.more().await, "the connection ended within the head: {:?}", self.buffer);
        };
        let head = self.buffer.split_to(end);
        let text = std::str::from_utf8(&head).expect("a head is text");
        let mut lines = text.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line in {text:?}"));
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let name: HeaderName = name.parse().expect("a header has a name");
            headers.append(name, HeaderValue::from_str(value.trim()).expect("a header has a value"));
        }
        let length = headers.get("content-length").map(|length| length.to_str().unwrap().parse().unwrap());
        self.framing = match (headers.contains_key("transfer-encoding"), length) {
            (true, _) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::UntilClose,
        };
        Response { status, headers, body: Bytes::new() }
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Panics
    /// When the connection ends before the body does; [`Client::try_piece`] says so instead.
    pub async fn piece(&mut self) -> Option<Piece> {
        self.try_piece().await.expect("the connection ended within the body")
    }

    /// The next piece of the body, `Ok(None)` at its end, `Err` when the connection ends before that.
    pub async fn try_piece(&mut self) -> Result<Option<Piece>, ()> {
        let bytes = match self.framing {
            Framing::Chunked => self.chunk().await?,
            Framing::Length(0) => Bytes::new(),
            Framing::Length(left) => {
                if self.buffer.is_empty() && !self.more().await {
                    return Err(());
                }
                let bytes = self.buffer.split_to(self.buffer.len().min(left)).freeze();
                self.framing = Framing::Length(left - bytes.len());
                bytes
            }
            Framing::UntilClose => {
                if self.buffer.is_empty() {
                    self.more().await;
                }
                self.buffer.split().freeze()
            }
        };
        Ok((!bytes.is_empty()).then(|| Piece { bytes, at: Instant::now() }))
    }

    /// The rest of the body, whole.
    pub async fn body(&mut self) -> Bytes {
        let mut body = BytesMut::new();
        while let Some(piece) = self.piece().await {
            body.extend_from_slice(&piece.bytes);
        }
        body.freeze()
    }

    /// Head and body.
    pub async fn response(&mut self) -> Response {
        let mut response = self.head().await;
        response.body = self.body().await;
        response
    }

    /// Waits until the other side closes the connection; gives what it still sent.
    pub async fn closed(&mut self) -> Bytes {
        while self.more().await {}
        self.buffer.split().freeze()
    }

    /// Sends nothing more, and goes on reading.
    pub async fn half_close(&mut self) {
        self.stream.shutdown().await.expect("a socket has two sides");
    }

    /// Closes the connection with a reset.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("a socket takes options");
    }

    async fn chunk(&mut self) -> Result<Bytes, ()> {
        let line_end = loop {
            if let Some(at) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                break at;
            }
            if !self.more().await {
                return Err(());
            }
        };
        let line = self.buffer.split_to(line_end);
        self.buffer.advance(2);
        let line = std::str::from_utf8(&line).expect("a chunk's size is text");
        let size = usize::from_str_radix(line, 16).unwrap_or_else(|_| panic!("not a chunk's size: {line:?}"));
        while self.buffer.len() < size + 2 {
            if !self.more().await {
                return Err(());
            }
        }
        let bytes = self.buffer.split_to(size).freeze();
        self.buffer.advance(2);
        Ok(bytes)
    }

    /// Reads once; false at the end of the connection.
    async fn more(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
        read.expect("waited in vain for bytes").is_ok_and(|read| read > 0)
    }
}

/// One POST on a connection of its own.
pub async fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
    let mut client = Client::connect(address).await;
    client.post(path, headers, body).await;
    client.response().await
}
