//! Free ports that must be known before their owners bind them.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{SocketAddr, TcpListener};

use anyhow::Context as _;

/// Below the range from which systems take ports for outgoing connections:
/// none of those can get in between.
const FIRST: u64 = 12_000;
const COUNT: u64 = 20_000;
/// Ports tried for one address.
const ATTEMPTS: u64 = 200;

/// Replaces port 0 of each address by a free port, no two alike. With each
/// address comes the flag that sets it.
///
/// # Errors
///
/// When an address with a port is in use, or no port is free.
pub(super) fn choose<const N: usize>(
    wanted: [(&str, SocketAddr); N],
) -> anyhow::Result<[SocketAddr; N]> {
    let mut chosen = wanted.map(|(_, address)| address);
    // All stay bound until the last is chosen, so that no two are alike.
    let mut held = Vec::with_capacity(N);
    for (address, (flag, _)) in chosen.iter_mut().zip(wanted) {
        let listener = if address.port() == 0 { free(*address)? } else { bind(flag, *address)? };
        *address = listener.local_addr()?;
        held.push(listener);
    }
    Ok(chosen)
}

fn bind(flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| {
        format!(
            "cannot listen on {address}: is the port in use or reserved? choose another one with \
             {flag}"
        )
    })
}

fn free(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let random = RandomState::new();
    let ports = (0..ATTEMPTS).map(|attempt| FIRST + random.hash_one(attempt) % COUNT);
    let mut tried = ports.filter_map(|port| {
        let port = u16::try_from(port).expect("the range ends below 65536");
        TcpListener::bind(SocketAddr::new(address.ip(), port)).ok()
    });
    tried.next().with_context(|| format!("no free port on {}", address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ_and_given_ones_stay() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let [first, second] = choose([("--a", any), ("--b", any)]).unwrap();
        assert_ne!(first.port(), second.port());
        assert_eq!(choose([("--a", first)]).unwrap(), [first]);
    }

    #[test]
    fn a_port_in_use_is_named_with_its_flag() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = choose([("--envoy-admin", address)]).unwrap_err().to_string();
        let told = error.contains(&address.to_string()) && error.contains("--envoy-admin");
        assert!(told, "{error}");
    }
}
