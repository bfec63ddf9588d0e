//! A client's connection, plain or over TLS, as pingora's sessions take it.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType, http::ServerSession, raw_connect::ProxyDigest,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// What is written together: a head and a short body fill one segment.
const WRITTEN_TOGETHER: usize = 1460;

/// A client's connection.
pub(crate) enum Downstream {
    Plain(BufWriter<TcpStream>),
    Tls(Box<BufWriter<TlsStream<TcpStream>>>),
}

/// Calls a method of the stream inside, pinned.
macro_rules! inside {
    ($this:ident . $method:ident ( $($argument:expr),* )) => {
        match $this.get_mut() {
            Self::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Self::Tls(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl Downstream {
    /// Takes an accepted connection.
    pub(crate) fn plain(stream: TcpStream) -> Self {
        Self::Plain(BufWriter::with_capacity(WRITTEN_TOGETHER, stream))
    }

    /// Takes an accepted connection with TLS on it.
    pub(crate) fn tls(stream: TlsStream<TcpStream>) -> Self {
        let stream = BufWriter::with_capacity(WRITTEN_TOGETHER, stream);
        Self::Tls(Box::new(stream))
    }

    /// The connection of `session` ends with a reset. Where the end of the connection is the
    /// end of the answer, nothing else tells a client that more was to come.
    pub(crate) fn reset(session: &ServerSession) {
        let Some(stream) = session.stream() else {
            return;
        };
        let reset = match stream.as_ref().as_any().downcast_ref::<Self>() {
            Some(Self::Plain(stream)) => stream.get_ref().set_zero_linger(),
            Some(Self::Tls(stream)) => stream.get_ref().get_ref().0.set_zero_linger(),
            None => return,
        };
        if let Err(error) = reset {
            tracing::debug!(%error, "the connection cannot be reset");
        }
    }
}

impl fmt::Debug for Downstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Downstream").finish_non_exhaustive()
    }
}

impl AsyncRead for Downstream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        inside!(self.poll_read(context, into))
    }
}

impl AsyncWrite for Downstream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        inside!(self.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        inside!(self.poll_write_vectored(context, parts))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        inside!(self.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        inside!(self.poll_shutdown(context))
    }
}

#[async_trait]
impl Shutdown for Downstream {
    async fn shutdown(&mut self) {
        // The client may have closed it already.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

// Ids and digests are for pools and logs of pingora's own, which nothing here uses.
impl UniqueID for Downstream {
    fn id(&self) -> UniqueIDType {
        0
    }
}

impl Ssl for Downstream {}

impl GetTimingDigest for Downstream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Downstream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Downstream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

impl Peek for Downstream {}
