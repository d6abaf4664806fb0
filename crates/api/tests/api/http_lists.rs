//! What apps and probes read.

use axum::body::Body;
use axum::http::Request;
use relaymesh_core::command::{
    BridgeKeyRow, ClientRow, ClientsCommand, ClientsReply, Code, Command, OperatorCommand, OperatorReply, Refusal,
    Reply, StatusReport, TestRow,
};
use serde_json::json;

use crate::fake::{Answer, Fake, get, post, send};

fn clients(reply: ClientsReply) -> Fake {
    Fake::saying(Reply::Clients(reply))
}

fn row() -> ClientRow {
    ClientRow {
        msisdn: "+237679000000".into(),
        country: "Cameroon".into(),
        operator: "MTN".into(),
        operator_code: "62401".into(),
        protocols: vec!["https".into()],
        reliability: 36,
        last_published: 1_700_000_000,
    }
}

#[tokio::test]
async fn gateway_clients_are_an_array_with_page_headers() {
    let fake = clients(ClientsReply::List { rows: vec![row()], total: 21 });
    let path =
        "/v3/clients?country=Cameroon&operator=mtn&protocols=https&last_published_date=2024-03-01&page=2&per_page=10";
    let answer = get(&fake.http(), path).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!([{
            "msisdn": "+237679000000", "country": "Cameroon", "operator": "MTN", "operator_code": "62401",
            "protocols": ["https"], "reliability": 36, "last_published_date": 1_700_000_000,
        }])
    );
    for (name, value) in [("x-total-count", "21"), ("x-page", "2"), ("x-per-page", "10")] {
        assert_eq!(answer.header(name), value);
    }
    assert!(
        answer.header("link").contains("</v3/clients?page=3&per_page=10>; rel=\"next\""),
        "{}",
        answer.header("link")
    );
    let [Command::Clients(ClientsCommand::List { country, operator, protocols, last_published_day, page, per_page })] =
        &fake.asked()[..]
    else {
        panic!("one list")
    };
    assert_eq!(country.as_deref(), Some("Cameroon"));
    assert_eq!(operator.as_deref(), Some("mtn"));
    assert_eq!(protocols.as_deref(), Some("https"));
    assert_eq!((*last_published_day, *page, *per_page), (Some(19_783), 2, 10));
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let paging = "Invalid page or per_page parameter. Must be positive integers.";
    for (path, error) in [
        ("/v3/clients?page=0", paging),
        ("/v3/clients?per_page=-1", paging),
        ("/v3/clients?page=x", paging),
        ("/v3/clients/+15550100/tests?page=0", paging),
        ("/v3/clients?last_published_date=yesterday", "Invalid last_published_date parameter"),
        ("/v3/clients/+15550100/tests?start_time=x", "Invalid start_time parameter"),
        ("/v3/clients/+15550100/tests?end_time=2024-13-01", "Invalid end_time parameter"),
    ] {
        let fake = clients(ClientsReply::Unknown);
        let answer = get(&fake.http(), path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.error().starts_with(error), "{path}: {}", answer.body);
        assert!(fake.asked().is_empty());
    }
}

#[tokio::test]
async fn countries_and_operators_are_names() {
    let fake = clients(ClientsReply::Names(vec!["MTN".into(), "Orange".into()]));
    for path in ["/v3/clients/countries", "/v3/clients/C%C3%B4te%20d%27Ivoire/operators"] {
        assert_eq!(get(&fake.http(), path).await.json(), json!(["MTN", "Orange"]));
    }
    let asked = fake.asked();
    assert!(matches!(asked[0], Command::Clients(ClientsCommand::Countries)));
    let Command::Clients(ClientsCommand::Operators { country }) = &asked[1] else { panic!("operators") };
    assert_eq!(country, "Côte d'Ivoire");
}

#[tokio::test]
async fn tests_of_a_gateway_client_are_listed() {
    let test = TestRow {
        id: 7,
        msisdn: "+15550100".into(),
        started: 10,
        sms_sent: Some(11),
        sms_received: None,
        sms_routed: None,
        status: "pending",
    };
    let fake = clients(ClientsReply::Tests { rows: vec![test], total: 3, success: 1, failed: 1 });
    let path = "/v3/clients/%2B15550100/tests?status=pending&start_time=2024-03-01&end_time=2024-03-01T00:00:05Z";
    let answer = get(&fake.http(), path).await;
    assert_eq!(
        answer.json(),
        json!({
            "data": [{
                "id": 7, "msisdn": "+15550100", "start_time": 10, "sms_sent_time": 11, "sms_received_time": null,
                "sms_routed_time": null, "status": "pending",
            }],
            "total_records": 3, "total_success": 1, "total_failed": 1,
        })
    );
    let [Command::Clients(ClientsCommand::Tests { msisdn, page, per_page, status, from, to })] = &fake.asked()[..]
    else {
        panic!("one list of tests")
    };
    assert_eq!(msisdn.reveal(), "+15550100");
    assert_eq!((*page, *per_page, status.as_deref()), (1, 10, Some("pending")));
    assert_eq!((*from, *to), (Some(1_709_251_200), Some(1_709_251_205)));
}

