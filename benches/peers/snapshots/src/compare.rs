//! What a delta takes with general tools: zstd on planar differences, bitcode on a list of bodies.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::{Map, Value, json};

use crate::record::COLUMNS;
use crate::recording;

/// Which recording, and how.
#[derive(clap::Args)]
pub(crate) struct Compare {
    /// The recording.
    #[arg(long)]
    data: PathBuf,
    /// How many bodies it has.
    #[arg(long)]
    bodies: usize,
    /// Ages of the baselines, in frames.
    #[arg(long, value_delimiter = ',')]
    ages: Vec<usize>,
    /// The first frame.
    #[arg(long)]
    first: usize,
    /// Code every n-th frame.
    #[arg(long, default_value_t = 1)]
    every: usize,
}

/// What a codec took for all frames.
#[derive(Default)]
struct Taken {
    bytes: usize,
    encode_ns: u128,
    decode_ns: u128,
}

impl Compare {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let frames = recording::read(&self.data, self.bodies)?;
        let mut metrics = Map::new();
        for age in &self.ages {
            ensure!(
                self.first >= *age,
                "the first frame has no baseline {age} frames ago"
            );
            let (mut zstd, mut bitcode) = (Taken::default(), Taken::default());
            let mut planar = Planar::new()?;
            let mut list = List::default();
            let mut count = 0;
            for n in (self.first..frames.len()).step_by(self.every) {
                let (base, next) = (&frames[n - age], &frames[n]);
                planar.run(base, next, &mut zstd)?;
                list.run(base, next, &mut bitcode)?;
                count += 1;
            }
            for (name, taken) in [("zstd", zstd), ("bitcode", bitcode)] {
                let mut add = |what: &str, total: f64| {
                    let mean = total / f64::from(count);
                    let rounded = (mean * 10.0).round() / 10.0;
                    metrics.insert(format!("{name}_{what}_b{age}"), json!(rounded));
                };
                add("bytes_per_frame", taken.bytes as f64);
                add("encode_us", taken.encode_ns as f64 / 1e3);
                add("decode_us", taken.decode_ns as f64 / 1e3);
            }
        }
        println!("{}", Value::Object(metrics));
        Ok(())
    }
}

/// Differences column by column, the low bytes of a column before the high ones, in zstd.
struct Planar {
    compressor: zstd::bulk::Compressor<'static>,
    decompressor: zstd::bulk::Decompressor<'static>,
    planes: Vec<u8>,
    packed: Vec<u8>,
    unpacked: Vec<u8>,
    out: Vec<i32>,
}

impl Planar {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            compressor: zstd::bulk::Compressor::new(LEVEL)?,
            decompressor: zstd::bulk::Decompressor::new()?,
            planes: Vec::new(),
            packed: Vec::new(),
            unpacked: Vec::new(),
            out: Vec::new(),
        })
    }

    fn run(&mut self, base: &[i32], next: &[i32], taken: &mut Taken) -> anyhow::Result<()> {
        let bodies = base.len() / COLUMNS;
        let began = Instant::now();
        self.planes.clear();
        self.planes.resize(base.len() * 2, 0);
        for (n, (base, next)) in base.iter().zip(next).enumerate() {
            let difference = i16::try_from(next - base).context("a difference of over 16 bits")?;
            let zigzag = (difference << 1 ^ difference >> 15) as u16;
            let (body, column) = (n / COLUMNS, n % COLUMNS);
            let [low, high] = zigzag.to_le_bytes();
            self.planes[column * 2 * bodies + body] = low;
            self.planes[(column * 2 + 1) * bodies + body] = high;
        }
        self.packed.clear();
        self.packed
            .reserve(zstd::zstd_safe::compress_bound(self.planes.len()));
        self.compressor
            .compress_to_buffer(&self.planes, &mut self.packed)?;
        let encoded = Instant::now();
        self.unpacked.clear();
        self.unpacked.reserve(self.planes.len());
        self.decompressor
            .decompress_to_buffer(&self.packed, &mut self.unpacked)?;
        self.out.clear();
        for (n, base) in base.iter().enumerate() {
            let (body, column) = (n / COLUMNS, n % COLUMNS);
            let low = self.unpacked[column * 2 * bodies + body];
            let high = self.unpacked[(column * 2 + 1) * bodies + body];
            let zigzag = u16::from_le_bytes([low, high]);
            let difference = (zigzag >> 1) as i16 ^ -((zigzag & 1) as i16);
            self.out.push(base + i32::from(difference));
        }
        let decoded = Instant::now();
        ensure!(self.out == next, "zstd did not give back what it took");
        taken.bytes += self.packed.len();
        taken.encode_ns += (encoded - began).as_nanos();
        taken.decode_ns += (decoded - encoded).as_nanos();
        Ok(())
    }
}

/// The bodies that changed, and by how much, in bitcode.
#[derive(Default)]
struct List {
    buffer: bitcode::Buffer,
    changed: Vec<Changed>,
    out: Vec<i32>,
}

#[derive(bitcode::Encode, bitcode::Decode)]
struct Changed {
    index: u16,
    differences: [i16; COLUMNS],
}

impl List {
    fn run(&mut self, base: &[i32], next: &[i32], taken: &mut Taken) -> anyhow::Result<()> {
        let began = Instant::now();
        self.changed.clear();
        let bodies = base.chunks_exact(COLUMNS).zip(next.chunks_exact(COLUMNS));
        for (index, (base, next)) in bodies.enumerate() {
            if base != next {
                let mut differences = [0; COLUMNS];
                for (n, difference) in differences.iter_mut().enumerate() {
                    *difference = i16::try_from(next[n] - base[n])?;
                }
                let index = index as u16;
                self.changed.push(Changed { index, differences });
            }
        }
        let packed = self.buffer.encode(&self.changed).to_vec();
        let encoded = Instant::now();
        let changed: Vec<Changed> = self.buffer.decode(&packed)?;
        self.out.clear();
        self.out.extend_from_slice(base);
        for body in &changed {
            let at = usize::from(body.index) * COLUMNS;
            for (value, difference) in self.out[at..].iter_mut().zip(body.differences) {
                *value += i32::from(difference);
            }
        }
        let decoded = Instant::now();
        ensure!(self.out == next, "bitcode did not give back what it took");
        taken.bytes += packed.len();
        taken.encode_ns += (encoded - began).as_nanos();
        taken.decode_ns += (decoded - encoded).as_nanos();
        Ok(())
    }
}

/// zstd's own default.
const LEVEL: i32 = 3;
