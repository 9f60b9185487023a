//! One connection of the fake upstream: reads requests, plays replies. Written by hand over the
//! socket, because an HTTP library refuses to misbehave.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::reply::Step;
use crate::upstream::State;
use crate::{Exchange, Received};

/// A socket, bare or under TLS.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    /// The socket itself.
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// What is left of the connection after a reply.
enum End {
    Open,
    Close,
    Reset,
    /// The other side closed it first.
    Gone,
}

/// Serves a connection until either side ends it.
pub(crate) async fn serve<S: Wire>(mut stream: S, number: usize, state: &State) {
    let mut buffer = BytesMut::new();
    let mut last: Option<Exchange> = None;
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        let (exchange, reply) = state.received(request, number);
        let steps = reply.steps(&exchange.request);
        last = Some(exchange.clone());
        let (mut reader, mut writer) = tokio::io::split(stream);
        let end = tokio::select! {
            end = play(steps, &mut writer, &exchange) => end,
            () = gone(&mut reader, &mut buffer) => End::Gone,
        };
        stream = reader.unsplit(writer);
        match end {
            End::Open => exchange.has_finished(),
            End::Gone => break,
            End::Close => {
                exchange.has_finished();
                stream.shutdown().await.ok();
                return;
            }
            End::Reset => {
                stream.tcp().set_zero_linger().ok();
                return;
            }
        }
    }
    if let Some(exchange) = last {
        exchange.was_closed();
    }
}

async fn play<S: Wire>(steps: Vec<Step>, writer: &mut WriteHalf<S>, exchange: &Exchange) -> End {
    for step in steps {
        match step {
            Step::Write(bytes) => {
                if write(writer, &bytes, exchange).await.is_err() {
                    return End::Gone;
                }
            }
            Step::WriteForever(bytes) => {
                while write(writer, &bytes, exchange).await.is_ok() {}
                return End::Gone;
            }
            Step::Pause(pause) => tokio::time::sleep(pause).await,
            Step::Hold(gate) => gate.passed().await,
            Step::Reset => return End::Reset,
            Step::Close => return End::Close,
        }
    }
    End::Open
}

async fn write<S: Wire>(
    writer: &mut WriteHalf<S>,
    bytes: &Bytes,
    exchange: &Exchange,
) -> std::io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await?;
    exchange.has_written(bytes.len());
    Ok(())
}

/// Ends when the other side closes; what it sends meanwhile is kept for later.
async fn gone<S: Wire>(reader: &mut ReadHalf<S>, buffer: &mut BytesMut) {
    while reader.read_buf(buffer).await.is_ok_and(|read| read > 0) {}
}

/// `None` when the connection ends, or does not speak HTTP/1.
async fn read_request<S: Wire>(stream: &mut S, buffer: &mut BytesMut) -> Option<Received> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, buffer).await?;
    };
    let head = buffer.split_to(head_end);
    let text = std::str::from_utf8(&head).ok()?;
    let mut lines = text.trim_end().split("\r\n");
    let mut request_line = lines.next()?.split(' ');
    let method: Method = request_line.next()?.parse().ok()?;
    let path = request_line.next()?.to_owned();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        headers.append(name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?);
    }
    let body = if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        read_chunks(stream, buffer).await?
    } else {
        let length = headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
        read_exact(stream, buffer, length.unwrap_or(0)).await?
    };
    Some(Received { method, path, headers, body })
}

async fn read_chunks<S: Wire>(stream: &mut S, buffer: &mut BytesMut) -> Option<Bytes> {
    let mut body = BytesMut::new();
    loop {
        let line_end = loop {
            if let Some(at) = buffer.windows(2).position(|window| window == b"\r\n") {
                break at;
            }
            more(stream, buffer).await?;
        };
        let line = buffer.split_to(line_end);
        buffer.advance(2);
        let size = usize::from_str_radix(std::str::from_utf8(&line).ok()?.trim(), 16).ok()?;
        let chunk = read_exact(stream, buffer, size + 2).await?;
        if size == 0 {
            return Some(body.freeze());
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

async fn read_exact<S: Wire>(stream: &mut S, buffer: &mut BytesMut, length: usize) -> Option<Bytes> {
    while buffer.len() < length {
        more(stream, buffer).await?;
    }
    Some(buffer.split_to(length).freeze())
}

async fn more<S: Wire>(stream: &mut S, buffer: &mut BytesMut) -> Option<()> {
    stream.read_buf(buffer).await.ok().filter(|read| *read > 0).map(|_| ())
}
