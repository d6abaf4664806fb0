//! The HTTP port over real sockets: limits, and how it stops.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use relaymesh_api::serve_http;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::fake::Fake;

struct Port {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

async fn port(fake: &Fake) -> Port {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let router = fake.http();
    let served = tokio::spawn(async move {
        serve_http(listener, router, async {
            let _ = stopped.await;
        })
        .await;
    });
    Port { addr, stop, served }
}

/// Sends bytes and reads the answer to its end.
async fn talk(addr: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn an_sms_comes_in_over_a_socket() {
    let fake = Fake::accepting();
    let port = port(&fake).await;
    let body = "{\"address\":\"650123456\",\"text\":\"abcd\"}";
    let request = format!(
        "POST /g/token/v3/publish HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = talk(port.addr, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("publisher_response"));
    assert_eq!(fake.submit().sender.reveal(), "650123456");
}

#[tokio::test]
async fn who_sends_far_too_much_still_gets_to_read_why() {
    const BYTES: usize = 20 << 20;
    let port = port(&Fake::accepting()).await;
    let mut stream = TcpStream::connect(port.addr).await.unwrap();
    let head = format!(
        "POST /g/token/v3/publish HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {BYTES}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.split();
    let started = Instant::now();
    let send = async {
        let chunk = vec![b' '; 64 * 1024];
        for _ in 0..BYTES / chunk.len() {
            write.write_all(&chunk).await.expect("not reset while sending");
        }
    };
    let mut answer = String::new();
    let (_, read) = tokio::join!(send, read.read_to_string(&mut answer));
    read.expect("the answer arrives");
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn headers_beyond_the_limit_are_refused() {
    let port = port(&Fake::accepting()).await;
    let request = format!("GET /health/live HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(20_000));
    assert!(talk(port.addr, request.as_bytes()).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn a_request_under_way_ends_before_the_port_does() {
    let fake = Fake::accepting();
    let port = port(&fake).await;
    let mut stream = TcpStream::connect(port.addr).await.unwrap();
    let head =
        "POST /g/token/v3/publish HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 37\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    port.stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    stream.write_all(b"{\"address\":\"650123456\",\"text\":\"abcd\"}").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    drop(stream);
    port.served.await.unwrap();
    assert!(TcpStream::connect(port.addr).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_stop() {
    let port = port(&Fake::accepting()).await;
    let stream = TcpStream::connect(port.addr).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    port.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), port.served).await.expect("stopped").unwrap();
    drop(stream);
}
