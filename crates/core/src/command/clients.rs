//! `GET/POST /v3/clients…`: what is asked, and what is answered.

use super::Private;

/// `GET/POST /v3/clients…`.
#[derive(Clone, Debug)]
pub enum ClientsCommand {
    /// Gateway clients.
    List {
        /// Exact, any case.
        country: Option<String>,
        /// Contains, any case.
        operator: Option<String>,
        /// Contains, any case.
        protocols: Option<String>,
        /// Day (UTC) of the last publication, `YYYY-MM-DD`, as days since the epoch.
        last_published_day: Option<u64>,
        /// From 1.
        page: u32,
        /// Rows.
        per_page: u32,
    },
    /// Countries that have one.
    Countries,
    /// Operators of a country.
    Operators {
        /// Any case.
        country: String,
    },
    /// Reliability tests of one.
    Tests {
        /// Its number.
        msisdn: Private,
        /// From 1.
        page: u32,
        /// Rows.
        per_page: u32,
        /// Only this status.
        status: Option<String>,
        /// Started not before (seconds).
        from: Option<u64>,
        /// Started not after (seconds).
        to: Option<u64>,
    },
    /// Start a reliability test.
    StartTest {
        /// Its number.
        msisdn: Private,
    },
}

/// Answers of `/v3/clients…`.
#[derive(Clone, Debug)]
pub enum ClientsReply {
    /// A page of gateway clients.
    List {
        /// The page.
        rows: Vec<ClientRow>,
        /// All that match.
        total: u64,
    },
    /// Names in order.
    Names(Vec<String>),
    /// A page of tests.
    Tests {
        /// The page.
        rows: Vec<TestRow>,
        /// All that match.
        total: u64,
        /// Of them, arrived within 300 s.
        success: u64,
        /// Of them, failed or timed out.
        failed: u64,
    },
    /// A test was started.
    Started {
        /// Its id.
        test_id: u64,
        /// Epoch seconds.
        started: u64,
    },
    /// No such gateway client (HTTP 200, as the apps expect).
    Unknown,
}

/// A gateway client as the apps list it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRow {
    /// Public by its nature: people send SMS to it.
    pub msisdn: String,
    /// Country name or code.
    pub country: String,
    /// Carrier.
    pub operator: String,
    /// Carrier's code.
    pub operator_code: String,
    /// What it forwards by.
    pub protocols: Vec<String>,
    /// Whole percent.
    pub reliability: u8,
    /// Epoch seconds; 0 = never.
    pub last_published: u64,
}

/// One reliability test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRow {
    /// Its id.
    pub id: u64,
    /// The gateway client's number.
    pub msisdn: String,
    /// Epoch seconds.
    pub started: u64,
    /// Epoch seconds.
    pub sms_sent: Option<u64>,
    /// Epoch seconds.
    pub sms_received: Option<u64>,
    /// Epoch seconds.
    pub sms_routed: Option<u64>,
    /// `pending`, `success` or `timedout`.
    pub status: &'static str,
}
