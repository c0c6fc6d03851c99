//! Where plain workers live: their results come without a lease, and are known by the host (R15).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Kind, Roster, WorkerKey};
use crate::machine::limits::DEPARTED_MAX;

impl Roster {
    /// Where a worker lives. Says whether that is news.
    pub(in crate::machine) fn set_host(&mut self, key: WorkerKey, host: IpAddr) -> bool {
        let Some(worker) = self.workers.get_mut(&key) else { return false };
        let moved = worker.host.replace(host) != Some(host);
        if moved && worker.kind == Kind::Plain {
            self.by_host = None;
        }
        moved
    }

    /// A plain worker has left that lived there.
    pub(in crate::machine) fn note_departed(&mut self, address: Arc<str>, host: IpAddr) {
        if self.departed.iter().any(|known| *known == (address.clone(), host)) {
            return;
        }
        self.departed.retain(|(known, _)| *known != address);
        self.departed.truncate(DEPARTED_MAX - 1);
        self.departed.push_front((address, host));
        self.by_host = None;
    }

    /// The plain workers that live on this host, or did.
    pub(in crate::machine) fn plain_workers_on(&mut self, host: IpAddr) -> Arc<[Arc<str>]> {
        let by_host = self.by_host.get_or_insert_with(|| {
            let plain = self.workers.values().filter(|worker| worker.kind == Kind::Plain);
            let present = plain.filter_map(|worker| Some((worker.address.clone(), worker.host?)));
            let mut lists: BTreeMap<IpAddr, Vec<Arc<str>>> = BTreeMap::new();
            for (address, host) in present.chain(self.departed.iter().cloned()) {
                lists.entry(host).or_default().push(address);
            }
            lists.into_iter().map(|(host, addresses)| (host, addresses.into())).collect()
        });
        by_host.get(&host).cloned().unwrap_or_default()
    }
}
