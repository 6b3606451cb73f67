//! `getrandom(2)` and `clock_gettime(2)`, answered from the scenario on those threads that play one.

use std::cell::Cell;
use std::time::Duration;

thread_local! {
    /// The time in the scenario that this thread plays.
    static TIME: Cell<Option<Duration>> = const { Cell::new(None) };
}

pub(crate) fn begin() {
    TIME.set(Some(START));
}

pub(crate) fn set_time(time: Duration) {
    if TIME.get().is_some() {
        TIME.set(Some(START + time));
    }
}

/// In place of the C library's: from this thread's `fastrand`, which has the scenario's seed.
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
    if TIME.get().is_none() {
        // SAFETY: these are the arguments that the caller vouches for.
        let answer = unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) };
        return answer as libc::ssize_t;
    }
    let mut filled = 0;
    while filled < length {
        let bytes = fastrand::u64(..).to_le_bytes();
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
    let now = TIME.get().filter(|_| clock == libc::CLOCK_MONOTONIC);
    let Some(now) = now else {
        // SAFETY: these are the arguments that the caller vouches for.
        let answer = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
        return answer as libc::c_int;
    };
    let now = libc::timespec {
        tv_sec: now.as_secs() as libc::time_t,
        tv_nsec: now.subsec_nanos() as libc::c_long,
    };
    // SAFETY: the caller vouches for `time`.
    unsafe { time.write(now) };
    0
}

/// Whoever looks back some days from the first moment finds a time there.
const START: Duration = Duration::from_secs(1_000_000);
