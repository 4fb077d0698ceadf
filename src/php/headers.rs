//! Whether a warning now would cost the session its headers.

use std::ffi::{CStr, c_int};

use ext_php_rs::ffi::{
    E_WARNING, ext_php_rs_executor_globals, ext_php_rs_process_globals, ext_php_rs_sapi_globals,
};

use super::ffi::php_output_get_level;
use super::ini;

/// Whether PHP would print a warning right away, and so send the headers
/// without those that the session is to add. Where a script handles warnings
/// itself, it wants them at once.
pub fn warnings_send_headers() -> bool {
    // SAFETY: reads the globals of this thread, which live as long as PHP; the
    // level of output buffers is one of them. Runs no PHP code. Newer PHPs have
    // a bool where others have a number.
    unsafe {
        let (globals, process) = (ext_php_rs_executor_globals(), ext_php_rs_process_globals());
        let warning = c_int::try_from(E_WARNING).unwrap_or_default();
        let handled = (*globals).user_error_handler.u1.type_info != 0
            && (*globals).user_error_handler_error_reporting & warning != 0;
        i32::from((*ext_php_rs_sapi_globals()).headers_sent) == 0
            && i32::from((*process).display_errors) != 0
            && (*globals).error_reporting & warning != 0
            && !handled
            && php_output_get_level() == 0
            && ini::adds_headers(has_cookie())
    }
}

/// Whether the visitor has sent a session's cookie.
fn has_cookie() -> bool {
    let Some(name) = ini::session_name() else { return false };
    // SAFETY: a C string of the request's, or null. Runs no PHP code.
    let cookies = unsafe {
        let cookies = (*ext_php_rs_sapi_globals()).request_info.cookie_data;
        if cookies.is_null() {
            return false;
        }
        CStr::from_ptr(cookies).to_bytes()
    };
    let is_it = |cookie: &[u8]| {
        let value = cookie.trim_ascii_start().strip_prefix(name.to_bytes());
        value.is_some_and(|value| value.starts_with(b"="))
    };
    cookies.split(|byte| *byte == b';').any(is_it)
}
