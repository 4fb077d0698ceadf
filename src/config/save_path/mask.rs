//! Hides passwords in the text of a save path, also of a malformed one.
//!
//! Works by permission: shown is what reads as a host or as a parameter that
//! holds no secret, and the rest is hidden. So a text that cannot be parsed
//! shows too little rather than a password.

use std::ops::Range;

use super::query::{self, Kind, has_known_parameter, is_query};
use super::scheme::{Form, announced, split_scheme};
use super::site::{locate, site};
use super::span::{Span, is_separator, is_space};

/// The text with `***` for what may be secret. Control characters are
/// replaced, so that the text fits into one line of a log.
#[must_use]
pub fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    for hidden in hidden(text) {
        shown.push_str(text.get(from..hidden.start).unwrap_or_default());
        shown.push_str("***");
        from = hidden.end;
    }
    shown.push_str(text.get(from..).unwrap_or_default());
    shown.replace(char::is_control, "\u{fffd}")
}

/// `message` with a masked save path, where it shows one that has secrets.
/// PHP's messages for web pages show it with HTML's entities.
#[must_use]
pub fn masked_in(message: &[u8], save_path: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(save_path);
    let plain = replaced(message, save_path, || masked(&text));
    let message = plain.as_deref().unwrap_or(message);
    let escaped = with_entities(&text);
    if escaped.as_bytes() == save_path {
        return plain;
    }
    replaced(message, escaped.as_bytes(), || with_entities(&masked(&text))).or(plain)
}

/// How PHP quotes what `open_basedir` does not allow, and what follows it.
const NOT_ALLOWED: [&str; 2] =
    ["open_basedir restriction in effect. File(", ") is not within the allowed path(s)"];

/// `message` with a masked text in place of a save path that is refused
/// before it is anybody's, as by `open_basedir`: PHP takes it for a directory.
/// Of what is no path it shows a part only, after a `;` of the password.
#[must_use]
pub fn masked_refusal(message: &[u8]) -> Option<Vec<u8>> {
    let text = str::from_utf8(message).ok()?;
    let [before, after] = NOT_ALLOWED;
    let from = text.find(before)? + before.len();
    let to = text.rfind(after).filter(|to| *to >= from)?;
    let (head, tail) = text.split_at(to);
    let (head, quoted) = head.split_at(from);
    let plain = without_entities(quoted);
    let has_scheme = split_scheme(Span::of(&plain)).0.is_some() || plain.contains("://");
    let is_of_setting = ["ini_set(", "ini_alter(", "session_save_path("]
        .iter()
        .any(|function| head.starts_with(function));
    let shown = match &plain {
        path if path.starts_with(['/', '.']) && !has_scheme => return None,
        other if has_scheme || is_query(Span::of(other)) => masked(other),
        _ if is_of_setting => "***".to_owned(),
        _ => return None,
    };
    let shown = if plain == quoted { shown } else { with_entities(&shown) };
    (shown != quoted).then(|| format!("{head}{shown}{tail}").into_bytes())
}

/// The text that PHP shows so in web pages.
fn without_entities(text: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#039;", "'"), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (entity, c)| text.replace(entity, c))
}

/// `text` with another word for each `secret` in it, if there is one and the
/// word is another.
fn replaced(text: &[u8], secret: &[u8], shown: impl FnOnce() -> String) -> Option<Vec<u8>> {
    let mut at = find(text, secret)?;
    let shown = shown();
    if shown.as_bytes() == secret {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        out.extend_from_slice(rest.get(..at)?);
        out.extend_from_slice(shown.as_bytes());
        rest = rest.get(at + secret.len()..)?;
        match find(rest, secret) {
            Some(next) => at = next,
            None => break,
        }
    }
    out.extend_from_slice(rest);
    Some(out)
}

/// Where `part` begins; nowhere if it is empty.
fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    let first = part.first()?;
    text.windows(part.len()).position(|window| window.first() == Some(first) && window == part)
}

