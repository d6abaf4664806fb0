//! Frames as CBOR on a stream, with a length limit on the way out too.
//!
//! libp2p's CBOR codec cuts what it reads at the limit, and would still send what the other side must refuse; here the
//! sender hears of it before a byte leaves.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite};
use libp2p::StreamProtocol;
use libp2p::request_response::{Codec, cbor};
use relaymesh_protocol::frame::{Request, Response};

/// The protocol's name on the wire.
pub(crate) const FRAME_PROTOCOL: StreamProtocol = StreamProtocol::new("/relaymesh/frame/1");
/// Longest request in bytes of CBOR: 256 KiB of envelopes, and room for what surrounds them.
pub(crate) const REQUEST_BYTES_MAX: u64 = 512 * 1024;
/// Longest response in bytes of CBOR: the heads of 5,000 nodes' facts and filters.
pub(crate) const RESPONSE_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Clone)]
pub(crate) struct FrameCodec(cbor::codec::Codec<Request, Response>);

impl Default for FrameCodec {
    fn default() -> Self {
        Self(
            cbor::codec::Codec::default()
                .set_request_size_maximum(REQUEST_BYTES_MAX)
                .set_response_size_maximum(RESPONSE_BYTES_MAX),
        )
    }
}

impl Codec for FrameCodec {
    type Protocol = StreamProtocol;
    type Request = Request;
    type Response = Response;

    async fn read_request<T>(&mut self, protocol: &StreamProtocol, io: &mut T) -> io::Result<Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.0.read_request(protocol, io).await
    }

    async fn read_response<T>(&mut self, protocol: &StreamProtocol, io: &mut T) -> io::Result<Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.0.read_response(protocol, io).await
    }

    async fn write_request<T>(&mut self, protocol: &StreamProtocol, io: &mut T, frame: Request) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.0.write_request(protocol, &mut Limited::new(io, REQUEST_BYTES_MAX), frame).await
    }

    async fn write_response<T>(&mut self, protocol: &StreamProtocol, io: &mut T, frame: Response) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.0.write_response(protocol, &mut Limited::new(io, RESPONSE_BYTES_MAX), frame).await
    }
}

/// Refuses the write that would pass the limit, as a whole. The codec writes a frame at once, so nothing of an oversize
/// frame is sent.
struct Limited<'a, T> {
    inner: &'a mut T,
    left: u64,
}

impl<'a, T> Limited<'a, T> {
    fn new(inner: &'a mut T, left: u64) -> Self {
        Self { inner, left }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Limited<'_, T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.len() as u64 > self.left {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "frame longer than the protocol allows",
            )));
        }
        let written = Pin::new(&mut *self.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.left = self.left.saturating_sub(count as u64);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::io::Cursor;
    use proptest::prelude::*;
    use relaymesh_protocol::frame::{Carried, Taken};

    use super::*;

    fn envelopes(bytes: Vec<u8>) -> Request {
        Request::Envelopes(vec![Carried { envelope: bytes, hops: 1, copies: 2 }])
    }

    fn read_request(bytes: &[u8]) -> io::Result<Request> {
        block_on(FrameCodec::default().read_request(&FRAME_PROTOCOL, &mut Cursor::new(bytes)))
    }

    fn write_request(frame: Request) -> (io::Result<()>, Vec<u8>) {
        let mut to = Cursor::new(Vec::new());
        let result = block_on(FrameCodec::default().write_request(&FRAME_PROTOCOL, &mut to, frame));
        (result, to.into_inner())
    }

    #[test]
    fn an_oversize_frame_is_not_sent_at_all() {
        let (result, sent) = write_request(envelopes(vec![0; REQUEST_BYTES_MAX as usize]));
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(sent.is_empty());
    }

    #[test]
    fn a_frame_of_the_largest_size_passes_and_one_byte_more_does_not() {
        let overhead = write_request(envelopes(vec![0; 400_000])).1.len() - 400_000;
        let most = REQUEST_BYTES_MAX as usize - overhead;
        let (result, sent) = write_request(envelopes(vec![7; most]));
        result.unwrap();
        assert_eq!(sent.len() as u64, REQUEST_BYTES_MAX);
        assert_eq!(read_request(&sent).unwrap(), envelopes(vec![7; most]));
        assert!(write_request(envelopes(vec![7; most + 1])).0.is_err());
    }

    #[test]
    fn what_is_cut_at_the_limit_is_refused() {
        let mut bytes = write_request(envelopes(vec![0; 500_000])).1;
        bytes.truncate(400_000);
        assert!(read_request(&bytes).is_err());
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_stack_overflow() {
        for opener in [0x81_u8, 0xa1, 0xc1, 0x9f, 0xbf] {
            assert!(read_request(&vec![opener; REQUEST_BYTES_MAX as usize]).is_err());
        }
    }

    #[test]
    fn what_fuzzing_found_is_read_or_refused() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/frame");
        let files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 50, "only {} files", files.len());
        for file in files {
            let bytes = std::fs::read(file).unwrap();
            let _ = read_request(&bytes);
            let _ = block_on(FrameCodec::default().read_response(&FRAME_PROTOCOL, &mut Cursor::new(&bytes)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = read_request(&bytes);
            let _ = block_on(FrameCodec::default().read_response(&FRAME_PROTOCOL, &mut Cursor::new(&bytes)));
        }

        #[test]
        fn damaged_frames_are_read_or_refused(at in 0_usize..200, with in any::<u8>()) {
            let mut bytes = write_request(envelopes(vec![3; 150])).1;
            let at = at % bytes.len();
            bytes[at] ^= with;
            let _ = read_request(&bytes);
        }

        #[test]
        fn frames_round_trip(envelope in proptest::collection::vec(any::<u8>(), 0..300), wait in any::<u32>()) {
            let frame = envelopes(envelope);
            prop_assert_eq!(read_request(&write_request(frame.clone()).1).unwrap(), frame);
            let answer = Response::Envelopes(vec![Taken::Yes, Taken::Busy { retry_after_ms: wait }]);
            let mut to = Cursor::new(Vec::new());
            block_on(FrameCodec::default().write_response(&FRAME_PROTOCOL, &mut to, answer.clone())).unwrap();
            let read = block_on(FrameCodec::default().read_response(&FRAME_PROTOCOL, &mut Cursor::new(to.into_inner())));
            prop_assert_eq!(read.unwrap(), answer);
        }
    }
}
