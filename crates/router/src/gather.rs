//! Small writes as one: a head and a short body are copied together and leave by `send`, which costs
//! the kernel less than gathering two pieces does. Long ones are gathered by the kernel as they are.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::watch::Socket;

/// Up to this many bytes are copied; about what is copied in the time that is saved.
const SMALL: usize = 4 * 1024;

/// A stream whose small vectored writes leave as one piece.
#[derive(Debug)]
pub(crate) struct Gather<T>(pub(crate) T);

thread_local! {
    static TOGETHER: RefCell<Vec<u8>> = RefCell::default();
}

impl<T: Socket> Socket for Gather<T> {
    fn tcp(&self) -> Option<&TcpStream> {
        self.0.tcp()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Gather<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gather<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.0);
        if let [piece] = pieces {
            return stream.poll_write(cx, piece);
        }
        if pieces.iter().map(|piece| piece.len()).sum::<usize>() > SMALL {
            return stream.poll_write_vectored(cx, pieces);
        }
        TOGETHER.with_borrow_mut(|together| {
            together.clear();
            pieces.iter().for_each(|piece| together.extend_from_slice(piece));
            stream.poll_write(cx, together)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
