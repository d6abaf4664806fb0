//! Tools for black-box tests that only some of them need.

pub mod scan;
