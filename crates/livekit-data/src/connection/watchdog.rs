//! Notices a dead link by its silence, and a transport that hangs once the link is back.
//!
//! The ICE agent checks the link twice a second ([`CHECK_INTERVAL`]), and a prober asks more often
//! once it is quiet: a link that works is never silent for long, whether or not anybody sends.
//! SCTP alone would take seconds: it
//! notices a loss after one second at the earliest, and then tries again after 1, 3, 7 and more
//! seconds (RFC 9260, section 6.3), however early the link is back.

use std::time::{Duration, Instant};

/// What is known of the link.
#[derive(Debug)]
pub(super) struct Watchdog {
    last_datagram: Instant,
    /// Datagrams of the transport that were sent since the last one of it arrived: how many, and
    /// when the first of them.
    unanswered: u32,
    first_unanswered: Instant,
    /// The last message that arrived from others.
    last_message: Option<Instant>,
    link: Link,
    last_poll: Instant,
}

#[derive(Debug)]
enum Link {
    Up,
    Down {
        /// Messages of others were arriving when it went down.
        receiving: bool,
    },
    /// It is back, and now the transport has to move.
    Back {
        since: Instant,
        /// What has to move, and has not yet.
        sending: bool,
        receiving: bool,
    },
}

/// What the silence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing has arrived for [`SILENCE`].
    Down,
    /// Checks are answered, and the transport is not.
    Deaf,
    /// The link works again, and so does the transport.
    Recovered,
    /// The link works again, and the transport waits for its timers.
    Stuck,
}

impl Watchdog {
    pub(super) fn new(now: Instant) -> Self {
        Watchdog {
            last_datagram: now,
            unanswered: 0,
            first_unanswered: now,
            last_message: None,
            link: Link::Up,
            last_poll: now,
        }
    }

    pub(super) fn last_datagram(&self) -> Instant {
        self.last_datagram
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.link, Link::Up)
    }

    /// When there is something to decide; silence and grace are `stretch` times longer than usual.
    pub(super) fn timeout(&self, stretch: u32) -> Option<Instant> {
        match self.link {
            Link::Up => Some(self.silent_at(stretch)),
            Link::Down { .. } => None,
            Link::Back { since, .. } => Some(since + GRACE * stretch),
        }
    }

    /// A datagram of this session arrived. `in_flight` says whether something was sent that has
    /// not been acknowledged.
    pub(super) fn handle_datagram(&mut self, first_byte: u8, in_flight: bool, now: Instant) {
        self.last_datagram = now;
        if CARRIES_DATA.contains(&first_byte) {
            self.unanswered = 0;
        }
        if let Link::Back { sending, .. } = &mut self.link
            && CARRIES_DATA.contains(&first_byte)
        {
            *sending = false;
        }
        if let Link::Down { receiving } = self.link {
            self.link = Link::Back {
                since: now,
                // This very datagram may be the transport's.
                sending: in_flight && !CARRIES_DATA.contains(&first_byte),
                receiving,
            };
        }
    }

    /// A datagram was sent.
    pub(super) fn handle_sent(&mut self, first_byte: u8, now: Instant) {
        if !CARRIES_DATA.contains(&first_byte) {
            return;
        }
        if self.unanswered == 0 {
            self.first_unanswered = now;
        }
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// When silence is to be called that: of everything, or, where checks are still answered, of
    /// the transport although it sends. The latter is what a NAT leaves behind that has forgotten
    /// its mapping.
    fn silent_at(&self, stretch: u32) -> Instant {
        let silence = SILENCE * stretch;
        let all = self.last_datagram + silence;
        match self.unanswered >= UNANSWERED {
            true => all.min(self.first_unanswered + silence),
            false => all,
        }
    }

    /// A message from another participant arrived.
    pub(super) fn handle_message(&mut self, now: Instant) {
        self.last_message = Some(now);
        if let Link::Back { receiving, .. } = &mut self.link {
            *receiving = false;
        }
    }

    /// Decides, with as much time as for [`timeout`](Self::timeout).
    pub(super) fn poll(&mut self, now: Instant, stretch: u32) -> Option<Verdict> {
        // One that was not asked for so long was not running: what has arrived meanwhile is yet
        // to be read.
        let stalled = now.saturating_duration_since(self.last_poll) > STALL * stretch;
        self.last_poll = now;
        if stalled {
            self.last_datagram = self.last_datagram.max(now - QUIET);
            self.unanswered = 0;
        }
        match self.link {
            Link::Up if now >= self.silent_at(stretch) => {
                let receiving = self
                    .last_message
                    .is_some_and(|last| last + FLOWING >= self.last_datagram);
                self.link = Link::Down { receiving };
                let silent = now >= self.last_datagram + SILENCE * stretch;
                Some(if silent { Verdict::Down } else { Verdict::Deaf })
            }
            Link::Back {
                sending: false,
                receiving: false,
                ..
            } => {
                self.link = Link::Up;
                self.unanswered = 0;
                Some(Verdict::Recovered)
            }
            Link::Back { since, .. } if now >= since + GRACE * stretch => {
                self.link = Link::Up;
                self.unanswered = 0;
                Some(Verdict::Stuck)
            }
            _ => None,
        }
    }
}

/// How often the ICE agent checks a link that works, and how soon it repeats the first check of a
/// path, then 200 and 400 ms later.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(500);
pub(super) const FIRST_CHECK: Duration = Duration::from_millis(100);

