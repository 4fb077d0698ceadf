//! The names that `session.save_handler` may have, and who serves them.

use std::ffi::CStr;
use std::ptr;

use super::callbacks::save_handler;
use super::ffi::{_php_find_ps_module, php_session_register_module, ps_module};
use crate::config::save_path;
use crate::session::handler::HandlerKind;

/// The name that `php -m` shows.
pub(super) const NAME: &CStr = c"redis_session";

/// The names that `session.save_handler` may have: phpredis' two, and one
/// that never clashes with them.
struct Handlers([ps_module; 3]);
// SAFETY: the table is constant, and its pointers are to constants.
unsafe impl Sync for Handlers {}
static HANDLERS: Handlers = Handlers([
    save_handler(c"redis", HandlerKind::Anything),
    save_handler(c"rediscluster", HandlerKind::Clusters),
    save_handler(NAME, HandlerKind::Anything),
]);

/// Who serves a save handler's name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// This extension.
    ThisExtension,
    /// Another one: phpredis.
    Another,
    /// No extension.
    Unregistered,
}

/// Who serves the save handler `name` now.
pub(super) fn owner_of(name: &CStr) -> Owner {
    // SAFETY: looks the name up; runs no PHP code.
    let found = unsafe { _php_find_ps_module(name.as_ptr()) };
    if HANDLERS.0.iter().any(|ours| ptr::eq(ours, found)) {
        Owner::ThisExtension
    } else if found.is_null() {
        Owner::Unregistered
    } else {
        Owner::Another
    }
}

/// Registers our names where they are not taken. phpredis keeps its own.
pub(super) fn register() {
    for handler in &HANDLERS.0 {
        // SAFETY: our names are C strings in constants.
        let name = unsafe { CStr::from_ptr(handler.s_name) };
        match owner_of(name) {
            // Where phpredis is loaded it keeps its names.
            Owner::Another => save_path::notice_phpredis(),
            // SAFETY: the entry is static. Fails only where PHP's table of
            // save handlers is full, which phpinfo() then shows.
            Owner::Unregistered => unsafe {
                php_session_register_module(handler);
            },
            Owner::ThisExtension => {}
        }
    }
}
