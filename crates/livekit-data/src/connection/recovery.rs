//! How far the way back into the room is.

use super::config::Reconnect;
use std::time::{Duration, Instant};

/// One loss of the connection, until it is over.
#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) step: Step,
    pub(super) stage: Stage,
    /// When the trouble began.
    pub(super) since: Instant,
    /// When to give up altogether.
    pub(super) until: Instant,
    attempts: u32,
    /// The attempt has reached the server, and how many before it have to no avail.
    reached: bool,
    slow: u32,
    /// The server has said during this loss which reliable messages it has.
    pub(super) server_told: bool,
    /// The resume that is tried is only to ask that.
    pub(super) rejoin_after: bool,
    /// Reliable messages that nobody knows about.
    pub(super) reliable_lost: u64,
}

/// By up to a half: everybody whom a restarted server has lost, or one that is overloaded, would
/// otherwise come back at the same time.
fn shortened(time: Duration, random: u64) -> Duration {
    let percent = u32::try_from(random % 50).unwrap_or(0);
    time.mul_f64(1.0 - f64::from(percent) / 100.0)
}

/// How hard the link is to keep.
///
/// One that is silent again as soon as it was got back is not dead but overloaded, or the server
/// is, and a thousand participants that call it dead every second would keep it so. Then the
/// patience with silence doubles.
#[derive(Debug, Default)]
pub(super) struct Strain {
    level: u32,
    /// When the last loss was over.
    well_since: Option<Instant>,
}

impl Strain {
    pub(super) fn recovered(&mut self, now: Instant) {
        self.well_since = Some(now);
    }

    /// The link is silent; `last` is when the last datagram came.
    pub(super) fn lost(&mut self, last: Instant) {
        let steady = |since| last.saturating_duration_since(since) >= STEADY;
        self.level = match self.well_since.is_none_or(steady) {
            true => 0,
            false => (self.level + 1).min(MAX_STRAIN),
        };
    }

    /// How many times longer than usual to wait.
    pub(super) fn stretch(&self) -> u32 {
        1 << self.level
    }
}

/// What is being tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The same session with a new WebSocket, and a new path for datagrams where the old one is
    /// silent.
    Resume,
    /// A new session.
    Rejoin,
}

/// What is being waited for, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The link, which may only have been quiet: signalling works.
    Link(Instant),
    /// The next attempt.
    Pause(Instant),
    /// The WebSocket, and the server's first answer over it.
    Signal(Instant),
    /// Datagrams.
    Transport(Instant),
}

impl Recovery {
    pub(super) fn new(timeout: Duration, step: Step, now: Instant) -> Self {
        Recovery {
            step,
            stage: Stage::Pause(now),
            since: now,
            until: now + timeout,
            attempts: 0,
            reached: false,
            slow: 0,
            server_told: false,
            rejoin_after: false,
            reliable_lost: 0,
        }
    }

    /// When something has to be done.
    pub(super) fn timeout(&self) -> Instant {
        let (Stage::Link(at) | Stage::Pause(at) | Stage::Signal(at) | Stage::Transport(at)) =
            self.stage;
        at.min(self.until)
    }

    /// Tries this from now on, and at once.
    pub(super) fn turn_to(&mut self, step: Step, now: Instant) {
        self.step = step;
        self.stage = Stage::Pause(now);
    }

    /// An attempt failed: the next one comes after a pause that doubles. `random` is spread
    /// evenly over all numbers.
    pub(super) fn pause(&mut self, random: u64, now: Instant) {
        let pause = FIRST_PAUSE * 2_u32.pow(self.attempts.min(LAST_DOUBLING));
        self.attempts += 1;
        self.slow += u32::from(std::mem::take(&mut self.reached));
        self.stage = Stage::Pause(now + shortened(pause, random));
    }

    /// Sees for a moment whether the link comes back by itself, `stretch` times longer than usual.
    pub(super) fn wait_for_link(&mut self, stretch: u32, random: u64, now: Instant) {
        self.stage = Stage::Link(now + shortened(LINK_TIMEOUT * stretch, random));
    }

