//! What links do, seen from outside.

use std::time::Duration;

use gs_netem::{
    Burst, Distribution, Link, LinkConfig, MAX_ATTEMPTS, MAX_IN_FLIGHT, Outage, Rate, ReliableLink,
    Reorder, Retransmission,
};
use proptest::prelude::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Sends `count` numbered packets, one each 5 ms, and says which arrived when.
fn run(config: &LinkConfig, seed: u64, count: u32) -> Vec<(u32, Duration)> {
    let mut link = Link::new(config.clone(), seed);
    let mut arrived = Vec::new();
    for n in 0..count {
        let now = ms(5) * n;
        take(&mut link, now, &mut arrived);
        link.send(now, n.to_le_bytes());
    }
    take(&mut link, Duration::MAX, &mut arrived);
    arrived
}

fn take(link: &mut Link<[u8; 4]>, now: Duration, arrived: &mut Vec<(u32, Duration)>) {
    while let Some(at) = link.poll_timeout().filter(|at| *at <= now) {
        let packet = link.poll(at).expect("a timeout that is due has a packet");
        arrived.push((u32::from_le_bytes(packet), at));
    }
}

fn times_on_the_way(config: &LinkConfig) -> Vec<f64> {
    let arrived = run(config, 3, 20_000);
    let way = |(n, at): &(u32, Duration)| at.as_secs_f64() * 1e3 - f64::from(*n) * 5.0;
    arrived.iter().map(way).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Four standard deviations of a share that is estimated from `count` independent packets.
fn tolerance(share: f64, count: u32) -> f64 {
    4.0 * (share * (1.0 - share) / f64::from(count)).sqrt()
}

fn configs() -> impl Strategy<Value = LinkConfig> {
    let distribution = prop_oneof![
        Just(Distribution::Normal),
        Just(Distribution::Uniform),
        Just(Distribution::Pareto)
    ];
    let burst = proptest::option::of((0.0..1.0, 0.0..1.0, 0.0..1.0));
    let reorder = proptest::option::of((0.0..1.0, 0u64..100));
    let rate = proptest::option::of((0u64..100_000, 0u64..10_000));
    let outage = proptest::option::of((0u64..2_000, 0u64..2_000));
    let simple = (0u64..300, 0u64..100, distribution, 0.0..1.0, 0.0..1.0);
    (simple, burst, reorder, rate, outage, any::<bool>()).prop_map(
        |((latency, jitter, distribution, loss, duplicate), burst, reorder, rate, out, order)| {
            LinkConfig {
                latency: ms(latency),
                jitter: ms(jitter),
                distribution,
                loss,
                burst: burst.map(|(enter, leave, loss)| Burst { enter, leave, loss }),
                duplicate,
                reorder: reorder.map(|(share, by)| Reorder { share, by: ms(by) }),
                rate: rate.map(|(bytes_per_s, queue_bytes)| Rate {
                    bytes_per_s,
                    queue_bytes,
                }),
                keep_order: order,
                outages: Vec::from_iter(out.map(|(from, lasts)| Outage {
                    from: ms(from),
                    until: ms(from + lasts),
                })),
            }
        },
    )
}

proptest! {
    #[test]
    fn the_same_seed_gives_the_same_result(config in configs(), seed: u64) {
        prop_assert_eq!(run(&config, seed, 300), run(&config, seed, 300));
    }

    #[test]
    fn every_packet_arrives_lost_or_is_counted(config in configs(), seed: u64) {
        let mut link = Link::new(config.clone(), seed);
        let mut arrived = Vec::new();
        for n in 0..300u32 {
            link.send(ms(5) * n, n.to_le_bytes());
        }
        take(&mut link, Duration::MAX, &mut arrived);
        let stats = link.stats();
        prop_assert_eq!(stats.sent, 300);
        prop_assert_eq!(stats.delivered, arrived.len() as u64);
        let gone = stats.lost + stats.lost_in_outage + stats.overflowed;
        prop_assert_eq!(stats.delivered, stats.sent - gone + stats.duplicated);
        for (n, at) in &arrived {
            prop_assert!(*at >= ms(5) * *n, "packet {} came before it was sent", n);
            prop_assert!(!config.is_out(*at) || config.keep_order);
        }
        prop_assert!(arrived.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        if config.keep_order {
            prop_assert!(arrived.windows(2).all(|pair| pair[0].0 <= pair[1].0) || stats.duplicated > 0);
        }
    }

    #[test]
    fn a_reliable_channel_keeps_order_and_loses_nothing_unless_it_breaks(
        config in configs(), seed: u64
    ) {
        let mut link = ReliableLink::new(config, Retransmission { first: ms(200), most: ms(1_000) }, seed);
        for n in 0..200u32 {
            link.send(ms(5) * n, n.to_le_bytes());
        }
        let arrived: Vec<u32> =
            std::iter::from_fn(|| link.poll(Duration::MAX).map(u32::from_le_bytes)).collect();
        prop_assert_eq!(&arrived, &(0..arrived.len() as u32).collect::<Vec<_>>());
        prop_assert_eq!(arrived.len() < 200, link.is_broken());
    }

    #[test]
    fn independent_loss_and_copies_are_as_configured(share in 0.0..1.0f64, seed: u64) {
        const COUNT: u32 = 4_000;
        let lossy = LinkConfig { loss: share, ..LinkConfig::default() };
        let through = run(&lossy, seed, COUNT).len() as f64 / f64::from(COUNT);
        prop_assert!((1.0 - through - share).abs() <= tolerance(share, COUNT) + 1e-3);
        let twice = LinkConfig { duplicate: share, ..LinkConfig::default() };
        let through = run(&twice, seed, COUNT).len() as f64 / f64::from(COUNT);
        prop_assert!((through - 1.0 - share).abs() <= tolerance(share, COUNT) + 1e-3);
    }
}

#[test]
fn a_perfect_link_changes_nothing() {
    let arrived = run(&LinkConfig::default(), 1, 1_000);
    assert_eq!(arrived, Vec::from_iter((0..1_000).map(|n| (n, ms(5) * n))));
}

#[test]
fn another_seed_gives_another_result() {
    let config = LinkConfig {
        loss: 0.5,
        ..LinkConfig::default()
    };
    assert_ne!(run(&config, 1, 200), run(&config, 2, 200));
}

#[test]
fn jitter_has_the_mean_and_the_width_that_it_promises() {
    let config = |distribution| LinkConfig {
        latency: ms(100),
        jitter: ms(20),
        distribution,
        ..LinkConfig::default()
    };
    let normal = times_on_the_way(&config(Distribution::Normal));
    assert!((mean(&normal) - 100.0).abs() < 1.0);
    let variance = mean(&Vec::from_iter(normal.iter().map(|t| (t - 100.0).powi(2))));
    assert!((variance.sqrt() - 20.0).abs() < 1.0, "{variance}");
    assert!(
        normal
            .iter()
            .all(|t| (40.0 - 1e-3..=160.0 + 1e-3).contains(t))
    );

    let uniform = times_on_the_way(&config(Distribution::Uniform));
    assert!((mean(&uniform) - 100.0).abs() < 1.0);
    assert!(
        uniform
            .iter()
            .all(|t| (80.0 - 1e-3..=120.0 + 1e-3).contains(t))
    );

    let mut pareto = times_on_the_way(&config(Distribution::Pareto));
    assert!((mean(&pareto) - 120.0).abs() < 2.0, "{}", mean(&pareto));
    pareto.sort_by(f64::total_cmp);
    assert!(pareto[0] >= 100.0 - 1e-3);
    // Shape 3, scale 2 × 20 ms: one in a hundred is later than 40 ms × (100^⅓ − 1).
    let p99 = pareto[pareto.len() * 99 / 100];
    assert!(
        (p99 - 100.0 - 40.0 * (100f64.powf(1.0 / 3.0) - 1.0)).abs() < 15.0,
        "{p99}"
    );
}

#[test]
fn jitter_reorders_unless_order_is_kept() {
    let mut config = LinkConfig {
        latency: ms(50),
        jitter: ms(20),
        ..LinkConfig::default()
    };
    let ascending = |arrived: Vec<(u32, Duration)>| arrived.windows(2).all(|p| p[0].0 < p[1].0);
    assert!(!ascending(run(&config, 1, 1_000)));
    config.keep_order = true;
    assert!(ascending(run(&config, 1, 1_000)));
}

#[test]
fn packets_that_are_held_back_are_overtaken() {
    let config = LinkConfig {
        latency: ms(10),
        reorder: Some(Reorder {
            share: 0.1,
            by: ms(22),
        }),
        ..LinkConfig::default()
    };
    let arrived = run(&config, 1, 10_000);
    let held = arrived.iter().filter(|(n, at)| *at == ms(5) * *n + ms(32));
    let share = held.count() as f64 / 10_000.0;
    assert!((share - 0.1).abs() < tolerance(0.1, 10_000), "{share}");
    assert!(arrived.windows(2).any(|pair| pair[0].0 > pair[1].0 + 3));
}

#[test]
fn bursts_lose_the_share_and_have_the_length_that_they_promise() {
    const COUNT: u32 = 100_000;
    let config = LinkConfig {
        burst: Some(Burst {
            enter: 0.01,
            leave: 0.2,
            loss: 1.0,
        }),
        ..LinkConfig::default()
    };
    let arrived = run(&config, 5, COUNT);
    let lost = 1.0 - arrived.len() as f64 / f64::from(COUNT);
    let expected = 0.01 / 0.21;
    assert!(
        (lost - expected).abs() < 0.006,
        "{lost} instead of {expected}"
    );
    let gaps = arrived.windows(2).map(|pair| pair[1].0 - pair[0].0 - 1);
    let bursts = Vec::from_iter(gaps.filter(|gap| *gap > 0).map(f64::from));
    assert!((mean(&bursts) - 5.0).abs() < 0.5, "{}", mean(&bursts));
}

#[test]
fn a_rate_spaces_packets_out_and_drops_what_finds_no_room() {
    let config = LinkConfig {
        rate: Some(Rate {
            bytes_per_s: 1_000,
            queue_bytes: 40,
        }),
        ..LinkConfig::default()
    };
    let mut link = Link::new(config, 1);
    for n in 0..20u32 {
        link.send(Duration::ZERO, n.to_le_bytes());
    }
    let mut arrived = Vec::new();
    take(&mut link, Duration::MAX, &mut arrived);
    assert_eq!(
        arrived,
        Vec::from_iter((0..10).map(|n| (n, ms(4) * (n + 1))))
    );
    assert_eq!(link.stats().overflowed, 10);
    // What got through makes room.
    link.send(ms(36), 20u32.to_le_bytes());
    take(&mut link, Duration::MAX, &mut arrived);
    assert_eq!(arrived.last(), Some(&(20, ms(44))));
}

#[test]
fn nothing_gets_through_an_outage() {
    let config = LinkConfig {
        latency: ms(20),
        outages: vec![Outage {
            from: ms(1_000),
            until: ms(2_000),
        }],
        ..LinkConfig::default()
    };
    let arrived = run(&config, 1, 600);
    let numbers = Vec::from_iter(arrived.iter().map(|(n, _)| *n));
    // The last that arrives by 1,000 ms was sent 20 ms before it; the first after it at 2,000 ms.
    assert_eq!(numbers, Vec::from_iter((0..196).chain(400..600)));
}

#[test]
fn a_link_holds_no_more_than_its_bound() {
    let config = LinkConfig {
        latency: Duration::from_secs(3_600),
        duplicate: 1.0,
        ..LinkConfig::default()
    };
    let mut link = Link::new(config.clone(), 1);
    let mut reliable = ReliableLink::new(config, Retransmission::default(), 1);
    for _ in 0..MAX_IN_FLIGHT * 2 {
        link.send(Duration::ZERO, [0u8; 4]);
        reliable.send(Duration::ZERO, [0u8; 4]);
    }
    let count = |poll: &mut dyn FnMut() -> Option<[u8; 4]>| std::iter::from_fn(poll).count();
    assert_eq!(count(&mut || link.poll(Duration::MAX)), MAX_IN_FLIGHT);
    assert_eq!(count(&mut || reliable.poll(Duration::MAX)), MAX_IN_FLIGHT);
}

#[test]
fn a_reliable_channel_waits_for_its_timeout_and_everything_behind_it_waits_too() {
    let config = LinkConfig {
        latency: ms(20),
        outages: vec![Outage {
            from: Duration::ZERO,
            until: ms(2_500),
        }],
        ..LinkConfig::default()
    };
    let mut link = ReliableLink::new(config, Retransmission::default(), 1);
    link.send(ms(100), b"first".to_vec());
    link.send(ms(2_600), b"second".to_vec());
    // Sent at 100 ms, again at 1,100 ms, and at 3,100 ms through.
    assert_eq!(link.poll_timeout(), Some(ms(3_120)));
    assert_eq!(link.poll(ms(3_119)), None);
    assert_eq!(link.poll(ms(3_120)), Some(b"first".to_vec()));
    assert_eq!(link.poll(ms(3_120)), Some(b"second".to_vec()));
    assert_eq!(link.retransmissions(), 2);
}

#[test]
fn a_reliable_channel_breaks_after_too_many_losses_and_can_be_made_afresh() {
    let dead = LinkConfig {
        loss: 1.0,
        ..LinkConfig::default()
    };
    let mut link = ReliableLink::new(dead, Retransmission::default(), 1);
    link.send(Duration::ZERO, b"lost".to_vec());
    assert!(link.is_broken());
    assert_eq!(link.retransmissions(), u64::from(MAX_ATTEMPTS));
    link.set_config(LinkConfig::default());
    link.send(ms(1), b"behind it".to_vec());
    assert_eq!(link.poll(Duration::MAX), None);
    link.reset(ms(10));
    link.send(ms(10), b"afresh".to_vec());
    assert_eq!(link.poll(ms(10)), Some(b"afresh".to_vec()));
}
