//! Dedicated threads that call many tasks, each at its own fixed rate.
//!
//! A simulation does not belong on an async runtime: its timers are late by a millisecond or two,
//! and a long step would stall sockets. The threads here share all tasks, and whichever is free
//! runs the one whose deadline comes first, so that a task that hangs takes one thread from the
//! others and nothing else. Deadlines are absolute, so that lateness never adds up.

mod histogram;

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use histogram::Histogram;

/// Something that is called at a fixed rate.
pub trait TickTask: Send {
    /// Runs one tick; `now` is when it starts. Must come back well before the next one is due.
    fn tick(&mut self, now: Instant) -> Flow;
}

/// Whether a task goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Call it again at its next deadline.
    Continue,
    /// Drop it.
    Stop,
}

/// The threads. Dropping it drops all tasks and waits for the threads to end.
#[derive(Debug)]
pub struct Ticker {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// How well all tasks together are kept to their deadlines.
#[derive(Debug, Default)]
pub struct TickerStats {
    /// How late ticks started.
    pub lateness: Histogram,
    /// Ticks that ran.
    pub ticks: AtomicU64,
    /// Ticks that were given up because their task was too far behind.
    pub skipped: AtomicU64,
    /// Tasks that panicked and were dropped.
    pub panicked: AtomicU64,
}

/// What one task costs.
#[derive(Debug, Default)]
pub struct TaskStats {
    /// Time spent in its ticks, in nanoseconds.
    pub busy_ns: AtomicU64,
    /// Its longest tick, in nanoseconds.
    pub longest_ns: AtomicU64,
    /// Its ticks that ran.
    pub ticks: AtomicU64,
    /// Its ticks that were given up.
    pub skipped: AtomicU64,
}

impl Ticker {
    /// Starts `threads` threads (at least one).
    pub fn start(threads: usize) -> io::Result<Self> {
        let mut ticker = Self {
            shared: Arc::new(Shared {
                queue: Mutex::default(),
                leader: Condvar::new(),
                followers: Condvar::new(),
                start: Instant::now(),
                stats: Arc::default(),
            }),
            threads: Vec::new(),
        };
        for index in 0..threads.max(1) {
            let shared = ticker.shared.clone();
            let thread = std::thread::Builder::new().name(format!("ticks-{index}"));
            ticker.threads.push(thread.spawn(move || shared.run())?);
        }
        Ok(ticker)
    }

    /// As many threads as the machine has cores, less one that is left to sockets and the LiveKit
    /// server; at least two, so that a task that hangs does not hold up the others.
    pub fn default_threads() -> usize {
        std::thread::available_parallelism().map_or(2, |cores| cores.get().saturating_sub(1).max(2))
    }

    /// Calls `task` at `rate` Hz (1–1,000, clamped) from now on.
    pub fn add(&self, rate: u32, task: Box<dyn TickTask>) -> Arc<TaskStats> {
        let stats = Arc::new(TaskStats::default());
        let mut queue = self.shared.lock();
        let phase = queue.emptiest_phase();
        queue.phases[phase] += 1;
        let now = Instant::now();
        let schedule =
            Schedule::starting_after(now, self.shared.start, rate.clamp(1, 1_000), phase);
        let entry = Entry {
            task,
            stats: stats.clone(),
            schedule,
            phase,
        };
        self.shared.schedule(queue, entry);
        stats
    }

    /// Counts of all tasks together.
    pub fn stats(&self) -> &Arc<TickerStats> {
        &self.shared.stats
    }

