//! The real PHP with this extension, as a command line.
//!
//! `TEST_PHP_EXECUTABLE` names another PHP, `REDIS_SESSION_SO` another build of
//! the extension. Settings go through a php.ini file, because PHP cuts
//! `-d name=tcp://host?a=b` at the second `=`.

use super::process::{Process, poll};
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::Duration;
use tempfile::TempDir;

/// How PHP is to run: builder for `run`, `spawn` and `fpm::Fpm::start`.
#[derive(Debug, Clone)]
pub struct Php {
    extensions: Vec<Extension>,
    ini: Vec<(String, String)>,
    env: Vec<(String, String)>,
    timeout: Duration,
}

#[derive(Debug, Clone)]
enum Extension {
    Ours,
    Shared(String),
}

impl Php {
    /// PHP with our extension, showing each error as plain text.
    pub fn new() -> Self {
        Self { extensions: vec![Extension::Ours], ..Self::without_extension() }
    }

    /// The same without our extension.
    pub fn without_extension() -> Self {
        let php = Self {
            extensions: Vec::new(),
            ini: Vec::new(),
            env: Vec::new(),
            timeout: Duration::from_secs(30),
        };
        php.ini("display_errors", "1")
            .ini("html_errors", "0")
            .ini("error_reporting", "-1")
            .ini("session.cache_limiter", "")
            // Where it is on, PHP may refuse to change session settings at run time.
            .ini("session.upload_progress.enabled", "0")
    }

    /// Sets an INI entry to exactly this text. The last one of a name wins.
    pub fn ini(self, name: &str, value: &str) -> Self {
        // Single quotes keep everything as it is, `${NAME}` as well.
        assert!(!value.contains('\''), "use ini_raw for this value");
        self.ini_raw(name, &format!("'{value}'"))
    }

    /// Sets an INI entry as php.ini would, with its quotes and `${VARIABLE}`s.
    pub fn ini_raw(mut self, name: &str, value: &str) -> Self {
        self.ini.push((name.into(), value.into()));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Loads a shared extension of this PHP, such as `posix`, after the others.
    pub fn extension(mut self, name: &str) -> Self {
        self.extensions.push(Extension::Shared(name.into()));
        self
    }

    /// Loads phpredis after ours.
    pub fn phpredis_after(self) -> Self {
        self.extension("igbinary").extension("redis")
    }

    /// Loads phpredis before ours.
    pub fn phpredis_before(mut self) -> Self {
        let ours = std::mem::take(&mut self.extensions);
        self = self.phpredis_after();
        self.extensions.extend(ours);
        self
    }

    /// How long a script may run. Defaults to 30 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs PHP code (without `<?php`) to its end. Session ids come from the
    /// code alone: cookies are off.
    pub fn run(&self, code: &str) -> Output {
        self.spawn(code).wait()
    }

    /// Starts PHP code and leaves it running.
    pub fn spawn(&self, code: &str) -> Running {
        let dir = TempDir::with_prefix("php-").unwrap();
        let script = dir.path().join("test.php");
        fs::write(&script, format!("<?php\n{code}")).unwrap();
        let php = env::var_os("TEST_PHP_EXECUTABLE").unwrap_or_else(|| "php".into());
        let process = Process::spawn(
            self.command(php.as_ref(), dir.path(), "session.use_cookies = 0")
                .arg(script)
                .stdin(Stdio::null())
                .stdout(File::create(dir.path().join("stdout")).unwrap())
                .stderr(File::create(dir.path().join("stderr")).unwrap()),
        );
        Running { process, dir, timeout: self.timeout }
    }

    /// `binary` with our environment and a php.ini of our own in `dir` as the
    /// only one. Our entries come after `defaults`, so they win.
    pub fn command(&self, binary: &Path, dir: &Path, defaults: &str) -> Command {
        let extensions = self.extensions.iter().map(|extension| match extension {
            Extension::Ours => format!("extension = '{}'", OURS.display()),
            Extension::Shared(name) => format!("extension = {name}"),
        });
        let entries = self.ini.iter().map(|(name, v)| format!("{name} = {v}"));
        let lines: Vec<String> = extensions.chain([defaults.into()]).chain(entries).collect();
        let ini = dir.join("php.ini");
        fs::write(&ini, lines.join("\n") + "\n").unwrap();
        let mut command = Command::new(binary);
        command.arg("-n").arg("-c").arg(ini);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Looked up and checked once: it is a large file.
static OURS: LazyLock<PathBuf> = LazyLock::new(our_library);

/// The extension that cargo built for this very test run: it is in the
/// directory of the test's own program, or one above after `cargo build`.
fn our_library() -> PathBuf {
    let program = env::current_exe().unwrap();
    let library = match env::var_os("REDIS_SESSION_SO") {
        Some(path) => PathBuf::from(path),
        None => program
            .ancestors()
            .skip(1)
            .take(2)
            .map(|dir| dir.join("libredis_session.so"))
            .find(|path| path.exists())
            .expect("libredis_session.so is not built: run `cargo build`, or set REDIS_SESSION_SO"),
    };
    let bytes = fs::read(&library).unwrap_or_else(|e| panic!("{}: {e}", library.display()));
    assert!(
        bytes.windows(10).any(|window| window == b"get_module"),
        "{} has no PHP side: build it with the feature `php`",
        library.display()
    );
    library
}

/// A PHP process; killed on Drop.
pub struct Running {
    process: Process,
    dir: TempDir,
    timeout: Duration,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.process.kill_family();
    }
}

/// What PHP left behind.
#[derive(Debug)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    pub status: ExitStatus,
}

impl Running {
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// Kills it as `kill -9` does, and what it forked.
    pub fn kill(mut self) -> Output {
        let status = self.process.kill_family();
        self.output(status)
    }

    /// Waits for its end; past the timeout it is killed and this panics.
    #[track_caller]
    pub fn wait(mut self) -> Output {
        poll(self.timeout, || self.process.exited().is_some());
        let Some(status) = self.process.exited() else {
            let timeout = self.timeout;
            panic!("PHP still runs after {timeout:?}: {:#?}", self.kill());
        };
        self.output(status)
    }

    fn output(&self, status: ExitStatus) -> Output {
        Output { stdout: self.stdout(), stderr: self.read("stderr"), status }
    }

    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.dir.path().join(name)).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Output {
    /// What was printed, by a PHP that ended well.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "PHP failed: {self:#?}");
        self.stdout
    }
}
