//! The calls of the save handler that a fault strikes.

/// A call of the save handler: what runs before the fault is there, and the
/// call that it strikes.
pub(super) struct Call {
    pub(super) name: &'static str,
    before: &'static str,
    code: &'static str,
    strict: bool,
    /// What is stored then, if it is something else.
    pub(super) done: Option<Stored>,
    /// Whether it makes a difference only with a lock.
    pub(super) locked_only: bool,
    /// Another request holds the lock: the fault strikes when that one has
    /// released it, and BLPOP has said that it is our turn.
    pub(super) in_turn: bool,
}

/// What Redis has of alice's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// As it was.
    Before,
    Written,
    Touched,
    Removed,
    /// As it was, and its lock is released.
    Released,
}

const START: &str = "$ok = session_start(); $of = $_SESSION['of'] ?? 'nobody';";
const STARTED: &str = "session_start(); $of = $_SESSION['of'];";

pub(super) const CALLS: [Call; 10] = [
    call("read", "session_id('alice');", START, None),
    call("read, unknown id", "session_id('nobody');", START, None),
    Call { strict: true, ..call("validate_sid", "session_id('alice');", START, None) },
    call("create_sid", "session_id('');", START, None),
    call("write", "$_SESSION['n'] = 1;", "$ok = session_write_close();", Some(Stored::Written)),
    call("update_timestamp", "", "$ok = session_write_close();", Some(Stored::Touched)),
    call("destroy", "", "$ok = session_destroy();", Some(Stored::Removed)),
    call("regenerate", "", "$ok = session_regenerate_id(true);", Some(Stored::Removed)),
    Call { locked_only: true, ..call("close", "", "session_abort();", Some(Stored::Released)) },
    Call { locked_only: true, in_turn: true, ..call("claim", "session_id('alice');", START, None) },
];

pub(super) const fn call(
    name: &'static str,
    before: &'static str,
    code: &'static str,
    done: Option<Stored>,
) -> Call {
    Call { name, before, code, strict: false, done, locked_only: false, in_turn: false }
}

impl Call {
    pub(super) fn reads(&self) -> bool {
        self.done.is_none()
    }

    pub(super) fn script(&self, control: u16) -> String {
        let (strict, before, call) = (i32::from(self.strict), self.before, self.code);
        let begin =
            if self.reads() { String::new() } else { format!("session_id('alice'); {STARTED}") };
        let end = match (self.reads(), self.in_turn) {
            (true, false) => "session_abort();",
            // Refused to all but the holder of the lock.
            (true, true) => "if ($ok) { $_SESSION['n'] = 1; session_write_close(); }",
            (false, _) => "",
        };
        format!(
            "ini_set('session.use_strict_mode', {strict}); $ok = null; $of = '';
             function strike() {{ fgets(stream_socket_client('tcp://127.0.0.1:{control}')); }}
             {begin} {before} strike(); {call}
             echo var_export($ok, true), ' of ', $of, '.'; {end}"
        )
    }

    /// Whose data a read may show.
    pub(super) fn owner(&self) -> &'static str {
        if matches!(self.name, "read, unknown id" | "create_sid") { "nobody" } else { "alice" }
    }
}
