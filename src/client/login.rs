//! Logging in: who we are, and which database we use.
//!
//! Does not connect, and does not try another connection: see `connection`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::Value;

use crate::client::connection_like::ConnectionLike;
use crate::config::server::Host;
use crate::error;

/// What `CLIENT LIST` calls us.
const CLIENT_NAME: &[u8] = b"redis_session";

/// What a server has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Whatever it is.
    Any,
    /// One that takes writes. A server that was demoted says so at login.
    Primary,
    /// One that is only read from; in a cluster it must be told so.
    Replica,
}

/// Which commands log in to a server or proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoginStyle {
    /// HELLO, which does everything.
    #[default]
    Hello,
    /// AUTH, and the other commands of servers before Redis 6, which answer a
    /// command that they do not know with an error.
    Legacy,
    /// Only what is required: AUTH and SELECT, where they are configured. For
    /// proxies that close the connection on a command that they do not know.
    Minimal,
}

/// How one server is logged in to, where it does not take HELLO.
#[derive(Debug, Default)]
pub struct KnownLoginStyle(Mutex<Option<(LoginStyle, Instant)>>);

impl KnownLoginStyle {
    /// For how long this is remembered: a proxy may be replaced by a newer one.
    const VALIDITY: Duration = Duration::from_secs(600);

    /// What to begin with: HELLO, unless it is known not to work.
    pub fn get(&self) -> LoginStyle {
        let learned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *learned {
            Some((style, since)) if since.elapsed() < Self::VALIDITY => style,
            _ => LoginStyle::Hello,
        }
    }

    /// Remembers that a login with `style` worked, and that the server then did
    /// what it was asked.
    pub fn remember(&self, style: LoginStyle) {
        let mut learned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *learned {
            Some((known, since)) if known == style && since.elapsed() < Self::VALIDITY => {}
            _ => *learned = (style != LoginStyle::Hello).then(|| (style, Instant::now())),
        }
    }

