//! The HTTP port: gateway clients hand in SMS, apps read lists.

mod answer;
mod body;
mod clients;
mod headers;
mod iso;
mod lists;
mod paging;
mod serve;
mod submit;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use relaymesh_core::command::{Command, Refusal, Reply};
use tokio::sync::Semaphore;

use crate::Ask;
use crate::errors::{HttpError, RequestError};

pub use body::BODY_BYTES_MAX;
pub use serve::serve_http;
pub(crate) use submit::reads as reads_submission;

/// Requests under way on all connections together; more are shed at once. Each holds at most one body and one wait.
const REQUESTS_MAX: usize = 4_096;

/// What the operator decides about this port.
#[derive(Clone, Debug, Default)]
pub struct HttpConfig {
    /// Whether anybody who reaches the port may hand in SMS (`/v3/publish`, `/sms/platform/…`), without a gateway
    /// client's own URL. For trusted networks only.
    pub open: bool,
    /// Names of the platforms that are configured here; unknown names are left out.
    pub platforms: Vec<String>,
}

/// What handlers share.
struct Shared<A> {
    ask: A,
    config: Arc<HttpConfig>,
    requests: Arc<Semaphore>,
}

impl<A: Ask> Clone for Shared<A> {
    fn clone(&self) -> Self {
        Self { ask: self.ask.clone(), config: Arc::clone(&self.config), requests: Arc::clone(&self.requests) }
    }
}

impl<A: Ask> Shared<A> {
    /// Asks the node; refusals become errors.
    async fn ask(&self, command: Command) -> Result<Reply, HttpError> {
        match self.ask.ask(command).await {
            Reply::Refused(refusal) => Err(refusal.into()),
            reply => Ok(reply),
        }
    }
}

/// Every HTTP address of a node, answered by `ask`.
pub fn http_router<A: Ask>(ask: A, config: HttpConfig) -> Router {
    let requests = Arc::new(Semaphore::new(REQUESTS_MAX));
    routes(Shared { ask, config: Arc::new(config), requests })
}

fn routes<A: Ask>(shared: Shared<A>) -> Router {
    let work = Router::new()
        .route("/v3/publish", post(submit::open::<A>))
        .route("/sms/platform/{any}", post(submit::open::<A>))
        .route("/g/{token}/v3/publish", post(submit::gateway::<A>))
        .route("/v3/clients", get(clients::list::<A>))
        .route("/v3/clients/countries", get(clients::countries::<A>))
        .route("/v3/clients/{which}/operators", get(clients::operators::<A>))
        .route("/v3/clients/{which}/tests", get(clients::tests::<A>).post(clients::start_test::<A>))
        .route("/v1/platforms", get(lists::platforms::<A>))
        .route("/v1/platforms/{name}", get(lists::platform::<A>))
        .route("/v3/keys/static-x25519", get(lists::bridge_keys::<A>))
        .route_layer(middleware::from_fn_with_state(shared.clone(), shed::<A>));
    // Health is asked most when there is load, so it is never shed.
    work.route("/health/live", get(lists::live))
        .route("/health/ready", get(lists::ready::<A>))
        .fallback(no_page)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::map_response(headers::add))
        .with_state(shared)
}

async fn shed<A: Ask>(State(shared): State<Shared<A>>, request: Request, next: Next) -> Response {
    match shared.requests.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => HttpError::from(Refusal::unavailable()).into_response(),
    }
}

async fn no_page() -> HttpError {
    RequestError::NoPage.into()
}

async fn no_method() -> HttpError {
    RequestError::Method.into()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt;

    use super::*;

    #[derive(Clone)]
    struct Nobody;

    impl Ask for Nobody {
        async fn ask(&self, command: Command) -> Reply {
            panic!("shed before it is asked: {command:?}")
        }
    }

    #[tokio::test]
    async fn a_full_port_sheds_work_but_stays_alive() {
        let requests = Arc::new(Semaphore::new(0));
        let router = routes(Shared { ask: Nobody, config: Arc::default(), requests });
        for (path, status) in [("/v3/clients", 503), ("/v1/platforms", 503), ("/health/live", 200)] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{path}");
            assert_eq!(response.headers().contains_key("retry-after"), status == 503);
        }
    }
}
