//! The INI entries, and how they become [`Settings`].
//!
//! Where phpredis is loaded it has registered its names already, and PHP
//! drops all entries of a module that registers one again. So only what is
//! missing is registered, and values are read by name.

use std::ffi::CStr;

use ext_php_rs::flags::IniEntryPermission as Permission;
use ext_php_rs::zend::IniEntryDef;

use super::boundary;
use super::ffi::{zend_ini_long, zend_ini_string_ex};
use crate::log;
use crate::settings::{Settings, Ttl};

/// Every entry: name, default, and who may change it.
const ENTRIES: [(&CStr, &CStr, Permission); 3] = [
    (c"redis.session.early_refresh", c"0", Permission::All),
    (c"redis_session.log", c"", Permission::System),
    (c"redis_session.log_level", c"off", Permission::System),
];

/// Registers the entries that nobody has registered yet.
pub fn register(module: i32) {
    for (name, default, permission) in ENTRIES {
        if string(name).is_none() {
            let entries = [IniEntryDef::new(name, default, permission), IniEntryDef::end()];
            // PHP 8.5 keeps the table for as long as the process lives.
            IniEntryDef::register(Box::leak(Box::new(entries)), module);
        }
    }
}

/// The settings as they are now. The log starts with the first of them: not
/// earlier, as PHP-FPM's workers do not exist yet when the module starts.
pub fn settings() -> Settings {
    if !log::is_started() {
        let text = |name| string(name).unwrap_or_default().to_string_lossy();
        let (target, level) = (text(c"redis_session.log"), text(c"redis_session.log_level"));
        if let Err(reason) = log::start(&target, &level) {
            boundary::warn(&reason);
        }
    }
    Settings {
        early_refresh: long(c"redis.session.early_refresh") != 0,
        ttl: Ttl::from_maxlifetime(long(c"session.gc_maxlifetime")).0,
        // Once session_set_save_handler() has been called, PHP says "user".
        proxied: string(c"session.save_handler") == Some(c"user"),
    }
}

fn long(name: &CStr) -> i64 {
    // SAFETY: looks up `name`, whose length is given without the final NUL;
    // PHP takes it for writable in its signature only. Runs no PHP code.
    unsafe { zend_ini_long(name.as_ptr().cast_mut(), name.count_bytes(), 0) }
}

/// The value of `name`, until it is changed.
fn string<'a>(name: &CStr) -> Option<&'a CStr> {
    let mut exists = false;
    // SAFETY: as for `long`; the value is PHP's own, ends with NUL, and lives
    // until the entry changes, which only PHP code could do.
    unsafe {
        let value =
            zend_ini_string_ex(name.as_ptr().cast_mut(), name.count_bytes(), 0, &raw mut exists);
        (exists && !value.is_null()).then(|| CStr::from_ptr(value))
    }
}
