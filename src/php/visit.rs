//! Where a visit begins, and where it ends, whatever ends it.
//!
//! What a visit leaves open is settled right after the session module's own
//! end of a request: that one still writes and closes, and ours would come
//! before it, as PHP ends modules in reverse order. Servers that run one script
//! for many visits end the session module alone between two of them, so its
//! functions are those to follow. They may be left by a bailout; then PHP's
//! last call of a request settles.
//!
//! A request's beginning is told to us as well as to the session module, that
//! of one of many visits only to the latter.

use std::cell::Cell;
use std::ffi::c_int;
use std::ptr;

use ext_php_rs::ffi::zend_hash_str_find;
use ext_php_rs::zend::ModuleEntry;

use super::boundary::{self, guard};
use super::ffi::module_registry;
use super::{ini, open};
use crate::registry::Registry;
use crate::session::handler::Handler;

type RequestFunction = unsafe extern "C" fn(c_int, c_int) -> c_int;

/// One of the session module's own functions. Written while modules start, when there
/// is one thread, and only read from then on.
struct Followed(Cell<Option<RequestFunction>>);
// SAFETY: see above.
unsafe impl Sync for Followed {}
static BEGIN: Followed = Followed(Cell::new(None));
static END: Followed = Followed(Cell::new(None));

/// The session module, which PHP has started before us.
fn session_module() -> *mut ModuleEntry {
    let name = c"session";
    // SAFETY: PHP's table of modules exists from its start to its end, and
    // holds pointers to entries. Runs no PHP code.
    unsafe {
        let found = zend_hash_str_find(
            (&raw const module_registry).cast(),
            name.as_ptr(),
            name.count_bytes(),
        );
        found.as_ref().map_or(ptr::null_mut(), |found| found.value.ptr.cast())
    }
}

/// From now on visits are seen. At the start of the module.
pub fn start() {
    // SAFETY: the entry is PHP's own and live; modules start in one thread.
    // Our code stays mapped, so the functions never dangle.
    unsafe {
        let Some(session) = session_module().as_mut() else { return };
        follow(&mut session.request_startup_func, begin, &BEGIN);
        follow(&mut session.request_shutdown_func, end, &END);
    }
}

fn follow(location: &mut Option<RequestFunction>, ours: RequestFunction, before: &Followed) {
    if !is(*location, ours) {
        before.0.set(location.replace(ours));
    }
}

/// Leaves the session module as it was, unless someone has wrapped it after us.
pub fn stop() {
    // SAFETY: as above; modules end in one thread.
    unsafe {
        let Some(session) = session_module().as_mut() else { return };
        if is(session.request_startup_func, begin) {
            session.request_startup_func = BEGIN.0.get();
        }
        if is(session.request_shutdown_func, end) {
            session.request_shutdown_func = END.0.get();
        }
    }
}

fn is(function: Option<RequestFunction>, ours: RequestFunction) -> bool {
    function.is_some_and(|function| ptr::fn_addr_eq(function, ours))
}

unsafe extern "C" fn begin(type_: c_int, module: c_int) -> c_int {
    ini::begin_visit();
    match BEGIN.0.get() {
        // SAFETY: PHP's arguments, handed on. Nothing is owned.
        Some(followed) => unsafe { followed(type_, module) },
        None => 0,
    }
}

/// A request of PHP's begins; the session module has begun it already.
pub extern "C" fn begin_request(_: c_int, _: c_int) -> c_int {
    ini::begin_request();
    0
}

unsafe extern "C" fn end(type_: c_int, module: c_int) -> c_int {
    let done = match END.0.get() {
        // SAFETY: PHP's arguments, handed on. Nothing is owned: it may bail out.
        Some(followed) => unsafe { followed(type_, module) },
        None => 0,
    };
    settle();
    // SAFETY: nothing is owned.
    unsafe { ini::end_visit() };
    done
}

/// PHP's last call of a request.
pub unsafe extern "C" fn after_all() -> c_int {
    settle();
    0
}

/// Lets go of what the visit has left open. Calls no PHP: what there is to say
/// goes to the log, as there is no page any more to say it on.
fn settle() {
    open::end_all(|handler| {
        if let Err(error) = guard(|| Handler::abandon(handler)) {
            Registry::current().runtime().counters.note(&error);
            tracing::warn!(operation = "end", outcome = %error);
        }
    });
    boundary::forget();
}
