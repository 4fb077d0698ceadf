//! The INI entries, and how they become [`Settings`].
//!
//! Where phpredis is loaded it has registered its names already, and PHP
//! drops all entries of a module that registers one again. So only what is
//! missing is registered, and values are read by name. A server that runs one
//! script for many visits takes back no setting between two of them: that is
//! done here, for those that a visit has changed.

use std::cell::RefCell;
use std::ffi::{CStr, OsStr, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::time::Duration;

use ext_php_rs::ffi::{
    ext_php_rs_executor_globals, zend_hash_str_find, zend_ini_entry, zend_string,
};
use ext_php_rs::flags::IniEntryPermission as Permission;
use ext_php_rs::zend::IniEntryDef;

use super::ffi::{zend_alter_ini_entry, zend_ini_long, zend_ini_string_ex, zend_restore_ini_entry};
use super::{boundary, request};
use crate::config::compression::{Compression, parse_codec};
use crate::config::encryption::{Encryption, parse_mode};
use crate::config::settings::{LockNumbers, LockPolicy, ReadOnly, Settings, Ttl, memory_left};
use crate::error::Error;
use crate::log;
use crate::registry;

/// A script makes the change, not PHP.
const RUNTIME: c_int = 1 << 4;
/// Who makes it: a user.
const USER: c_int = 1;

/// Every entry: name, default, and who may change it.
const ENTRIES: [(&CStr, &CStr, Permission); 21] = [
    (c"redis.session.locking_enabled", c"0", Permission::All),
    (c"redis.session.lock_expire", c"0", Permission::All),
    (c"redis.session.lock_retries", c"100", Permission::All),
    (c"redis.session.lock_wait_time", c"20000", Permission::All),
    (c"redis.session.lock_failure_readonly", c"0", Permission::All),
    (c"redis.session.early_refresh", c"0", Permission::All),
    (c"redis.session.compression", c"none", Permission::All),
    (c"redis.session.compression_level", c"3", Permission::All),
    (c"redis_session.compression_threshold", c"1024", Permission::All),
    (c"redis_session.encryption", c"off", Permission::System),
    (c"redis_session.encryption_keys", c"", Permission::System),
    (c"redis_session.encryption_padding", c"0", Permission::System),
    (c"redis_session.lock_max_waiters", c"0", Permission::All),
    (c"redis_session.read_only", c"0", Permission::All),
    (c"redis_session.read_only_wait", c"1", Permission::All),
    (c"redis_session.failover_timeout", c"5", Permission::All),
    (c"redis_session.wait_replicas", c"0", Permission::All),
    (c"redis_session.max_connections", c"256", Permission::System),
    (c"redis_session.max_servers", c"64", Permission::System),
    (c"redis_session.log", c"", Permission::System),
    (c"redis_session.log_level", c"off", Permission::System),
];

/// Changes of a visit of a script that serves many: an entry, and the value it
/// had before, which is held; null is that of php.ini.
type Change = (*mut zend_ini_entry, *mut zend_string);

struct Changes {
    /// Whether changes are those of a visit.
    recorded: bool,
    list: Vec<Change>,
}

thread_local! {
    static CHANGES: RefCell<Changes> =
        const { RefCell::new(Changes { recorded: false, list: Vec::new() }) };
}

/// Registers the entries that no one has registered yet. Each gets a function
/// for its changes: PHP takes back none that has no such function.
pub fn register(module: i32) {
    for (name, default, permission) in ENTRIES {
        match entry(name) {
            None => {
                let mut entry = IniEntryDef::new(name, default, permission);
                entry.on_modify = Some(on_change);
                // PHP 8.5 keeps the table for as long as the process lives.
                IniEntryDef::register(Box::leak(Box::new([entry, IniEntryDef::end()])), module);
            }
            // SAFETY: the entry is PHP's own and live; modules start in one
            // thread. Our code stays mapped, so the function never dangles.
            Some(theirs) => unsafe {
                (*theirs).on_modify.get_or_insert(on_change);
            },
        }
    }
}

/// The entry of a name, while modules start.
fn entry(name: &CStr) -> Option<*mut zend_ini_entry> {
    // SAFETY: PHP's table of entries exists from its start to its end, and
    // holds pointers to entries. Runs no PHP code.
    unsafe {
        let entries = (*ext_php_rs_executor_globals()).ini_directives;
        let found = zend_hash_str_find(entries, name.as_ptr(), name.count_bytes());
        found.as_ref().map(|found| found.value.ptr.cast())
    }
}

/// PHP asks whether an entry may change. It may.
unsafe extern "C" fn on_change(
    entry: *mut zend_ini_entry,
    _: *mut zend_string,
    _: *mut c_void,
    _: *mut c_void,
    _: *mut c_void,
    stage: c_int,
) -> c_int {
    if stage == RUNTIME {
        let _ = CHANGES.try_with(|changes| {
            let mut changes = changes.borrow_mut();
            if !changes.recorded || changes.list.iter().any(|(changed, _)| *changed == entry) {
                return;
            }
            // SAFETY: PHP passes a live entry, whose value is a live string or
            // null; it has its old value still. Runs no PHP code.
            unsafe {
                let is_changed =
                    i32::from((*entry).modified) != 0 && (*entry).value != (*entry).orig_value;
                let before = if is_changed { (*entry).value } else { ptr::null_mut() };
                if !before.is_null() {
                    boundary::hold(before);
                }
                changes.list.push((entry, before));
            }
        });
    }
    0
}

/// From now on changes are a visit's, and taken back at its end.
pub fn begin_visit() {
    CHANGES.with_borrow_mut(|changes| changes.recorded = true);
}

/// There is no visit yet: PHP itself takes changes back, when the request ends.
pub fn begin_request() {
    CHANGES.with_borrow_mut(|changes| {
        changes.recorded = false;
        changes.list.clear(); // the strings were those of the request before
    });
}

/// Takes back what the visit has changed.
///
/// # Safety
/// PHP allocates, which may bail out: the caller owns nothing that needs a
/// destructor.
pub unsafe fn end_visit() {
    let next = || {
        CHANGES.with_borrow_mut(|changes| {
            changes.recorded = false;
            changes.list.pop()
        })
    };
    while let Some((entry, before)) = next() {
        // SAFETY: entries live as long as this thread's PHP. The string is held
        // since the change. Nothing is owned here.
        unsafe {
            let name = (*entry).name;
            if before.is_null() {
                zend_restore_ini_entry(name, RUNTIME);
            } else {
                zend_alter_ini_entry(name, before, USER, RUNTIME);
                boundary::release_string(before);
            }
        }
    }
}

/// The settings as they are now. The log starts with the first of them: not
/// earlier, as PHP-FPM's workers do not exist yet when the module starts.
pub fn settings() -> Settings {
    let text = |name| string(name).unwrap_or_default().to_string_lossy();
    if !log::is_started() {
        registry::limit(
            long(c"redis_session.max_connections").try_into().unwrap_or(0),
            long(c"redis_session.max_servers").try_into().unwrap_or(0),
        );
        let (target, level) = (text(c"redis_session.log"), text(c"redis_session.log_level"));
        if let Err(reason) = log::start(&target, &level) {
            boundary::warn(&reason);
        }
    }
    let promised = on(c"redis_session.read_only") || request::is_read_and_close();
    // Once session_set_save_handler() has been called, PHP says "user".
    let proxied = string(c"session.save_handler") == Some(c"user");
    Settings {
        early_refresh: on(c"redis.session.early_refresh"),
        ttl: Ttl::from_maxlifetime(long(c"session.gc_maxlifetime")).0,
        proxied,
        writes_unchanged: proxied || !on(c"session.lazy_write"),
        read_only: match promised {
            false => ReadOnly::No,
            true if on(c"redis_session.read_only_wait") => ReadOnly::Wait,
            true => ReadOnly::NoWait,
        },
        failover: seconds(c"redis_session.failover_timeout"),
        wait_replicas: long(c"redis_session.wait_replicas").try_into().unwrap_or(0),
        compression: compression(),
        encryption: None, // see encryption()
        memory: memory_left(&text(c"memory_limit"), request::memory_used()),
        lock: on(c"redis.session.locking_enabled").then(lock_policy),
    }
}

fn lock_policy() -> LockPolicy {
    let numbers = LockNumbers {
        expire: long(c"redis.session.lock_expire"),
        max_execution_time: long(c"max_execution_time"),
        retries: long(c"redis.session.lock_retries"),
        wait_time: long(c"redis.session.lock_wait_time"),
    };
    let (lease, renewed) = numbers.lease();
    LockPolicy {
        lease,
        renewed,
        lock_wait: numbers.lock_wait(),
        poll: numbers.poll(),
        max_waiters: long(c"redis_session.lock_max_waiters").try_into().unwrap_or(0),
        failure_readonly: on(c"redis.session.lock_failure_readonly"),
        script: request::script_name(),
    }
}

/// Whether a switch is on, in the words that php.ini takes for it.
fn on(name: &CStr) -> bool {
    match string(name).unwrap_or_default().to_bytes().trim_ascii() {
        b"" | b"0" => false, // what it most often is: looking it up again as a number costs as much
        b"1" => true,
        word => {
            long(name) != 0
                || [&b"on"[..], b"yes", b"true"].iter().any(|on| word.eq_ignore_ascii_case(on))
        }
    }
}

/// How sessions are compressed. Warns of a codec that is not known.
fn compression() -> Option<Compression> {
    let name = string(c"redis.session.compression")?.to_string_lossy();
    let codec = parse_codec(&name).unwrap_or_else(|refusal| {
        boundary::warn(&refusal);
        None
    })?;
    Some(Compression {
        codec,
        level: long(c"redis.session.compression_level"),
        threshold: long(c"redis_session.compression_threshold").try_into().unwrap_or(0),
    })
}

/// How sessions are encrypted. Reads the file of keys where that has changed.
///
/// # Errors
/// [`Error::Encryption`]: no session may start.
pub fn encryption() -> Result<Option<Encryption>, Error> {
    let mode = string(c"redis_session.encryption").unwrap_or_default();
    if mode == c"off" {
        return Ok(None); // what it most often is
    }
    let mode = mode.to_string_lossy();
    let Some(plain) = parse_mode(mode.trim()).map_err(Error::Encryption)? else { return Ok(None) };
    let path = string(c"redis_session.encryption_keys").unwrap_or_default();
    let keyring = registry::keyring(Path::new(OsStr::from_bytes(path.to_bytes())))?;
    let padding = long(c"redis_session.encryption_padding").try_into().unwrap_or(0);
    Ok(Some(Encryption { plain, padding, keyring }))
}

/// Where sessions go, secrets included.
pub fn save_path<'a>() -> Option<&'a CStr> {
    string(c"session.save_path")
}

/// What the session's cookie is called.
pub fn session_name<'a>() -> Option<&'a CStr> {
    string(c"session.name")
}

/// Whether the start of a session adds headers: for caches, or a cookie that
/// the visitor lacks, or a new one in place of an id that is not known.
pub fn adds_headers(has_cookie: bool) -> bool {
    !string(c"session.cache_limiter").unwrap_or_default().is_empty()
        || on(c"session.use_cookies") && (!has_cookie || on(c"session.use_strict_mode"))
}

/// Whether sessions may come to us: by one of our names, or through a handler
/// in PHP, which may pass them on.
pub fn may_lead_to_us() -> bool {
    let names = [c"redis", c"rediscluster", c"redis_session", c"user"];
    string(c"session.save_handler").is_some_and(|name| {
        names.iter().any(|ours| ours.to_bytes().eq_ignore_ascii_case(name.to_bytes()))
    })
}

/// Seconds with a fraction; what is no time is none.
fn seconds(name: &CStr) -> Duration {
    let text = string(name).unwrap_or_default().to_string_lossy();
    let seconds = text.trim().parse().unwrap_or(0.0);
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn long(name: &CStr) -> i64 {
    // SAFETY: looks up `name`, whose length is given without the final NUL;
    // PHP takes it for writable in its signature only. Runs no PHP code. Not the
    // original value, which is false in PHP 8.6, and 0 before.
    unsafe { zend_ini_long(name.as_ptr().cast_mut(), name.count_bytes(), false.into()) }
}

/// The value of `name`, until it is changed.
fn string<'a>(name: &CStr) -> Option<&'a CStr> {
    let mut exists = false;
    // SAFETY: as for `long`; the value is PHP's own, ends with NUL, and lives
    // until the entry changes, which only PHP code could do.
    unsafe {
        let value = zend_ini_string_ex(
            name.as_ptr().cast_mut(),
            name.count_bytes(),
            false.into(),
            &raw mut exists,
        );
        (exists && !value.is_null()).then(|| CStr::from_ptr(value))
    }
}
