//! A seeded emulator of bad network links.
//!
//! A link is one direction of a line. What goes in at one time comes out at another, twice, out of
//! order or not at all, as its [`LinkConfig`] and its seed say: the same configuration, seed and
//! calls give the same result on every machine, browsers included. Nothing here reads a clock or
//! waits; time is a [`Duration`](std::time::Duration) since any start that the caller likes, and
//! must not go back.
//!
//! - [`Link`]: the lossy, unordered kind, like UDP or an unreliable data channel.
//! - [`ReliableLink`]: what is lost is sent again after a timeout, and everything waits for what
//!   was sent before it, like SCTP or TCP. Loss becomes delay.
//!
//! ```
//! use std::time::Duration;
//! use gs_netem::{Link, LinkConfig};
//!
//! let config = LinkConfig { latency: Duration::from_millis(40), ..LinkConfig::default() };
//! let mut link = Link::new(config, 7);
//! link.send(Duration::ZERO, b"hello".to_vec());
//! assert_eq!(link.poll_timeout(), Some(Duration::from_millis(40)));
//! assert_eq!(link.poll(Duration::from_millis(39)), None);
//! assert_eq!(link.poll(Duration::from_millis(40)), Some(b"hello".to_vec()));
//! ```

mod config;
mod line;
mod link;
mod reliable;

pub use config::{Burst, Distribution, LinkConfig, Outage, Rate, Reorder};
pub use link::{Link, LinkStats, MAX_IN_FLIGHT, Payload};
pub use reliable::{MAX_ATTEMPTS, ReliableLink, Retransmission};
