//! `snapshots`: what a delta of a physics scene takes, in bytes and in time, with both codecs.
//!
//! Each frame of a recording of 901 cubes is encoded against the frame that its receiver
//! acknowledged 2, 6, 12 or 30 ticks ago, with the one before that for velocities, and decoded
//! again. Beside them in turns, zstd on planar differences and bitcode on a list of changed bodies
//! (`benches/peers/snapshots`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use gs_engine::Schema;
use gs_engine::manifest::{
    Audience, EntityKind, Interpolate, LeaderboardRule, Manifest, NetField, NetFieldKind, Predict,
};
use gs_engine::simulation::{Entity, NetState};
use gs_engine::snapshot::packed::PackedCodec;
use gs_engine::snapshot::ranged::RangedCodec;
use gs_engine::snapshot::{Delta, SnapshotError};
use serde_json::{Map, Value, json};

use crate::report::Report;

/// Runs it on a recording, or on a scene that the program `peer` records.
pub(crate) fn run(quick: bool, peer: &Path, data: Option<&Path>) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir()?;
    let recording = recording(peer, data, folder.path())?;
    let schema = schema()?;
    let states = read(&recording)?;
    ensure!(
        states.len() > FIRST,
        "the recording has {} frames, expected more than {FIRST}",
        states.len()
    );
    let (every, rounds) = if quick { (7, 2) } else { (1, 3) };
    let (mut ours, mut theirs) = (Best::default(), Best::default());
    let (mut ranged, mut packed) = (RangedCodec::new(), PackedCodec::new());
    for _ in 0..rounds {
        for age in AGES {
            let scene = Scene {
                schema: &schema,
                states: &states,
                age,
                every,
            };
            ours.add(scene.metrics("", &mut ranged)?);
            ours.add(scene.metrics("fast_", &mut packed)?);
        }
        theirs.add(compare(peer, &recording, every)?);
    }
    let mut report = Report::new("snapshots", "zstd and bitcode");
    report.lines = lines(&ours.0, &theirs.0);
    report.metrics = Value::Object(ours.0);
    report.peer_metrics(Value::Object(theirs.0));
    Ok(report)
}

/// One codec behind what the bench needs of it.
trait DeltaCodec {
    fn encode(
        &mut self,
        schema: &Schema,
        delta: &Delta<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), SnapshotError>;
    fn decode(
        &mut self,
        schema: &Schema,
        delta: &Delta<'_>,
        data: &[u8],
        out: &mut NetState,
    ) -> Result<(), SnapshotError>;
}

macro_rules! delta_codec {
    ($codec:ty) => {
        impl DeltaCodec for $codec {
            fn encode(
                &mut self,
                schema: &Schema,
                delta: &Delta<'_>,
                out: &mut Vec<u8>,
            ) -> Result<(), SnapshotError> {
                Self::encode(self, schema, delta, out)
            }

            fn decode(
                &mut self,
                schema: &Schema,
                delta: &Delta<'_>,
                data: &[u8],
                out: &mut NetState,
            ) -> Result<(), SnapshotError> {
                Self::decode(self, schema, delta.base, delta.older, data, out)
            }
        }
    };
}

delta_codec!(RangedCodec);
delta_codec!(PackedCodec);

/// A recording seen from baselines of one age.
struct Scene<'a> {
    schema: &'a Schema,
    states: &'a [NetState],
    age: usize,
    every: usize,
}

impl Scene<'_> {
    /// Codes all frames, and answers what that took on average.
    fn metrics(
        &self,
        prefix: &str,
        codec: &mut impl DeltaCodec,
    ) -> anyhow::Result<Map<String, Value>> {
        let (mut bytes, mut count) = (0, 0);
        let (mut encoding, mut decoding) = (Duration::ZERO, Duration::ZERO);
        let (mut data, mut out) = (Vec::new(), NetState::default());
        for n in (FIRST..self.states.len()).step_by(self.every) {
            let delta = Delta {
                base: &self.states[n - self.age],
                older: Some(&self.states[n - self.age - 1]),
                next: &self.states[n],
            };
            let began = Instant::now();
            codec.encode(self.schema, &delta, &mut data)?;
            let encoded = Instant::now();
            codec.decode(self.schema, &delta, &data, &mut out)?;
            let decoded = Instant::now();
            ensure!(out == *delta.next, "frame {n} did not come back as it was");
            encoding += encoded - began;
            decoding += decoded - encoded;
            bytes += data.len();
            count += 1;
        }
        let age = self.age;
        let mean = |total: f64| json!((total / f64::from(count) * 10.0).round() / 10.0);
        let us = |time: Duration| mean(time.as_secs_f64() * 1e6);
        let mut metrics = Map::new();
        metrics.insert(
            format!("{prefix}bytes_per_frame_b{age}"),
            mean(bytes as f64),
        );
        metrics.insert(format!("{prefix}encode_us_b{age}"), us(encoding));
        metrics.insert(format!("{prefix}decode_us_b{age}"), us(decoding));
        Ok(metrics)
    }
}

/// The least of each figure over several rounds: what it takes when nothing else runs.
#[derive(Default)]
struct Best(Map<String, Value>);

