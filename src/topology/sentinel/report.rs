//! What the sentinels of a service say, and who is right where they differ.
//!
//! For some seconds after a failover the sentinels differ: the one that led it
//! knows first. The former primary may still take writes then, which are lost.
//! So what counts is what counts among sentinels, too: the configuration epoch,
//! which grows with each failover.

use redis::{RedisResult, Value};

use crate::client::connection_like::ConnectionLike;
use crate::client::resp::protocol_error;
use crate::config::server::Address;

/// States of a failover in which the primary that is named takes writes that
/// its successor does not get any more.
const CHANGING: [&str; 2] = ["send_slaveof_noone", "wait_promotion"];

/// What one sentinel says of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryReport {
    /// The primary.
    pub primary: Address,
    /// The epoch of the configuration that it became the primary with.
    pub epoch: u64,
    /// Whether this sentinel is making another server the primary.
    pub changing: bool,
}

/// The commands that ask who is the primary of `service`, and in which state
/// that is.
pub(super) fn report_commands(service: &str) -> [[&[u8]; 3]; 2] {
    let service = service.as_bytes();
    [[b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service], [b"SENTINEL", b"MASTER", service]]
}

/// Reads the answers to [`report_commands`]; none where the service is not
/// known. What only names a primary, as a substitute for sentinels may, is in
/// its first epoch.
///
/// # Errors
/// An answer is something else, or the user may not ask.
pub fn parse_report(answers: Vec<Value>) -> RedisResult<Option<PrimaryReport>> {
    let [primary, state] =
        <[Value; 2]>::try_from(answers).map_err(|_| protocol_error("no answers of a sentinel"))?;
    let Some(primary) = primary_address(primary.extract_error()?)? else { return Ok(None) };
    let state = match state {
        Value::ServerError(error) if error.code() == "NOPERM" => return Err(error.into()),
        state => fields(state),
    };
    let epoch = field(&state, "config-epoch").and_then(|epoch| epoch.parse().ok());
    let changing = field(&state, "failover-state").is_some_and(|state| CHANGING.contains(&state));
    Ok(Some(PrimaryReport { primary, epoch: epoch.unwrap_or(0), changing }))
}

/// Asks a sentinel for what it says of `service`, and waits for it.
///
/// # Errors
/// What it answered, or what ended the connection.
pub(super) fn request_report(
    sentinel: &mut dyn ConnectionLike,
    service: &str,
) -> RedisResult<Option<PrimaryReport>> {
    let [primary, state] = report_commands(service);
    parse_report(sentinel.call_all(&[&primary, &state])?)
}

/// Asks a sentinel whether it knows `address` as a replica of `service`, and
/// waits for it.
///
/// # Errors
/// What it answered, or what ended the connection.
pub(super) fn request_whether_replica(
    sentinel: &mut dyn ConnectionLike,
    service: &str,
    address: &Address,
) -> RedisResult<bool> {
    let question: [&[u8]; 3] = [b"SENTINEL", b"REPLICAS", service.as_bytes()];
    let Value::Array(replicas) = sentinel.call(&question)? else { return Ok(false) };
    Ok(replicas.into_iter().map(fields).any(|replica| {
        let (host, port) = (field(&replica, "ip"), field(&replica, "port"));
        host.zip(port).and_then(|(host, port)| tcp_address(host, port)).as_ref() == Some(address)
    }))
}

/// Which of the answers is right, each with the number of its sentinel: what
/// more than half of all `sentinels` say, unless another one is ahead of them,
/// which has made one of the replicas they know the primary. Where no such
/// majority answers, the latest configuration; none if there are two of them.
pub(super) fn resolve(
    answers: &[(usize, PrimaryReport)],
    sentinels: usize,
    is_replica: impl FnOnce(usize, &Address) -> bool,
) -> Option<&(usize, PrimaryReport)> {
    let votes = |report: &PrimaryReport| {
        answers.iter().filter(|(_, o)| o.primary == report.primary).count()
    };
    let most = answers.iter().find(|(_, report)| votes(report) * 2 > sentinels);
    let latest = answers.iter().max_by_key(|(_, report)| report.epoch)?;
    let Some(most) = most else {
        let is_rival =
            |o: &PrimaryReport| o.epoch == latest.1.epoch && o.primary != latest.1.primary;
        return Some(latest).filter(|_| !answers.iter().any(|(_, report)| is_rival(report)));
    };
    let is_ahead = latest.1.epoch > most.1.epoch && latest.1.primary != most.1.primary;
    Some(if is_ahead && is_replica(most.0, &latest.1.primary) { latest } else { most })
}

