//! Range coding: what was written is read, any bytes can be read, and what is likely costs little.

use gs_engine::range_coder::{
    Bit, BitCoder, BitTree, Decoder, Encoder, FLUSH_BYTES, Signed, Unsigned,
};
use proptest::prelude::*;

/// Something to code, of each sort.
#[derive(Clone, Debug)]
enum Item {
    Bit(bool, u32),
    Adaptive(bool),
    Raw(u32, u32),
    Tree(u32),
    Unsigned(u32),
    Signed(i32),
}

#[derive(Default)]
struct Models {
    bit: Bit,
    tree: BitTree<16>,
    unsigned: Unsigned,
    signed: Signed,
}

impl Models {
    fn code(&mut self, coder: &mut impl BitCoder, item: &Item) -> u64 {
        match *item {
            Item::Bit(bit, p) => u64::from(coder.code(bit, p)),
            Item::Adaptive(bit) => u64::from(self.bit.code(coder, bit)),
            Item::Raw(value, bits) => u64::from(coder.code_raw(value, bits)),
            Item::Tree(symbol) => u64::from(self.tree.code(coder, symbol)),
            Item::Unsigned(value) => u64::from(self.unsigned.code(coder, value)),
            Item::Signed(value) => u64::from(self.signed.code(coder, value) as u32),
        }
    }
}

/// The same kind of item without its value, as a decoder knows it.
fn blank(item: &Item) -> Item {
    match *item {
        Item::Bit(_, p) => Item::Bit(false, p),
        Item::Adaptive(_) => Item::Adaptive(false),
        Item::Raw(_, bits) => Item::Raw(0, bits),
        Item::Tree(_) => Item::Tree(0),
        Item::Unsigned(_) => Item::Unsigned(0),
        Item::Signed(_) => Item::Signed(0),
    }
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let number = prop_oneof![0..20_u32, any::<u32>(), Just(u32::MAX)];
    let item = prop_oneof![
        (any::<bool>(), 0..70_000_u32).prop_map(|(bit, p)| Item::Bit(bit, p)),
        any::<bool>().prop_map(Item::Adaptive),
        (any::<u32>(), 0..=32_u32).prop_map(|(value, bits)| {
            Item::Raw((u64::from(value) & ((1 << bits) - 1)) as u32, bits)
        }),
        (0..16_u32).prop_map(Item::Tree),
        number.clone().prop_map(Item::Unsigned),
        number.prop_map(|n| Item::Signed((n >> 1) as i32 ^ -((n & 1) as i32))),
    ];
    prop::collection::vec(item, 0..300)
}

proptest! {
    #[test]
    fn what_was_written_is_read(items in items(), before in prop::collection::vec(any::<u8>(), 0..4)) {
        let mut bytes = before.clone();
        let (mut encoder, mut models) = (Encoder::new(&mut bytes), Models::default());
        let mut written = Vec::new();
        let mut bound = 0;
        for item in &items {
            written.push(models.code(&mut encoder, item));
            bound = encoder.len();
        }
        let len = encoder.finish();
        prop_assert!(items.is_empty() || (len <= bound && bound <= len + FLUSH_BYTES));
        prop_assert_eq!(&bytes[..before.len()], &before[..]);
        prop_assert_eq!(bytes.len(), before.len() + len);

        let (mut decoder, mut models) = (Decoder::new(&bytes[before.len()..]), Models::default());
        for (item, written) in items.iter().zip(written) {
            prop_assert_eq!(models.code(&mut decoder, &blank(item)), written);
        }
        prop_assert!(decoder.is_at_end());
    }

    #[test]
    fn any_bytes_can_be_read_for_ever(items in items(), bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let (mut decoder, mut models) = (Decoder::new(&bytes), Models::default());
        for item in &items {
            models.code(&mut decoder, &blank(item));
        }
    }

    #[test]
    fn reading_far_past_the_end_shows(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut decoder = Decoder::new(&bytes);
        for _ in 0..bytes.len() + FLUSH_BYTES + 1 {
            decoder.code_raw(0, 8);
        }
        prop_assert!(decoder.is_past_end() && !decoder.is_at_end());
    }
}

#[test]
fn bytes_left_over_show() {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes);
    encoder.code_raw(0xabcd_ef01, 32);
    encoder.finish();
    bytes.extend_from_slice(&[0; FLUSH_BYTES + 1]);
    let mut decoder = Decoder::new(&bytes);
    assert_eq!(decoder.code_raw(0, 32), 0xabcd_ef01);
    assert!(!decoder.is_at_end() && !decoder.is_past_end());
}

#[test]
fn carries_run_through_bytes_of_ones() {
    // A long run of the likelier half's upper end, then of the lower: pending bytes are all 0xff.
    for ones in 0..64 {
        let bits = (0..200)
            .map(|n| n < ones || n % 7 == 0)
            .collect::<Vec<bool>>();
        let p = |n: usize| if n < 100 { 65_535 } else { 3 };
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes);
        for (n, bit) in bits.iter().enumerate() {
            encoder.code(*bit, p(n));
        }
        encoder.finish();
        let mut decoder = Decoder::new(&bytes);
        for (n, bit) in bits.iter().enumerate() {
            assert_eq!(decoder.code(false, p(n)), *bit);
        }
        assert!(decoder.is_at_end());
    }
}

#[test]
fn what_is_likely_costs_little() {
    let mut bytes = Vec::new();
    let (mut encoder, mut bit) = (Encoder::new(&mut bytes), Bit::default());
    for n in 0..10_000 {
        bit.code(&mut encoder, n % 1_000 == 999);
    }
    let len = encoder.finish();
    // The entropy is 14 bytes; the quick half of the model makes it a few times that.
    assert!(len < 60, "{len} bytes");
}

#[test]
fn nothing_costs_nothing() {
    let mut bytes = Vec::new();
    assert_eq!(Encoder::new(&mut bytes).finish(), 0);
    assert!(Decoder::new(&bytes).is_at_end());
}
