//! What is done with a session is the same wherever it is kept: each operation
//! of the store and of the lock, on every kind of save path.
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use crate::support::cluster::{Cluster, ClusterOptions};
use crate::support::locking::scene::{
    LEASE, SECOND, acquisition, inside, joining, received, storing, ttl, wait_at,
};
use crate::support::sentinel::{Sentinel, SentinelOptions};
use crate::support::servers::{ClientCert, Options, RedisServer};
use redis::RedisResult;
use redis_session::client::connection_like::ConnectionLike;
use redis_session::key::{Keys, Sid};
use redis_session::lock::acquire::Acquired;
use redis_session::lock::scripts::{
    AcquireReply, Existence, LockedOutcome, ReceivedBaton, Scripts, WaiterState,
};
use redis_session::lock::token::Token;
use redis_session::registry::locks_of;
use redis_session::session::store::{Left, Store};
use redis_session::topology::{Backend, ReadRouting, SessionLocation};
use servers::certs::Certs;

/// So many that each host of a list and each node of a cluster has some.
const SESSIONS: u8 = 24;
const LARGE: usize = 300_000;

/// One session somewhere.
struct Session {
    backend: Arc<Backend>,
    location: SessionLocation,
}

impl Session {
    fn run<T>(&self, exchange: impl Fn(&mut dyn ConnectionLike, &Keys) -> RedisResult<T>) -> T {
        let run = |connection: &mut dyn ConnectionLike| exchange(connection, &self.location.keys);
        self.backend.run(&self.location, ReadRouting::Primary, Duration::ZERO, run).unwrap()
    }

    fn get(&self) -> Option<Vec<u8>> {
        self.run(|connection, keys| Store(connection).get(&keys.session))
    }

    fn acquire(&self, token: &Token, wanted: Existence, waiter: WaiterState<'_>) -> AcquireReply {
        self.run(|connection, keys| {
            Scripts(connection).acquire(keys, token, LEASE, Some(ttl()), wanted, waiter)
        })
    }

    fn write(&self, token: &Token, keep: bool, data: &[u8]) -> LockedOutcome {
        self.run(|connection, keys| Scripts(connection).write(keys, token, storing(keep), data))
    }

    fn unlocked(&self) {
        assert_eq!(self.get(), None);
        assert!(!self.run(|connection, keys| Store(connection).touch(&keys.session, ttl())));
        for data in [&b"a|i:1;"[..], b"", &vec![b'x'; LARGE]] {
            self.run(|connection, keys| Store(connection).set(&keys.session, data, ttl()));
            assert_eq!(self.get().as_deref(), Some(data));
        }
        assert!(self.run(|connection, keys| Store(connection).touch(&keys.session, ttl())));
        let read =
            self.run(|connection, keys| Store(connection).get_and_touch(&keys.session, ttl()));
        assert_eq!(read.map(|data| data.len()), Some(LARGE));
        let look = || self.run(|connection, keys| Store(connection).get_and_look(&keys.session));
        let replace = |data: &[u8]| {
            self.run(|connection, keys| Store(connection).replace(&keys.session, data, ttl()))
        };
        assert_eq!(replace(b"b|i:1;"), LockedOutcome::Done);
        let (data, left) = look();
        assert_eq!(data.as_deref(), Some(&b"b|i:1;"[..]));
        assert!(matches!(left, Left::Time(left) if left > ttl().short()), "{left:?}");
        for _ in 0..2 {
            self.run(|connection, keys| Store(connection).delete(&keys.session));
            assert_eq!(self.get(), None);
        }
        assert_eq!(replace(b"c|i:1;"), LockedOutcome::Gone);
        assert_eq!(look(), (None, Left::Endless));
    }

