//! Under which address dispatchers reach this worker. A wrong one is found out here, at the start, and not
//! by tasks that never arrive.

use std::net::{IpAddr, SocketAddr};

use taskgrid_protocol::limits::ADDRESS_MAX;
use taskgrid_runtime::{Names, StartError, local_address_towards};

/// A name service: as the operator wrote it, and where that is, if it can be looked up now.
struct Service<'a> {
    name: &'a str,
    addr: Option<SocketAddr>,
}

impl Service<'_> {
    /// A name that cannot be looked up is that of a machine which is not up yet, so not of this one.
    fn is_remote(&self) -> bool {
        self.addr.map_or_else(|| !is_loopback(self.name), |addr| !addr.ip().is_loopback())
    }
}

/// The address to register: what the operator says, else the one that this machine has towards the name
/// service. `local` is where the worker listens.
pub(super) async fn advertised(
    given: Option<&str>,
    local: SocketAddr,
    nameservices: &[String],
    names: &Names,
) -> Result<String, StartError> {
    let mut services = Vec::new();
    for name in nameservices {
        check("--nameservice", name)?;
        services.push(Service { name, addr: names.look_up(name).await });
    }
    choose(given, local, &services)
}

fn choose(given: Option<&str>, local: SocketAddr, services: &[Service<'_>]) -> Result<String, StartError> {
    let remote = services.iter().find(|service| service.is_remote());
    if let Some(remote) = remote.filter(|_| local.ip().is_loopback()) {
        return Err(StartError::configuration(format!(
            "--listen {local} is reached from this machine only, but the name service {} is on another one; use --listen \
             0.0.0.0:{}",
            remote.name,
            local.port()
        )));
    }
    if let Some(given) = given {
        check("--advertise", given)?;
        if let Some(remote) = remote.filter(|_| is_loopback(given)) {
            return Err(StartError::configuration(format!(
                "--advertise {given} means every machine itself, but the name service {} is on another one; advertise the \
                 name or address by which others reach this machine",
                remote.name
            )));
        }
        return Ok(given.to_owned());
    }
    let ip = if local.ip().is_unspecified() { towards(remote, services)? } else { local.ip() };
    if let Some(remote) = remote.filter(|_| ip.is_loopback()) {
        return Err(StartError::configuration(format!(
            "this machine has no address but {ip} towards the name service {}; give the one by which others reach it with \
             --advertise HOST:PORT",
            remote.name
        )));
    }
    Ok(SocketAddr::new(ip, local.port()).to_string())
}

fn towards(remote: Option<&Service<'_>>, services: &[Service<'_>]) -> Result<IpAddr, StartError> {
    let ask_operator = |why: String| {
        StartError::unavailable(format!("{why}; give the address of this worker with --advertise HOST:PORT"))
    };
    let Some(service) = remote.or_else(|| services.first()) else {
        return Err(StartError::configuration("--nameservice names no name service"));
    };
    let Some(addr) = service.addr else {
        return Err(ask_operator(format!("the name service {} cannot be looked up now", service.name)));
    };
    local_address_towards(addr)
        .map_err(|error| ask_operator(format!("there is no route to the name service {}: {error}", service.name)))
}

/// Refuses what nobody could send to.
fn check(flag: &str, address: &str) -> Result<(), StartError> {
    let port = split(address).and_then(|(_, port)| port.parse::<u16>().ok());
    let is_unspecified = address.parse::<SocketAddr>().is_ok_and(|addr| addr.ip().is_unspecified());
    if port.is_none_or(|port| port == 0) || address.len() > ADDRESS_MAX || is_unspecified {
        let example = if flag == "--advertise" { "worker-1:6000" } else { "127.0.0.1:5001" };
        return Err(StartError::configuration(format!(
            "{flag} '{address}' is not an address to send to; write HOST:PORT, as in {example}"
        )));
    }
    Ok(())
}

fn split(address: &str) -> Option<(&str, &str)> {
    address.rsplit_once(':').filter(|(host, _)| !host.is_empty() && !host.contains(char::is_whitespace))
}

fn is_loopback(address: &str) -> bool {
    let host = split(address).map_or(address, |(host, _)| host);
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    ip.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: (&str, Option<&str>) = ("127.0.0.1:5001", Some("127.0.0.1:5001"));
    const THERE: (&str, Option<&str>) = ("names:5001", Some("198.51.100.7:5001"));
    const UNKNOWN: (&str, Option<&str>) = ("names:5001", None);

    fn chosen(given: Option<&str>, local: &str, services: &[(&str, Option<&str>)]) -> Result<String, String> {
        let services: Vec<Service<'_>> = services
            .iter()
            .map(|(name, addr)| Service { name, addr: addr.map(|addr| addr.parse().unwrap()) })
            .collect();
        choose(given, local.parse().unwrap(), &services).map_err(|error| error.to_string())
    }

    #[test]
    fn on_one_machine_the_loopback_address_does() {
        assert_eq!(chosen(None, "127.0.0.1:6000", &[HERE]).unwrap(), "127.0.0.1:6000");
        assert_eq!(chosen(None, "0.0.0.0:6000", &[HERE]).unwrap(), "127.0.0.1:6000");
        assert_eq!(chosen(Some("localhost:6000"), "0.0.0.0:6000", &[HERE]).unwrap(), "localhost:6000");
    }

    #[test]
    fn an_address_that_one_listens_on_is_the_one_to_register() {
        assert_eq!(chosen(None, "192.0.2.1:6000", &[THERE]).unwrap(), "192.0.2.1:6000");
        assert_eq!(chosen(None, "192.0.2.1:6000", &[UNKNOWN]).unwrap(), "192.0.2.1:6000");
        assert_eq!(chosen(Some("worker-1:6000"), "0.0.0.0:6000", &[UNKNOWN]).unwrap(), "worker-1:6000");
    }

    #[test]
    fn listening_on_loopback_for_a_remote_name_service_is_refused_with_the_remedy() {
        for remote in [THERE, UNKNOWN] {
            let error = chosen(Some("worker-1:6000"), "127.0.0.1:6000", &[HERE, remote]).unwrap_err();
            assert!(error.contains("--listen 0.0.0.0:6000") && error.contains("names:5001"), "{error}");
        }
    }

    #[test]
    fn registering_loopback_at_a_remote_name_service_is_refused() {
        for given in ["127.0.0.1:6000", "localhost:6000", "[::1]:6000"] {
            let error = chosen(Some(given), "0.0.0.0:6000", &[THERE]).unwrap_err();
            assert!(error.contains(given) && error.contains("--advertise"), "{error}");
        }
    }

    #[test]
    fn without_a_known_way_to_the_name_service_the_operator_is_asked() {
        let error = chosen(None, "0.0.0.0:6000", &[UNKNOWN]).unwrap_err();
        assert!(error.contains("--advertise HOST:PORT"), "{error}");
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        for bad in ["worker", ":6000", "worker:", "worker:0", "worker:70000", "0.0.0.0:6000", "a b:1", ""] {
            let error = chosen(Some(bad), "0.0.0.0:6000", &[HERE]).unwrap_err();
            assert!(error.starts_with(&format!("--advertise '{bad}' ")), "{error}");
        }
    }
}
