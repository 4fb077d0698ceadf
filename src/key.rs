//! Session ids and the Redis keys made of them.
//!
//! A session has one key, and beside it companions that exist only while
//! requests compete for it. All of them live in one cluster slot.

use crate::error::Error;

/// Ends of our companion keys. The number is the form of that record: one of
/// another form has another key, so that versions that differ in it get along.
const COMPANIONS: [&str; 3] = ["_LOCK", "_BATON", "_WAITERS:2"];
/// Ends that an id may not have: it would be another session's lock.
const RESERVED: [&str; 4] = ["_LOCK", "_BATON", "_WAITERS", "_WAITERS:2"];

/// Longest id that is accepted, in bytes. PHP itself makes 22 to 256.
const MAX_SID: usize = 256;

/// How many slots a cluster has.
const SLOTS: u16 = 16384;

/// Prefix of the session key where the save path names none.
pub const STANDALONE_PREFIX: &str = "PHPREDIS_SESSION:";

/// The same on a cluster.
pub const CLUSTER_PREFIX: &str = "PHPREDIS_CLUSTER_SESSION:";

/// Why an id is refused. The id itself is never shown: it is a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSid {
    /// No id at all.
    #[error("the session id is empty")]
    Empty,
    /// More than 256 bytes.
    #[error("the session id is longer than 256 bytes")]
    TooLong,
    /// White space or a control character, NUL among them.
    #[error("the session id contains white space or control characters")]
    Characters,
    /// Ends like a companion key.
    #[error(
        "the session id ends with a word that is reserved for this handler's own keys (_LOCK, \
         _BATON, _WAITERS)"
    )]
    Reserved,
    /// Braces in it or in the prefix spread its keys over a cluster, or make
    /// its lock that of another session.
    #[error(
        "braces in the session id or the prefix put the session and its lock into different slots \
         of the cluster, or give it the lock of another session"
    )]
    Slots,
}

impl From<InvalidSid> for Error {
    fn from(reason: InvalidSid) -> Self {
        Self::Sid(reason.to_string())
    }
}

/// A session id that is safe to make a key of. Applications choose their own
/// ids, so everything is accepted that cannot be mistaken for something else.
///
/// Checked once, where PHP hands it over. It owns nothing, as nothing may be
/// owned while PHP runs; who keeps it has a [`SidBuf`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sid<'a>(&'a [u8]);

/// A [`Sid`] that is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct SidBuf(Box<[u8]>);

impl SidBuf {
    /// The id.
    pub fn as_sid(&self) -> Sid<'_> {
        Sid(&self.0)
    }
}

impl<'a> Sid<'a> {
    /// Checks `bytes`.
    ///
    /// # Errors
    /// [`InvalidSid`] says which rule the id breaks.
    pub fn new(bytes: &'a [u8]) -> Result<Self, InvalidSid> {
        if bytes.is_empty() {
            Err(InvalidSid::Empty)
        } else if bytes.len() > MAX_SID {
            Err(InvalidSid::TooLong)
        } else if bytes.iter().any(|b| *b <= b' ' || *b == 0x7f) {
            Err(InvalidSid::Characters)
        } else if RESERVED.iter().any(|end| bytes.ends_with(end.as_bytes())) {
            Err(InvalidSid::Reserved)
        } else {
            Ok(Self(bytes))
        }
    }

    /// The id as PHP knows it.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// A copy to keep.
    pub fn to_owned(self) -> SidBuf {
        SidBuf(self.0.into())
    }
}

/// The keys of one session.
#[derive(Clone)]
pub struct Keys {
    /// The session's data.
    pub session: Vec<u8>,
    /// Who may write: a token.
    pub lock: Vec<u8>,
    /// Where the next holder waits for its turn.
    pub baton: Vec<u8>,
    /// Who waits, in the order in which they came.
    pub waiters: Vec<u8>,
}

impl Keys {
    /// The keys of `sid` under `prefix`, named as phpredis names them.
    pub fn new(prefix: &str, sid: Sid<'_>) -> Self {
        let session = [prefix.as_bytes(), sid.as_bytes()].concat();
        let companion = |end: &str| [session.as_slice(), end.as_bytes()].concat();
        let [lock, baton, waiters] = COMPANIONS.map(companion);
        Self { session, lock, baton, waiters }
    }

