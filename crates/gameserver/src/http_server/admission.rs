//! How many connections there may be, in all and of one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Bounds;

/// Counts open connections.
pub(super) struct Admission {
    bounds: Bounds,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    /// Of those that no trusted proxy made, which are no more than there may be in all.
    by_address: HashMap<IpAddr, usize>,
}

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There are as many as there may be.
    All,
    /// The address has as many as it may have.
    Address,
}

impl Refusal {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Address => "address",
        }
    }

    pub(super) fn detail(self) -> &'static str {
        match self {
            Self::All => "the server has as many connections as it takes; try again in a moment",
            Self::Address => "your address has as many connections as one may have; close some",
        }
    }
}

/// An open connection's place; dropping it makes room.
pub(super) struct Permit {
    admission: Arc<Admission>,
    /// What it counts under.
    address: Option<IpAddr>,
}

impl Admission {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            open: Mutex::default(),
        }
    }

    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Refusal> {
        let address = address.to_canonical();
        let mut networks = self.bounds.trusted_proxies.iter();
        let proxy = networks.any(|network| network.contains(&address));
        let address = (!proxy).then(|| household(address));
        let mut open = self.open();
        if open.all >= self.bounds.connections {
            return Err(Refusal::All);
        }
        if let Some(address) = address {
            let count = open.by_address.entry(address).or_default();
            if *count >= self.bounds.per_address {
                return Err(Refusal::Address);
            }
            *count += 1;
        }
        open.all += 1;
        Ok(Permit {
            admission: self.clone(),
            address,
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.admission.open();
        open.all -= 1;
        if let Some(address) = self.address
            && let Some(count) = open.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&address);
            }
        }
    }
}

/// A household has an IPv4 address, or an IPv6 /64 network.
fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Arc<Admission> {
        Arc::new(Admission::new(Bounds {
            connections: 5,
            per_address: 2,
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        }))
    }

    #[test]
    fn an_address_has_its_bound_and_gets_its_places_back() {
        let admission = admission();
        let admit = |address: &str| admission.admit(address.parse().unwrap());
        let (first, _second) = (admit("192.0.2.1").unwrap(), admit("192.0.2.1").unwrap());
        assert_eq!(admit("192.0.2.1").err(), Some(Refusal::Address));
        assert_eq!(admit("::ffff:192.0.2.1").err(), Some(Refusal::Address));
        let _other = admit("192.0.2.2").unwrap();
        drop(first);
        let _again = admit("192.0.2.1").unwrap();
        let _v6 = (admit("2001:db8::1").unwrap(), admit("2001:db8::2").unwrap());
        assert_eq!(admit("192.0.2.9").err(), Some(Refusal::All));
    }

    #[test]
    fn networks_count_as_one_address_and_proxies_as_none() {
        let admission = admission();
        let admit = |address: &str| admission.admit(address.parse().unwrap());
        let v6 = (admit("2001:db8::1").unwrap(), admit("2001:db8::2").unwrap());
        assert_eq!(admit("2001:db8::3").err(), Some(Refusal::Address));
        drop(v6);
        let proxied: Vec<Permit> = (0..5).map(|_| admit("10.1.2.3").unwrap()).collect();
        assert_eq!(admit("10.1.2.3").err(), Some(Refusal::All));
        drop(proxied);
        assert!(admission.open().by_address.is_empty());
        assert_eq!(admission.open().all, 0);
    }
}
