//! The clock that deadlines are counted in.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::Engine;

/// A thread that advances the engine's epoch every [`EPOCH`], until it is dropped.
pub(crate) struct EpochTicker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EpochTicker {
    pub(crate) fn start(engine: Engine) -> std::io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::Builder::new()
            .name("wasm-epochs".into())
            .spawn(move || {
                while stopped.recv_timeout(EPOCH) == Err(RecvTimeoutError::Timeout) {
                    engine.increment_epoch();
                }
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for EpochTicker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It only advances a counter, so there is no panic to pass on.
            let _ = thread.join();
        }
    }
}

/// How many epochs a call may see begin before it has taken longer than `limit` for certain: the
/// first may begin at once.
pub(crate) fn epochs(limit: Duration) -> u64 {
    let epochs = limit.as_nanos().div_ceil(EPOCH.as_nanos());
    u64::try_from(epochs).unwrap_or(u64::MAX).min(FOREVER) + 1
}

/// As many epochs as fit beside those that have been: some billions of years.
const FOREVER: u64 = u64::MAX >> 1;
/// How finely deadlines are kept: 5 ms costs 200 wake-ups a second for a whole process.
const EPOCH: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_never_comes_early() {
        assert_eq!(epochs(Duration::from_millis(50)), 11);
        assert_eq!(epochs(Duration::from_millis(51)), 12);
        assert_eq!(epochs(Duration::from_millis(1)), 2);
    }
}