    fn locked(&self) {
        let [ours, other] = [(); 2].map(|()| Token::new("").unwrap());
        let no = WaiterState::NotWaiting;
        assert_eq!(self.acquire(&ours, Existence::Known, no), AcquireReply::ExistenceMismatch);
        assert_eq!(self.acquire(&ours, Existence::Unused, no), AcquireReply::Acquired(None));
        assert_eq!(
            self.acquire(&ours, Existence::Any, no),
            AcquireReply::Acquired(None),
            "asked again"
        );
        let busy = self.acquire(&other, Existence::Any, no);
        let is_ours = |reply: &AcquireReply| matches!(reply, AcquireReply::Busy { holder, .. } if holder == ours.as_bytes());
        assert!(is_ours(&busy), "{busy:?}");
        let large = vec![b'y'; LARGE];
        assert_eq!(self.write(&ours, true, b"small"), LockedOutcome::Done);
        assert_eq!(self.write(&ours, true, &large), LockedOutcome::Done);
        assert_eq!(self.write(&other, true, b"lost"), LockedOutcome::Lost);
        assert_eq!(self.write(&other, true, &vec![b'z'; LARGE]), LockedOutcome::Lost);
        let touch = |token| {
            self.run(|connection, keys| Scripts(connection).touch(keys, token, Some(ttl()), true))
        };
        assert_eq!((touch(&ours), touch(&other)), (LockedOutcome::Done, LockedOutcome::Lost));
        let renew = |token| {
            self.run(|connection, keys| Scripts(connection).renew(keys, token, Some(LEASE), ttl()))
        };
        assert_eq!((renew(&ours), renew(&other)), (LockedOutcome::Done, LockedOutcome::Lost));
        let peek = || {
            self.run(|connection, keys| {
                Scripts(connection).peek(keys, &other, None, Existence::Any, no, b"")
            })
        };
        assert!(is_ours(&peek()));
        let release = |token| self.run(|connection, keys| Scripts(connection).release(keys, token));
        assert_eq!((release(&other), release(&ours)), (LockedOutcome::Lost, LockedOutcome::Done));
        assert_eq!(peek(), AcquireReply::Acquired(Some(large.clone())));
        let reclaim = |before: Option<&[u8]>| {
            self.run(|connection, keys| Scripts(connection).reclaim(keys, &ours, LEASE, before))
        };
        assert_eq!(
            (reclaim(None), reclaim(Some(b"y"))),
            (LockedOutcome::Lost, LockedOutcome::Lost)
        );
        assert_eq!(
            (reclaim(Some(&large)), reclaim(Some(&large))),
            (LockedOutcome::Done, LockedOutcome::Lost)
        );
        self.run(|connection, keys| Scripts(connection).destroy(keys, &ours));
        assert_eq!(self.get(), None);
        assert_eq!(
            self.acquire(&other, Existence::Known, no),
            AcquireReply::ExistenceMismatch,
            "and it is free"
        );
    }

    /// The lock goes from hand to hand, by a request that waits for it and by
    /// the parts that such a request is made of.
    fn handed_over(&self) {
        let [first, second] = [(); 2].map(|()| Token::new("").unwrap());
        assert_eq!(
            self.acquire(&first, Existence::Any, WaiterState::NotWaiting),
            AcquireReply::Acquired(None)
        );
        let busy = self.acquire(&second, Existence::Any, joining());
        let AcquireReply::Busy { ticket: Some(ticket), .. } = busy else { panic!("{busy:?}") };
        let command: [&[u8]; 3] = [b"BLPOP", &self.location.keys.baton, b"60"];
        let mut wait = self.backend.send(&self.location, Duration::ZERO, &command).unwrap();
        assert_eq!(self.write(&first, false, b"handed over"), LockedOutcome::Done);
        let baton = received(&mut wait).unwrap();
        let claim = |token| {
            self.run(|connection, keys| {
                let waiter = inside(&ticket);
                Scripts(connection).claim(
                    keys,
                    token,
                    LEASE,
                    None,
                    Existence::Any,
                    ReceivedBaton { waiter, baton: &baton },
                )
            })
        };
        for _answer in ["first", "where that was lost"] {
            assert_eq!(claim(&second), AcquireReply::Acquired(Some(b"handed over".to_vec())));
        }
        assert!(matches!(claim(&first), AcquireReply::Busy { .. }), "a baton is good for once");
        self.run(|connection, keys| Scripts(connection).leave(keys, &ticket));
        std::thread::scope(|scope| {
            let mut acquisition = acquisition(self.location.clone(), Existence::Any);
            let third = scope.spawn(move || wait_at(&self.backend, &mut acquisition, 20 * SECOND));
            assert_eq!(self.write(&second, false, b"twice"), LockedOutcome::Done);
            let (outcome, _) = third.join().unwrap();
            let is_ours = matches!(&outcome, Ok(Acquired::Session(Some(data))) if data == b"twice");
            assert!(is_ours, "{outcome:?}");
        });
        self.run(|connection, keys| Store(connection).delete(&keys.session));
        self.run(|connection, keys| Store(connection).delete(&keys.lock));
    }
}

