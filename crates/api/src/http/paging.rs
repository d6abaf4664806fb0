//! `page` and `per_page`, and the headers that tell of further pages.

use std::collections::BTreeMap;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderMap, HeaderValue, header};

use crate::errors::RequestError;

/// Parameters of a query, last one wins.
pub(super) type Parameters = BTreeMap<String, String>;

/// Rows of a page unless asked otherwise.
const PER_PAGE: u32 = 10;
/// Rows of a page at most, as the core has it.
const PER_PAGE_MAX: u32 = 100;
const ERROR: RequestError = RequestError::Parameter("Invalid page or per_page parameter. Must be positive integers.");

/// Which page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// From 1.
    pub(super) page: u32,
    /// Rows.
    pub(super) per_page: u32,
}

/// The parameters of a query.
///
/// # Errors
/// When it cannot be read.
pub(super) fn parameters(query: Result<Query<Parameters>, QueryRejection>) -> Result<Parameters, RequestError> {
    query.map(|Query(parameters)| parameters).map_err(|_| RequestError::Parameter("the query cannot be read"))
}

/// A parameter; empty ones count as absent.
pub(super) fn given<'p>(parameters: &'p Parameters, name: &str) -> Option<&'p str> {
    parameters.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

impl Page {
    /// The page that a query asks for.
    ///
    /// # Errors
    /// When a number is none, or not positive.
    pub(super) fn of(parameters: &Parameters) -> Result<Self, RequestError> {
        let number = |name, default| match parameters.get(name) {
            None => Ok(default),
            Some(text) => text.trim().parse().ok().filter(|number| *number > 0).ok_or(ERROR),
        };
        Ok(Self { page: number("page", 1)?, per_page: number("per_page", PER_PAGE)?.min(PER_PAGE_MAX) })
    }

    /// `X-Total-Count`, `X-Page`, `X-Per-Page` and `Link` of a list at `path` that has `total` rows.
    pub(super) fn headers(self, path: &str, total: u64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-total-count", total.into());
        headers.insert("x-page", self.page.into());
        headers.insert("x-per-page", self.per_page.into());
        if let Ok(link) = HeaderValue::try_from(self.link(path, total)) {
            headers.insert(header::LINK, link);
        }
        headers
    }

    fn link(self, path: &str, total: u64) -> String {
        let last = total.div_ceil(u64::from(self.per_page)).max(1);
        let page = u64::from(self.page);
        let mut links = vec![(1, "first"), (page, "self"), (last, "last")];
        if page > 1 {
            links.push((page - 1, "prev"));
        }
        if page < last {
            links.push((page + 1, "next"));
        }
        let per_page = self.per_page;
        let links = links.iter().map(|(page, rel)| format!("<{path}?page={page}&per_page={per_page}>; rel=\"{rel}\""));
        links.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(page: &str, per_page: &str) -> Option<Page> {
        let parameters = [("page", page), ("per_page", per_page)].map(|(k, v)| (k.to_owned(), v.to_owned()));
        Page::of(&parameters.into()).ok()
    }

    #[test]
    fn pages_are_positive_integers() {
        assert_eq!(Page::of(&Parameters::new()), Ok(Page { page: 1, per_page: 10 }));
        assert_eq!(page("2", "5"), Some(Page { page: 2, per_page: 5 }));
        assert_eq!(page("2", "5000"), Some(Page { page: 2, per_page: 100 }));
        for bad in ["0", "-1", "x", "", "1.5", "99999999999"] {
            assert_eq!(page(bad, "5"), None, "{bad}");
            assert_eq!(page("1", bad), None, "{bad}");
        }
    }

    #[test]
    fn links_lead_to_neighbours_that_exist() {
        let rels = |page, total| {
            let link = Page { page, per_page: 10 }.link("/v3/clients", total);
            ["first", "prev", "self", "last", "next"].map(|rel| link.contains(&format!("rel=\"{rel}\"")))
        };
        assert_eq!(rels(1, 0), [true, false, true, true, false]);
        assert_eq!(rels(1, 11), [true, false, true, true, true]);
        assert_eq!(rels(2, 11), [true, true, true, true, false]);
        let link = Page { page: 1, per_page: 10 }.link("/v3/clients", 21);
        assert!(link.contains("</v3/clients?page=3&per_page=10>; rel=\"last\""), "{link}");
    }
}
