//! Confirmed ticks on their way over the wire.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use gs_engine::Schema;
use gs_engine::confirmed::{
    ConfirmedDecoder, ConfirmedEncoder, ConfirmedTick, DecodeError, EncodeError, HASH_EVERY,
    MAX_TICK_BYTES, MAX_TICKS, view_tick,
};
use gs_engine::manifest::{FieldKind, Manifest};
use gs_engine::simulation::{Happening, HappeningKind, InputStatus, SlotInput, Tick, TickLog};
use proptest::prelude::*;
use support::{field, manifest, shout};

/// A manifest with an input field of every kind.
fn every_kind() -> Manifest {
    Manifest {
        max_players: 64,
        input: vec![
            field("fire", FieldKind::Bool),
            field("u8", FieldKind::U8 { min: 0, max: 200 }),
            field(
                "i8",
                FieldKind::I8 {
                    min: -127,
                    max: 127,
                },
            ),
            field(
                "u16",
                FieldKind::U16 {
                    min: 0,
                    max: 65_535,
                },
            ),
            field(
                "i16",
                FieldKind::I16 {
                    min: -300,
                    max: 300,
                },
            ),
            field(
                "u32",
                FieldKind::U32 {
                    min: 0,
                    max: u32::MAX,
                },
            ),
            field(
                "i32",
                FieldKind::I32 {
                    min: i32::MIN,
                    max: i32::MAX,
                },
            ),
            field(
                "f32",
                FieldKind::F32 {
                    min: -1e30,
                    max: 1e30,
                },
            ),
        ],
        ..manifest()
    }
}

const INPUT_LEN: usize = 1 + 1 + 1 + 2 + 2 + 4 + 4 + 4;

fn inputs() -> impl Strategy<Value = Vec<u8>> {
    (
        any::<bool>(),
        0..=200_u8,
        -127..=127_i8,
        any::<u16>(),
        -300..=300_i16,
        prop_oneof![Just(0), Just(u32::MAX), any::<u32>()],
        prop_oneof![Just(i32::MIN), Just(0), any::<i32>()],
        prop_oneof![
            Just(0.0),
            Just(-0.0),
            Just(1e-40),
            -1.0..1.0_f32,
            -1e30..1e30_f32
        ],
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| {
            let mut data = vec![u8::from(a), b, c as u8];
            data.extend_from_slice(&d.to_le_bytes());
            data.extend_from_slice(&e.to_le_bytes());
            data.extend_from_slice(&f.to_le_bytes());
            data.extend_from_slice(&g.to_le_bytes());
            data.extend_from_slice(&h.to_le_bytes());
            data
        })
}

fn slot_inputs() -> impl Strategy<Value = (u8, Option<Vec<u8>>)> {
    // The status, and a new input; most stay as they are.
    (
        0..3_u8,
        prop_oneof![3 => Just(None), 1 => inputs().prop_map(Some)],
    )
}

fn happenings() -> impl Strategy<Value = Vec<(u8, u8, String)>> {
    prop_oneof![
        4 => Just(Vec::new()),
        1 => prop::collection::vec((0..5_u8, 0..3_u8, "[a-z]{0,40}"), 1..4),
    ]
}

/// Ticks in a row for five slots.
fn ticks() -> impl Strategy<Value = Vec<ConfirmedTick>> {
    let tick = (
        prop::collection::vec(slot_inputs(), 5),
        happenings(),
        any::<Option<u64>>(),
    );
    (1..100_000_u32, prop::collection::vec(tick, 1..40)).prop_map(|(first, ticks)| {
        let mut last = vec![vec![0; INPUT_LEN]; 5];
        let mut built = Vec::new();
        for (index, (slots, happenings, hash)) in ticks.into_iter().enumerate() {
            let tick = first + index as u32;
            let mut log = TickLog {
                tick,
                ..TickLog::default()
            };
            for (slot, (status, data)) in slots.into_iter().enumerate() {
                if let Some(data) = data {
                    last[slot] = data;
                }
                log.inputs.push(input(tick, status, &last[slot]));
            }
            for (slot, kind, text) in happenings {
                let kind = match kind {
                    0 => HappeningKind::Join { team: slot },
                    1 => HappeningKind::Leave,
                    _ => HappeningKind::Command(shout(&text)),
                };
                log.happenings.push(Happening { slot, kind });
            }
            built.push(ConfirmedTick { log, hash });
        }
        built
    })
}

