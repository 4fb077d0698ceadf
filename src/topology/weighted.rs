//! Servers that know nothing of each other, each with its share of the sessions.
//!
//! A server stays where its name leads: its errors are final. But the name may
//! lead to another server by now; one that answers that it is not to be used is
//! looked up again, and asked once more.

use std::sync::Arc;
use std::time::Duration;

use super::contract::{ReadRouting, RetryDecision, SessionLocation, Shard, Topology};
use super::retry::{is_unsettled, is_wrong_server};
use crate::client::endpoint::{AttemptError, Endpoint};
use crate::client::login::Role;
use crate::client::pools::Pools;
use crate::config::save_path::Standalone;
use crate::config::server::Host;
use crate::error::Error;
use crate::key::{Keys, STANDALONE_PREFIX, Sid};

/// The servers in the order of the save path.
pub(super) struct Weighted {
    first: Arc<Endpoint>,
    others: Vec<Arc<Endpoint>>,
    /// The sum of all weights.
    total: u32,
}

impl Weighted {
    /// Connects to nothing.
    pub(super) fn new(path: &Standalone, pools: &Arc<Pools>) -> Self {
        let endpoint = |host: &Host| Arc::new(Endpoint::new(host.clone(), Role::Any, pools));
        Self {
            first: endpoint(&path.first),
            others: path.others.iter().map(endpoint).collect(),
            total: path.hosts().map(|host| host.weight).sum(),
        }
    }

    /// The number of the server that has the session `sid`, from 0.
    ///
    /// phpredis' rule, so that a mixed fleet agrees: the first four bytes of
    /// the id as a little-endian number, modulo the sum of the weights, and
    /// the servers own their shares of that range from the last to the first.
    /// A shorter id is padded with zeros.
    fn owner(&self, sid: &[u8]) -> usize {
        let mut head = [0; 4];
        for (to, from) in head.iter_mut().zip(sid) {
            *to = *from;
        }
        let mut position = u32::from_le_bytes(head).checked_rem(self.total).unwrap_or(0);
        for (index, server) in self.others.iter().enumerate().rev() {
            let weight = server.host().weight;
            if position < weight {
                return index + 1;
            }
            position -= weight;
        }
        0
    }

    /// The server of that number; the first where there is no such number.
    fn server(&self, number: usize) -> &Arc<Endpoint> {
        number.checked_sub(1).and_then(|index| self.others.get(index)).unwrap_or(&self.first)
    }

    fn server_of(&self, location: &SessionLocation) -> &Arc<Endpoint> {
        match location.shard {
            Shard::Server(number) => self.server(number),
            Shard::Primary | Shard::Slot(_) => &self.first, // `locate` makes none of these
        }
    }
}

impl Topology for Weighted {
    fn locate(&self, sid: Sid<'_>) -> Result<SessionLocation, Error> {
        let number = self.owner(sid.as_bytes());
        let prefix = self.server(number).host().prefix.as_deref().unwrap_or(STANDALONE_PREFIX);
        Ok(SessionLocation { keys: Arc::new(Keys::new(prefix, sid)), shard: Shard::Server(number) })
    }

    fn find_server(
        &self,
        location: &SessionLocation,
        _routing: ReadRouting,
    ) -> Result<Arc<Endpoint>, Error> {
        Ok(self.server_of(location).clone())
    }

    fn known_server(&self, location: &SessionLocation) -> Option<Arc<Endpoint>> {
        Some(self.server_of(location).clone())
    }

    fn decide(
        &self,
        _location: &SessionLocation,
        _routing: ReadRouting,
        _failed: &Arc<Endpoint>,
        error: &AttemptError,
    ) -> RetryDecision {
        if is_wrong_server(error) {
            RetryDecision::Renamed
        } else if is_unsettled(error) {
            RetryDecision::Elsewhere { at_once: false }
        } else {
            RetryDecision::Nowhere
        }
    }

    fn is_changing(&self) -> bool {
        false
    }

    fn retry_interval(&self) -> Duration {
        Duration::ZERO
    }

    fn end_request(&self) {
        self.first.end_request();
        self.others.iter().for_each(|server| server.end_request());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::save_path::{SavePath, Topology};
    use crate::runtime::Runtime;

    fn weighted(text: &str) -> Weighted {
        let pools = Arc::new(Pools::new(Arc::new(Runtime::new(2))));
        match SavePath::parse(text).unwrap().save_path.topology() {
            Topology::Standalone(standalone) => Weighted::new(standalone, &pools),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn hosts_own_their_shares_from_the_last_to_the_first() {
        let servers = weighted("h0?weight=1,h1?weight=2");
        let owner = |sid: &[u8]| servers.owner(sid);
        assert_eq!([owner(b""), owner(b"\x01"), owner(b"\x02"), owner(b"\x03")], [1, 1, 0, 1]);
        // 0x61626364 little-endian is 1684234849 = 3 * 561411616 + 1.
        assert_eq!(owner(b"abcd-the-rest-does-not-count"), 1);
        // 0x00000100 is 256 = 3 * 85 + 1, 0x00000200 is 512 = 3 * 170 + 2.
        assert_eq!([owner(b"\0\x01"), owner(b"\0\x02")], [1, 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        #[test]
        fn the_host_is_the_one_of_a_plain_count(
            weights in prop::collection::vec(1..5_u32, 1..6),
            sid in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let list = weights.iter().enumerate().map(|(i, weight)| format!("h{i}?weight={weight}"));
            let list: Vec<_> = list.collect();
            // Each host as often as it weighs, the last one first.
            let mut owners = Vec::new();
            for (index, weight) in weights.iter().enumerate().rev() {
                owners.extend((0..*weight).map(|_| index));
            }
            let head = (0..4).map(|i| u64::from(sid.get(i).copied().unwrap_or(0)) << (8 * i));
            let pos = head.sum::<u64>() % owners.len() as u64;
            let (servers, number) = (weighted(&list.join(",")), owners[pos as usize]);
            prop_assert_eq!(servers.owner(&sid), number);
            // The server of that number is the one that is written in that place.
            let address = servers.server(number).host().address.to_string();
            prop_assert!(address.starts_with(&format!("h{number}:")), "{}", address);
        }
    }
}
