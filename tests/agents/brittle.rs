//! Streams that break again and again, in the middle of a line or not.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use leakproof::fabric::{Dial, Stream};
use leakproof::model::endpoint::EndpointId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::sockets::Sockets;

/// Ways to agents that break.
pub struct Brittle(pub Arc<Sockets>);

struct BrittleStream {
    stream: tokio::net::UnixStream,
    left: usize,
}

impl Dial for Brittle {
    fn dial(&self, endpoint: EndpointId) -> BoxFuture<'_, std::io::Result<Box<dyn Stream>>> {
        let path = self.0.path(endpoint.0);
        Box::pin(async move {
            let stream = tokio::net::UnixStream::connect(path).await?;
            let stream: Box<dyn Stream> = Box::new(BrittleStream { stream, left: 4321 });
            Ok(stream)
        })
    }
}

impl AsyncRead for BrittleStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(std::io::ErrorKind::ConnectionReset.into()));
        }
        let mut part = buf.take(self.left);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut part);
        let bytes = part.filled().len();
        self.left -= bytes;
        let filled = part.filled().to_vec();
        buf.put_slice(&filled);
        read
    }
}

impl AsyncWrite for BrittleStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
