//! How a connection introduces itself: who it is, and what it wants to use.

use redis::Value;

use crate::connection::Connection;
use crate::error;
use crate::resp::pack;
use crate::save_path::Host;

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

/// HELLO, AUTH, SELECT and the client's name, in one flight.
///
/// Two kinds of servers are asked a second time: those without HELLO, in
/// the older way; and those that know no such user, without it, because
/// platforms put a name into their URLs where there is only a password.
///
/// # Errors
/// Words for the operator; they hold no password.
pub fn log_in(link: &mut Connection, host: &Host, role: Role) -> Result<(), String> {
    let user = host.auth.as_ref().and_then(|auth| auth.user.as_deref());
    let password = host.auth.as_ref().map(|auth| auth.password.expose());
    let mut answers = greet(link, host, role, user)?;
    if user.is_some() && refusal(&answers).is_some_and(is_unknown_user) {
        // In the older way, because HELLO logs anybody in where the default
        // user has no password: a wrong password must not become a right one.
        let nameless = greet_plainly(link, host, role, None)?;
        if refusal(&nameless).is_none_or(is_without_password) {
            answers = nameless;
        }
    }
    if let Some(refusal) = refusal(&answers) {
        return Err(format!("the server refused the login: {}", without(refusal, password)));
    }
    match role {
        Role::Primary if answers.iter().any(is_of_replica) => {
            Err("it is a replica now, not the primary".to_owned())
        }
        Role::Primary | Role::Any | Role::Replica => Ok(()),
    }
}

fn greet(
    link: &mut Connection,
    host: &Host,
    role: Role,
    user: Option<&str>,
) -> Result<Vec<Value>, String> {
    let mut hello: Vec<&[u8]> = vec![b"HELLO", b"3"];
    if let Some(auth) = &host.auth {
        let user = user.unwrap_or("default");
        hello.extend([&b"AUTH"[..], user.as_bytes(), auth.password.expose().as_bytes()]);
    }
    hello.extend([&b"SETNAME"[..], CLIENT_NAME]);
    let answers = flight(link, &[&hello], host, role)?;
    if refusal(&answers).is_some_and(is_unknown_command) {
        return greet_plainly(link, host, role, user);
    }
    Ok(answers)
}

fn greet_plainly(
    link: &mut Connection,
    host: &Host,
    role: Role,
    user: Option<&str>,
) -> Result<Vec<Value>, String> {
    let mut commands: Vec<&[&[u8]]> = Vec::new();
    let password = host.auth.as_ref().map(|auth| auth.password.expose());
    let auth: Vec<&[u8]> =
        [Some("AUTH"), user, password].into_iter().flatten().map(str::as_bytes).collect();
    commands.extend(password.map(|_| auth.as_slice()));
    let role_of: &[&[u8]] = &[b"ROLE"];
    let name: &[&[u8]] = &[b"CLIENT", b"SETNAME", CLIENT_NAME];
    commands.extend([role_of, name]);
    let mut answers = flight(link, &commands, host, role)?;
    // A server that takes no name, or does not tell its role, is as good.
    let optional = usize::from(password.is_some());
    let mut index = 0;
    answers.retain(|answer| {
        index += 1;
        let spare = (optional + 1..=optional + 2).contains(&index);
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
) -> Result<Vec<Value>, String> {
    let database = host.database.to_string();
    let mut commands = greeting.to_vec();
    let select: &[&[u8]] = &[b"SELECT", database.as_bytes()];
    commands.extend((host.database != 0).then_some(select));
    // In a cluster, a replica answers reads only if asked to.
    let read_only: &[&[u8]] = &[b"READONLY"];
    commands.extend((role == Role::Replica).then_some(read_only));

    let mut packed = Vec::new();
    commands.iter().for_each(|command| pack(&mut packed, command));
    link.exchange(&packed, commands.len(), host.timeout)
        .map_err(|e| format!("login failed: {}", error::reason(&e)))
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

fn is_unknown_command(refusal: &redis::ServerError) -> bool {
    let details = refusal.details().unwrap_or_default().to_ascii_lowercase();
    details.contains("unknown command") || refusal.code() == "NOPROTO"
}

/// What the server said; only the error's code where the rest may show the
/// password, as some servers repeat a command they refuse.
fn without(refusal: &redis::ServerError, password: Option<&str>) -> String {
    let details = refusal.details().unwrap_or_default();
    match password {
        Some(password) if details.contains(password) => {
            format!("{} (the rest is withheld, as it repeats the password)", refusal.code())
        }
        _ => format!("{} {details}", refusal.code()),
    }
}