impl Best {
    fn add(&mut self, metrics: Map<String, Value>) {
        for (key, value) in metrics {
            let least = self.0.entry(key).or_insert_with(|| value.clone());
            if value.as_f64() < least.as_f64() {
                *least = value;
            }
        }
    }
}

fn lines(ours: &Map<String, Value>, theirs: &Map<String, Value>) -> Vec<String> {
    let mut lines = vec!["bytes a frame (encode + decode in µs) by the baseline's age".to_owned()];
    for (name, prefix, from) in [
        ("ranged", "", ours),
        ("packed", "fast_", ours),
        ("zstd", "zstd_", theirs),
        ("bitcode", "bitcode_", theirs),
    ] {
        let figure = |what: &str, age| {
            let figure = from.get(&format!("{prefix}{what}_b{age}"));
            figure.and_then(Value::as_f64).unwrap_or(f64::NAN)
        };
        let cells = AGES.map(|age| {
            format!(
                "{age:2} ticks: {:6.1} ({:5.1} + {:5.1})",
                figure("bytes_per_frame", age),
                figure("encode_us", age),
                figure("decode_us", age)
            )
        });
        lines.push(format!("{name:8} {}", cells.join("  ")));
    }
    lines
}

/// The recording to use, unpacked where it is packed.
fn recording(peer: &Path, data: Option<&Path>, folder: &Path) -> anyhow::Result<PathBuf> {
    let out = folder.join("cubes.i32le");
    match data {
        Some(data) if data.extension().is_some_and(|extension| extension == "xz") => {
            let mut command = Command::new("xz");
            command.args(["--decompress", "--stdout"]).arg(data);
            std::fs::write(&out, output(&mut command)?)?;
            Ok(out)
        }
        Some(data) => Ok(data.to_path_buf()),
        None => {
            let mut command = Command::new(peer);
            command.arg("record").arg("--out").arg(&out).args(SCENE);
            output(&mut command)?;
            Ok(out)
        }
    }
}

/// One round of the peers.
fn compare(peer: &Path, recording: &Path, every: usize) -> anyhow::Result<Map<String, Value>> {
    let mut command = Command::new(peer);
    command.arg("compare").arg("--data").arg(recording);
    command.args([
        "--bodies",
        &BODIES.to_string(),
        "--first",
        &FIRST.to_string(),
    ]);
    command.args(["--ages", &AGES.map(|age| age.to_string()).join(",")]);
    command.args(["--every", &every.to_string()]);
    serde_json::from_slice(&output(&mut command)?).context("the peer printed no JSON")
}

fn output(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {:?}", command.get_program()))?;
    ensure!(
        output.status.success(),
        "{:?} failed: {}",
        command.get_program(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

fn read(path: &Path) -> anyhow::Result<Vec<NetState>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(
        bytes.len() % (BODIES * COLUMNS * 4) == 0,
        "{} has {} bytes, expected frames of {BODIES} bodies of {COLUMNS} 32-bit values",
        path.display(),
        bytes.len()
    );
    let entity = |n: usize| Entity {
        id: n as u32,
        kind: 0,
        owner: None,
        priority: 0.0,
        first_column: (n * COLUMNS) as u32,
        column_count: COLUMNS as u8,
    };
    let value = |bytes: &[u8]| i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let frames = bytes.chunks_exact(BODIES * COLUMNS * 4);
    Ok(frames
        .map(|frame| NetState {
            entities: (0..BODIES).map(entity).collect(),
            columns: frame.chunks_exact(4).map(value).collect(),
        })
        .collect())
}

fn schema() -> anyhow::Result<Schema> {
    let field = |name: &str, kind| NetField {
        name: name.to_owned(),
        kind,
        interpolate: Interpolate::Linear,
        predict: Predict::None,
        audience: Audience::All,
    };
    let int = |min, max| NetFieldKind::Int { min, max };
    Ok(Schema::new(&Manifest {
        name: "cubes".to_owned(),
        version: "1".to_owned(),
        title: "Cubes".to_owned(),
        tick_rate: 60,
        min_players: 1,
        max_players: 1,
        teams: 0,
        hidden_state: false,
        backfill: false,
        late_window_ms: 0,
        max_save_bytes: 1,
        leaderboard: LeaderboardRule::None,
        input: Vec::new(),
        commands: Vec::new(),
        events: Vec::new(),
        entities: vec![EntityKind {
            name: "cube".to_owned(),
            fields: vec![
                field("rotation", NetFieldKind::Quat { bits: 9 }),
                field("x", int(-16_383, 16_383)),
                field("y", int(-16_383, 16_383)),
                field("z", int(0, 8_191)),
                field("touched", NetFieldKind::Bool),
            ],
        }],
    })?)
}

/// Bodies of a frame.
const BODIES: usize = 901;
/// Values of a body.
const COLUMNS: usize = 8;
/// Ages of the baselines, in ticks.
const AGES: [usize; 4] = [2, 6, 12, 30];
/// The first frame that is measured: the first with a baseline of every age, and one before it.
const FIRST: usize = 31;
/// The scene that is measured without a recording: none of those that the prior was trained on.
const SCENE: [&str; 4] = ["--seed", "99", "--frames", "1800"];
