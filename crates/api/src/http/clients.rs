//! `/v3/clients…`: the apps' list of gateway clients and their reliability tests.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use relaymesh_core::command::{ClientRow, ClientsCommand, ClientsReply, Command, Reply, TestRow};
use serde_json::{Value, json};

use super::paging::{Page, Parameters, given, parameters};
use super::{Shared, iso};
use crate::Ask;
use crate::errors::{HttpError, RequestError};

const LIST_PATH: &str = "/v3/clients";
const BAD_DAY: RequestError =
    RequestError::Parameter("Invalid last_published_date parameter. Must be an ISO date (YYYY-MM-DD).");
const BAD_START: RequestError = RequestError::Parameter("Invalid start_time parameter. Must be an ISO date or time.");
const BAD_END: RequestError = RequestError::Parameter("Invalid end_time parameter. Must be an ISO date or time.");

type Asked = Result<Query<Parameters>, QueryRejection>;
type Which = Result<Path<String>, PathRejection>;

impl<A: Ask> Shared<A> {
    async fn clients(&self, command: ClientsCommand) -> Result<ClientsReply, HttpError> {
        match self.ask(Command::Clients(command)).await? {
            Reply::Clients(reply) => Ok(reply),
            _ => Err(HttpError::Mismatch),
        }
    }
}

/// `GET /v3/clients`.
pub(super) async fn list<A: Ask>(State(shared): State<Shared<A>>, query: Asked) -> Result<Response, HttpError> {
    let asked = parameters(query)?;
    let page = Page::of(&asked)?;
    let owned = |name| given(&asked, name).map(str::to_owned);
    let command = ClientsCommand::List {
        country: owned("country"),
        operator: owned("operator"),
        protocols: owned("protocols"),
        last_published_day: optional(given(&asked, "last_published_date"), iso::day, BAD_DAY)?,
        page: page.page,
        per_page: page.per_page,
    };
    let ClientsReply::List { rows, total } = shared.clients(command).await? else {
        return Err(HttpError::Mismatch);
    };
    let rows: Vec<Value> = rows.iter().map(client).collect();
    Ok((page.headers(LIST_PATH, total), Json(rows)).into_response())
}

/// `GET /v3/clients/countries`.
pub(super) async fn countries<A: Ask>(State(shared): State<Shared<A>>) -> Result<Json<Vec<String>>, HttpError> {
    names(shared.clients(ClientsCommand::Countries).await?)
}

/// `GET /v3/clients/{country}/operators`.
pub(super) async fn operators<A: Ask>(
    State(shared): State<Shared<A>>,
    country: Which,
) -> Result<Json<Vec<String>>, HttpError> {
    let country = which(country)?;
    names(shared.clients(ClientsCommand::Operators { country }).await?)
}

/// `GET /v3/clients/{msisdn}/tests`.
pub(super) async fn tests<A: Ask>(
    State(shared): State<Shared<A>>,
    msisdn: Which,
    query: Asked,
) -> Result<Response, HttpError> {
    let msisdn = which(msisdn)?;
    let asked = parameters(query)?;
    let page = Page::of(&asked)?;
    let command = ClientsCommand::Tests {
        msisdn: msisdn.into(),
        page: page.page,
        per_page: page.per_page,
        status: given(&asked, "status").map(str::to_owned),
        from: optional(given(&asked, "start_time"), iso::seconds, BAD_START)?,
        to: optional(given(&asked, "end_time"), iso::seconds, BAD_END)?,
    };
    match shared.clients(command).await? {
        ClientsReply::Tests { rows, total, success, failed } => {
            let data: Vec<Value> = rows.iter().map(test).collect();
            Ok(Json(json!({
                "data": data, "total_records": total, "total_success": success, "total_failed": failed,
            }))
            .into_response())
        }
        ClientsReply::Unknown => Ok(unknown()),
        _ => Err(HttpError::Mismatch),
    }
}

/// `POST /v3/clients/{msisdn}/tests`; the body is ignored.
pub(super) async fn start_test<A: Ask>(State(shared): State<Shared<A>>, msisdn: Which) -> Result<Response, HttpError> {
    let msisdn = which(msisdn)?.into();
    match shared.clients(ClientsCommand::StartTest { msisdn }).await? {
        ClientsReply::Started { test_id, started } => Ok(Json(json!({
            "message": "Test started successfully.", "test_id": test_id, "test_start_time": started,
        }))
        .into_response()),
        ClientsReply::Unknown => Ok(unknown()),
        _ => Err(HttpError::Mismatch),
    }
}

/// Status 200: the apps read the body of nothing else.
fn unknown() -> Response {
    Json(json!({ "error": "Gateway client not found" })).into_response()
}

fn names(reply: ClientsReply) -> Result<Json<Vec<String>>, HttpError> {
    match reply {
        ClientsReply::Names(names) => Ok(Json(names)),
        _ => Err(HttpError::Mismatch),
    }
}

fn which(path: Which) -> Result<String, RequestError> {
    path.map(|Path(which)| which).map_err(|_| RequestError::NoPage)
}

fn optional(
    text: Option<&str>,
    parse: fn(&str) -> Option<u64>,
    error: RequestError,
) -> Result<Option<u64>, RequestError> {
    text.map(|text| parse(text).ok_or(error)).transpose()
}

/// Reliability must be a whole number: a decimal makes Android drop the whole list.
fn client(row: &ClientRow) -> Value {
    json!({
        "msisdn": row.msisdn,
        "country": row.country,
        "operator": row.operator,
        "operator_code": row.operator_code,
        "protocols": row.protocols,
        "reliability": row.reliability,
        "last_published_date": row.last_published,
    })
}

fn test(row: &TestRow) -> Value {
    json!({
        "id": row.id,
        "msisdn": row.msisdn,
        "start_time": row.started,
        "sms_sent_time": row.sms_sent,
        "sms_received_time": row.sms_received,
        "sms_routed_time": row.sms_routed,
        "status": row.status,
    })
}
