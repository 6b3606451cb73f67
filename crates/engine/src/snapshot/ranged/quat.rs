//! Smallest-three quaternions: what one is expected to be when its largest component is another.
//!
//! Components are in units of `1 / (M √2)`, where `M` is the greatest column value: a column `c`
//! is `2c - M`, and the squares of all four add up to `2 M²`.

/// All four components, the largest worked out from the others.
pub(super) fn full(columns: [i32; 4], bits: u8) -> [i64; 4] {
    let most = (1_i64 << bits) - 1;
    let mut parts = [0; 4];
    let mut left = 2 * most * most;
    let mut from = 1;
    for (index, part) in parts.iter_mut().enumerate() {
        if index != columns[0] as usize & 3 {
            *part = 2 * i64::from(columns[from]).clamp(0, most) - most;
            left -= *part * *part;
            from += 1;
        }
    }
    parts[columns[0] as usize & 3] = left.max(0).isqrt();
    parts
}

/// The rotation that follows when what led from `older` to `base` goes on.
pub(super) fn extrapolate(base: [i32; 4], older: [i32; 4], quarters: i32, bits: u8) -> [i64; 4] {
    let (b, mut o) = (full(base, bits), full(older, bits));
    let dot: i64 = b.iter().zip(&o).map(|(b, o)| b * o).sum();
    if dot < 0 {
        o = o.map(|part| -part);
    }
    let mut next = [0; 4];
    for n in 0..4 {
        next[n] = b[n] + (((b[n] - o[n]) * i64::from(quarters)) >> 2);
    }
    let most = (1_i64 << bits) - 1;
    let length = next
        .iter()
        .map(|part| part * part)
        .sum::<i64>()
        .isqrt()
        .max(1);
    let wanted = (2 * most * most).isqrt();
    next.map(|part| part * wanted / length)
}

/// Index of the largest component.
pub(super) fn largest(parts: [i64; 4]) -> i32 {
    let mut largest = 0;
    for n in 1..4 {
        if parts[n].abs() > parts[largest].abs() {
            largest = n;
        }
    }
    largest as i32
}

/// The columns of the other three components, if `index` is the largest.
pub(super) fn three(parts: [i64; 4], index: i32, bits: u8) -> [i64; 3] {
    let most = (1_i64 << bits) - 1;
    let sign = if parts[index as usize & 3] < 0 { -1 } else { 1 };
    let mut three = [0; 3];
    let mut to = 0;
    for (n, part) in parts.iter().enumerate() {
        if n != index as usize & 3 {
            three[to] = ((part * sign + most + 1) >> 1).clamp(0, most);
            to += 1;
        }
    }
    three
}

/// By how much the largest component leads the next, as a bucket of 1/8 of `M²`, and which that is.
pub(super) fn margin(index: i32, three: [i64; 3], bits: u8) -> (i32, i32) {
    let most = (1_i64 << bits) - 1;
    let (mut left, mut next, mut which) = (2 * most * most, 0, 0);
    for (n, column) in three.iter().enumerate() {
        let part = (2 * column - most).clamp(-2 * most, 2 * most);
        left -= part * part;
        if part * part > next {
            next = part * part;
            which = n as i32;
        }
    }
    let which = if which >= index { which + 1 } else { which };
    (
        ((left - next) * 8 / (most * most)).clamp(-64, 64) as i32,
        which,
    )
}
