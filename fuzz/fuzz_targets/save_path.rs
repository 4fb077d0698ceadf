//! Any text as `session.save_path`: it is understood or refused, and what may
//! be shown of it holds no secret.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redis_session::config::save_path::{SavePath, Topology, masked, masked_in};

/// Stands for a password where it was found in the place of one.
const SECRET: &str = "hunter2";

/// Whether a server is logged in to with the secret.
fn is_used(save_path: &SavePath) -> bool {
    let hosts = match save_path.topology() {
        Topology::Standalone(standalone) => standalone.hosts().collect(),
        Topology::Sentinel(sentinel) => vec![&sentinel.server],
        Topology::Cluster(cluster) => vec![&cluster.node],
    };
    let mut auths = hosts.iter().filter_map(|host| host.auth.as_ref());
    auths.any(|auth| auth.password.expose().contains(SECRET))
}

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let shown = masked(&text);
    let message = format!("Failed to read session data: redis (path: {text})");
    let _ = masked_in(message.as_bytes(), data);
    let said = match SavePath::parse(&text) {
        Ok(parsed) => {
            if text.matches(SECRET).count() == 1 && is_used(&parsed.save_path) {
                assert!(!shown.contains(SECRET), "{shown} shows a secret of {text}");
            }
            let _ = format!("{:?}", parsed.save_path);
            parsed.warnings.join("\n")
        }
        Err(error) => {
            assert!(error.offset <= text.len(), "{} in {text}", error.offset);
            assert_eq!(error.masked, shown);
            error.to_string()
        }
    };
    if !shown.contains(SECRET) {
        assert!(!said.contains(SECRET), "{said} shows a secret of {text}");
    }
});
