//! Who counts as a neighbour: their datagrams travel fast (R5), and their addresses are not forged from far away (R37).

use std::net::IpAddr;

/// Whether an address is on this machine or on a private network.
pub fn is_near(ip: IpAddr) -> bool {
    // A socket for both families sees IPv4 as a part of IPv6.
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}
