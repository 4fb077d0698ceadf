//! How a connection introduces itself: who it is, and what it wants to use.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::Value;

use crate::client::connection::Connection;
use crate::client::resp::pack;
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

/// The words that a server or proxy is greeted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// HELLO, which says it all.
    #[default]
    Hello,
    /// AUTH, and what else a server before Redis 6 knows. It answers what it
    /// does not know.
    Older,
    /// What cannot be done without: AUTH and SELECT, where they are configured.
    /// For proxies that hang up at a word that they do not know.
    Bare,
}

/// How one server is greeted, where HELLO has turned out to be in vain.
#[derive(Debug, Default)]
pub struct Manners(Mutex<Option<(Style, Instant)>>);

impl Manners {
    /// For how long what was learned counts: a proxy may be replaced by a newer one.
    const VALIDITY: Duration = Duration::from_secs(600);

    /// How to begin.
    pub fn style(&self) -> Style {
        let learned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *learned {
            Some((style, since)) if since.elapsed() < Self::VALIDITY => style,
            _ => Style::Hello,
        }
    }

    /// The server was greeted in this `style`, and then did what it was asked.
    pub fn learn(&self, style: Style) {
        let mut learned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *learned {
            Some((known, since)) if known == style && since.elapsed() < Self::VALIDITY => {}
            _ => *learned = (style != Style::Hello).then(|| (style, Instant::now())),
        }
    }

    /// The server did not take what it took before.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Why there is no login.
#[derive(Debug)]
pub struct Failure {
    /// Words for the operator; they hold no password.
    pub reason: String,
    /// Whether the other side hung up, maybe at a word that it does not know.
    pub hung_up: bool,
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self { reason, hung_up: false }
    }
}

/// HELLO, AUTH, SELECT and the client's name, in one flight. Returns the style
/// that served in the end.
///
/// Two kinds of servers are asked a second time: those that refuse HELLO, in
/// the older way; and those that know no such user, without it, because
/// platforms put a name into their URLs where there is only a password.
///
/// # Errors
/// [`Failure`].
pub fn log_in(
    link: &mut Connection,
    host: &Host,
    role: Role,
    style: Style,
) -> Result<Style, Failure> {
    let user = host.auth.as_ref().and_then(|auth| auth.user.as_deref());
    let password = host.auth.as_ref().map(|auth| auth.password.expose());
    let (mut style, mut answers) = greet(link, host, role, user, style)?;
    if user.is_some() && refusal(&answers).is_some_and(is_unknown_user) {
        // In the older way, because HELLO logs anybody in where the default
        // user has no password: a wrong password must not become a right one.
        style = if style == Style::Bare { Style::Bare } else { Style::Older };
        let nameless = greet_plainly(link, host, role, None, style)?;
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

fn greet(
    link: &mut Connection,
    host: &Host,
    role: Role,
    user: Option<&str>,
    style: Style,
) -> Result<(Style, Vec<Value>), Failure> {
    if style != Style::Hello {
        return Ok((style, greet_plainly(link, host, role, user, style)?));
    }
    let mut hello: Vec<&[u8]> = vec![b"HELLO", b"3"];
    if let Some(auth) = &host.auth {
        let user = user.unwrap_or("default");
        hello.extend([&b"AUTH"[..], user.as_bytes(), auth.password.expose().as_bytes()]);
    }
    hello.extend([&b"SETNAME"[..], CLIENT_NAME]);
    let answers = flight(link, &[&hello], host, role)?;
    match answers.first() {
        Some(Value::ServerError(refusal)) if is_about_hello(refusal) => {
            Ok((Style::Older, greet_plainly(link, host, role, user, Style::Older)?))
        }
        _ => Ok((Style::Hello, answers)),
    }
}

fn greet_plainly(
    link: &mut Connection,
    host: &Host,
    role: Role,
    user: Option<&str>,
    style: Style,
) -> Result<Vec<Value>, Failure> {
    let mut commands: Vec<&[&[u8]]> = Vec::new();
    let password = host.auth.as_ref().map(|auth| auth.password.expose());
    let auth: Vec<&[u8]> =
        [Some("AUTH"), user, password].into_iter().flatten().map(str::as_bytes).collect();
    commands.extend(password.map(|_| auth.as_slice()));
    let needed = commands.len();
    let role_of: &[&[u8]] = &[b"ROLE"];
    commands.extend((style == Style::Older || role == Role::Primary).then_some(role_of));
    let name: &[&[u8]] = &[b"CLIENT", b"SETNAME", CLIENT_NAME];
    commands.extend((style == Style::Older).then_some(name));
    let optional = needed..commands.len();
    let mut answers = flight(link, &commands, host, role)?;
    // A server that takes no name, or does not tell its role, is as good.
    let mut index = 0;
    answers.retain(|answer| {
        let spare = optional.contains(&index);
        index += 1;
        !(spare && matches!(answer, Value::ServerError(e) if e.code() != "NOAUTH"))
    });
    Ok(answers)
}

/// Sends `greeting` and what follows any greeting, all at once, and reads
/// an answer to each.
fn flight(
    link: &mut Connection,
    greeting: &[&[&[u8]]],
    host: &Host,
    role: Role,
) -> Result<Vec<Value>, Failure> {
    let database = host.database.to_string();
    let mut commands = greeting.to_vec();
    let select: &[&[u8]] = &[b"SELECT", database.as_bytes()];
    commands.extend((host.database != 0).then_some(select));
    // In a cluster, a replica answers reads only if asked to.
    let read_only: &[&[u8]] = &[b"READONLY"];
    commands.extend((role == Role::Replica).then_some(read_only));

    if commands.is_empty() {
        return Ok(Vec::new());
    }
    let mut packed = Vec::new();
    commands.iter().for_each(|command| pack(&mut packed, command));
    link.exchange(&packed, commands.len(), host.timeout).map_err(|e| Failure {
        reason: format!("login failed: {}", error::reason(&e)),
        hung_up: error::was_closed(&e),
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
