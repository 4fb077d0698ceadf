//! Bindings of PHP's session API, made from the headers of the PHP that the
//! extension is built for. Without the `php` feature there is nothing to do.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "php")]
    if let Err(problem) = php::generate_bindings() {
        println!("cargo::error={problem}");
        std::process::exit(1);
    }
}

#[cfg(feature = "php")]
mod php {
    use std::env;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// What we use of PHP that ext-php-rs has no binding for.
    const FUNCTIONS: [&str; 14] = [
        "_php_find_ps_module",
        "display_ini_entries",
        "php_output_get_level",
        "php_session_create_id",
        "php_session_register_module",
        "zend_get_exception_base",
        "zend_alter_ini_entry",
        "zend_ini_long",
        "zend_ini_register_displayer",
        "zend_ini_string_ex",
        "zend_memory_usage",
        "zend_observer_error_register",
        "zend_restore_ini_entry",
        "zend_update_property_stringl",
    ];

    pub fn generate_bindings() -> Result<(), String> {
        println!("cargo::rerun-if-env-changed=PHP");
        println!("cargo::rerun-if-env-changed=PHP_CONFIG");
        println!("cargo::rustc-env=REDIS_CRATE={}", redis_crate_version());
        // The helper thread must not lose its code when PHP unloads us.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
        println!("cargo::rustc-check-cfg=cfg(open_takes_zend_string)");

        let includes = include_flags()?;
        let header = "ext/session/php_session.h";
        if !includes
            .iter()
            .any(|flag| Path::new(flag.trim_start_matches("-I")).join(header).exists())
        {
            return Err(format!(
                "{header} not found: install PHP's development files (Debian: php-dev, or \
                 phpX.Y-dev for one version), or point PHP_CONFIG to the right php-config"
            ));
        }
        let headers = ["php.h", header, "zend_exceptions.h", "zend_modules.h", "zend_observer.h"];
        let headers = headers.map(|header| format!("#include \"{header}\"\n")).concat();
        let mut builder = bindgen::Builder::default()
            .header_contents("session.h", &headers)
            .clang_args(&includes)
            .allowlist_recursively(false)
            .allowlist_var("module_registry")
            .allowlist_type("ps_module|ps_module_struct|zend_observer_error_cb")
            .layout_tests(false)
            .raw_line("use ext_php_rs::ffi::{HashTable, zend_class_entry, zend_ini_entry, zend_long, zend_module_entry, zend_object, zend_string};")
            .raw_line(
                "/// SUCCESS is 0, FAILURE is -1.\npub type zend_result = ::std::ffi::c_int;",
            );
        for function in FUNCTIONS {
            builder = builder.allowlist_function(function);
        }
        let bindings = builder.generate().map_err(|e| {
            format!(
                "cannot read PHP's headers: {e}. If libclang is missing, install it (Debian: \
                 libclang-dev), or set LIBCLANG_PATH to its folder"
            )
        })?;
        // PHP 8.6 hands the save path over as a zend_string.
        if bindings.to_string().contains("save_path: *mut zend_string") {
            println!("cargo::rustc-cfg=open_takes_zend_string");
        }
        let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
        bindings.write_to_file(out.join("session_bindings.rs")).map_err(|e| e.to_string())
    }

    /// As Cargo.lock has it, for phpinfo().
    fn redis_crate_version() -> String {
        println!("cargo::rerun-if-changed=Cargo.lock");
        let lock = std::fs::read_to_string("Cargo.lock").unwrap_or_default();
        let entry = lock.split("[[package]]").find(|entry| entry.contains("name = \"redis\"\n"));
        let version = entry.and_then(|entry| entry.split("version = \"").nth(1)?.split('"').next());
        version.unwrap_or("unknown").to_owned()
    }

    /// `php-config --includes`, from PHP_CONFIG or the PATH.
    fn include_flags() -> Result<Vec<String>, String> {
        let php_config = env::var("PHP_CONFIG").unwrap_or_else(|_| "php-config".to_owned());
        let output = Command::new(&php_config).arg("--includes").output().map_err(|e| {
            format!(
                "cannot run {php_config}: {e}. Install PHP's development files (Debian: php-dev) \
                 or set PHP_CONFIG"
            )
        })?;
        if !output.status.success() {
            return Err(format!("{php_config} --includes failed"));
        }
        let flags = String::from_utf8_lossy(&output.stdout);
        Ok(flags.split_whitespace().map(str::to_owned).collect())
    }
}
