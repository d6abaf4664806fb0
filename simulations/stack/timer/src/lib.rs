//! The interface of `futures-timer` over tokio's clock, which can be paused.
#![forbid(unsafe_code)]

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// A future that is ready after a while.
#[derive(Debug)]
pub struct Delay(Pin<Box<Sleep>>);

impl Delay {
    /// Ready after so long.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(after: Duration) -> Self {
        Self(Box::pin(sleep(after)))
    }

    /// Begins anew.
    pub fn reset(&mut self, after: Duration) {
        let now = Instant::now();
        // Thirty years are never, as in tokio.
        let at = now.checked_add(after).unwrap_or_else(|| now + Duration::from_secs(86_400 * 365 * 30));
        self.0.as_mut().reset(at);
    }
}

impl Future for Delay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}
