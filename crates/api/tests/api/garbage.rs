//! Requests over HTTP/2 that no client library would send, and the answers that they deserve. The node's tests send them too.

use std::future::poll_fn;
use std::pin::Pin;

use axum::http::{HeaderMap, Request};
use tonic::body::Body;
use tonic::codegen::{Body as _, Service as _};
use tonic::transport::Channel;
use tonic::{Code, Status};

pub const CREATE: &str = "/vault.v1.Entity/CreateEntity";
pub const PUBLISH: &str = "/publisher.v1.Publisher/PublishContent";
const GRPC: &str = "application/grpc";
const UNREADABLE: &str = "The request cannot be read: it is not the message that this call takes.";
/// Words of our tools that a caller has no use for.
const INTERNALS: &[&str] =
    &["protobuf", "Protobuf", "Request.", "underflow", "flag", "EOF", "h2", "tonic", "prost", "::"];
const MB: usize = 1 << 20;

/// A request that is no call, and its answer.
pub struct Garbage {
    pub name: &'static str,
    pub path: &'static str,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    pub code: Code,
    /// All of the answer's text, or a piece of it.
    pub text: &'static str,
}

type Row = (&'static str, &'static str, &'static str, Vec<u8>, Code, &'static str);

/// What a call was answered.
pub struct Told {
    pub http: u16,
    pub status: Status,
}

/// A message as gRPC frames it.
pub fn framed(flag: u8, length: usize, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).expect("tests send less");
    [&[flag], &length.to_be_bytes()[..], message].concat()
}

/// Bytes without a pattern.
fn noise(bytes: usize) -> Vec<u8> {
    let next = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some(state.to_be_bytes()[0])
    };
    let mut state = 7_u32;
    std::iter::from_fn(|| next(&mut state)).take(bytes).collect()
}

pub fn garbage() -> Vec<Garbage> {
    use Code::{InvalidArgument as Bad, OutOfRange as TooLarge, Unimplemented as Unknown};
    // Field 1, a string of five bytes, of which two are there.
    let cut = [0x0a, 5, b'C', b'M'];
    let whole = |message: &[u8]| framed(0, message.len(), message);
    let two = [whole(&[0x0a, 2, b'C', b'M']), whole(&cut)].concat();
    let no_text = [0x0a, 2, 0xff, 0xfe];
    let groups = [0x0b; 60_000];
    let rows: [Row; 21] = [
        ("a message that is cut off", CREATE, GRPC, whole(&cut), Bad, UNREADABLE),
        ("a payload that is cut off", PUBLISH, GRPC, whole(&cut), Bad, UNREADABLE),
        ("a string that is no text", CREATE, GRPC, whole(&no_text), Bad, UNREADABLE),
        ("a field of another type", CREATE, GRPC, whole(&[0x08, 1]), Bad, UNREADABLE),
        ("a field without a number", CREATE, GRPC, whole(&[0x02, 0]), Bad, UNREADABLE),
        ("an endless number", CREATE, GRPC, whole(&[0xff; 11]), Bad, UNREADABLE),
        ("a tower of groups", CREATE, GRPC, whole(&groups), Bad, UNREADABLE),
        ("a string longer than memory", CREATE, GRPC, whole(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), Bad, UNREADABLE),
        ("a second message that is cut off", CREATE, GRPC, two, Bad, UNREADABLE),
        ("compressed, by nothing", CREATE, GRPC, framed(1, 0, b""), Bad, UNREADABLE),
        ("no such flag", CREATE, GRPC, framed(7, 0, b""), Bad, UNREADABLE),
        ("less than was announced", CREATE, GRPC, framed(0, 400, &cut), Bad, UNREADABLE),
        ("half a frame", CREATE, GRPC, vec![0, 0, 0], Bad, UNREADABLE),
        ("nothing", CREATE, GRPC, Vec::new(), Bad, UNREADABLE),
        ("noise", CREATE, GRPC, [vec![0xa5], noise(MB)].concat(), Bad, UNREADABLE),
        ("noise in a frame", CREATE, GRPC, whole(&noise(60_000)), Bad, UNREADABLE),
        ("1 MB in a frame", CREATE, GRPC, whole(&noise(MB)), TooLarge, "65536 bytes"),
        ("JSON", CREATE, "application/json", b"{}".to_vec(), Bad, "Content-Type must be application/grpc"),
        ("no type at all", CREATE, "", whole(&cut), Bad, "Content-Type must be application/grpc"),
        ("no such call", "/vault.v1.Entity/Nothing", GRPC, whole(&cut), Unknown, ""),
        ("no such service", "/vault.v1.EntityInternal/DecryptPayload", GRPC, whole(&cut), Unknown, "no such service"),
    ];
    let of = |(name, path, content_type, body, code, text)| Garbage { name, path, content_type, body, code, text };
    rows.into_iter().map(of).collect()
}

impl Garbage {
    /// Sends it, and checks the answer.
    pub async fn send(&self, channel: &Channel) {
        let Told { http, status } = call(channel, self.path, self.content_type, self.body.clone()).await;
        let (name, text) = (self.name, status.message());
        assert_eq!(status.code(), self.code, "{name}: {text}");
        assert_eq!(http, if self.content_type == GRPC { 200 } else { 415 }, "{name}");
        assert!(text.contains(self.text) && text.len() <= 100, "{name}: {text}");
        assert!(self.text != UNREADABLE || text == UNREADABLE, "{name}: {text}");
        let said = INTERNALS.iter().find(|word| text.contains(**word));
        assert!(said.is_none(), "{name}: {said:?} in {text}");
    }
}

/// One request, and its status, from the headers or behind the body.
pub async fn call(channel: &Channel, path: &str, content_type: &str, body: Vec<u8>) -> Told {
    let request = Request::post(path)
        .header("content-type", content_type)
        .header("te", "trailers")
        .body(Body::new(axum::body::Body::from(body)))
        .expect("a request");
    let mut channel = channel.clone();
    poll_fn(|cx| channel.poll_ready(cx)).await.expect("a connection");
    let (head, body) = channel.call(request).await.expect("an answer").into_parts();
    let status = match Status::from_header_map(&head.headers) {
        Some(status) => status,
        None => Status::from_header_map(&trailers(body).await).expect("a status"),
    };
    Told { http: head.status.as_u16(), status }
}

async fn trailers(mut body: Body) -> HeaderMap {
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(trailers) = frame.expect("the body is whole").into_trailers() {
            return trailers;
        }
    }
    panic!("no trailers")
}
