//! What one open handler knows of each session it has to do with.
//!
//! Most have to do with one. A handler in PHP may read one session and write
//! another, or keep a copy beside it: what is known of one says nothing about
//! the other, so that each has its own lock, failure and data here.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::error::Error;
use crate::key::Sid;
use crate::lock::held::HeldLock;

/// What was done with a session so far.
pub(super) enum Stage {
    /// Nothing of it was read through us.
    Unread,
    /// Its check could not be made: the read that follows fails of it.
    Failed(Error),
    /// Read ahead by the check of its id, for the read that follows.
    Ahead(Option<Vec<u8>>),
    /// Its read has begun and PHP has not got its data. A write that comes all
    /// the same is what PHP does after a fatal error in the middle of the read.
    Reading,
    /// As above, but its data are here for PHP to take.
    Parked {
        /// Whether it was there.
        existed: bool,
    },
    /// PHP has it, or has stored it.
    Known {
        /// Whether it was there: then it is not created again.
        existed: bool,
        /// What it was.
        snapshot: Snapshot,
    },
}

/// What a session was when PHP got it, as far as somebody will ask.
pub(super) enum Snapshot {
    /// Nobody will.
    None,
    /// Enough to tell whether a write changes anything.
    Digest(u64),
    /// All of it, where its lock may be lost although we hold it.
    Data(Vec<u8>),
}

impl Snapshot {
    pub(super) fn digest_of(data: &[u8]) -> Self {
        Self::Digest(digest(data))
    }

    /// Whether `data` are what it was, for certain.
    pub(super) fn is(&self, data: &[u8]) -> bool {
        match self {
            Self::None => false,
            Self::Digest(before) => *before == digest(data),
            Self::Data(before) => before == data,
        }
    }
}

fn digest(data: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    hasher.finish()
}

/// How a request stands to a session's lock.
#[derive(Default, Clone)]
pub(super) enum Lock {
    /// It has not asked for it, or has let go of it.
    #[default]
    No,
    /// It holds it.
    Held(Arc<HeldLock>),
    /// It has missed it or lost it: what it knows of the session may be out of
    /// date, so it writes no more.
    Barred,
    /// The process it was forked from holds it: it does not write either, and
    /// PHP's own write at its end is nothing it has asked for.
    Inherited,
}

/// What is known of one session.
pub(super) struct Entry {
    pub(super) sid: Sid,
    pub(super) stage: Stage,
    pub(super) lock: Lock,
    /// Whether its server failed us: then that is not asked to unlock.
    pub(super) unreachable: bool,
}

impl Entry {
    fn new(sid: &Sid, stage: Stage, lock: Lock) -> Self {
        Self { sid: sid.clone(), stage, lock, unreachable: false }
    }

    /// Whether the session was there when it was read; none where it was not.
    pub(super) fn existed(&self) -> Option<bool> {
        match &self.stage {
            Stage::Known { existed, .. } | Stage::Parked { existed } => Some(*existed),
            Stage::Ahead(data) => Some(data.is_some()),
            Stage::Unread | Stage::Failed(_) | Stage::Reading => None,
        }
    }

    pub(super) fn is_being_read(&self) -> bool {
        matches!(self.stage, Stage::Reading | Stage::Parked { .. })
    }

    fn was_read(&self) -> bool {
        matches!(self.stage, Stage::Parked { .. } | Stage::Known { .. })
    }
}

/// All that is known. Looked through from the start: there is one, seldom two.
#[derive(Default)]
pub(super) struct Sessions(Vec<Entry>);

impl Sessions {
    pub(super) fn get(&self, sid: &Sid) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.sid == *sid)
    }

    pub(super) fn get_mut(&mut self, sid: &Sid) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.sid == *sid)
    }

    /// What was done with `sid` from now on; returns what had been.
    pub(super) fn set_stage(&mut self, sid: &Sid, stage: Stage) -> Stage {
        match self.get_mut(sid) {
            Some(entry) => std::mem::replace(&mut entry.stage, stage),
            None => {
                self.0.push(Entry::new(sid, stage, Lock::No));
                Stage::Unread
            }
        }
    }

    /// How the request stands to the lock of `sid` from now on.
    pub(super) fn set_lock(&mut self, sid: &Sid, lock: Lock) {
        match self.get_mut(sid) {
            Some(entry) => entry.lock = lock,
            None => self.0.push(Entry::new(sid, Stage::Unread, lock)),
        }
    }

    /// The server has let go of the lock of `sid`, or cannot be told to.
    pub(super) fn unlocked(&mut self, sid: &Sid) {
        let lock = self.get_mut(sid).map(|entry| std::mem::take(&mut entry.lock));
        if let Some(Lock::Held(held)) = lock {
            held.was_released();
        }
    }

    /// Nothing is known of `sid` any more.
    pub(super) fn forget(&mut self, sid: &Sid) {
        self.0.retain(|entry| entry.sid != *sid);
    }

    /// The read of `sid` begins; what was known before.
    pub(super) fn begin_read(&mut self, sid: &Sid) -> Stage {
        for entry in &mut self.0 {
            if let Stage::Parked { .. } = entry.stage {
                entry.stage = Stage::Reading; // its data are not there any more
            }
        }
        self.set_stage(sid, Stage::Reading)
    }

    /// The session whose data are here for PHP to take.
    pub(super) fn parked(&mut self) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| matches!(entry.stage, Stage::Parked { .. }))
    }

    /// Whether any session was read.
    pub(super) fn any_read(&self) -> bool {
        self.0.iter().any(Entry::was_read)
    }

    /// Whether any check has failed.
    pub(super) fn any_failed(&self) -> bool {
        self.0.iter().any(|entry| matches!(entry.stage, Stage::Failed(_)))
    }

    /// Keeps the locks, and nothing else.
    pub(super) fn only_locked(mut self) -> Self {
        self.0.retain(|entry| matches!(entry.lock, Lock::Held(_)));
        for entry in &mut self.0 {
            entry.stage = Stage::Unread;
        }
        self
    }

    /// All entries.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.0.iter_mut()
    }
}