    pub(super) fn wait_for_connection(&mut self, now: Instant) {
        self.reached = false;
        self.stage = Stage::Signal(now + CONNECT_TIMEOUT);
    }

    /// The server is reached, so the network is not what is missing.
    pub(super) fn wait_for_answer(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Signal(_)) && !std::mem::replace(&mut self.reached, true) {
            self.stage = Stage::Signal(now + self.patience(ANSWER_TIMEOUT));
        }
    }

    pub(super) fn wait_for_transport(&mut self, now: Instant) {
        self.stage = Stage::Transport(now + self.patience(TRANSPORT_TIMEOUT));
    }

    /// Longer with each attempt that reached the server: one that is overloaded would otherwise
    /// begin again and again, and finish nothing.
    fn patience(&self, first: Duration) -> Duration {
        first * 2_u32.pow(self.slow.min(MAX_SLOW))
    }
}

impl Reconnect {
    /// Whether this may be tried when a session that was joined is lost.
    pub(super) fn allows(self, step: Step) -> bool {
        match self {
            Reconnect::Never => false,
            Reconnect::Resume => step == Step::Resume,
            Reconnect::Full => true,
        }
    }
}

/// Short beside the silence that comes before it, and long beside a round trip.
const LINK_TIMEOUT: Duration = Duration::from_millis(400);

const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Up to 800 ms, so that a network that is back is noticed within a second.
const LAST_DOUBLING: u32 = 3;

/// For a TCP connection: a name, a round trip of 300 ms, and one SYN that was lost.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(2_500);

/// For TLS, HTTP and the first message.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// For ICE, DTLS and SCTP, with a packet lost here and there: sctp-proto repeats a lost INIT
/// after 3 s.
const TRANSPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// For how long a link that was got back has to work before it counts as a good one again.
const STEADY: Duration = Duration::from_secs(5);

/// Up to eight times: 7 s of silence.
const MAX_STRAIN: u32 = 3;

/// Twice: 10 s for an answer, and for the transport.
const MAX_SLOW: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_vary() {
        let now = Instant::now();
        let mut recovery = Recovery::new(Duration::from_secs(30), Step::Resume, now);
        assert_eq!(recovery.timeout(), now, "the first attempt comes at once");
        let mut pause = |random| {
            recovery.pause(random, now);
            recovery.timeout().duration_since(now).as_millis()
        };
        let longest: Vec<_> = (0..6).map(|_| pause(0)).collect();
        assert_eq!(longest, [100, 200, 400, 800, 800, 800]);
        assert!((400..420).contains(&pause(49)));
    }

    #[test]
    fn patience_doubles_with_each_loss_of_a_link_that_had_just_come_back() {
        let now = Instant::now();
        let mut strain = Strain::default();
        strain.lost(now);
        assert_eq!(strain.stretch(), 1, "the first loss");
        for stretch in [2, 4, 8, 8] {
            strain.recovered(now);
            strain.lost(now + STEADY / 2);
            assert_eq!(strain.stretch(), stretch);
        }
        strain.recovered(now);
        strain.lost(now + STEADY);
        assert_eq!(strain.stretch(), 1, "it had worked for a while");
    }

    #[test]
    fn a_server_that_is_reached_gets_more_time_with_each_attempt() {
        let now = Instant::now();
        let mut recovery = Recovery::new(Duration::from_secs(90), Step::Rejoin, now);
        for seconds in [5, 10, 10] {
            recovery.wait_for_connection(now);
            assert_eq!(recovery.timeout(), now + CONNECT_TIMEOUT);
            recovery.wait_for_answer(now);
            assert_eq!(recovery.timeout(), now + Duration::from_secs(seconds));
            recovery.wait_for_transport(now);
            assert_eq!(recovery.timeout(), now + Duration::from_secs(seconds));
            recovery.pause(0, now);
        }
    }

    #[test]
    fn giving_up_is_never_put_off() {
        let now = Instant::now();
        let mut recovery = Recovery::new(Duration::from_secs(1), Step::Resume, now);
        recovery.wait_for_transport(now);
        assert_eq!(recovery.timeout(), now + Duration::from_secs(1));
    }
}
