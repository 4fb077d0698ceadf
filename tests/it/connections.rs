//! The connections of a process, with locking off: kept, replaced and given
//! up. What one visitor's request could not read, no other's may ever get.
//!
//! - `replaced`: kept while they work, and replaced when they do not
//! - `timeouts`: servers that do not answer, or not in time
//! - `wrong_replies`: replies that are not, or not only, the one asked for
//! - `shared`: which save paths share a connection, how many are kept, how long
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod replaced;
mod shared;
mod timeouts;
mod wrong_replies;

use std::time::Duration;

use crate::support::proxy::RecordingProxy;
use crate::support::servers::{Options, RedisServer};
use crate::support::site::{Site, Visit, php};

const READ_TIMEOUT: Duration = Duration::from_millis(400);

/// Stopped in this order.
struct Fixture {
    site: Site,
    proxy: RecordingProxy,
    server: RedisServer,
}

/// A site behind a proxy, which has stored "data of NAME" for alice and bob.
fn site() -> Fixture {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let timeout = READ_TIMEOUT.as_secs_f64();
    let save_path = format!("tcp://{}?read_timeout={timeout}", proxy.addr());
    let fixture = Fixture { site: Site::start(&php(&save_path)), proxy, server };
    for name in ["alice", "bob"] {
        fixture.site.visit(name, &format!("session_start(); $_SESSION = ['of' => '{name}'];")).ok();
    }
    assert_eq!(fixture.proxy.connections(), 1);
    fixture
}

/// Shows what `session_start()` said and whose data are there.
const READ: &str =
    "echo var_export(session_start(), true), ' of ', $_SESSION['of'] ?? 'nobody', '.';";

impl Fixture {
    fn read(&self, sid: &str) -> Visit {
        self.site.visit(sid, READ)
    }

    /// Both visitors get their own data, without a word.
    #[track_caller]
    fn assert_in_order(&self) {
        for name in ["bob", "alice", "bob"] {
            assert_eq!(self.read(name).ok(), format!("true of {name}."));
        }
    }

    fn close_all_connections(&self) {
        redis::cmd("CLIENT")
            .arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])
            .exec(&mut self.server.client())
            .unwrap();
        self.site.await_close(self.proxy.port());
    }

    fn stored(&self, sid: &str) -> String {
        let key = format!("PHPREDIS_SESSION:{sid}");
        redis::cmd("GET").arg(key).query(&mut self.server.client()).unwrap()
    }
}