    /// The keys of `sid` under `prefix`, all in one slot of a cluster.
    ///
    /// The session's key is that of [`new`](Self::new). Its companions are
    /// `{key}_LOCK` and so on, or where the key holds a hash tag, `key_LOCK`.
    ///
    /// # Errors
    /// [`InvalidSid::Slots`]: no such names put all keys into one slot, or they
    /// are those of the session `key` where this one's key is `{key}`.
    pub fn in_one_slot(prefix: &str, sid: Sid<'_>) -> Result<Self, InvalidSid> {
        let plain = Self::new(prefix, sid);
        if let Some(tag) = hash_tag(&plain.session) {
            // What follows the tag does not move a key.
            let is_all = plain.session.len() == tag.len() + 2;
            return if is_all { Err(InvalidSid::Slots) } else { Ok(plain) };
        }
        let braced = [b"{", plain.session.as_slice(), b"}"].concat();
        if hash_tag(&braced) != Some(&plain.session) {
            return Err(InvalidSid::Slots);
        }
        let [lock, baton, waiters] =
            COMPANIONS.map(|end| [braced.as_slice(), end.as_bytes()].concat());
        Ok(Self { lock, baton, waiters, ..plain })
    }
}

impl Keys {
    /// Where one request leaves new data for a moment. `random` makes the key
    /// its own: no session id can be chosen to name it.
    pub fn staged(&self, random: &[u8]) -> Vec<u8> {
        let base = self.lock.strip_suffix(b"_LOCK").unwrap_or(&self.lock);
        [base, b"_STAGED:", random].concat()
    }
}

/// The slot of a cluster, below 16384, that `key` is in.
#[must_use]
pub fn slot(key: &[u8]) -> u16 {
    crc16::State::<crc16::XMODEM>::calculate(hash_tag(key).unwrap_or(key)) % SLOTS
}

