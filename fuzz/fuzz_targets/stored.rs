//! Any bytes as a stored session: read or refused, with memory for what PHP has
//! room for; and as a session to store, which is read as it was written.
#![no_main]

mod limited;

use libfuzzer_sys::fuzz_target;
use limited::Limited;
use redis_session::config::compression::{Codec, Compression};
use redis_session::session::codec::{decompress, encode};
use redis_session::session::stored_form::{Form, form};

/// What PHP has room for, in bytes.
const MOST: usize = 16 << 20;

/// Most bytes in use at a time, beside those of libzstd.
const LIMIT: usize = 64 << 20;

#[global_allocator]
static ALLOCATOR: Limited<LIMIT> = Limited::new();

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let codec = [Codec::Zstd, Codec::Lz4, Codec::Lzf][usize::from(choice) % 3];
    if let Ok(session) = decompress(data, codec, MOST) {
        assert!(session.len() <= MOST);
    }
    let compression = Compression { codec, level: i64::from(choice % 7), threshold: 0 };
    for wanted in [None, Some(&compression)] {
        let stored = encode(data, wanted);
        match form(&stored, wanted.map(|wanted| wanted.codec)) {
            Form::Plain => assert_eq!(&*stored, data),
            Form::Compressed(codec) => {
                assert_eq!(decompress(&stored, codec, MOST).unwrap(), data);
            }
            Form::Damaged(codec) => panic!("{codec}"),
        }
    }
});
