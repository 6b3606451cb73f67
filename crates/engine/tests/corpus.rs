//! Every file of the fuzz targets' corpora, and thousands of mutations of valid packets: nothing
//! panics, and what comes out is within its bounds.

#[path = "../../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "it is the fuzz targets' library")]
mod fuzz;

use std::path::Path;

/// What a target does with bytes.
type Run = fn(&[u8]);

const TARGETS: [(&str, Run); 4] = [
    ("ranged", fuzz::ranged),
    ("packed", fuzz::packed),
    ("confirmed", fuzz::confirmed),
    ("range_coder", fuzz::range_coder),
];

#[test]
fn every_corpus_file_is_harmless() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (target, run) in TARGETS {
        let folder = corpus.join(target);
        let files = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut count = 0;
        for file in files {
            run(&std::fs::read(file.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "no corpus in {}", folder.display());
    }
}

#[test]
fn mutated_packets_are_harmless() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = move |n: usize| {
        random ^= random >> 12;
        random ^= random << 25;
        random ^= random >> 27;
        (random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    };
    for (target, name, packet) in fuzz::seeds() {
        let (_, run) = TARGETS
            .into_iter()
            .find(|(of, _)| *of == target)
            .unwrap_or_else(|| panic!("no target for {target}/{name}"));
        for _ in 0..MUTATIONS {
            let mut packet = packet.clone();
            for _ in 0..=below(3) {
                let at = below(packet.len());
                match below(5) {
                    0 => packet.truncate(at + 1),
                    1 => packet[at] = 0xff,
                    2 => packet.insert(at, below(256) as u8),
                    3 => drop(packet.drain(at..=at)),
                    _ => packet[at] ^= 1 << below(8),
                }
                if packet.is_empty() {
                    packet.push(0);
                }
            }
            run(&packet);
        }
    }
}

/// Mutations of each packet: some thousands in all, within seconds.
const MUTATIONS: usize = 150;