/// Host and port, or none where the service is not known.
///
/// # Errors
/// The answer is something else.
fn primary_address(answer: Value) -> RedisResult<Option<Address>> {
    let wrong = || protocol_error("no address of a primary");
    let pair = match answer {
        Value::Nil => return Ok(None),
        Value::Array(pair) => <[Value; 2]>::try_from(pair).map_err(|_| wrong())?,
        _ => return Err(wrong()),
    };
    let [Value::BulkString(host), Value::BulkString(port)] = pair else { return Err(wrong()) };
    let (host, port) = (String::from_utf8_lossy(&host), String::from_utf8_lossy(&port));
    tcp_address(&host, &port).map(Some).ok_or_else(wrong)
}

/// The address that a sentinel writes as these two words.
pub(super) fn tcp_address(host: &str, port: &str) -> Option<Address> {
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some(Address::Tcp { host: host.to_owned(), port })
}

/// Names and texts of a map, in either version of the protocol.
fn fields(value: Value) -> Vec<(String, String)> {
    let text = |value: Value| match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::SimpleString(text) => text,
        _ => String::new(),
    };
    match value {
        Value::Map(pairs) => pairs.into_iter().map(|(k, v)| (text(k), text(v))).collect(),
        Value::Array(parts) => {
            let (mut parts, mut pairs) = (parts.into_iter(), Vec::new());
            while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
                pairs.push((text(name), text(value)));
            }
            pairs
        }
        _ => Vec::new(),
    }
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Address {
        Address::Tcp { host: "10.0.0.1".to_owned(), port }
    }

    fn says(port: u16, epoch: u64) -> PrimaryReport {
        PrimaryReport { primary: address(port), epoch, changing: false }
    }

    /// Of three sentinels; 2 is the only replica that they know.
    fn resolved(answers: &[(u16, u64)]) -> Option<usize> {
        let answers: Vec<_> = answers.iter().map(|(port, epoch)| says(*port, *epoch)).collect();
        let answers: Vec<_> = answers.into_iter().enumerate().collect();
        resolve(&answers, 3, |_, other| *other == address(2)).map(|(number, _)| *number)
    }

    #[test]
    fn sentinels_that_differ_are_believed_in_the_order_of_their_epochs_unless_outvoted() {
        assert_eq!(resolved(&[]), None);
        assert_eq!(resolved(&[(1, 3), (1, 3), (1, 3)]), Some(0));
        assert_eq!(resolved(&[(1, 3), (1, 3), (2, 4)]), Some(2), "the one that led the failover");
        assert_eq!(resolved(&[(1, 3), (2, 4), (2, 4)]), Some(1), "one is behind");
        assert_eq!(resolved(&[(9, 7), (1, 3), (1, 3)]), Some(1), "one watches something else");
        assert_eq!(resolved(&[(1, 3), (2, 4)]), Some(1), "no majority");
        assert_eq!(resolved(&[(1, 3), (2, 3)]), None, "no order");
    }

    fn answer(master: &str) -> RedisResult<Option<PrimaryReport>> {
        let parse = |text: &str| redis::parse_redis_value(text.as_bytes()).unwrap();
        parse_report(vec![parse("*2\r\n$8\r\n10.0.0.1\r\n$1\r\n1\r\n"), parse(master)])
    }

    #[test]
    fn the_state_of_a_service_is_read_in_both_versions_of_the_protocol() {
        let state = "$12\r\nconfig-epoch\r\n$1\r\n5\r\n\
                     $14\r\nfailover-state\r\n$14\r\nwait_promotion\r\n";
        for map in [format!("%2\r\n{state}"), format!("*4\r\n{state}")] {
            let told = PrimaryReport { changing: true, ..says(1, 5) };
            assert_eq!(answer(&map).unwrap(), Some(told), "{map}");
        }
        let done = "*2\r\n$14\r\nfailover-state\r\n$13\r\nreconf_slaves\r\n";
        assert_eq!(answer(done).unwrap(), Some(says(1, 0)));
        assert_eq!(answer("-ERR Unknown sentinel subcommand\r\n").unwrap(), Some(says(1, 0)));
        assert_eq!(answer("-NOPERM no permissions\r\n").unwrap_err().code(), Some("NOPERM"));
    }
}
