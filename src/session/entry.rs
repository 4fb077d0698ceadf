//! What one open handler knows of each session it has to do with.
//!
//! Most have to do with one. A handler in PHP may read one session and write
//! another, or keep a copy beside it: what is known of one says nothing about
//! the other, so that each has its own keys, lock, failure and data here.
//!
//! Two things are known of a session: how far its reading has come, and whether
//! the request may write it. Each is one of the states below, with exactly what
//! belongs to it; they change through the methods of [`Entry`] alone. Neither
//! decides the other: a fork takes the right to write at any point of a read,
//! and a session may be written that was never read.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::error::Error;
use crate::key::{Sid, SidBuf};
use crate::lock::held::HeldLock;
use crate::topology::{Backend, SessionLocation};

/// What the check of an id has found: the session's data, if it is there; or why
/// that could not be seen.
pub(super) type Lookahead = Result<Option<Vec<u8>>, Error>;

/// A session that was read.
pub(super) struct Data {
    /// What PHP gets.
    pub(super) session: Vec<u8>,
    /// What is in Redis, where that differs.
    pub(super) stored: Option<Vec<u8>>,
    /// Whether it is to be encrypted, or with another key, when it is next written.
    pub(super) is_outdated: bool,
}

impl Data {
    /// One that is stored as it is.
    pub(super) fn plain(session: Vec<u8>) -> Self {
        Self { session, stored: None, is_outdated: false }
    }
}

/// How far the reading of a session has come.
enum Reading {
    /// Nothing of it was read through us.
    Unread,
    /// The check of its id has read it, for the read that follows.
    Ahead(Lookahead),
    /// Its read has begun and PHP has not got its data. A write that comes all
    /// the same is what PHP does after a fatal error in the middle of the read.
    Pending,
    /// As above, but its data, if it was there, are here for PHP to take.
    Parked(Option<Data>),
    /// PHP has it, or has stored it.
    Known(Snapshot),
}

/// What a session was when PHP got it, as far as someone will ask.
enum Snapshot {
    /// There was none: a write creates it.
    Absent,
    /// It was there, or is stored since: it is not created again.
    Present,
    /// The same, with enough to tell whether a write changes anything.
    Digest(u64),
    /// The same, with all of it: needed to take a lock again that was lost in a
    /// failover.
    Data(Vec<u8>),
    /// As above, where what is stored differs from what PHP got.
    Encoded { stored: Vec<u8>, digest: u64 },
}

/// Whether the request may write a session.
enum WriteAccess {
    /// It has not asked for the lock, or has released it.
    Unasked,
    /// It holds the lock.
    Locked(Locked),
    /// It writes no more.
    Denied(Denial),
}

/// Why a request may not write a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denial {
    /// It has missed the lock or lost it: what it knows of the session may be
    /// out of date.
    Missed,
    /// The process it was forked from holds the lock. PHP's own write at its
    /// end is nothing it has asked for.
    Inherited,
}

/// A lock that the request holds.
pub(super) struct Locked {
    pub(super) lock: Arc<HeldLock>,
    /// Whether its server failed us: then that is not asked to release it.
    pub(super) unreachable: bool,
}

/// What is known of one session.
pub(super) struct Entry {
    sid: SidBuf,
    /// Made when it is needed first; the same for as long as the session is open.
    location: Option<SessionLocation>,
    reading: Reading,
    /// What was stored when it was read, where that is to be encrypted, or with
    /// another key.
    outdated: Option<Vec<u8>>,
    access: WriteAccess,
}

impl Entry {
    fn new(sid: Sid<'_>) -> Self {
        Self {
            sid: sid.to_owned(),
            location: None,
            reading: Reading::Unread,
            outdated: None,
            access: WriteAccess::Unasked,
        }
    }

    /// Where the session is.
    ///
    /// # Errors
    /// As for [`Backend::location`].
    pub(super) fn location(&mut self, backend: &Backend) -> Result<SessionLocation, Error> {
        if let Some(location) = &self.location {
            return Ok(location.clone());
        }
        Ok(self.location.insert(backend.location(self.sid.as_sid())?).clone())
    }

    /// What the check of its id has read, for the read that follows.
    pub(super) fn lookahead(&self) -> Option<&Lookahead> {
        match &self.reading {
            Reading::Ahead(lookahead) => Some(lookahead),
            Reading::Unread | Reading::Pending | Reading::Parked(_) | Reading::Known(_) => None,
        }
    }

    /// The check of its id has read it, or failed.
    pub(super) fn read_ahead(&mut self, lookahead: Lookahead) {
        self.reading = Reading::Ahead(lookahead);
    }

