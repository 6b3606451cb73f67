use super::*;

const TICK: Tick = 30;

/// A hash as good as any here.
fn hash(state: &[u8]) -> u64 {
    state
        .iter()
        .fold(7, |hash, byte| hash.rotate_left(5) ^ u64::from(*byte))
}

fn chunks(state: &[u8], size: usize) -> Vec<KeyframeChunk> {
    let parts: Vec<&[u8]> = state.chunks(size).collect();
    let chunk = |(index, part): (usize, &&[u8])| KeyframeChunk {
        tick: TICK,
        index: index as u32,
        count: parts.len() as u32,
        total_bytes: state.len() as u32,
        hash: hash(state),
        data: part.to_vec(),
    };
    parts.iter().enumerate().map(chunk).collect()
}

fn state() -> Vec<u8> {
    (0..50_u8).collect()
}

#[test]
fn chunks_in_any_order_make_the_state() {
    let mut keyframes = Keyframes::default();
    let mut parts = chunks(&state(), 16);
    parts.reverse();
    let last = parts.pop().unwrap();
    for part in parts {
        assert_eq!(keyframes.handle(part.clone(), 50, hash), Ok(None));
        assert_eq!(keyframes.handle(part, 50, hash), Err(Unfit::Stale));
    }
    let whole = keyframes.handle(last, 50, hash).unwrap().unwrap();
    assert_eq!((whole.tick, whole.state), (TICK, state()));
}

#[test]
fn a_state_that_is_not_what_its_hash_says_is_given_up() {
    let mut keyframes = Keyframes::default();
    let mut parts = chunks(&state(), 20);
    parts[1].data[3] ^= 1;
    assert_eq!(keyframes.handle(parts[0].clone(), 50, hash), Ok(None));
    assert_eq!(keyframes.handle(parts[1].clone(), 50, hash), Ok(None));
    assert_eq!(
        keyframes.handle(parts[2].clone(), 50, hash),
        Err(Unfit::Malformed)
    );
    // The same tick can be had again.
    let mut whole = None;
    for part in chunks(&state(), 20) {
        whole = keyframes.handle(part, 50, hash).unwrap();
    }
    assert!(whole.is_some());
}

#[test]
fn what_cannot_be_is_refused_before_it_takes_memory() {
    let good = || chunks(&state(), 25).remove(0);
    type Damage = fn(&mut KeyframeChunk);
    let cases: [(&str, Damage); 6] = [
        ("more than the manifest allows", |c| c.total_bytes = 51),
        ("an index beyond the count", |c| c.index = 2),
        ("no chunks", |c| c.count = 0),
        ("more chunks than bytes", |c| c.count = 51),
        ("more chunks than any state has", |c| {
            (c.count, c.total_bytes) = (u32::MAX, u32::MAX);
        }),
        ("a chunk larger than the whole", |c| c.data = vec![0; 51]),
    ];
    for (what, damage) in cases {
        let mut keyframes = Keyframes::default();
        let mut chunk = good();
        damage(&mut chunk);
        assert_eq!(
            keyframes.handle(chunk, 50, hash),
            Err(Unfit::Malformed),
            "{what}"
        );
        assert!(keyframes.chunks.is_empty());
    }
}

#[test]
fn chunks_that_are_more_than_the_whole_are_given_up() {
    let mut keyframes = Keyframes::default();
    let parts = chunks(&state(), 25);
    let mut fat = parts[1].clone();
    fat.data = vec![0; 26];
    assert_eq!(keyframes.handle(parts[0].clone(), 50, hash), Ok(None));
    assert_eq!(keyframes.handle(fat, 50, hash), Err(Unfit::Malformed));
}

#[test]
fn a_newer_keyframe_takes_the_place_of_a_half_done_one() {
    let mut keyframes = Keyframes::default();
    let old = chunks(&state(), 25);
    assert_eq!(keyframes.handle(old[0].clone(), 50, hash), Ok(None));
    let mut newer = chunks(&state(), 25);
    for chunk in &mut newer {
        chunk.tick = TICK + 30;
    }
    assert_eq!(keyframes.handle(newer[0].clone(), 50, hash), Ok(None));
    assert_eq!(
        keyframes.handle(old[1].clone(), 50, hash),
        Err(Unfit::Stale)
    );
    let whole = keyframes
        .handle(newer[1].clone(), 50, hash)
        .unwrap()
        .unwrap();
    assert_eq!(whole.tick, TICK + 30);
}
