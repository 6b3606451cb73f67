//! How often somebody may try: token buckets by address, by account and by player.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::problem::Problem;

/// How often addresses and accounts may try to sign in, and players to queue.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls that sign somebody in, from one address (an IPv6 /64 network).
    pub address: Rate,
    /// Passwords tried for one account from one address. From all addresses together, ten times as
    /// many: a guesser gets nowhere with them, and needs many addresses to keep an account's owner
    /// out.
    pub account: Rate,
    /// Tickets and parties asked for by one player.
    pub queue: Rate,
    /// Tickets and parties asked for from one address.
    pub queue_address: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A household or a classroom behind one address; a guesser gets 3,600 an hour.
            address: Rate {
                burst: 60,
                interval: Duration::from_secs(1),
            },
            account: Rate {
                burst: 10,
                interval: Duration::from_secs(6),
            },
            // Far beyond anybody who changes their mind; each ticket is a write that is kept a day.
            queue: Rate {
                burst: 20,
                interval: Duration::from_secs(1),
            },
            // A LAN party behind one address; whoever would fill the queue gets 36,000 an hour.
            queue_address: Rate {
                burst: 600,
                interval: Duration::from_millis(100),
            },
        }
    }
}

/// A bucket that holds `burst` attempts and regains one each `interval`.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Attempts in a row, at least 1.
    pub burst: u32,
    /// Time for one attempt to come back, at least 1 ms.
    pub interval: Duration,
}

pub(crate) struct Limiter {
    addresses: Buckets<IpAddr>,
    accounts: Buckets<(String, IpAddr)>,
    accounts_anywhere: Buckets<String>,
    queues: Buckets<Uuid>,
    queue_addresses: Buckets<IpAddr>,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            addresses: Buckets::new(limits.address),
            accounts: Buckets::new(limits.account),
            accounts_anywhere: Buckets::new(Rate {
                burst: limits.account.burst.saturating_mul(ANYWHERE),
                interval: (limits.account.interval / ANYWHERE).max(Duration::from_millis(1)),
            }),
            queues: Buckets::new(limits.queue),
            queue_addresses: Buckets::new(limits.queue_address),
        }
    }

    /// Counts a call that signs somebody in.
    pub(crate) fn address(&self, address: IpAddr, now: DateTime<Utc>) -> Result<(), Problem> {
        self.addresses.take(address, now)
    }

    /// Counts a password tried for an account.
    pub(crate) fn account(
        &self,
        name_key: String,
        address: IpAddr,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        self.accounts.take((name_key.clone(), address), now)?;
        self.accounts_anywhere.take(name_key, now)
    }

    /// Counts a ticket or a party that a player asks for.
    pub(crate) fn queue(
        &self,
        player_id: Uuid,
        address: IpAddr,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        self.queues.take(player_id, now)?;
        self.queue_addresses.take(address, now)
    }
}

/// One bucket a key, and one for all keys beyond [`MAX_BUCKETS`].
struct Buckets<K> {
    rate: Rate,
    /// The time at which each bucket is full again.
    full_at: Mutex<HashMap<Option<K>, DateTime<Utc>>>,
}

impl<K: Eq + Hash> Buckets<K> {
    fn new(rate: Rate) -> Self {
        Self {
            rate,
            full_at: Mutex::new(HashMap::new()),
        }
    }

    fn take(&self, key: K, now: DateTime<Utc>) -> Result<(), Problem> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = Some(key);
        if full_at.len() >= MAX_BUCKETS && !full_at.contains_key(&key) {
            full_at.retain(|_, full| *full > now);
            if full_at.len() >= MAX_BUCKETS {
                key = None;
            }
        }
        let entry = full_at.entry(key).or_insert(now);
        let allowed = now + self.rate.interval * self.rate.burst;
        if *entry > allowed {
            // The clock has jumped back.
            *entry = now;
        }
        let after = (*entry).max(now) + self.rate.interval;
        if after > allowed {
            let wait = (after - allowed).num_milliseconds().unsigned_abs();
            return Err(Problem::too_many_requests(wait.div_ceil(1000).max(1)));
        }
        *entry = after;
        Ok(())
    }
}

/// How many addresses one account may be tried from at their full rate.
const ANYWHERE: u32 = 10;
/// Most keys that are told apart, some 10 MB; the rest share a bucket until others are full again.
const MAX_BUCKETS: usize = 100_000;

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_burst_passes_and_comes_back_one_by_one() {
        let buckets = Buckets::new(Rate {
            burst: 3,
            interval: Duration::from_secs(2),
        });
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        for _ in 0..3 {
            buckets.take("a", at(0)).unwrap();
        }
        assert!(buckets.take("a", at(0)).is_err());
        buckets.take("b", at(0)).unwrap();
        assert!(buckets.take("a", at(1)).is_err());
        buckets.take("a", at(2)).unwrap();
        assert!(buckets.take("a", at(3)).is_err());
        // A clock that jumps back keeps nobody out for as long.
        buckets.take("a", at(-1_000)).unwrap();
        for _ in 0..3 {
            buckets.take("a", at(100)).unwrap();
        }
        assert!(buckets.take("a", at(100)).is_err());
    }

    #[test]
    fn keys_beyond_the_bound_share_a_bucket() {
        let buckets = Buckets::new(Rate {
            burst: 1,
            interval: Duration::from_secs(60),
        });
        let now = DateTime::UNIX_EPOCH;
        for key in 0..MAX_BUCKETS {
            buckets.take(key, now).unwrap();
        }
        buckets.take(MAX_BUCKETS, now).unwrap();
        assert!(buckets.take(MAX_BUCKETS + 1, now).is_err());
        assert!(buckets.full_at.lock().unwrap().len() <= MAX_BUCKETS + 1);
        buckets
            .take(MAX_BUCKETS + 1, now + TimeDelta::seconds(60))
            .unwrap();
    }
}
