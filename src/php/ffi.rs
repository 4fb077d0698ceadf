//! The generated bindings of PHP's session API.
#![allow(missing_docs, non_camel_case_types, non_snake_case, clippy::all, clippy::pedantic)]

include!(concat!(env!("OUT_DIR"), "/session_bindings.rs"));
