//! The end of a visit, whatever ends it.
//!
//! What a visit leaves open is settled right behind the session module's own
//! end of a request: that one still writes and closes, and ours would come
//! before it, as PHP ends modules in reverse order. Servers that run one script
//! for many visits end the session module alone between two of them, so its
//! function is the one to follow. It may be left by a bailout; then PHP's last
//! call of a request settles.

use std::cell::Cell;
use std::ffi::c_int;
use std::ptr;

use ext_php_rs::ffi::zend_hash_str_find;
use ext_php_rs::zend::ModuleEntry;

use super::boundary::{self, guard};
use super::ffi::module_registry;
use super::open;
use crate::handler::Handler;
use crate::process::Process;

type RequestFunction = unsafe extern "C" fn(c_int, c_int) -> c_int;

/// The session module's own function. Written while modules start, when there
/// is one thread, and only read from then on.
struct Followed(Cell<Option<RequestFunction>>);
// SAFETY: see above.
unsafe impl Sync for Followed {}
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

/// From now on a visit's end is seen. At the start of the module.
pub fn start() {
    // SAFETY: the entry is PHP's own and live; modules start in one thread.
    // Our code stays mapped, so the function never dangles.
    unsafe {
        let Some(session) = session_module().as_mut() else { return };
        let followed = session.request_shutdown_func;
        if followed.is_none_or(|followed| !ptr::fn_addr_eq(followed, end as RequestFunction)) {
            END.0.set(followed);
            session.request_shutdown_func = Some(end);
        }
    }
}

/// Leaves the session module as it was, unless somebody has come behind us.
pub fn stop() {
    // SAFETY: as above; modules end in one thread.
    unsafe {
        let Some(session) = session_module().as_mut() else { return };
        let function = session.request_shutdown_func;
        if function.is_some_and(|function| ptr::fn_addr_eq(function, end as RequestFunction)) {
            session.request_shutdown_func = END.0.get();
        }
    }
}

unsafe extern "C" fn end(type_: c_int, module: c_int) -> c_int {
    let done = match END.0.get() {
        // SAFETY: PHP's arguments, handed on. Nothing is owned: it may bail out.
        Some(followed) => unsafe { followed(type_, module) },
        None => 0,
    };
    settle();
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
            Process::current().counters.note(&error);
            tracing::warn!(operation = "end", outcome = %error);
        }
    });
    boundary::forget();
}
