//! A line to Redis on which a message can be held up.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes on everything, until somebody mentions a word; that message and what follows it on its
/// connection waits then, even if the speaker is gone meanwhile.
pub(crate) struct HeldUp {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    word: Mutex<Option<String>>,
    holds: AtomicBool,
    let_go: watch::Sender<bool>,
    answered: AtomicBool,
}

impl HeldUp {
    /// A line to a port of this machine.
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let lines = shared.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                let held = Arc::new(AtomicBool::new(false));
                tokio::spawn(ask(near_in, far_out, lines.clone(), held.clone()));
                tokio::spawn(answer(far_in, near_out, lines.clone(), held));
            }
        });
        Self {
            port,
            shared,
            accepting,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Holds up the first message that has this word.
    pub(crate) fn hold_up(&self, word: String) {
        *self.shared.word.lock().unwrap() = Some(word);
    }

    /// Whether a message is held up, or was.
    pub(crate) fn holds(&self) -> bool {
        self.shared.holds.load(SeqCst)
    }

    /// Passes on what was held up.
    pub(crate) fn let_go(&self) {
        self.shared.let_go.send_replace(true);
    }

    /// Whether there was an answer to what was held up.
    pub(crate) fn answered(&self) -> bool {
        self.shared.answered.load(SeqCst)
    }
}

impl Drop for HeldUp {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn ask(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: Arc<Shared>,
    held: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => length,
        };
        let message = &buffer[..length];
        let mentioned = {
            let mut word = shared.word.lock().unwrap();
            let text = String::from_utf8_lossy(message);
            word.take_if(|word| text.contains(word.as_str())).is_some()
        };
        if mentioned {
            shared.holds.store(true, SeqCst);
            let mut let_go = shared.let_go.subscribe();
            let_go.wait_for(|let_go| *let_go).await.unwrap();
            held.store(true, SeqCst);
        }
        if to.write_all(message).await.is_err() {
            return;
        }
    }
}

async fn answer(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: Arc<Shared>,
    held: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if held.load(SeqCst) {
            shared.answered.store(true, SeqCst);
        }
        // The speaker may be gone.
        let _ = to.write_all(&buffer[..length]).await;
    }
}