    /// Leaves the data, if it was there, for PHP to take.
    pub(super) fn park(&mut self, data: Option<Data>) {
        let outdated = data.as_ref().filter(|data| data.is_outdated);
        self.outdated = outdated.map(|data| data.stored.as_ref().unwrap_or(&data.session).clone());
        self.reading = Reading::Parked(data);
    }

    /// The data that are here for PHP to take; empty where there is no session.
    pub(super) fn parked(&self) -> Option<&[u8]> {
        match &self.reading {
            Reading::Parked(data) => {
                Some(data.as_ref().map(|data| data.session.as_slice()).unwrap_or_default())
            }
            Reading::Unread | Reading::Ahead(_) | Reading::Pending | Reading::Known(_) => None,
        }
    }

    /// PHP has its copy of what was parked. Of that stays what will be asked for:
    /// whether it changes, where PHP `writes_unchanged` sessions; all of it, if
    /// it is locked and servers are `changing`.
    pub(super) fn hand_over(&mut self, writes_unchanged: bool, changing: bool) {
        let Reading::Parked(data) = &mut self.reading else { return };
        let is_locked = matches!(self.access, WriteAccess::Locked(_));
        self.reading = Reading::Known(match data.take() {
            None => Snapshot::Absent,
            Some(Data { session, stored, .. }) if is_locked && changing => match stored {
                None => Snapshot::Data(session),
                Some(stored) => Snapshot::Encoded { stored, digest: digest(&session) },
            },
            Some(data) if writes_unchanged => Snapshot::Digest(digest(&data.session)),
            Some(_) => Snapshot::Present,
        });
    }

    /// What is stored, where that is to be encrypted, or with another key.
    pub(super) fn outdated(&self) -> Option<&[u8]> {
        self.outdated.as_deref()
    }

    /// It was stored.
    pub(super) fn store(&mut self) {
        self.outdated = None;
        self.reading = Reading::Known(Snapshot::Present);
    }

    /// Whether the session was there when it was read; none where it was not.
    pub(super) fn existed(&self) -> Option<bool> {
        match &self.reading {
            Reading::Known(snapshot) => Some(!matches!(snapshot, Snapshot::Absent)),
            Reading::Parked(data) => Some(data.is_some()),
            Reading::Ahead(Ok(data)) => Some(data.is_some()),
            Reading::Unread | Reading::Ahead(Err(_)) | Reading::Pending => None,
        }
    }

    /// Whether its read has begun and PHP has not got its data.
    pub(super) fn is_being_read(&self) -> bool {
        matches!(self.reading, Reading::Pending | Reading::Parked(_))
    }

    fn was_read(&self) -> bool {
        matches!(self.reading, Reading::Parked(_) | Reading::Known(_))
    }

    fn check_failed(&self) -> bool {
        matches!(self.reading, Reading::Ahead(Err(_)))
    }

    /// Whether `data` are what PHP got, for certain.
    pub(super) fn is_unchanged(&self, data: &[u8]) -> bool {
        match &self.reading {
            Reading::Known(Snapshot::Digest(before) | Snapshot::Encoded { digest: before, .. }) => {
                *before == digest(data)
            }
            Reading::Known(Snapshot::Data(before)) => before == data,
            Reading::Known(Snapshot::Absent | Snapshot::Present)
            | Reading::Unread
            | Reading::Ahead(_)
            | Reading::Pending
            | Reading::Parked(_) => false,
        }
    }

    /// What was stored when PHP got it, where that was kept whole: none inside where
    /// there was no session. It is given away once.
    pub(super) fn take_snapshot(&mut self) -> Option<Option<Vec<u8>>> {
        let Reading::Known(snapshot) = &mut self.reading else { return None };
        match snapshot {
            Snapshot::Absent => Some(None),
            Snapshot::Present | Snapshot::Digest(_) => None,
            Snapshot::Data(data) => {
                let data = std::mem::take(data);
                *snapshot = Snapshot::Present;
                Some(Some(data))
            }
            Snapshot::Encoded { stored, digest } => {
                let stored = std::mem::take(stored);
                *snapshot = Snapshot::Digest(*digest);
                Some(Some(stored))
            }
        }
    }

    /// The lock, if the request holds it.
    pub(super) fn lock(&self) -> Option<&Arc<HeldLock>> {
        match &self.access {
            WriteAccess::Locked(Locked { lock, .. }) => Some(lock),
            WriteAccess::Unasked | WriteAccess::Denied(_) => None,
        }
    }