/// What is between the first `{` and the first `}` after it, if anything.
fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|byte| *byte == b'{')?;
    let (_, rest) = key.split_at_checked(open + 1)?;
    let close = rest.iter().position(|byte| *byte == b'}')?;
    rest.get(..close).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_that_applications_choose_are_accepted() {
        for id in ["abc", "a,b-c", "user:42", "ümlaut", "{tag}x", "_LOCKx", "../../etc"] {
            assert!(Sid::new(id.as_bytes()).is_ok(), "{id}");
        }
        assert!(Sid::new(&[b'a'; 256]).is_ok());
    }

    #[test]
    fn ids_that_could_be_mistaken_are_refused() {
        assert_eq!(Sid::new(b"").err(), Some(InvalidSid::Empty));
        assert_eq!(Sid::new(&[b'a'; 257]).err(), Some(InvalidSid::TooLong));
        for id in ["a b", "a\n", "a\0b", "\t", "a\x7f"] {
            assert_eq!(Sid::new(id.as_bytes()).err(), Some(InvalidSid::Characters), "{id:?}");
        }
        for id in ["x_LOCK", "_LOCK", "x_BATON", "x_WAITERS", "x_WAITERS:2"] {
            assert_eq!(Sid::new(id.as_bytes()).err(), Some(InvalidSid::Reserved), "{id}");
        }
    }

    #[test]
    fn keys_are_named_as_phpredis_names_them() {
        let keys = Keys::new(STANDALONE_PREFIX, Sid::new(b"abc").unwrap());
        assert_eq!(keys.session, b"PHPREDIS_SESSION:abc");
        assert_eq!(keys.lock, b"PHPREDIS_SESSION:abc_LOCK");
    }

    fn all(keys: &Keys) -> [&[u8]; 4] {
        [&keys.session, &keys.lock, &keys.baton, &keys.waiters]
    }

    fn in_one_slot(prefix: &str, sid: &str) -> Result<Keys, InvalidSid> {
        Keys::in_one_slot(prefix, Sid::new(sid.as_bytes()).unwrap())
    }

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        assert_eq!(slot(b"123456789"), 0x31c3);
        assert_eq!(slot(b""), 0);
        // Only what is between the first { and the first } after it counts.
        assert_eq!(slot(b"}a{123456789}{b}"), 0x31c3);
        assert_eq!(slot(b"{{123456789}}"), slot(b"{123456789"));
        // Without anything between them all of it counts.
        assert_ne!(slot(b"{}123456789"), slot(b"123456789"));
        assert_eq!(slot(b"foo{}{bar}"), 8363);
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
    }

    #[test]
    fn on_a_cluster_the_companions_are_moved_to_the_slot_of_the_session() {
        let keys = in_one_slot(CLUSTER_PREFIX, "abc").unwrap();
        assert_eq!(keys.session, b"PHPREDIS_CLUSTER_SESSION:abc");
        assert_eq!(keys.lock, b"{PHPREDIS_CLUSTER_SESSION:abc}_LOCK");
        assert_eq!(keys.baton, b"{PHPREDIS_CLUSTER_SESSION:abc}_BATON");
        assert_eq!(keys.waiters, b"{PHPREDIS_CLUSTER_SESSION:abc}_WAITERS:2");
    }

    #[test]
    fn a_hash_tag_in_the_session_key_is_kept() {
        for (prefix, sid) in [("{app}:", "abc"), ("app:", "{tag}x"), ("app{", "a}b")] {
            let keys = in_one_slot(prefix, sid).unwrap();
            assert_eq!(keys.lock, format!("{prefix}{sid}_LOCK").as_bytes());
        }
    }

    #[test]
    fn braces_that_spread_or_share_the_keys_are_refused() {
        for (prefix, sid) in [("app:", "a}b"), ("{}", "a"), ("app:", "{}a"), ("a}{", "b")] {
            assert_eq!(in_one_slot(prefix, sid).err(), Some(InvalidSid::Slots), "{prefix}{sid}");
        }
        for (prefix, sid) in [("", "{a}"), ("{a", "}"), ("", "{{}")] {
            assert_eq!(in_one_slot(prefix, sid).err(), Some(InvalidSid::Slots), "{prefix}{sid}");
        }
        for (prefix, sid) in [("app:", "a{b"), ("app:", "{a}"), ("", "{a}b"), ("", "a{b}")] {
            assert!(in_one_slot(prefix, sid).is_ok(), "{prefix}{sid}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn keys_are_in_one_slot_and_no_session_has_those_of_another(
            prefix in "[ab{}]{0,4}", sid in "[ab{}_LOCK]{1,6}", other in r"[ab{}]{0,3}\}?(_LOCK)?",
        ) {
            if let Ok(sid) = Sid::new(sid.as_bytes())
                && let Ok(keys) = Keys::in_one_slot(&prefix, sid)
            {
                let [session, companions @ ..] = all(&keys);
                for key in companions {
                    prop_assert_eq!(slot(key), slot(session));
                    prop_assert_ne!(key, session);
                }
                let other = Sid::new(other.as_bytes());
                if let Ok(other) = other.and_then(|other| Keys::in_one_slot(&prefix, other))
                    && other.session != keys.session
                {
                    prop_assert!(all(&keys).iter().all(|key| !all(&other).contains(key)));
                }
            }
        }

        #[test]
        fn what_is_refused_has_no_companions_in_its_slot(prefix in "[ab{}]{0,4}", sid in "[ab{}]{1,6}") {
            let sid = Sid::new(sid.as_bytes()).unwrap();
            if Keys::in_one_slot(&prefix, sid).is_err() {
                let session = Keys::new(&prefix, sid).session;
                let braced = |inner: &[u8]| [b"{", inner, b"}"].concat();
                if hash_tag(&session).is_some_and(|tag| braced(tag) == session) {
                    return Ok(()); // it would have those of the session `tag`
                }
                let braced = braced(&session);
                for base in [session.clone(), braced] {
                    // Two slots may be the same by chance.
                    let hashed = |key: &[u8]| hash_tag(key).unwrap_or(key).to_vec();
                    let found = COMPANIONS.map(|end| hashed(&[&base, end.as_bytes()].concat()));
                    prop_assert!(found.iter().any(|found| *found != hashed(&session)));
                }
            }
        }
    }
}
