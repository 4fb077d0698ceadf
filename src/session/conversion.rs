//! Between what PHP has of a session and what is stored of it: compressed first,
//! encrypted then.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use crate::config::encryption::{Encryption, Plain};
use crate::error::Error;
use crate::key::Sid;
use crate::session::codec::{self, DecompressError};
use crate::session::entry::Data;
use crate::session::envelope::{self, Opened};
use crate::session::handler::Handler;
use crate::session::stored_form::{self, Form};

/// Why a session that is stored plain, or encrypted, is not read.
const NOT_ENCRYPTED: &str = "is not encrypted, and redis_session.encryption is required: set it to \
                             accept_plain until all sessions are encrypted; the stored data are kept";

impl Handler {
    /// The session that `stored` is. PHP would make nonsense of what it cannot be,
    /// and store that.
    pub(super) fn decode(&mut self, sid: Sid<'_>, stored: Vec<u8>) -> Result<Data, Error> {
        if stored_form::is_encrypted(&stored) {
            let opened = self.decrypt(sid, &stored)?;
            let content = self.decompress(sid, opened.content)?;
            let session = content.session;
            return Ok(Data { session, stored: Some(stored), is_outdated: opened.is_outdated });
        }
        let is_outdated = match &self.settings.encryption {
            None => false,
            Some(Encryption { plain: Plain::Accepted, .. }) => {
                self.locks.backend.counters().plain_sessions.fetch_add(1, Ordering::Relaxed);
                true
            }
            Some(Encryption { plain: Plain::Refused, .. }) => {
                return Err(self.undecryptable(sid, NOT_ENCRYPTED));
            }
        };
        Ok(Data { is_outdated, ..self.decompress(sid, stored)? })
    }

    fn decrypt(&mut self, sid: Sid<'_>, stored: &[u8]) -> Result<Opened, Error> {
        let settings = self.settings.clone();
        let Some(encryption) = &settings.encryption else {
            return Err(self.undecryptable(
                sid,
                "is encrypted, and redis_session.encryption is off: set it, and \
                 redis_session.encryption_keys, as on the hosts that write it; the stored data \
                 are kept",
            ));
        };
        let location = self.location(sid)?;
        envelope::open(stored, &location.keys.session, &encryption.keyring)
            .map_err(|reason| self.undecryptable(sid, &reason.to_string()))
    }

    fn decompress(&mut self, sid: Sid<'_>, stored: Vec<u8>) -> Result<Data, Error> {
        let expected = self.settings.compression.map(|wanted| wanted.codec);
        let (codec, outcome) = match stored_form::form(&stored, expected) {
            Form::Plain => return Ok(Data::plain(stored)),
            Form::Compressed(codec) => {
                (codec, codec::decompress(&stored, codec, self.settings.memory))
            }
            Form::Damaged(codec) => (codec, Err(DecompressError::Damaged)),
        };
        match outcome {
            Ok(session) => Ok(Data { session, stored: Some(stored), is_outdated: false }),
            Err(reason) => {
                let (codec, host) = (codec.to_string(), self.host(sid));
                Err(Error::Decompress { codec, host, reason: reason.to_string() })
            }
        }
    }

    fn undecryptable(&mut self, sid: Sid<'_>, reason: &str) -> Error {
        Error::Decrypt { host: self.host(sid), reason: reason.to_owned() }
    }

    /// The server that keeps the session; it was just read from there.
    fn host(&mut self, sid: Sid<'_>) -> String {
        self.location(sid).map(|location| self.locks.backend.name(&location)).unwrap_or_default()
    }

    /// The bytes to store for `data`. Takes memory only where they differ.
    ///
    /// # Errors
    /// [`Error::Encrypt`]: the system gives no random numbers. Nothing may be stored.
    pub(super) fn encode<'a>(
        &mut self,
        sid: Sid<'_>,
        data: &'a [u8],
    ) -> Result<Cow<'a, [u8]>, Error> {
        let compressed = codec::encode(data, self.settings.compression.as_ref());
        let Some(encryption) = self.settings.encryption.clone() else { return Ok(compressed) };
        let location = self.location(sid)?;
        match envelope::seal(&compressed, &location.keys.session, &encryption) {
            Ok(sealed) => Ok(Cow::Owned(sealed)),
            Err(reason) => Err(Error::Encrypt(reason)),
        }
    }
}
