//! Recordings as files: frame after frame, body after body, eight little-endian `i32` each.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, ensure};

use crate::record::COLUMNS;

pub(crate) fn write(path: &Path, frames: &[Vec<i32>]) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut out = BufWriter::new(file);
    for value in frames.iter().flatten() {
        out.write_all(&value.to_le_bytes())?;
    }
    out.flush()?;
    Ok(())
}

pub(crate) fn read(path: &Path, bodies: usize) -> anyhow::Result<Vec<Vec<i32>>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let frame = bodies * COLUMNS * 4;
    ensure!(
        frame > 0 && bytes.len() % frame == 0,
        "{} has {} bytes, expected a multiple of {frame} (frames of {bodies} bodies)",
        path.display(),
        bytes.len(),
    );
    let value = |bytes: &[u8]| i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let frames = bytes.chunks_exact(frame);
    Ok(frames
        .map(|frame| frame.chunks_exact(4).map(value).collect())
        .collect())
}
