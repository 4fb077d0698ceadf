//! Servers that know nothing of each other, each with its share of the sessions.

use crate::config::server::Host;

/// Which of `hosts` has the session `sid`.
///
/// phpredis' rule, so that a mixed fleet agrees: the first four bytes of
/// the id as a little-endian number, modulo the sum of the weights, and
/// the hosts own their shares of that range from the last to the first.
/// A shorter id is padded with zeros.
#[must_use]
pub fn host_index(hosts: &[Host], sid: &[u8]) -> usize {
    let mut head = [0; 4];
    for (to, from) in head.iter_mut().zip(sid) {
        *to = *from;
    }
    let total: u32 = hosts.iter().map(|host| host.weight).sum();
    let mut pos = u32::from_le_bytes(head).checked_rem(total).unwrap_or(0);
    for (index, host) in hosts.iter().enumerate().rev() {
        if pos < host.weight {
            return index;
        }
        pos -= host.weight;
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::save_path::{SavePath, Topology};

    fn hosts(text: &str) -> Vec<Host> {
        match SavePath::parse(text).unwrap().save_path.topology() {
            Topology::Standalone(standalone) => standalone.hosts().to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn hosts_own_their_shares_from_the_last_to_the_first() {
        let hosts = hosts("a?weight=1,b?weight=2");
        let owner = |sid: &[u8]| host_index(&hosts, sid);
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
            let list: Vec<_> = weights.iter().map(|weight| format!("h?weight={weight}")).collect();
            // Each host as often as it weighs, the last one first.
            let mut owners = Vec::new();
            for (index, weight) in weights.iter().enumerate().rev() {
                owners.extend((0..*weight).map(|_| index));
            }
            let head = (0..4).map(|i| u64::from(sid.get(i).copied().unwrap_or(0)) << (8 * i));
            let pos = head.sum::<u64>() % owners.len() as u64;
            prop_assert_eq!(host_index(&hosts(&list.join(",")), &sid), owners[pos as usize]);
        }
    }
}