    /// How many tasks are hosted.
    pub fn tasks(&self) -> usize {
        self.shared.lock().phases.iter().sum()
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.leader.notify_all();
        self.shared.followers.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What the threads share.
#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the thread that waits for the first deadline.
    leader: Condvar,
    /// Wakes one that waits to become that thread.
    followers: Condvar,
    start: Instant,
    stats: Arc<TickerStats>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Tasks that no thread runs now.
    due: BinaryHeap<Box<Entry>>,
    /// How many tasks each phase has.
    phases: [usize; PHASES],
    /// Whether a thread waits for the first deadline.
    led: bool,
    closing: bool,
}

impl Queue {
    fn emptiest_phase(&self) -> usize {
        let phases = self.phases.iter().enumerate();
        phases
            .min_by_key(|(_, tasks)| **tasks)
            .map_or(0, |(phase, _)| phase)
    }
}

impl Shared {
    /// Nothing that can panic runs under the lock, so that it is never left half-way.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread. One at a time, the leader, waits for the first deadline; before it runs the task
    /// it lets another wait for the next.
    fn run(&self) {
        let mut queue = self.lock();
        loop {
            if queue.closing {
                return;
            }
            if queue.led {
                let woken = self.followers.wait(queue);
                queue = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let first = queue.due.peek().map(|first| first.deadline());
            let now = Instant::now();
            let due = first.is_some_and(|deadline| deadline <= now);
            if let Some(entry) = due.then(|| queue.due.pop()).flatten() {
                drop(queue);
                self.followers.notify_one();
                if let Some(entry) = self.tick(entry, now) {
                    self.schedule(self.lock(), entry);
                }
                queue = self.lock();
                continue;
            }
            queue.led = true;
            queue = self.wait(queue, first);
            queue.led = false;
        }
    }

    /// Waits for a deadline as the leader: sleeps, and spins for the last moment, so that only one
    /// thread ever spins. Comes back early where an earlier task was added.
    fn wait<'a>(
        &'a self,
        queue: MutexGuard<'a, Queue>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, Queue> {
        let Some(deadline) = deadline else {
            let woken = self.leader.wait(queue);
            return woken.unwrap_or_else(PoisonError::into_inner);
        };
        let sleep = deadline.saturating_duration_since(Instant::now() + SPIN);
        if !sleep.is_zero() {
            let woken = self.leader.wait_timeout(queue, sleep);
            return woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(queue);
        while Instant::now() < deadline {
            std::hint::spin_loop();
        }
        self.lock()
    }

    /// Puts a task in the queue, and wakes the leader where it waits for a later one.
    fn schedule(&self, mut queue: MutexGuard<'_, Queue>, entry: impl Into<Box<Entry>>) {
        let entry = entry.into();
        let first = queue
            .due
            .peek()
            .is_none_or(|first| entry.deadline() < first.deadline());
        queue.due.push(entry);
        drop(queue);
        if first {
            self.leader.notify_one();
        }
    }

    /// Runs a task that is due once. Answers it where it goes on.
    fn tick(&self, mut entry: Box<Entry>, now: Instant) -> Option<Box<Entry>> {
        self.stats.lateness.record(now - entry.deadline());
        // One game's bug must not take the thread with it.
        let flow = catch_unwind(AssertUnwindSafe(|| entry.task.tick(now))).unwrap_or_else(|_| {
            self.stats.panicked.fetch_add(1, Relaxed);
            Flow::Stop
        });
        let after = Instant::now();
        let busy = u64::try_from((after - now).as_nanos()).unwrap_or(u64::MAX);
        entry.stats.busy_ns.fetch_add(busy, Relaxed);
        entry.stats.longest_ns.fetch_max(busy, Relaxed);
        entry.stats.ticks.fetch_add(1, Relaxed);
        self.stats.ticks.fetch_add(1, Relaxed);
        if flow == Flow::Stop {
            let phase = entry.phase;
            // Dropping a task may panic too, and is just as little the others' business.
            if catch_unwind(AssertUnwindSafe(|| drop(entry))).is_err() {
                self.stats.panicked.fetch_add(1, Relaxed);
            }
            self.lock().phases[phase] -= 1;
            return None;
        }
        let skipped = entry.schedule.advance(after);
        entry.stats.skipped.fetch_add(skipped, Relaxed);
        self.stats.skipped.fetch_add(skipped, Relaxed);
        Some(entry)
    }
}

struct Entry {
    task: Box<dyn TickTask>,
    stats: Arc<TaskStats>,
    schedule: Schedule,
    phase: usize,
}

impl Entry {
    fn deadline(&self) -> Instant {
        self.schedule.deadline()
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("schedule", &self.schedule)
            .finish_non_exhaustive()
    }
}

/// The earliest deadline is the greatest, as a [`BinaryHeap`] wants it.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        other.deadline().cmp(&self.deadline())
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

/// The deadlines of one task: `start + next / rate`.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    start: Instant,
    rate: u32,
    next: u64,
}

impl Schedule {
    /// Deadlines after `now` that all tasks of one rate and phase share, so that the threads wake
    /// once for all of them.
    fn starting_after(now: Instant, base: Instant, rate: u32, phase: usize) -> Self {
        let offset = nanos(phase as u128, u128::from(rate) * PHASES as u128);
        let mut schedule = Self {
            start: base + offset,
            rate,
            next: 0,
        };
        let passed = now.saturating_duration_since(schedule.start);
        schedule.next = schedule.ticks_in(passed) + 1;
        schedule
    }