fn input(tick: Tick, status: u8, data: &[u8]) -> SlotInput {
    match status {
        0 => SlotInput::default(),
        status => SlotInput {
            status: if status == 1 {
                InputStatus::Repeated
            } else {
                InputStatus::Fresh
            },
            view_tick: view_tick(tick),
            data: data.to_vec(),
        },
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(ticks in ticks(), max_bytes in 300..2_000_usize) {
        let schema = Schema::new(&every_kind()).unwrap();
        let (mut encoder, mut decoder) = (ConfirmedEncoder::default(), ConfirmedDecoder::default());
        let mut data = Vec::new();
        let mut left = &ticks[..];
        while let Some(first) = left.first() {
            let count = encoder.encode(&schema, left.iter(), max_bytes, &mut data).unwrap();
            prop_assert!(count > 0 && data.len() <= max_bytes);
            let read = decoder.decode(&schema, 5, first.log.tick, &data).unwrap();
            prop_assert_eq!(read, &left[..count]);
            left = &left[count..];
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        data in prop::collection::vec(any::<u8>(), 0..600), slots in 0..64_u8, first: Tick,
    ) {
        let schema = Schema::new(&every_kind()).unwrap();
        let mut decoder = ConfirmedDecoder::default();
        if let Ok(ticks) = decoder.decode(&schema, slots, first, &data) {
            for tick in ticks {
                for input in &tick.log.inputs {
                    if input.status != InputStatus::Absent {
                        schema.validate_input(&input.data).unwrap();
                    }
                }
            }
        }
    }

    #[test]
    fn a_packet_that_was_changed_never_breaks_the_schema(
        ticks in ticks(), at: prop::sample::Index, bit in 0..8_u8, cut: prop::sample::Index,
    ) {
        let schema = Schema::new(&every_kind()).unwrap();
        let mut data = Vec::new();
        ConfirmedEncoder::default().encode(&schema, ticks.iter(), 60_000, &mut data).unwrap();
        let at = at.index(data.len());
        data[at] ^= 1 << bit;
        data.truncate(cut.index(2 * data.len()).max(1));
        let mut decoder = ConfirmedDecoder::default();
        if let Ok(read) = decoder.decode(&schema, 5, 1, &data) {
            for input in read.iter().flat_map(|tick| &tick.log.inputs) {
                prop_assert!(input.data.is_empty() || schema.validate_input(&input.data).is_ok());
            }
        }
    }
}

fn quiet(slots: usize, count: u32, data: &[u8]) -> Vec<ConfirmedTick> {
    let tick = |tick| ConfirmedTick {
        log: TickLog {
            tick,
            happenings: Vec::new(),
            inputs: (0..slots).map(|_| input(tick, 2, data)).collect(),
        },
        hash: tick
            .is_multiple_of(HASH_EVERY)
            .then_some(u64::from(tick) << 40),
    };
    (1..=count).map(tick).collect()
}

#[test]
fn what_stands_still_costs_almost_nothing() {
    let schema = Schema::new(&every_kind()).unwrap();
    let mut encoder = ConfirmedEncoder::default();
    let mut data = Vec::new();
    let ticks = quiet(16, 16, &[0; INPUT_LEN]);
    assert_eq!(
        encoder.encode(&schema, ticks.iter(), 1_000, &mut data),
        Ok(16)
    );
    assert!(
        data.len() <= 4,
        "16 ticks of 16 players at rest take {} bytes",
        data.len()
    );
    let ticks = quiet(16, 29, &[1; INPUT_LEN]);
    let one = encoder
        .encode(&schema, ticks[..1].iter(), 1_000, &mut data)
        .map(|_| data.len());
    encoder
        .encode(&schema, ticks.iter(), 1_000, &mut data)
        .unwrap();
    assert!(
        data.len() <= one.unwrap() + 2,
        "28 more ticks take {} bytes",
        data.len()
    );
}

#[test]
fn a_packet_holds_a_bounded_number_of_ticks() {
    let schema = Schema::new(&every_kind()).unwrap();
    let ticks = quiet(3, 200, &[0; INPUT_LEN]);
    let mut data = Vec::new();
    let written = ConfirmedEncoder::default().encode(&schema, ticks.iter(), 1_000, &mut data);
    assert_eq!(written, Ok(MAX_TICKS));
    let mut decoder = ConfirmedDecoder::default();
    assert_eq!(
        decoder.decode(&schema, 3, 1, &data).unwrap(),
        &ticks[..MAX_TICKS]
    );
    let late = Tick::MAX - 3;
    assert!(matches!(
        decoder.decode(&schema, 3, late, &data),
        Err(DecodeError::FirstTick { .. })
    ));
    assert_eq!(decoder.decode(&schema, 3, 1, &[]), Err(DecodeError::Empty));
    data.extend_from_slice(&[1; 8]);
    let read = decoder.decode(&schema, 3, 1, &data).map(<[_]>::len);
    assert_eq!(read, Err(DecodeError::Trailing));
}

#[test]
fn the_worst_tick_still_fits() {
    let schema = Schema::new(&every_kind()).unwrap();
    let mut random = 1_u64;
    let mut noise = |n: usize| -> Vec<u8> {
        (0..n)
            .map(|_| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (random >> 57) as u8
            })
            .collect()
    };
    let mut tick = quiet(64, 1, &[0; INPUT_LEN]).remove(0);
    for input in &mut tick.log.inputs {
        input.data[3..19].copy_from_slice(&noise(16));
        input.data[6] = 0;
        input.data[18] &= 63;
        input.data[5] &= 63;
    }
    // As much as a pipeline lets into one tick.
    let room = MAX_TICK_BYTES - 24 - 64 * (1 + INPUT_LEN);
    for slot in 0..4 {
        let mut data = shout(&"x".repeat(room / 4 - 7));
        data[3..].copy_from_slice(&noise(room / 4 - 7));
        let kind = HappeningKind::Command(data);
        tick.log.happenings.push(Happening { slot, kind });
    }
    tick.hash = Some(u64::MAX);
    let ticks = [tick];
    let mut data = Vec::new();
    let mut encoder = ConfirmedEncoder::default();
    let written = encoder.encode(&schema, ticks.iter(), MAX_TICK_BYTES, &mut data);
    assert_eq!(written, Ok(1));
    assert!(data.len() <= MAX_TICK_BYTES);
    let mut decoder = ConfirmedDecoder::default();
    assert_eq!(decoder.decode(&schema, 64, 1, &data).unwrap(), ticks);
    let too_few = encoder.encode(&schema, ticks.iter(), 1_000, &mut data);
    assert_eq!(
        too_few,
        Err(EncodeError::TooLarge {
            tick: 1,
            max: 1_000
        })
    );
}

#[test]
fn a_few_bytes_that_stand_for_many_are_not_read_on() {
    let schema = Schema::new(&every_kind()).unwrap();
    let mut tick = quiet(2, 1, &[0; INPUT_LEN]).remove(0);
    let data = shout(&"a".repeat(250));
    tick.log.happenings = (0..1_000)
        .map(|_| Happening {
            slot: 0,
            kind: HappeningKind::Command(data.clone()),
        })
        .collect();
    let mut bytes = Vec::new();
    let written = ConfirmedEncoder::default().encode(
        &schema,
        std::iter::once(&tick),
        MAX_TICK_BYTES,
        &mut bytes,
    );
    assert_eq!(written, Ok(1));
    assert!(bytes.len() < 2_000, "{} bytes", bytes.len());
    assert_eq!(
        ConfirmedDecoder::default().decode(&schema, 2, 1, &bytes),
        Err(DecodeError::Happenings { tick: 1 })
    );
}

#[test]
fn what_no_pipeline_confirms_is_not_written() {
    let schema = Schema::new(&every_kind()).unwrap();
    let mut encoder = ConfirmedEncoder::default();
    let mut data = Vec::new();
    let mut encode =
        |ticks: &[ConfirmedTick]| encoder.encode(&schema, ticks.iter(), 1_000, &mut data);
    assert_eq!(encode(&[]), Ok(0));
    let good = quiet(2, 3, &[0; INPUT_LEN]);
    let gap = [good[0].clone(), good[2].clone()];
    assert_eq!(
        encode(&gap),
        Err(EncodeError::Order {
            found: 3,
            expected: 2
        })
    );
    let log = Err(EncodeError::Log { tick: 1 });
    let mut bad = good.clone();
    bad[0].log.inputs[1].data.pop();
    assert_eq!(encode(&bad), log);
    bad = good.clone();
    bad[0].log.inputs[1].view_tick = 3;
    assert_eq!(encode(&bad), log);
    bad = good;
    bad[1].log.inputs.pop();
    assert_eq!(encode(&bad), Err(EncodeError::Log { tick: 2 }));
}
