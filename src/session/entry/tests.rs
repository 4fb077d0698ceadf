use super::*;

fn id(text: &str) -> Sid<'_> {
    Sid::new(text.as_bytes()).unwrap()
}

fn data(text: &str) -> Option<Vec<u8>> {
    Some(text.as_bytes().to_vec())
}

/// A session that was read as `data`, by a PHP that writes unchanged ones too.
fn read(data: Option<Vec<u8>>) -> Entry {
    let mut entry = Entry::new(id("a"));
    entry.park(data.map(Data::plain));
    entry.hand_over(true, false);
    entry
}

#[test]
fn what_the_check_of_one_id_has_found_is_for_the_read_of_that_id_alone() {
    let mut sessions = Entries::default();
    sessions.update(id("a"), |entry| entry.read_ahead(Err(Error::Interrupted)));
    sessions.update(id("b"), |entry| entry.read_ahead(Ok(data("b"))));
    assert!(sessions.begin_read(id("c")).is_none());
    assert!(matches!(sessions.begin_read(id("b")), Some(Ok(Some(found))) if found == b"b"));
    assert!(matches!(sessions.begin_read(id("a")), Some(Err(Error::Interrupted))));
    assert!(sessions.begin_read(id("a")).is_none(), "it is given away once");
}

#[test]
fn data_that_php_did_not_take_are_gone_with_the_next_read() {
    let mut sessions = Entries::default();
    sessions.begin_read(id("a"));
    sessions.update(id("a"), |entry| entry.park(data("a").map(Data::plain)));
    assert_eq!(sessions.parked(), Some(&b"a"[..]));
    sessions.begin_read(id("b"));
    assert_eq!(sessions.parked(), None);
    assert!(sessions.get(id("a")).is_some_and(Entry::is_being_read), "it must not be written");
}

#[test]
fn a_session_that_was_not_there_may_be_created_and_one_that_was_may_not() {
    assert_eq!(read(None).existed(), Some(false));
    let mut entry = read(data("a"));
    assert_eq!(entry.existed(), Some(true));
    assert!(entry.is_unchanged(b"a") && !entry.is_unchanged(b"b"));
    entry.store();
    assert_eq!(entry.existed(), Some(true));
    assert!(!entry.is_unchanged(b"a"), "what was stored since is not known");
    let mut sessions = Entries::default();
    sessions.begin_read(id("a"));
    assert_eq!(sessions.get(id("a")).and_then(Entry::existed), None);
}

#[test]
fn a_request_that_was_denied_to_write_has_nothing_to_release() {
    let mut entry = read(data("a"));
    entry.deny();
    assert_eq!(entry.denial(), Some(Denial::Missed));
    entry.inherit();
    assert_eq!(entry.denial(), Some(Denial::Missed), "there was no lock to inherit");
    assert!(entry.give_up().is_none());
}

#[test]
fn a_compressed_session_is_told_by_what_php_got_and_reclaimed_by_what_is_stored() {
    let found = || {
        Some(Data {
            session: b"plain".to_vec(),
            stored: Some(b"stored".to_vec()),
            is_outdated: false,
        })
    };
    let mut unlocked = Entry::new(id("a"));
    unlocked.park(found());
    assert_eq!(unlocked.parked(), Some(&b"plain"[..]));
    unlocked.hand_over(true, true);
    assert!(unlocked.is_unchanged(b"plain") && !unlocked.is_unchanged(b"stored"));
    assert!(unlocked.take_snapshot().is_none(), "it has no lock to take again");
    let mut known = Entry::new(id("a"));
    known.reading =
        Reading::Known(Snapshot::Encoded { stored: b"stored".to_vec(), digest: digest(b"plain") });
    assert!(known.is_unchanged(b"plain") && !known.is_unchanged(b"stored"));
    assert_eq!(known.existed(), Some(true));
    assert_eq!(known.take_snapshot(), Some(data("stored")));
    assert!(known.is_unchanged(b"plain"), "that is known still");
    assert!(known.take_snapshot().is_none(), "it is given away once");
}