    /// Why the request may not write it, if so.
    pub(super) fn denial(&self) -> Option<Denial> {
        match self.access {
            WriteAccess::Denied(denial) => Some(denial),
            WriteAccess::Unasked | WriteAccess::Locked(_) => None,
        }
    }

    /// The request holds `lock` from now on.
    pub(super) fn grant(&mut self, lock: Arc<HeldLock>) {
        self.access = WriteAccess::Locked(Locked { lock, unreachable: false });
    }

    /// The request has missed the lock or lost it: it writes no more.
    pub(super) fn deny(&mut self) {
        self.access = WriteAccess::Denied(Denial::Missed);
    }

    /// This process was forked: the lock is its parent's. Its memory is not
    /// freed, as what belongs to it may be in use there.
    pub(super) fn inherit(&mut self) {
        if let WriteAccess::Locked(_) = self.access {
            let inherited = WriteAccess::Denied(Denial::Inherited);
            std::mem::forget(std::mem::replace(&mut self.access, inherited));
        }
    }

    /// Whether the server that keeps the session could not be reached just now.
    pub(super) fn note_reached(&mut self, is_unreachable: bool) {
        if let WriteAccess::Locked(locked) = &mut self.access {
            locked.unreachable = is_unreachable;
        }
    }

    /// The request writes no more for now.
    pub(super) fn give_up(&mut self) -> Option<Locked> {
        match std::mem::replace(&mut self.access, WriteAccess::Unasked) {
            WriteAccess::Locked(locked) => Some(locked),
            WriteAccess::Unasked | WriteAccess::Denied(_) => None,
        }
    }

    /// The server has released the lock, or cannot be told to.
    pub(super) fn note_release(&mut self) {
        if let Some(Locked { lock, .. }) = self.give_up() {
            lock.was_released();
        }
    }
}

fn digest(data: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    hasher.finish()
}

/// All that is known. Looked through from the start: there is one, seldom two.
#[derive(Default)]
pub(super) struct Entries(Vec<Entry>);

impl Entries {
    /// What is known of `sid`, if anything.
    pub(super) fn get(&self, sid: Sid<'_>) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.sid.as_sid() == sid)
    }

    /// Changes what is known of `sid`.
    pub(super) fn update<T>(&mut self, sid: Sid<'_>, change: impl FnOnce(&mut Entry) -> T) -> T {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.sid.as_sid() == sid) {
            return change(entry);
        }
        let mut entry = Entry::new(sid);
        let changed = change(&mut entry);
        self.0.push(entry);
        changed
    }

    /// Nothing is known of `sid` any more.
    pub(super) fn forget(&mut self, sid: Sid<'_>) {
        self.0.retain(|entry| entry.sid.as_sid() != sid);
    }

    /// The read of `sid` begins. Returns what the check of its id has read.
    pub(super) fn begin_read(&mut self, sid: Sid<'_>) -> Option<Lookahead> {
        for entry in &mut self.0 {
            if let Reading::Parked(_) = entry.reading {
                entry.reading = Reading::Pending; // PHP did not take its data
            }
        }
        let before = |entry: &mut Entry| std::mem::replace(&mut entry.reading, Reading::Pending);
        match self.update(sid, before) {
            Reading::Ahead(lookahead) => Some(lookahead),
            Reading::Unread | Reading::Pending | Reading::Parked(_) | Reading::Known(_) => None,
        }
    }

    /// The session whose data are here for PHP to take.
    pub(super) fn parked(&self) -> Option<&[u8]> {
        self.0.iter().find_map(Entry::parked)
    }

    /// See [`Entry::hand_over`].
    pub(super) fn hand_over(&mut self, writes_unchanged: bool, changing: bool) {
        self.0.iter_mut().for_each(|entry| entry.hand_over(writes_unchanged, changing));
    }

    /// Whether any session was read.
    pub(super) fn any_read(&self) -> bool {
        self.0.iter().any(Entry::was_read)
    }

    /// Whether the check of any id has failed.
    pub(super) fn any_check_failed(&self) -> bool {
        self.0.iter().any(Entry::check_failed)
    }

    /// Keeps the locks, and nothing else.
    pub(super) fn only_locked(mut self) -> Self {
        self.0.retain(|entry| entry.lock().is_some());
        self.0.iter_mut().for_each(|entry| entry.reading = Reading::Unread);
        self
    }

    /// This process was forked, see [`Entry::inherit`].
    pub(super) fn inherit(&mut self) {
        self.0.iter_mut().for_each(Entry::inherit);
    }

    /// Gives up all locks.
    pub(super) fn give_up(&mut self) -> Vec<Locked> {
        self.0.iter_mut().filter_map(Entry::give_up).collect()
    }
}

#[cfg(test)]
mod tests;
