//! `vault.v1.Entity` and `publisher.v1.Publisher` on one port.

mod content;
mod entity;
mod publisher;
mod serve;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{HeaderMap, Request, Response, header};
use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use crate::proto::publisher::publisher_server::{PublisherServer, SERVICE_NAME as PUBLISHER};
use crate::proto::vault::entity_server::{EntityServer, SERVICE_NAME as ENTITY};
use crate::{Ask, errors};

pub use serve::{Tls, serve_grpc};

/// Largest request: a payload of 64 KiB would not fit any SMS, and no other message comes near.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// A call that takes longer is given up. One-time codes and password hashes may take seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Calls under way on all connections together; more are shed at once, so that those under way end.
const CALLS_MAX: usize = 1_024;
/// Content types of requests.
const GRPC_TYPES: [&str; 2] = ["application/grpc", "application/grpc+proto"];
const BUSY: &str = "The service is temporarily unavailable. Please try again later.";

/// Both gRPC services behind one door that sheds load.
pub struct GrpcService<A> {
    entity: EntityServer<entity::Entity<A>>,
    publisher: PublisherServer<publisher::Publisher<A>>,
    calls: Arc<Semaphore>,
    patience: Duration,
}

/// Both services, answered by `ask`.
pub fn grpc_router<A: Ask>(ask: A) -> GrpcService<A> {
    GrpcService {
        entity: EntityServer::new(entity::Entity::new(ask.clone())).max_decoding_message_size(REQUEST_BYTES_MAX),
        publisher: PublisherServer::new(publisher::Publisher::new(ask)).max_decoding_message_size(REQUEST_BYTES_MAX),
        calls: Arc::new(Semaphore::new(CALLS_MAX)),
        patience: CALL_TIMEOUT,
    }
}

impl<A> Clone for GrpcService<A> {
    fn clone(&self) -> Self {
        Self {
            entity: self.entity.clone(),
            publisher: self.publisher.clone(),
            calls: Arc::clone(&self.calls),
            patience: self.patience,
        }
    }
}

impl<A> fmt::Debug for GrpcService<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GrpcService")
    }
}

impl<A: Ask> Service<Request<Body>> for GrpcService<A> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Ok(permit) = Arc::clone(&self.calls).try_acquire_owned() else {
            return Box::pin(async { Ok(Status::unavailable(BUSY).into_http()) });
        };
        let called = tokio::time::timeout(self.patience, self.dispatch(request));
        Box::pin(async move {
            let answer = called.await;
            drop(permit);
            answer.unwrap_or_else(|_| Ok(Status::unavailable(BUSY).into_http())).map(errors::grpc_unread)
        })
    }
}

impl<A: Ask> GrpcService<A> {
    fn dispatch(&mut self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, Infallible>> {
        if !is_grpc(request.headers()) {
            return Box::pin(async { Ok(errors::grpc_content_type()) });
        }
        let service = request.uri().path().trim_start_matches('/').split('/').next();
        match service {
            Some(ENTITY) => self.entity.call(request),
            Some(PUBLISHER) => self.publisher.call(request),
            _ => Box::pin(async { Ok(Status::unimplemented("no such service").into_http()) }),
        }
    }
}

/// Whether the body says that it is gRPC, with messages in protobuf or in what is not said.
fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    GRPC_TYPES.iter().any(|grpc| kind.eq_ignore_ascii_case(grpc))
}

#[cfg(test)]
mod tests {
    use relaymesh_core::command::{Command, Reply};

    use super::*;

    /// A node that never answers.
    #[derive(Clone)]
    struct Silent;

    impl Ask for Silent {
        async fn ask(&self, _: Command) -> Reply {
            std::future::pending().await
        }
    }

    async fn call(service: &mut GrpcService<Silent>, path: &str) -> tonic::Code {
        // An empty message: not compressed, no bytes.
        let body = Body::new(axum::body::Body::from(vec![0; 5]));
        let request = Request::post(path).header("content-type", "application/grpc").body(body).unwrap();
        let response = service.call(request).await.unwrap();
        Status::from_header_map(response.headers()).unwrap().code()
    }

    #[tokio::test]
    async fn a_full_port_sheds_and_an_endless_call_is_given_up() {
        const PATH: &str = "/vault.v1.Entity/DeleteEntity";
        let mut service = GrpcService { patience: Duration::from_millis(20), ..grpc_router(Silent) };
        assert_eq!(call(&mut service, PATH).await, tonic::Code::Unavailable);
        assert_eq!(service.calls.available_permits(), CALLS_MAX, "given back");
        let mut full = GrpcService { calls: Arc::new(Semaphore::new(0)), patience: CALL_TIMEOUT, ..service };
        assert_eq!(call(&mut full, PATH).await, tonic::Code::Unavailable);
    }

    #[tokio::test]
    async fn other_services_and_calls_are_unknown() {
        let mut service = grpc_router(Silent);
        for path in
            ["/vault.v1.EntityInternal/DecryptPayload", "/", "/vault.v1.Entity/Nothing", "/publisher.v1.Publisher"]
        {
            assert_eq!(call(&mut service, path).await, tonic::Code::Unimplemented, "{path}");
        }
    }
}
