//! `getrandom(2)` and `clock_gettime(2)`, answered from the scenario on those threads that play one.

use std::cell::Cell;
use std::time::Duration;

thread_local! {
    static SCENARIO: Cell<Option<Scenario>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Scenario {
    random: u64,
    time: Duration,
}

pub(crate) fn begin(seed: u64) {
    SCENARIO.set(Some(Scenario {
        random: seed,
        time: START,
    }));
}

pub(crate) fn set_time(time: Duration) {
    if let Some(scenario) = scenario() {
        let time = START + time;
        SCENARIO.set(Some(Scenario { time, ..scenario }));
    }
}

/// The one that this thread plays.
fn scenario() -> Option<Scenario> {
    SCENARIO.try_with(Cell::get).ok().flatten()
}

/// The next eight bytes on this thread, by `SplitMix64`.
fn random() -> Option<[u8; 8]> {
    let scenario = scenario()?;
    let random = scenario.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
    SCENARIO.set(Some(Scenario { random, ..scenario }));
    let mut z = random;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    Some((z ^ (z >> 31)).to_le_bytes())
}

/// In place of the C library's.
///
/// # Safety
/// As there: `buffer` has to be valid for writes of `length` bytes.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(
    buffer: *mut libc::c_void,
    length: libc::size_t,
    flags: libc::c_uint,
) -> libc::ssize_t {
    let mut filled = 0;
    while filled < length {
        let Some(bytes) = random() else {
            // SAFETY: these are the arguments that the caller vouches for.
            let answer = unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) };
            return answer as libc::ssize_t;
        };
        let some = bytes.len().min(length - filled);
        // SAFETY: `filled + some` is within the caller's `length`, and nobody else knows `bytes`.
        unsafe {
            let to = buffer.cast::<u8>().add(filled);
            to.copy_from_nonoverlapping(bytes.as_ptr(), some);
        }
        filled += some;
    }
    filled as libc::ssize_t
}

/// In place of the C library's.
///
/// # Safety
/// As there: `time` has to be valid for a write.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(
    clock: libc::clockid_t,
    time: *mut libc::timespec,
) -> libc::c_int {
    let scenario = scenario().filter(|_| clock == libc::CLOCK_MONOTONIC);
    let Some(scenario) = scenario else {
        // SAFETY: these are the arguments that the caller vouches for.
        let answer = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
        return answer as libc::c_int;
    };
    let now = libc::timespec {
        tv_sec: scenario.time.as_secs() as libc::time_t,
        tv_nsec: scenario.time.subsec_nanos() as libc::c_long,
    };
    // SAFETY: the caller vouches for `time`.
    unsafe { time.write(now) };
    0
}

/// Whoever looks back some days from the first moment finds a time there.
const START: Duration = Duration::from_secs(1_000_000);