    fn deadline(&self) -> Instant {
        self.start + nanos(u128::from(self.next), u128::from(self.rate))
    }

    /// Goes on to the next deadline, and past those that are too long ago; answers how many.
    fn advance(&mut self, now: Instant) -> u64 {
        self.next += 1;
        let current = self.ticks_in(now.saturating_duration_since(self.start));
        if current.saturating_sub(self.next) < MAX_BEHIND {
            return 0;
        }
        let skipped = current - self.next;
        self.next = current;
        skipped
    }

    fn ticks_in(&self, time: Duration) -> u64 {
        let ticks = time.as_nanos() * u128::from(self.rate) / NANOS;
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }
}

/// `count / rate` seconds.
fn nanos(count: u128, rate: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count * NANOS / rate).unwrap_or(u64::MAX))
}

const NANOS: u128 = 1_000_000_000;
/// How long before a deadline a thread stops sleeping: a kernel wakes a sleeper up to that late.
const SPIN: Duration = Duration::from_micros(300);
/// How many different wake-ups there are for tasks of one rate. Fewer make a burst of work and
/// more make it spin more: 8 × 60 Hz × 300 µs is 14 % of a core, however many tasks there are.
const PHASES: usize = 8;
/// How many ticks a task may be behind and still run all of them, back to back. Beyond it they are
/// skipped: a task that cannot keep up would only fall further behind and take the others along.
const MAX_BEHIND: u64 = 4;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Reports when it runs, then takes as long as told.
    struct Probe {
        runs: mpsc::Sender<Instant>,
        left: u32,
        takes: Duration,
    }

    impl TickTask for Probe {
        fn tick(&mut self, now: Instant) -> Flow {
            let _ = self.runs.send(now);
            std::thread::sleep(self.takes);
            self.left -= 1;
            if self.left == 0 {
                Flow::Stop
            } else {
                Flow::Continue
            }
        }
    }

    fn probe(left: u32, takes: Duration) -> (Box<Probe>, mpsc::Receiver<Instant>) {
        let (runs, ran) = mpsc::channel();
        (Box::new(Probe { runs, left, takes }), ran)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn deadlines_do_not_drift() {
        let base = Instant::now();
        let mut schedule = Schedule::starting_after(base, base, 60, 0);
        for _ in 0..60 * 3600 - 1 {
            let now = schedule.deadline();
            assert_eq!(schedule.advance(now), 0);
        }
        assert_eq!(schedule.deadline() - base, Duration::from_secs(3600));
    }

    #[test]
    fn tasks_of_one_phase_share_their_deadlines() {
        let base = Instant::now();
        let first = Schedule::starting_after(base + Duration::from_millis(5), base, 60, 3);
        let late = base + Duration::from_millis(12_345);
        let second = Schedule::starting_after(late, base, 60, 3);
        assert!(second.deadline() > late);
        assert!(second.deadline() - late <= Duration::from_micros(16_667));
        assert_eq!(first.start, second.start);
    }

    #[test]
    fn a_little_lateness_is_caught_up_and_a_lot_is_skipped() {
        let base = Instant::now();
        let at = |ms| base + Duration::from_millis(ms);
        let mut schedule = Schedule::starting_after(base, base, 100, 0);
        assert_eq!(schedule.deadline(), at(10));
        assert_eq!(schedule.advance(at(45)), 0);
        assert_eq!(schedule.deadline(), at(20));
        assert_eq!(schedule.advance(at(1_005)), 97);
        assert_eq!(schedule.deadline(), at(1_000));
    }

    #[test]
    fn tasks_run_at_their_rate_until_they_stop() {
        let ticker = Ticker::start(1).unwrap();
        let (task, runs) = probe(20, Duration::ZERO);
        let stats = ticker.add(200, task);
        let (other, other_runs) = probe(5, Duration::ZERO);
        ticker.add(50, other);
        let times: Vec<Instant> = runs.iter().collect();
        assert_eq!(times.len(), 20);
        // Never early: 19 periods of 5 ms, less what the first may be late and the last not.
        assert!(times[19] - times[0] >= Duration::from_millis(19 * 5 - 5));
        assert_eq!(other_runs.iter().count(), 5);
        wait_until(|| ticker.tasks() == 0);
        assert_eq!(stats.ticks.load(Relaxed), 20);
        assert_eq!(ticker.stats().ticks.load(Relaxed), 25);
        assert!(ticker.stats().lateness.count() == 25);
    }

    #[test]
    fn a_slow_task_skips_ticks_and_others_still_run() {
        let ticker = Ticker::start(1).unwrap();
        let (slow, slow_runs) = probe(4, Duration::from_millis(30));
        let slow_stats = ticker.add(1_000, slow);
        let (quick, quick_runs) = probe(10, Duration::ZERO);
        ticker.add(100, quick);
        assert_eq!(quick_runs.iter().count(), 10);
        assert_eq!(slow_runs.iter().count(), 4);
        assert!(slow_stats.skipped.load(Relaxed) > 20);
        assert!(slow_stats.longest_ns.load(Relaxed) >= 30_000_000);
    }

    #[test]
    fn a_task_that_hangs_holds_up_no_other() {
        struct Hangs(mpsc::Sender<()>, mpsc::Receiver<()>);
        impl TickTask for Hangs {
            fn tick(&mut self, _: Instant) -> Flow {
                let _ = self.0.send(());
                // Until the test lets go.
                let _ = self.1.recv();
                Flow::Stop
            }
        }
        let ticker = Ticker::start(2).unwrap();
        let ((hanging, hangs), (let_go, held)) = (mpsc::channel(), mpsc::channel());
        ticker.add(100, Box::new(Hangs(hanging, held)));
        hangs.recv_timeout(LONG).unwrap();
        let (quick, quick_runs) = probe(20, Duration::ZERO);
        ticker.add(100, quick);
        for _ in 0..20 {
            quick_runs.recv_timeout(LONG).unwrap();
        }
        wait_until(|| ticker.tasks() == 1);
        drop(let_go);
        wait_until(|| ticker.tasks() == 0);
    }

    #[test]
    fn a_panic_drops_its_task_only() {
        struct Bad;
        impl TickTask for Bad {
            fn tick(&mut self, _: Instant) -> Flow {
                panic!("a bug")
            }
        }
        let ticker = Ticker::start(1).unwrap();
        let (task, runs) = probe(10, Duration::ZERO);
        ticker.add(100, Box::new(Bad));
        ticker.add(100, task);
        assert_eq!(runs.iter().count(), 10);
        assert_eq!(ticker.stats().panicked.load(Relaxed), 1);
    }

    #[test]
    fn dropping_the_ticker_drops_its_tasks() {
        let ticker = Ticker::start(2).unwrap();
        let (task, runs) = probe(u32::MAX, Duration::ZERO);
        ticker.add(100, task);
        runs.recv_timeout(LONG).unwrap();
        drop(ticker);
        while runs.try_recv().is_ok() {}
        assert_eq!(runs.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }

    fn wait_until(condition: impl Fn() -> bool) {
        let deadline = Instant::now() + LONG;
        while !condition() {
            assert!(Instant::now() < deadline, "not within {LONG:?}");
            std::thread::yield_now();
        }
    }
}
