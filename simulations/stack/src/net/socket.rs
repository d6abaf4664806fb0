//! One end of a connection.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite};
use relaymesh_simulations::kernel::Time;
use tokio::time::{Sleep, sleep_until};

use super::flow::Found;
use super::network::Network;

/// One end of a connection. Dropping it closes it.
pub struct Socket {
    network: Network,
    wire: u64,
    end: usize,
    alarm: Option<(Time, Pin<Box<Sleep>>)>,
}

impl Socket {
    pub(super) fn new(network: Network, wire: u64, end: usize) -> Self {
        Self { network, wire, end, alarm: None }
    }

    /// Wakes the reader at `at`. Whether that is now.
    fn arm(&mut self, at: Time, cx: &mut Context<'_>) -> bool {
        if at == Time::MAX {
            return false;
        }
        if self.alarm.as_ref().is_none_or(|(set, _)| *set != at) {
            let instant = self.network.instant(at);
            match &mut self.alarm {
                Some((set, sleep)) => {
                    *set = at;
                    sleep.as_mut().reset(instant);
                }
                None => self.alarm = Some((at, Box::pin(sleep_until(instant)))),
            }
        }
        self.alarm.as_mut().is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready())
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.network.read(self.wire, self.end, into, cx.waker()) {
                Found::Bytes(count) => return Poll::Ready(Ok(count)),
                Found::Broken => return Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
                Found::Nothing(until) => {
                    if !self.arm(until, cx) {
                        return Poll::Pending;
                    }
                    self.alarm = None;
                }
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.network.write(self.wire, self.end, bytes, cx.waker())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.network.close(self.wire, self.end);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.network.drop_end(self.wire, self.end);
    }
}
