//! What can be learned of the request that PHP is running, and what must be
//! done for it while it waits.

use std::ffi::CStr;

use ext_php_rs::ffi::{
    ext_php_rs_executor_globals, ext_php_rs_process_globals, ext_php_rs_sapi_globals,
    zend_atomic_bool_store, zend_interrupt_function,
};
use ext_php_rs::zend::ExecuteData;

use super::ffi::zend_memory_usage;

/// Bit of the executor's `flags` that says that the request is ending.
const IN_SHUTDOWN: u8 = 1;
/// Bit of `connection_status` that says the client is gone.
const ABORTED: u8 = 1;

/// Lets PHP do what a signal or a time limit has asked of it. Returns whether
/// the request goes on: not after an exception, which may be `exit()`, at the
/// end of its time, or when the client has gone.
///
/// # Safety
/// Runs PHP code, which may bail out or end the session: the caller owns
/// nothing that needs a destructor and uses no handler afterwards.
pub unsafe fn serve_signals() -> bool {
    // SAFETY: the globals of this thread live as long as the request. Nothing
    // is owned while the interrupt function runs; it is what PHP's own
    // virtual machine calls in the same way between two instructions.
    unsafe {
        let globals = ext_php_rs_executor_globals();
        // A time limit is left to the virtual machine: it ends the request
        // as soon as we return.
        if (*globals).timed_out.value {
            return false;
        }
        if (*globals).vm_interrupt.value {
            zend_atomic_bool_store(&raw mut (*globals).vm_interrupt, false);
            if let Some(interrupt) = zend_interrupt_function {
                interrupt((*globals).current_execute_data);
            }
        }
        let process = ext_php_rs_process_globals();
        let gone = u8::try_from((*process).connection_status).unwrap_or(0) & ABORTED != 0;
        (*globals).exception.is_null() && (!gone || (*process).ignore_user_abort)
    }
}

/// Whether PHP is ending the request, so that what it does is not asked for.
pub fn is_ending() -> bool {
    // SAFETY: reads the globals of this thread, which live as long as PHP.
    unsafe { (*ext_php_rs_executor_globals()).flags & IN_SHUTDOWN != 0 }
}

/// How many bytes of `memory_limit` are used.
pub fn memory_used() -> usize {
    // SAFETY: reads the heap of this thread, which lives as long as PHP.
    unsafe { zend_memory_usage(false) }
}

/// Whether `session_start(['read_and_close' => true])` is what is running.
/// PHP does not tell its save handlers; where it cannot be seen, because a
/// handler in PHP is between, the answer is no.
pub fn is_read_and_close() -> bool {
    // SAFETY: reads the frame of the PHP function that called us, which lives
    // until we return. Runs no PHP code.
    let frame = unsafe { (*ext_php_rs_executor_globals()).current_execute_data };
    // SAFETY: as above; null where no function is running.
    let Some(frame) = (unsafe { frame.cast::<ExecuteData>().as_ref() }) else { return false };
    if !is_session_start(frame) {
        return false;
    }
    // SAFETY: PHP keeps the argument alive during the call, and checked that
    // the function has got at least one.
    let options = match unsafe { (frame.This.u2.num_args > 0).then(|| frame.zend_call_arg(0)) } {
        Some(Some(argument)) => argument.array(),
        _ => None,
    };
    let value = options.and_then(|options| options.get("read_and_close"));
    // PHP takes a string for a number here.
    value.is_some_and(|value| match value.str() {
        Some(text) => text.trim().parse::<i64>().is_ok_and(|number| number > 0),
        None => value.long().is_some_and(|n| n > 0) || value.bool() == Some(true),
    })
}

fn is_session_start(frame: &ExecuteData) -> bool {
    // SAFETY: a frame's function lives as long as the frame, and so does its
    // name, which only code at the top level of a script lacks.
    unsafe {
        let Some(function) = frame.func.as_ref() else { return false };
        let name = function.common.function_name;
        !name.is_null() && super::boundary::bytes(name) == b"session_start"
    }
}

/// The file of the script that was asked for; empty where PHP has none.
pub fn script_name() -> String {
    // SAFETY: a C string of the request's, or null. Runs no PHP code.
    unsafe {
        let path = (*ext_php_rs_sapi_globals()).request_info.path_translated;
        if path.is_null() {
            return String::new();
        }
        CStr::from_ptr(path).to_string_lossy().into_owned()
    }
}