/// The text as PHP shows it in web pages.
#[must_use]
pub fn with_entities(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// For a message: the text, or `***` where it may be a secret.
pub(super) fn shown(span: Span<'_>) -> &str {
    let is_hidden = |hidden: &Range<usize>| hidden.start < span.end() && span.at() < hidden.end;
    if hidden(span.whole()).iter().any(is_hidden) { "***" } else { span.text() }
}

/// What may be secret, in the order of the text; nothing twice.
fn hidden(text: &str) -> Vec<Range<usize>> {
    let mut hidden = Vec::new();
    for segment in segments(Span::of(text).unquoted().trimmed()) {
        hide_in_segment(segment, &mut hidden);
    }
    hidden.retain(|range| !range.is_empty());
    hidden
}

/// Cuts the text before each server with a known scheme: only there is it
/// certain that a password has ended.
fn segments(text: Span<'_>) -> Vec<Span<'_>> {
    let mut segments = Vec::new();
    let mut rest = text;
    let Look { is_query, is_whole, .. } = Look::of(text);
    for part in text.split(if is_whole { is_space } else { is_separator }) {
        if !is_query && split_scheme(part).0.and_then(announced).is_some() {
            let (before, from_here) = rest.split_at(part.at() - rest.at());
            let text = before.text().trim_end_matches(is_separator);
            segments.push(before.split_at(text.len()).0);
            rest = from_here;
        }
    }
    segments.push(rest);
    segments
}

/// What a text seems to be.
struct Look {
    /// Its scheme, if that exists.
    form: Option<Form>,
    /// Parameters from the start.
    is_query: bool,
    /// Commas do not split it.
    is_whole: bool,
}

impl Look {
    fn of(text: Span<'_>) -> Self {
        let scheme = split_scheme(text).0;
        let form = scheme.and_then(announced).map(|(form, _)| form);
        let is_query = scheme.is_none() && is_query(text);
        Self { form, is_query, is_whole: is_query || form.is_some_and(Form::stands_alone) }
    }
}

fn hide_in_segment(segment: Span<'_>, hidden: &mut Vec<Range<usize>>) {
    let (scheme, body) = split_scheme(segment);
    let Look { form, is_query, is_whole } = Look::of(segment);
    if scheme.is_some() && form.is_none() {
        hidden.push(body.at()..segment.end());
        return;
    }
    let is_end = if is_whole { is_space } else { is_separator };
    let last_at = body.text().rfind('@').unwrap_or(0);
    let is_server = matches!(form, None | Some(Form::Unix)) && !is_query;
    let in_server = is_server && !has_known_parameter(body.split_at(last_at).0);
    if last_at > 0 && in_server || body.find(is_end).is_some_and(|index| index < last_at) {
        // What separates may be in a password, and so may a ? or a /.
        hidden.push(suspect(body)..segment.end());
        return;
    }
    let Some(form) = form.filter(|form| *form != Form::Unix) else {
        return scan(body, is_query, is_whole, hidden);
    };
    let (first, others) = body.split_before(is_end);
    match locate(first, form) {
        Err(_) => hidden.push(suspect(first)..segment.end()),
        Ok((user_info, site)) => {
            if let Some(user_info) = user_info {
                // A user alone is often a password in the wrong place.
                let parts = user_info.split_once(":").filter(|(user, _)| is_user(*user));
                let secret = parts.map(|(_, password)| password).filter(|text| !text.is_empty());
                hidden.push(secret.unwrap_or(user_info).at()..user_info.end());
            }
            match site.query {
                Some(query) => scan(body.after(query.at() - body.at()), true, is_whole, hidden),
                None => scan(others, false, is_whole, hidden),
            }
        }
    }
}

/// Where a secret may start in what does not read as a site: after the user,
/// or where there is neither user nor password, after the host. A query may
/// hold one as well.
fn suspect(body: Span<'_>) -> usize {
    let (before_at, at) = body.split_before('@');
    let user = before_at.split_once(":").map(|(user, _)| user);
    let behind_colon =
        user.filter(|user| is_user(*user) || has_known_parameter(*user)).map(|user| user.len() + 1);
    let start = if at.is_empty() {
        let (host, _) = body.split_before(|c| matches!(c, '/' | '?' | '#'));
        behind_colon.unwrap_or(host.len())
    } else {
        behind_colon.filter(|start| *start < before_at.len()).unwrap_or(0)
    };
    let (before_query, _) = body.split_before(|c| matches!(c, '?' | '&' | '='));
    body.at() + start.min(before_query.len())
}

/// Whether it looks like a user, and not like the start of a password.
fn is_user(text: Span<'_>) -> bool {
    text.find(|c| is_separator(c) || matches!(c, '/' | '?' | '#' | '@')).is_none()
}

/// Goes through servers without a scheme, and through queries (`in_query`
/// says where it starts). Once a secret has begun, only a known parameter
/// ends it: a bare `&` or `,` may be part of the secret. Where `is_whole`,
/// commas and spaces are part of every value.
fn scan(text: Span<'_>, in_query: bool, is_whole: bool, hidden: &mut Vec<Range<usize>>) {
    let mut in_query = in_query;
    let mut secret: Option<usize> = None;
    let mut rest = text;
    loop {
        let in_value = is_whole && (in_query || secret.is_some());
        let mark = if in_query || in_value { '&' } else { '?' };
        let ends = |c: char| c == mark || is_separator(c) && !in_value;
        let (token, tail) = rest.split_before(ends);
        if token.is_empty() {
            // Nothing to hide, and it does not end a secret.
        } else if in_query {
            let parameter = query::parameter(token);
            match parameter.kind() {
                Kind::Unknown => {
                    // Before an @ it may be a password with a bare &.
                    let is_name = !parameter.value.is_empty() && rest.find('@').is_none();
                    let start = if is_name { parameter.value.at() } else { token.at() };
                    secret.get_or_insert(start);
                }
                kind => {
                    let ended = secret.take();
                    hidden.extend(ended.map(|start| start..token.at().saturating_sub(1)));
                    secret = secret_in(parameter.value, kind);
                }
            }
        } else if secret.is_none() && !is_plain_server(token) {
            secret = Some(suspect(token));
        }
        let Some(mark) = tail.text().chars().next() else {
            break;
        };
        in_query = matches!(mark, '?' | '&');
        rest = tail.after(mark.len_utf8());
    }
    hidden.extend(secret.map(|start| start..text.end()));
}

/// Where a secret starts in the value of a known parameter.
fn secret_in(value: Span<'_>, kind: Kind) -> Option<usize> {
    if kind == Kind::Secret || value.find('@').is_some() {
        return Some(value.at());
    }
    // Behind a comma for a `&` another parameter follows.
    let next = value.after(value.find(is_separator)?);
    next.find('=').map(|_| next.at())
}

fn is_plain_server(token: Span<'_>) -> bool {
    let (scheme, body) = split_scheme(token);
    let unix = scheme.is_none_or(|scheme| scheme.text().eq_ignore_ascii_case("unix"));
    let is_path = unix && body.text().starts_with('/') && body.find('@').is_none();
    is_path || site(token, Form::Tcp).is_ok()
}
