//! What happens to one packet: the draws that both kinds of link share.

use std::f64::consts::TAU;
use std::time::Duration;

use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::config::{Distribution, LinkConfig, Rate};

/// The state of a line: its generator, whether it is in a burst, when its last byte gets through.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) config: LinkConfig,
    random: Pcg64Mcg,
    bad: bool,
    busy_until: Duration,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    /// When it arrives; none: it does not, for the reason in `loss`.
    pub(crate) arrives: Result<Duration, Loss>,
    /// When it arrives once more.
    pub(crate) again: Option<Duration>,
}

/// Why a packet does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    Random,
    Queue,
    Outage,
}

impl Line {
    pub(crate) fn new(config: LinkConfig, seed: u64) -> Self {
        Self {
            config,
            random: Pcg64Mcg::seed_from_u64(seed),
            bad: false,
            busy_until: Duration::ZERO,
        }
    }

    /// Sends a packet of `size` bytes. Each takes the same number of draws whatever becomes of it
    /// and whatever the configuration, so that links with one seed can be compared.
    pub(crate) fn pass(&mut self, now: Duration, size: usize) -> Passage {
        let draws: [f64; 5] = std::array::from_fn(|_| self.unit());
        let (way, way_again) = (self.time_on_the_way(), self.time_on_the_way());
        let [lost, moves, lost_in_burst, twice, held] = draws;

        let config = &self.config;
        let burst = config.burst.is_some_and(|burst| {
            let turn = if self.bad { burst.leave } else { burst.enter };
            self.bad ^= moves < turn;
            self.bad && lost_in_burst < burst.loss
        });
        let hold = config
            .reorder
            .filter(|reorder| held < reorder.share)
            .map_or(Duration::ZERO, |reorder| reorder.by);
        let Some(sent) = through(config.rate, &mut self.busy_until, now, size) else {
            return Passage::lost(Loss::Queue);
        };
        if lost < config.loss || burst {
            return Passage::lost(Loss::Random);
        }
        let arrives = sent.saturating_add(way).saturating_add(hold);
        if config.is_out(now) || config.is_out(arrives) {
            return Passage::lost(Loss::Outage);
        }
        let again = Some(sent.saturating_add(way_again))
            .filter(|again| twice < config.duplicate && !config.is_out(*again));
        Passage {
            arrives: Ok(arrives),
            again,
        }
    }

    /// Latency and jitter of one packet.
    fn time_on_the_way(&mut self) -> Duration {
        let (u, v) = (self.unit(), self.unit());
        let deviation = match self.config.distribution {
            // Box and Muller's transform; `1 - u` is never 0.
            Distribution::Normal => {
                (libm::sqrt(-2.0 * libm::log(1.0 - u)) * libm::cos(TAU * v)).clamp(-3.0, 3.0)
            }
            Distribution::Uniform => 2.0 * u - 1.0,
            // The inverse of Lomax's distribution function for shape 3 and scale 2, whose mean is 1.
            Distribution::Pareto => (2.0 * (libm::pow(1.0 - u, -1.0 / 3.0) - 1.0)).min(20.0),
        };
        let jitter = self.config.jitter.as_secs_f64() * deviation;
        let way = self.config.latency.as_secs_f64() + jitter;
        Duration::try_from_secs_f64(way.max(0.0)).unwrap_or(Duration::MAX / 4)
    }

    /// Evenly distributed in [0, 1).
    fn unit(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

impl Passage {
    fn lost(loss: Loss) -> Self {
        Self {
            arrives: Err(loss),
            again: None,
        }
    }
}

/// When a packet's last byte is on its way; none where the queue has no room for it.
fn through(
    rate: Option<Rate>,
    busy_until: &mut Duration,
    now: Duration,
    size: usize,
) -> Option<Duration> {
    let Some(rate) = rate else {
        return Some(now);
    };
    let per_byte = 1.0 / rate.bytes_per_s as f64;
    let waiting = busy_until.saturating_sub(now).as_secs_f64() / per_byte;
    if rate.bytes_per_s == 0 || waiting + size as f64 > rate.queue_bytes as f64 {
        return None;
    }
    *busy_until = now.max(*busy_until) + Duration::from_secs_f64(size as f64 * per_byte);
    Some(*busy_until)
}
