//! What can go wrong between a client and its server, on demand.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Bytes are counted per connection, from the moment the fault was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    None,
    /// A slow network: what the client sends reaches the server this much later.
    Delay(Duration),
    /// The server gets this many bytes, then both sides lose the connection.
    CutAfterRequestBytes(usize),
    /// The client gets this many bytes, then both sides lose the connection.
    /// With 0 it is cut when the reply is there: the command was carried out.
    CutAfterReplyBytes(usize),
    /// The client's connection is reset when it sends something; the server
    /// gets nothing of it.
    Reset,
    /// New connections are accepted, then reset.
    ResetOnAccept,
    /// Nothing passes either way, and neither side closes. What was held back passes
    /// when the fault is cleared.
    Stall,
    /// The client gets these bytes instead of each reply.
    GarbageReply(Vec<u8>),
    /// Each reply comes twice.
    DuplicateReply,
    /// The server carries the command out at once, its reply comes this much
    /// later.
    LateReply(Duration),
}

/// What to do with the bytes at hand.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    pub pass: Vec<u8>,
    pub then_cut: bool,
    /// With RST in place of FIN.
    pub by_reset: bool,
}

/// Counts one direction of one connection for the faults that cut.
#[derive(Default)]
pub struct Meter {
    generation: u64,
    passed: usize,
}

#[derive(Default)]
pub struct Faults {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    fault: Fault,
    /// The fault goes away with its first victim.
    once: bool,
    /// Grows with each `set`, so that old counts and stalls end.
    generation: u64,
    stopped: bool,
}

impl Default for State {
    fn default() -> Self {
        Self { fault: Fault::None, once: false, generation: 0, stopped: false }
    }
}

impl Faults {
    pub fn set(&self, fault: Fault, once: bool) {
        let mut state = self.lock();
        state.fault = fault;
        state.once = once;
        state.generation += 1;
        self.changed.notify_all();
    }

    /// Ends all holding and stalling for good.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    pub fn stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Whether a new connection is to be reset.
    pub fn on_accept(&self) -> bool {
        let (fault, generation) = self.current();
        let reset = fault == Fault::ResetOnAccept;
        if reset {
            self.spend(generation);
        }
        reset
    }

    /// Holds `bytes` of the client for as long as the fault says.
    pub fn on_request(&self, meter: &mut Meter, bytes: &[u8]) -> Verdict {
        let (fault, generation) = self.after_stall();
        match fault {
            Fault::Delay(duration) => {
                self.spend(generation);
                self.hold(duration);
                Verdict::pass(bytes)
            }
            Fault::CutAfterRequestBytes(limit) => self.cut(meter, generation, limit, bytes),
            Fault::Reset => {
                self.spend(generation);
                Verdict { pass: Vec::new(), then_cut: true, by_reset: true }
            }
            Fault::None
            | Fault::CutAfterReplyBytes(_)
            | Fault::ResetOnAccept
            | Fault::Stall
            | Fault::GarbageReply(_)
            | Fault::DuplicateReply
            | Fault::LateReply(_) => Verdict::pass(bytes),
        }
    }

    /// Holds `reply` for as long as the fault says.
    pub fn on_reply(&self, meter: &mut Meter, reply: &[u8]) -> Verdict {
        let (fault, generation) = self.after_stall();
        match fault {
            Fault::LateReply(duration) => {
                self.spend(generation);
                self.hold(duration);
                Verdict::pass(reply)
            }
            Fault::GarbageReply(garbage) => {
                self.spend(generation);
                Verdict::pass(&garbage)
            }
            Fault::DuplicateReply => {
                self.spend(generation);
                Verdict::pass(&[reply, reply].concat())
            }
            Fault::CutAfterReplyBytes(limit) => self.cut(meter, generation, limit, reply),
            Fault::None
            | Fault::Delay(_)
            | Fault::CutAfterRequestBytes(_)
            | Fault::Reset
            | Fault::ResetOnAccept
            | Fault::Stall => Verdict::pass(reply),
        }
    }

    fn cut(&self, meter: &mut Meter, generation: u64, limit: usize, bytes: &[u8]) -> Verdict {
        if meter.generation != generation {
            *meter = Meter { generation, passed: 0 };
        }
        let pass = bytes.len().min(limit - meter.passed);
        meter.passed += pass;
        let then_cut = meter.passed == limit;
        if then_cut {
            self.spend(generation);
        }
        Verdict { pass: bytes[..pass].to_vec(), then_cut, by_reset: false }
    }

    /// The fault that is set, once it is not (or no longer) a stall.
    fn after_stall(&self) -> (Fault, u64) {
        loop {
            let (fault, generation) = self.current();
            if fault != Fault::Stall {
                return (fault, generation);
            }
            self.spend(generation);
            let stalled = |state: &mut State| !state.stopped && state.generation == generation;
            drop(self.changed.wait_while(self.lock(), stalled).unwrap());
            if self.stopped() {
                return (Fault::None, generation);
            }
        }
    }

    fn hold(&self, duration: Duration) {
        let running = |state: &mut State| !state.stopped;
        let waited = self.changed.wait_timeout_while(self.lock(), duration, running);
        drop(waited.unwrap());
    }

    fn current(&self) -> (Fault, u64) {
        let state = self.lock();
        (state.fault.clone(), state.generation)
    }

    /// The fault has struck; if it was for once, no other connection is to see it.
    fn spend(&self, generation: u64) {
        let mut state = self.lock();
        if state.once && state.generation == generation {
            state.fault = Fault::None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Verdict {
    fn pass(bytes: &[u8]) -> Self {
        Self { pass: bytes.to_vec(), then_cut: false, by_reset: false }
    }
}
