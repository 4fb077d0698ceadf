//! Who holds a lock: its value, and what that value tells.
//!
//! Does not talk to Redis: see `scripts` for the operations, `acquire` for the
//! waiting, `renewal` for the renewal. A lock always expires, so a killed worker
//! cannot keep it.

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the value of each of our locks begins with. Any other value is the
/// lock of a phpredis peer, which does not hand over.
const MARK: &str = "rs1";
/// What the value of a lock ends with while it is handed over.
const BATON_END: &[u8] = b":baton";
/// Longest name of a script that is kept, in characters.
const MAX_SCRIPT: usize = 128;

/// The value of a lock while we hold it: 128 random bits, then who and since
/// when, for the operator. It is compared as a whole.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Vec<u8>);

impl Token {
    /// A token of this process for a request that runs `script`.
    ///
    /// # Errors
    /// The system has no random numbers; nothing safe can be done then.
    pub fn new(script: &str) -> Result<Self, getrandom::Error> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let random = u128::from_ne_bytes(random);
        // In halves: numbers of 128 bits are slow to write.
        let [high, low] = [(random >> 64) as u64, random as u64];
        let since = now().as_millis() as u64;
        let mut value = String::with_capacity(128 + MAX_SCRIPT);
        // Writing to a String cannot fail.
        let _ = write!(value, "{MARK}:{high:016x}{low:016x}:{since}:");
        let _ = write!(value, "{}:{}:", std::process::id(), host_name());
        value.extend(script.chars().filter(|c| !c.is_control()).take(MAX_SCRIPT));
        Ok(Self(value.into_bytes()))
    }

    /// The random part, in hexadecimal.
    pub fn random(&self) -> &[u8] {
        self.0.get(MARK.len() + 1..MARK.len() + 33).unwrap_or_default()
    }

    /// The value to compare with.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn host_name() -> &'static str {
    static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    NAME.get_or_init(|| {
        let name = nix::unistd::gethostname().unwrap_or_default();
        name.to_string_lossy().replace(':', "_")
    })
}

/// Who holds a lock, as its value tells. Shows no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A request of this extension.
    Request {
        /// The host it runs on.
        host: String,
        /// Its process.
        pid: u32,
        /// How long it has held the lock, by the clocks of the two hosts.
        held: Duration,
        /// What it runs, where PHP knows.
        script: String,
    },
    /// No one: it is on its way to the next waiter.
    Next,
    /// Another client, most likely phpredis.
    Foreign,
}

impl Holder {
    /// Reads the value of a lock.
    pub fn of(value: &[u8]) -> Self {
        if !value.starts_with(MARK.as_bytes()) {
            return Self::Foreign;
        }
        if value.ends_with(BATON_END) {
            return Self::Next;
        }
        let text = String::from_utf8_lossy(value);
        let mut parts = text.splitn(6, ':').skip(2);
        let mut part = || parts.next().unwrap_or_default();
        let since = Duration::from_millis(part().parse().unwrap_or_default());
        let pid = part().parse().unwrap_or_default();
        let host = part().to_owned();
        let script = part().to_owned();
        Self::Request { host, pid, held: now().saturating_sub(since), script }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { host, pid, held, script } => {
                write!(f, "it has been held for {:.1} s by process {pid}", held.as_secs_f64())?;
                write!(f, " on {host}")?;
                if script.is_empty() { Ok(()) } else { write!(f, ", which runs {script}") }
            }
            Self::Next => f.write_str("it was just handed to another waiting request"),
            Self::Foreign => f.write_str("it is held by another client, such as phpredis"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_who_holds_the_lock_and_never_repeats() {
        let (one, two) = (Token::new("/a:b.php").unwrap(), Token::new("/a:b.php").unwrap());
        assert!(one != two);
        let Holder::Request { pid, held, script, .. } = Holder::of(one.as_bytes()) else {
            panic!("not recognised")
        };
        assert_eq!((pid, script.as_str()), (std::process::id(), "/a:b.php"));
        assert!(held < Duration::from_secs(5));
    }

    #[test]
    fn what_is_shown_of_a_holder_holds_nothing_of_the_token() {
        let token = Token::new("/x.php").unwrap();
        let random = String::from_utf8_lossy(token.random()).into_owned();
        assert_eq!(random.len(), 32);
        let shown = format!("{0} {0:?}", Holder::of(token.as_bytes()));
        assert!(!shown.contains(&random), "{shown}");
    }

    #[test]
    fn values_of_other_clients_are_foreign_and_batons_are_nobodys() {
        for value in [&b"web1|123"[..], b"0123456789abcdef0123456789abcdef", b""] {
            assert_eq!(Holder::of(value), Holder::Foreign);
        }
        let baton = [Token::new("").unwrap().as_bytes(), BATON_END].concat();
        assert_eq!(Holder::of(&baton), Holder::Next);
    }
}
