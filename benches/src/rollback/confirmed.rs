//! How many bytes a packet of confirmed ticks takes.

use gs_engine::confirmed::{ConfirmedEncoder, ConfirmedTick, HASH_EVERY, view_tick};
use gs_engine::manifest::{Field, FieldKind, Manifest};
use gs_engine::schema::Schema;
use gs_engine::simulation::{InputStatus, SlotInput, TickLog};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Map, json};

/// Adds bytes a packet, and so a tick, for each number of players and of ticks in a packet.
pub(super) fn measure(
    manifest: &Manifest,
    metrics: &mut Map<String, serde_json::Value>,
    lines: &mut Vec<String>,
) -> anyhow::Result<()> {
    let schema = Schema::new(&Manifest {
        input: fields(),
        ..manifest.clone()
    })?;
    for players in [2, 8, 16] {
        let ticks = play(players);
        let mut line = format!("{players:3} players on sticks, bytes a packet of confirmed ticks:");
        for repeated in [1, 8, 16] {
            let (mut encoder, mut packet) = (ConfirmedEncoder::default(), Vec::new());
            let mut bytes = 0;
            for last in repeated..=ticks.len() {
                let ticks = ticks[last - repeated..last].iter();
                encoder.encode(&schema, ticks, usize::MAX, &mut packet)?;
                bytes += packet.len();
            }
            let mean = bytes as f64 / (ticks.len() - repeated + 1) as f64;
            line.push_str(&format!("  {mean:.1} for {repeated}"));
            let key = format!("confirmed_{players}_players_{repeated}_ticks_bytes");
            metrics.insert(key, json!(super::tenths(mean)));
        }
        lines.push(line);
    }
    Ok(())
}

/// Two axes and eight buttons.
fn fields() -> Vec<Field> {
    let axis = FieldKind::I8 {
        min: -127,
        max: 127,
    };
    let buttons = FieldKind::U8 { min: 0, max: 255 };
    [("x", axis), ("y", axis), ("buttons", buttons)]
        .map(|(name, kind)| Field {
            name: name.into(),
            kind,
        })
        .into()
}

/// A minute in which each player moves a stick to another place about twice a second, in some eight
/// ticks, with a hand that is not quite steady meanwhile, and presses or lets go of a button about
/// as often. One input in a hundred never arrived.
fn play(players: usize) -> Vec<ConfirmedTick> {
    let mut random = StdRng::seed_from_u64(1);
    let mut sticks = vec![([0.0_f32; 2], [0.0_f32; 2], 0_u8); players];
    let mut last = vec![vec![0; 3]; players];
    let mut ticks = Vec::new();
    for tick in 1..=3_600 {
        let mut log = TickLog {
            tick,
            ..TickLog::default()
        };
        for ((at, to, buttons), last) in sticks.iter_mut().zip(&mut last) {
            if random.random_bool(1.0 / 30.0) {
                let angle: f32 = random.random_range(0.0..std::f32::consts::TAU);
                let far = if random.random_bool(0.3) { 0.0 } else { 1.0 };
                *to = [far * angle.cos(), far * angle.sin()];
            }
            if random.random_bool(1.0 / 30.0) {
                *buttons ^= 1 << random.random_range(0..4);
            }
            for (at, to) in at.iter_mut().zip(&*to) {
                *at += (to - *at) * 0.35;
                if (*at - to).abs() < 0.02 {
                    *at = *to;
                }
            }
            let fresh = !random.random_bool(0.01);
            if fresh {
                let axis = |value: f32| (value * 127.0) as i8 as u8;
                *last = vec![axis(at[0]), axis(at[1]), *buttons];
            }
            log.inputs.push(SlotInput {
                status: match fresh {
                    true => InputStatus::Fresh,
                    false => InputStatus::Repeated,
                },
                view_tick: view_tick(tick),
                data: last.clone(),
            });
        }
        let hash = tick.is_multiple_of(HASH_EVERY).then(|| random.random());
        ticks.push(ConfirmedTick { log, hash });
    }
    ticks
}
