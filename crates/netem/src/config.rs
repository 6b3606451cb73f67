//! What a link is like.

use std::time::Duration;

/// What one direction of a line does to packets. The default does nothing to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkConfig {
    /// Time on the way, without jitter.
    pub latency: Duration,
    /// How much that varies, drawn for each packet alone: a packet may overtake another unless
    /// [`keep_order`](Self::keep_order) is set. The time on the way never becomes negative.
    pub jitter: Duration,
    /// How the jitter is distributed.
    pub distribution: Distribution,
    /// Share of packets that are lost, each alone: 0 to 1.
    pub loss: f64,
    /// Losses in bursts, besides.
    pub burst: Option<Burst>,
    /// Share of packets that arrive twice, the second time with a delay of its own: 0 to 1.
    pub duplicate: f64,
    /// Packets that are held back, besides what jitter does.
    pub reorder: Option<Reorder>,
    /// How fast bytes get through.
    pub rate: Option<Rate>,
    /// Whether no packet may overtake an earlier one.
    pub keep_order: bool,
    /// When nothing gets through at all. A packet is lost that is sent in such a window or would
    /// arrive in it.
    pub outages: Vec<Outage>,
}

/// How jitter is distributed around the latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// Normal, with the jitter as its standard deviation, cut off at three of them. What Linux's
    /// `netem` calls `distribution normal`.
    #[default]
    Normal,
    /// Evenly between minus and plus the jitter: `netem` without a distribution.
    Uniform,
    /// Never early, and now and then very late, as on a mobile network: a Lomax (Pareto II)
    /// distribution of shape 3, with the jitter as its mean, cut off at twenty times that.
    Pareto,
}

/// Losses that come in bursts: the Gilbert–Elliott model. Each packet first moves the line between
/// a good and a bad state. In the long run `enter / (enter + leave) × loss` of all packets are
/// lost, in bursts of `1 / leave` packets on average. A burst is so many packets however far apart
/// they are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// Chance that a packet finds the good state turned bad: 0 to 1.
    pub enter: f64,
    /// Chance that a packet finds the bad state turned good: 0 to 1.
    pub leave: f64,
    /// Share of packets that are lost in the bad state: 0 to 1.
    pub loss: f64,
}

/// Packets that are held back, so that later ones overtake them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reorder {
    /// Share of packets that are held back: 0 to 1.
    pub share: f64,
    /// For how long.
    pub by: Duration,
}

/// How fast bytes get through, and how many wait. What finds no room in the queue is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bytes a second; at 0 nothing gets through.
    pub bytes_per_s: u64,
    /// Most bytes that wait to get through, the one that is getting through included.
    pub queue_bytes: u64,
}

/// A window in which nothing gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Its begin.
    pub from: Duration,
    /// Its end, which is not part of it.
    pub until: Duration,
}

impl LinkConfig {
    /// Half a round trip with that jitter and loss, as links are usually described.
    pub fn half_of(round_trip: Duration, jitter: Duration, loss: f64) -> Self {
        Self {
            latency: round_trip / 2,
            jitter,
            loss,
            ..Self::default()
        }
    }

    /// Whether nothing gets through at that time.
    pub fn is_out(&self, at: Duration) -> bool {
        self.outages
            .iter()
            .any(|outage| (outage.from..outage.until).contains(&at))
    }
}