#[track_caller]
fn conforms(save_path: &str) {
    let (locks, warnings) = locks_of(save_path).unwrap();
    let backend = &locks.backend;
    assert_eq!(warnings, [""; 0]);
    for number in 0..SESSIONS {
        // The first bytes choose a host, all of them a slot.
        let bytes = [b'a' + number, b'1', b'2', b'3'];
        let location = backend.location(Sid::new(&bytes).unwrap()).unwrap();
        let session = Session { location, backend: backend.clone() };
        session.unlocked();
        session.locked();
        session.handed_over();
    }
}

const USER: &str = "sessions on >p@ss~w ~* &* +@all";
const LOGIN: &str = "auth[]=sessions&auth[]=p%40ss~w";

fn cafile(certs: &Certs) -> String {
    format!("stream[cafile]={}", certs.ca.display())
}

#[test]
fn one_server_conforms_by_its_port_its_socket_and_with_tls() {
    let tls = Some(ClientCert::Optional);
    let users = vec![USER.to_owned()];
    let requirepass = Some("only-default".to_owned());
    let server = RedisServer::start(Options { tls, users, requirepass, ..Default::default() });
    conforms(&format!("tcp://{}?{LOGIN}", server.addr()));
    conforms(&format!("unix://{}?{LOGIN}", server.socket().display()));
    let cafile = cafile(server.certs());
    conforms(&format!("tls://127.0.0.1:{}?database=2&{LOGIN}&{cafile}", server.tls_port()));
    assert_eq!(server.keys(), [""; 0], "nothing is left behind");
}

#[test]
fn several_servers_with_weights_conform() {
    let [one, two] = [(); 2].map(|()| RedisServer::start(Options::default()));
    conforms(&format!("tcp://{}?weight=1, tcp://{}?weight=2", one.addr(), two.addr()));
    assert_eq!([one.keys(), two.keys()], [[""; 0]; 2]);
}

#[test]
fn a_service_with_sentinels_conforms_with_and_without_tls() {
    let service = Sentinel::start(SentinelOptions::default());
    conforms(&service.save_path("", ""));
    let users = vec![USER.to_owned()];
    let requirepass = Some("only-default".to_owned());
    let sentinel_password = Some("watch".to_owned());
    let secure =
        SentinelOptions { tls: true, users, requirepass, sentinel_password, ..Default::default() };
    let service = Sentinel::start(secure);
    let query = format!("sentinel_auth=watch&{LOGIN}&{}", cafile(service.certs()));
    conforms(&service.save_path("", &query));
    assert_eq!(service.server(service.primary()).keys(), [""; 0]);
}

#[test]
fn a_cluster_conforms_with_and_without_tls() {
    let cluster = Cluster::replicated();
    conforms(&format!("redis-cluster://{},{}", cluster.node(0).addr(), cluster.node(1).addr()));
    let users = vec![USER.to_owned()];
    let requirepass = Some("only-default".to_owned());
    let cluster = Cluster::start(ClusterOptions {
        replicas: 1,
        tls: true,
        users,
        requirepass,
        ..Default::default()
    });
    let [one, two] = [0, 1].map(|node| cluster.node(node).tls_port());
    let query = format!("{LOGIN}&{}", cafile(cluster.certs()));
    conforms(&format!("rediss-cluster://127.0.0.1:{one},127.0.0.1:{two}?{query}"));
    assert!(cluster.nodes().iter().all(|node| node.keys().is_empty()));
}
