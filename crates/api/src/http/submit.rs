//! `POST /v3/publish` and its likes: one SMS, as DekuSMS and others forward it (http.md §1, §2).

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use relaymesh_core::command::{Command, Door, Private, Reply, Submit};
use relaymesh_core::gateway_id;
use serde_json::{Map, Value};

use super::{Shared, answer, body};
use crate::Ask;
use crate::errors::{HttpError, RequestError};

/// Whether a submission without dates is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dates {
    Required,
    Optional,
}

/// `POST /v3/publish`, `POST /sms/platform/{any}`.
pub(super) async fn open<A: Ask>(State(shared): State<Shared<A>>, request: Request) -> Result<Response, HttpError> {
    if !shared.config.open {
        return Err(RequestError::Closed.into());
    }
    if is_proxied(request.headers()) {
        return Err(RequestError::Proxied.into());
    }
    submit(&shared, Door::Open, Dates::Required, request).await
}

/// `POST /g/{token}/v3/publish`: a gateway client's own URL.
pub(super) async fn gateway<A: Ask>(
    State(shared): State<Shared<A>>,
    token: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, HttpError> {
    let token = token.ok().map(|Path(token)| token).filter(|token| !token.is_empty()).ok_or(RequestError::NoPage)?;
    let door = Door::Gateway(gateway_id(&token));
    submit(&shared, door, Dates::Optional, request).await
}

async fn submit<A: Ask>(shared: &Shared<A>, door: Door, dates: Dates, request: Request) -> Result<Response, HttpError> {
    let submit = read(door, dates, body::json_object(request).await?)?;
    let sender = submit.sender.clone();
    match shared.ask(Command::Submit(submit)).await? {
        Reply::Submitted(submitted) => Ok(answer::submitted(&submitted, &sender)),
        _ => Err(HttpError::Mismatch),
    }
}

/// Whether a body is a submission, at the open door or at a gateway client's own.
pub(crate) fn reads(bytes: &[u8]) -> bool {
    [(Door::Open, Dates::Required), (Door::Gateway(gateway_id("token")), Dates::Optional)]
        .into_iter()
        .any(|(door, dates)| body::parse(bytes).and_then(|object| read(door, dates, object)).is_ok())
}

/// The open doors are for one's own network. What came through a proxy came from somewhere else.
fn is_proxied(headers: &HeaderMap) -> bool {
    headers.contains_key(header::FORWARDED) || headers.keys().any(|name| name.as_str().starts_with("x-forwarded-"))
}

/// The fields, checked in the order that the existing server checks them.
fn read(door: Door, dates: Dates, mut object: Map<String, Value>) -> Result<Submit, RequestError> {
    let text = text(object.remove("text"), "text")?;
    let number = object.remove("MSISDN").filter(is_truthy).or_else(|| object.remove("address"));
    let sender = self::text(number, "address or MSISDN")?;
    let date = date(object.get("date"), dates, "date")?;
    let date_sent = self::date(object.get("date_sent"), dates, "date_sent")?;
    Ok(Submit { door, text, sender, date, date_sent })
}

fn text(value: Option<Value>, field: &'static str) -> Result<Private, RequestError> {
    match value.filter(is_truthy) {
        Some(Value::String(text)) => Ok(text.into()),
        Some(_) => Err(RequestError::NotText(field)),
        None => Err(RequestError::Missing(field)),
    }
}

/// Milliseconds as a number or text. What cannot be read is no date: the message is worth more.
fn date(value: Option<&Value>, dates: Dates, field: &'static str) -> Result<Option<i64>, RequestError> {
    let Some(value) = value.filter(|value| is_truthy(value)) else {
        return if dates == Dates::Required { Err(RequestError::Missing(field)) } else { Ok(None) };
    };
    let millis = match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    Ok(millis.filter(|millis| *millis != 0))
}

/// Floats are exact up to 2^53; dates beyond are none.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation, reason = "within 2^53")]
    (number.abs() < EXACT).then_some(number as i64)
}

/// Whether the existing server, in Python, takes a value for given.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(given) => *given,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_json(dates: Dates, value: Value) -> Result<Submit, String> {
        let Value::Object(object) = value else { panic!("an object") };
        read(Door::Open, dates, object).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_are_missed_in_order() {
        for (value, error) in [
            (json!({}), "Missing required field: text"),
            (json!({"text": ""}), "Missing required field: text"),
            (json!({"text": 5}), "text must be a string"),
            (json!({"text": "a"}), "Missing required field: address or MSISDN"),
            (json!({"text": "a", "address": 5}), "address or MSISDN must be a string"),
            (json!({"text": "a", "address": "b"}), "Missing required field: date"),
            (json!({"text": "a", "address": "b", "date": 0}), "Missing required field: date"),
            (json!({"text": "a", "address": "b", "date": null}), "Missing required field: date"),
            (json!({"text": "a", "address": "b", "date": 1}), "Missing required field: date_sent"),
            (json!({"text": "a", "address": "b", "date": 1, "date_sent": 0}), "Missing required field: date_sent"),
        ] {
            assert_eq!(read_json(Dates::Required, value.clone()).unwrap_err(), error, "{value}");
        }
    }

    #[test]
    fn msisdn_wins_where_it_says_something() {
        let sender = |value| read_json(Dates::Optional, value).unwrap().sender.reveal().to_owned();
        assert_eq!(sender(json!({"text": "a", "address": "b", "MSISDN": "c"})), "c");
        assert_eq!(sender(json!({"text": "a", "address": "b", "MSISDN": ""})), "b");
        assert_eq!(sender(json!({"text": "a", "address": "b", "MSISDN": null})), "b");
    }

    #[test]
    fn dates_are_numbers_or_texts_of_milliseconds() {
        let date = |value: Value| {
            let submit = json!({"text": "a", "address": "b", "date": value, "date_sent": "x"});
            let submit = read_json(Dates::Required, submit).unwrap();
            assert_eq!(submit.date_sent, None);
            submit.date
        };
        assert_eq!(date(json!(1_700_000_000_000_i64)), Some(1_700_000_000_000));
        assert_eq!(date(json!("1700000000000")), Some(1_700_000_000_000));
        assert_eq!(date(json!(1.7e12)), Some(1_700_000_000_000));
        assert_eq!(date(json!(1e300)), None);
        assert_eq!(date(json!(u64::MAX)), None);
        assert_eq!(date(json!(true)), None);
        assert_eq!(date(json!("0")), None);
    }

    #[test]
    fn a_gateway_client_may_leave_dates_out() {
        let submit = read_json(Dates::Optional, json!({"text": "a", "address": "b"})).unwrap();
        assert_eq!((submit.date, submit.date_sent), (None, None));
    }
}