#[tokio::test]
async fn a_test_is_started_or_its_gateway_client_unknown() {
    let path = "/v3/clients/+15550100/tests";
    let started = clients(ClientsReply::Started { test_id: 9, started: 1_700_000_000 });
    let answer = post(&started.http(), path, "{\"test_start_time\": \"now\"}").await;
    assert_eq!(
        answer.json(),
        json!({ "message": "Test started successfully.", "test_id": 9, "test_start_time": 1_700_000_000 })
    );
    let [Command::Clients(ClientsCommand::StartTest { msisdn })] = &started.asked()[..] else { panic!("one test") };
    assert_eq!(msisdn.reveal(), "+15550100");

    let unknown = send(&clients(ClientsReply::Unknown).http(), Request::post(path).body(Body::empty()).unwrap()).await;
    assert_eq!(unknown.status, 200, "the apps read the body of nothing else");
    assert_eq!(unknown.json(), json!({ "error": "Gateway client not found" }));

    let busy = Fake::saying(Reply::Refused(Refusal::new(Code::ResourceExhausted, "too many tests")));
    assert_eq!(post(&busy.http(), path, "").await.status, 429);
}

#[tokio::test]
async fn configured_platforms_have_exactly_seven_keys() {
    let router = Fake::accepting().http();
    let gmail = json!({
        "name": "gmail", "shortcode": "g", "protocol_type": "oauth2", "service_type": "email", "icon_svg": null,
        "icon_png": null, "support_url_scheme": false,
    });
    let mastodon = json!({
        "name": "mastodon", "shortcode": "m", "protocol_type": "oauth2", "service_type": "text", "icon_svg": null,
        "icon_png": null, "support_url_scheme": false,
    });
    assert_eq!(get(&router, "/v1/platforms").await.json(), json!([gmail, mastodon]));
    assert_eq!(get(&router, "/v1/platforms/gmail").await.json(), gmail);
    for absent in ["/v1/platforms/bluesky", "/v1/platforms/nonsense", "/v1/platforms/%ff"] {
        let answer = get(&router, absent).await;
        assert_eq!(answer.status, 404, "{absent}");
        assert_eq!(answer.json(), json!({ "detail": "Platform not found" }));
    }
}

#[tokio::test]
async fn bridge_keys_are_listed_or_absent() {
    let key = BridgeKeyRow { kid: 3, keypair: "cHVibGlj".into(), status: "active".into(), version: "v1".into() };
    let fake = Fake::saying(Reply::Operator(OperatorReply::BridgeKeys(vec![key])));
    let answer = get(&fake.http(), "/v3/keys/static-x25519").await;
    assert_eq!(answer.json(), json!([{ "kid": 3, "keypair": "cHVibGlj", "status": "active", "version": "v1" }]));
    assert!(matches!(fake.asked()[..], [Command::Operator(OperatorCommand::BridgeKeysList)]));

    let none = Fake::saying(Reply::Operator(OperatorReply::BridgeKeys(vec![])));
    let answer = get(&none.http(), "/v3/keys/static-x25519").await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (404, "Static public keys not found"));
}

#[tokio::test]
async fn health_tells_the_process_from_the_node() {
    let up = Fake::saying(Reply::Operator(OperatorReply::Status(StatusReport::default()))).http();
    let down = Fake::saying(Reply::Refused(Refusal::unavailable())).http();
    assert_eq!(get(&up, "/health/live").await.status, 200);
    assert_eq!(get(&down, "/health/live").await.status, 200);
    let ready = get(&up, "/health/ready").await;
    assert_eq!((ready.status.as_u16(), ready.body.as_str()), (200, "{\"status\":\"ready\"}"));
    assert_eq!(get(&down, "/health/ready").await.status, 503);
}

#[tokio::test]
async fn every_answer_carries_the_headers() {
    let router = Fake::saying(Reply::Refused(Refusal::unavailable())).http();
    let answers: [Answer; 5] = [
        get(&router, "/health/live").await,
        get(&router, "/v3/clients").await,
        get(&router, "/v3/publish").await,
        get(&router, "/nothing").await,
        post(&router, "/v3/publish", "null").await,
    ];
    for answer in answers {
        for (name, value) in [
            ("access-control-allow-origin", "*"),
            ("access-control-expose-headers", "X-Total-Count, X-Page, X-Per-Page, Link"),
            ("strict-transport-security", "max-age=63072000; includeSubdomains"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "script-src 'self'; object-src 'self'"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(answer.header(name), value, "{}", answer.status);
        }
        assert!(answer.header("permissions-policy").contains("camera=()"));
    }
}
