//! The four forms of `auth=` and `sentinel_auth=`.

use crate::config::auth::Auth;

use super::span::{Span, SpanError};

/// The `auth` parameters of one server, as they are found.
pub(super) struct AuthParameters {
    /// `auth`, or what is written in its place.
    name: &'static str,
    scalar: Option<String>,
    list: Vec<String>,
    user: Option<String>,
    pass: Option<String>,
}

impl AuthParameters {
    /// Nothing found yet of the parameter `name`.
    pub fn new(name: &'static str) -> Self {
        Self { name, scalar: None, list: Vec::new(), user: None, pass: None }
    }

    /// Takes `auth=value` or `auth[key]=value`, which is all of `span`.
    ///
    /// # Errors
    /// The key is none of those that phpredis reads.
    pub fn add(
        &mut self,
        key: Option<&str>,
        value: String,
        span: Span<'_>,
    ) -> Result<(), SpanError> {
        match (key, self.list.len()) {
            (None, _) => self.scalar = Some(value),
            (Some("user"), _) => self.user = Some(value),
            (Some("pass"), _) => self.pass = Some(value),
            (Some(""), _) | (Some("0"), 0) | (Some("1"), 1) => self.list.push(value),
            (Some(_), _) => return Err(self.refusal(span)),
        }
        Ok(())
    }

    /// What they say together.
    ///
    /// # Errors
    /// They are none of the four forms, or a mixture. `span` is where.
    pub fn finish(self, span: Span<'_>) -> Result<Option<Auth>, SpanError> {
        let refusal = self.refusal(span);
        let mut list = self.list.into_iter();
        let list = (list.next(), list.next(), list.next());
        let (user, password) = match (self.scalar, list, self.user, self.pass) {
            (None, (None, ..), None, None) => return Ok(None),
            (Some(password), (None, ..), None, None)
            | (None, (Some(password), None, _), None, None) => (String::new(), password),
            (None, (Some(user), Some(password), None), None, None) => (user, password),
            (None, (None, ..), user, Some(password)) => (user.unwrap_or_default(), password),
            _ => return Err(refusal),
        };
        Ok(Auth::unless_empty(user, password))
    }

    fn refusal(&self, span: Span<'_>) -> SpanError {
        let name = self.name;
        span.error(format!(
            "write {name} as one of {name}=password, {name}[]=password, \
             {name}[]=user&{name}[]=password, {name}[user]=user&{name}[pass]=password"
        ))
    }
}