    /// Begins with HELLO again: what worked before does not any more.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Why there is no login.
#[derive(Debug)]
pub struct LoginError {
    /// Words for the operator; they hold no password.
    pub reason: String,
    /// Whether the server closed the connection, perhaps because of a command
    /// that it does not know.
    pub was_closed: bool,
}

impl From<String> for LoginError {
    fn from(reason: String) -> Self {
        Self { reason, was_closed: false }
    }
}

/// HELLO, AUTH, SELECT and the client's name, in one round trip. Returns the
/// commands that worked in the end.
///
/// Two kinds of servers cost another round trip: those that refuse HELLO get
/// the legacy commands, and those that know no such user get the password
/// alone, because platforms put a name into their URLs where there is none.
///
/// Blocks for as long as `connection` waits for an answer, each time.
///
/// # Errors
/// [`LoginError`].
pub fn log_in(
    connection: &mut dyn ConnectionLike,
    host: &Host,
    role: Role,
    style: LoginStyle,
) -> Result<LoginStyle, LoginError> {
    let user = host.auth.as_ref().and_then(|auth| auth.user.as_deref());
    let password = host.auth.as_ref().map(|auth| auth.password.expose());
    let (mut style, mut answers) = send_login(connection, host, role, user, style)?;
    if user.is_some() && refusal(&answers).is_some_and(is_unknown_user) {
        // Not with HELLO, which logs anyone in where the default user has no
        // password: a wrong password must not become a right one.
        style = if style == LoginStyle::Minimal { LoginStyle::Minimal } else { LoginStyle::Legacy };
        let nameless = log_in_without_hello(connection, host, role, None, style)?;
        if refusal(&nameless).is_none_or(is_without_password) {
            answers = nameless;
        }
    }
    if let Some(refusal) = refusal(&answers) {
        let refusal = without(refusal, password);
        return Err(format!("the server refused the login: {refusal}").into());
    }
    match role {
        Role::Primary if answers.iter().any(is_of_replica) => {
            Err("this server is now a replica, not the primary".to_owned().into())
        }
        Role::Primary | Role::Any | Role::Replica => Ok(style),
    }
}

fn send_login(
    connection: &mut dyn ConnectionLike,
    host: &Host,
    role: Role,
    user: Option<&str>,
    style: LoginStyle,
) -> Result<(LoginStyle, Vec<Value>), LoginError> {
    if style != LoginStyle::Hello {
        return Ok((style, log_in_without_hello(connection, host, role, user, style)?));
    }
    let mut hello: Vec<&[u8]> = vec![b"HELLO", b"3"];
    if let Some(auth) = &host.auth {
        let user = user.unwrap_or("default");
        hello.extend([&b"AUTH"[..], user.as_bytes(), auth.password.expose().as_bytes()]);
    }
    hello.extend([&b"SETNAME"[..], CLIENT_NAME]);
    let answers = round_trip(connection, &[&hello], host, role)?;
    match answers.first() {
        Some(Value::ServerError(refusal)) if is_about_hello(refusal) => Ok((
            LoginStyle::Legacy,
            log_in_without_hello(connection, host, role, user, LoginStyle::Legacy)?,
        )),
        _ => Ok((LoginStyle::Hello, answers)),
    }
}

fn log_in_without_hello(
    connection: &mut dyn ConnectionLike,
    host: &Host,
    role: Role,
    user: Option<&str>,
    style: LoginStyle,
) -> Result<Vec<Value>, LoginError> {
    let mut commands: Vec<&[&[u8]]> = Vec::new();
    let password = host.auth.as_ref().map(|auth| auth.password.expose());
    let auth: Vec<&[u8]> =
        [Some("AUTH"), user, password].into_iter().flatten().map(str::as_bytes).collect();
    commands.extend(password.map(|_| auth.as_slice()));
    let needed = commands.len();
    let role_of: &[&[u8]] = &[b"ROLE"];
    commands.extend((style == LoginStyle::Legacy || role == Role::Primary).then_some(role_of));
    let name: &[&[u8]] = &[b"CLIENT", b"SETNAME", CLIENT_NAME];
    commands.extend((style == LoginStyle::Legacy).then_some(name));
    let optional = needed..commands.len();
    let mut answers = round_trip(connection, &commands, host, role)?;
    // The name and the role are optional: a server may refuse to take or tell them.
    let mut index = 0;
    answers.retain(|answer| {
        let spare = optional.contains(&index);
        index += 1;
        !(spare && matches!(answer, Value::ServerError(e) if e.code() != "NOAUTH"))
    });
    Ok(answers)
}

/// Sends the login commands and what follows any login as one pipeline, and
/// reads an answer to each.
fn round_trip(
    connection: &mut dyn ConnectionLike,
    login: &[&[&[u8]]],
    host: &Host,
    role: Role,
) -> Result<Vec<Value>, LoginError> {
    let database = host.database.to_string();
    let mut commands = login.to_vec();
    let select: &[&[u8]] = &[b"SELECT", database.as_bytes()];
    commands.extend((host.database != 0).then_some(select));
    // In a cluster, a replica answers reads only if asked to.
    let read_only: &[&[u8]] = &[b"READONLY"];
    commands.extend((role == Role::Replica).then_some(read_only));

    if commands.is_empty() {
        return Ok(Vec::new());
    }
    connection.call_all(&commands).map_err(|e| LoginError {
        reason: format!("login failed: {}", error::reason(&e)),
        was_closed: error::was_closed(&e),
    })
}

/// The first error among `answers`.
fn refusal(answers: &[Value]) -> Option<&redis::ServerError> {
    answers.iter().find_map(|answer| match answer {
        Value::ServerError(refusal) => Some(refusal),
        _ => None,
    })
}

/// Whether this is a replica's answer to HELLO or ROLE.
fn is_of_replica(answer: &Value) -> bool {
    let says = |value: &Value, words: &[&str]| match value {
        Value::BulkString(text) => words.iter().any(|word| text == word.as_bytes()),
        Value::SimpleString(text) => words.contains(&text.as_str()),
        _ => false,
    };
    match answer {
        Value::Map(pairs) => pairs
            .iter()
            .any(|(name, value)| says(name, &["role"]) && says(value, &["replica", "slave"])),
        Value::Array(parts) => parts.first().is_some_and(|role| says(role, &["slave"])),
        _ => false,
    }
}

/// Before Redis 6 there were no users, and AUTH took one word.
fn is_unknown_user(refusal: &redis::ServerError) -> bool {
    let details = refusal.details().unwrap_or_default();
    refusal.code() == "WRONGPASS" || details.contains("wrong number of arguments for 'auth'")
}

/// The server has no password at all, and says so only without the user.
fn is_without_password(refusal: &redis::ServerError) -> bool {
    refusal.details().unwrap_or_default().contains("without any password configured")
}

/// Whether HELLO was refused for its own sake. What is said of user and
/// password is the answer, and what is said of the server's state will be said
/// again.
fn is_about_hello(refusal: &redis::ServerError) -> bool {
    let details = refusal.details().unwrap_or_default().to_ascii_lowercase();
    let of_something_else = ["password", "max number of clients"];
    match refusal.code() {
        // Some servers repeat the whole command here, password included.
        _ if details.contains("unknown command") => true,
        "WRONGPASS" | "NOAUTH" | "LOADING" | "BUSY" | "MASTERDOWN" | "DENIED" => false,
        _ => !of_something_else.iter().any(|words| details.contains(words)),
    }
}

/// What the server said; only the error's code where the rest may show the
/// password, as some servers repeat a command they refuse.
fn without(refusal: &redis::ServerError, password: Option<&str>) -> String {
    let details = refusal.details().unwrap_or_default();
    match password {
        Some(password) if details.contains(password) => {
            format!("{} (the rest is hidden, because it repeats the password)", refusal.code())
        }
        _ => format!("{} {details}", refusal.code()),
    }
}