/// How long nothing may arrive. Five checks and probes fit into it, all of which are lost once in
/// a hundred thousand times at 5 % loss each way, and then nothing worse happens than a resume that
/// was not needed.
const SILENCE: Duration = Duration::from_millis(900);

/// A silent link is polled ten times a second, or as much more rarely as it is given more time.
const STALL: Duration = Duration::from_millis(600);

/// How long a link is quiet before somebody asks whether it works: longer than the ICE agent's
/// checks are apart, so that an idle link that works is left to them.
pub(super) const QUIET: Duration = Duration::from_millis(550);

/// So many datagrams of the transport go unanswered on a link that works once in a million times
/// at 5 % loss each way.
const UNANSWERED: u32 = 6;

/// How long the transport may take when the link is back. One that would go on by itself does so
/// with the next packet, which is a round trip.
const GRACE: Duration = Duration::from_millis(300);

/// Messages that came within this time before the silence mean that more should come after it.
const FLOWING: Duration = Duration::from_millis(200);

/// First bytes of DTLS records (RFC 7983).
const CARRIES_DATA: std::ops::RangeInclusive<u8> = 20..=63;

#[cfg(test)]
mod tests {
    use super::*;

    const STUN: u8 = 1;
    const DTLS: u8 = 23;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Polls as a connection does.
    fn wait(watchdog: &mut Watchdog, start: Instant, time: std::ops::Range<u64>, stretch: u32) {
        for at in time.step_by(100) {
            assert_eq!(watchdog.poll(start + ms(at), stretch), None);
        }
    }

    #[test]
    fn one_who_was_stalled_reads_first() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(start);
        wait(&mut watchdog, start, 0..500, 1);
        assert_eq!(watchdog.poll(start + ms(3_000), 1), None);
        assert_eq!(watchdog.poll(start + ms(3_300), 1), None);
        assert_eq!(watchdog.poll(start + ms(3_400), 1), Some(Verdict::Down));
    }

    #[test]
    fn silence_is_noticed_within_a_second_and_once() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(start);
        watchdog.handle_datagram(STUN, false, start + ms(500));
        assert_eq!(watchdog.timeout(1), Some(start + ms(500) + SILENCE));
        wait(&mut watchdog, start, 500..1_400, 1);
        assert_eq!(watchdog.poll(start + ms(1_400), 1), Some(Verdict::Down));
        assert_eq!(watchdog.poll(start + ms(9_000), 1), None);
        assert!(!watchdog.is_up());
    }

    #[test]
    fn a_transport_that_hears_nothing_is_noticed_though_checks_are_answered() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(start);
        for at in [100, 200, 300, 400, 500, 600, 700, 800, 900] {
            watchdog.handle_sent(DTLS, start + ms(at));
            watchdog.handle_datagram(STUN, true, start + ms(at));
            assert_eq!(watchdog.poll(start + ms(at), 1), None);
        }
        assert_eq!(watchdog.timeout(1), Some(start + ms(1_000)));
        assert_eq!(watchdog.poll(start + ms(1_000), 1), Some(Verdict::Deaf));
    }

    #[test]
    fn a_link_under_strain_is_given_more_time() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(start);
        wait(&mut watchdog, start, 0..3_600, 4);
        assert_eq!(watchdog.poll(start + ms(3_600), 4), Some(Verdict::Down));
        watchdog.handle_datagram(STUN, true, start + ms(4_000));
        wait(&mut watchdog, start, 4_000..5_200, 4);
        assert_eq!(watchdog.poll(start + ms(5_200), 4), Some(Verdict::Stuck));
    }

    #[test]
    fn one_under_strain_is_polled_as_rarely_as_it_is_probed() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(start);
        for at in (0..7_200).step_by(800) {
            assert_eq!(watchdog.poll(start + ms(at), 8), None);
        }
        assert_eq!(watchdog.poll(start + ms(7_200), 8), Some(Verdict::Down));
    }

    fn back(receiving: bool, in_flight: bool) -> (Watchdog, Instant) {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(start);
        if receiving {
            watchdog.handle_message(start);
        }
        wait(&mut watchdog, start, 0..900, 1);
        assert_eq!(watchdog.poll(start + SILENCE, 1), Some(Verdict::Down));
        let now = start + ms(3_000);
        watchdog.handle_datagram(STUN, in_flight, now);
        (watchdog, now)
    }

    #[test]
    fn an_idle_link_that_is_back_has_recovered() {
        let (mut watchdog, now) = back(false, false);
        assert_eq!(watchdog.poll(now, 1), Some(Verdict::Recovered));
        assert!(watchdog.is_up());
    }

    #[test]
    fn a_transport_that_goes_on_in_time_has_recovered() {
        let (mut watchdog, now) = back(true, true);
        assert_eq!(watchdog.poll(now, 1), None);
        watchdog.handle_datagram(DTLS, true, now + ms(100));
        assert_eq!(
            watchdog.poll(now + ms(100), 1),
            None,
            "nothing of others yet"
        );
        watchdog.handle_message(now + ms(120));
        assert_eq!(watchdog.poll(now + ms(120), 1), Some(Verdict::Recovered));
    }

    #[test]
    fn a_transport_that_waits_for_its_timers_is_stuck() {
        for (receiving, in_flight) in [(true, false), (false, true), (true, true)] {
            let (mut watchdog, now) = back(receiving, in_flight);
            assert_eq!(watchdog.poll(now + ms(299), 1), None);
            assert_eq!(watchdog.poll(now + ms(300), 1), Some(Verdict::Stuck));
        }
    }
}
