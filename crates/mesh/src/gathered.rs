//! Small frames gathered into few packets.
//!
//! The multiplexer flushes after each of its frames: a request left as three packets and its answer as four, and headers
//! were most of what an idle node sent. What it wants to say in one go is kept together here until it has nothing more to
//! do, which is when it finds nothing more to read. Nothing waits for a timer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::UpgradeInfo;
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade};

/// A multiplexer over a [`Gathered`] connection.
#[derive(Clone)]
pub(crate) struct Gathering<U>(pub U);

impl<U: UpgradeInfo> UpgradeInfo for Gathering<U> {
    type Info = U::Info;
    type InfoIter = U::InfoIter;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.protocol_info()
    }
}

impl<C, U: InboundConnectionUpgrade<Gathered<C>>> InboundConnectionUpgrade<C> for Gathering<U> {
    type Output = U::Output;
    type Error = U::Error;
    type Future = U::Future;

    fn upgrade_inbound(self, socket: C, info: Self::Info) -> Self::Future {
        self.0.upgrade_inbound(Gathered::new(socket), info)
    }
}

impl<C, U: OutboundConnectionUpgrade<Gathered<C>>> OutboundConnectionUpgrade<C> for Gathering<U> {
    type Output = U::Output;
    type Error = U::Error;
    type Future = U::Future;

    fn upgrade_outbound(self, socket: C, info: Self::Info) -> Self::Future {
        self.0.upgrade_outbound(Gathered::new(socket), info)
    }
}

/// A connection on which a flush is done when a read finds nothing. Only for a user that always reads after it has
/// written, before it waits, as the multiplexer's loop does; closing flushes at once.
pub(crate) struct Gathered<T> {
    inner: T,
    unflushed: bool,
}

impl<T> Gathered<T> {
    fn new(inner: T) -> Self {
        Self { inner, unflushed: false }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathered<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = Pin::new(&mut self.inner).poll_read(cx, into);
        if read.is_pending() && self.unflushed {
            // While it is pending, the socket wakes the task once there is room, and the next read comes by here again.
            match Pin::new(&mut self.inner).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gathered<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.unflushed = true;
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.unflushed = true;
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker;

    use super::*;

    /// Notes what reaches it; has nothing to read.
    #[derive(Default)]
    struct Below {
        buffered: Vec<u8>,
        packets: Vec<Vec<u8>>,
        full: bool,
    }

    impl AsyncRead for Below {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Below {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.buffered.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.full {
                return Poll::Pending;
            }
            let packet = std::mem::take(&mut self.buffered);
            self.packets.push(packet);
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_flush(cx)
        }
    }

    #[test]
    fn what_is_written_in_one_go_leaves_together_and_leaves() {
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        let mut gathered = Gathered::new(Below::default());
        let mut say = |gathered: &mut Gathered<Below>, bytes| {
            assert!(Pin::new(&mut *gathered).poll_write(&mut cx, bytes).is_ready());
            assert!(Pin::new(&mut *gathered).poll_flush(&mut cx).is_ready());
        };
        say(&mut gathered, b"one");
        say(&mut gathered, b"two");
        assert!(gathered.inner.packets.is_empty());
        let mut cx = Context::from_waker(&waker);
        let mut read = |gathered: &mut Gathered<Below>| {
            assert!(Pin::new(gathered).poll_read(&mut cx, &mut [0; 8]).is_pending());
        };
        gathered.inner.full = true;
        read(&mut gathered);
        gathered.inner.full = false;
        read(&mut gathered);
        read(&mut gathered);
        assert_eq!(gathered.inner.packets, [b"onetwo".to_vec()], "once, and although there was no room at first");
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut gathered).poll_write(&mut cx, b"last").is_ready());
        assert!(Pin::new(&mut gathered).poll_close(&mut cx).is_ready());
        assert_eq!(gathered.inner.packets[1], b"last");
    }
}
