//! What to log in with.

use std::fmt;

/// A password. Cannot be shown by accident: [`expose`](Self::expose) is the
/// only way to its text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text into custody.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, to be sent to the server and nowhere else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Always `***`.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The arguments of `AUTH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// The ACL user. `None` is the server's default user, and the only choice
    /// before Redis 6.
    pub user: Option<String>,
    /// May be empty, but only with a user.
    pub password: Secret,
}

impl Auth {
    /// No user and no password is no login, so that a text made from unset
    /// variables (`?auth=`) works with a server that wants none.
    pub fn unless_empty(user: String, password: String) -> Option<Self> {
        let user = Some(user).filter(|user| !user.is_empty());
        (user.is_some() || !password.is_empty())
            .then_some(Self { user, password: Secret(password) })
    }
}
