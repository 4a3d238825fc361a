//! Asks the gateway for a challenge before the CA does, so that an order is
//! not spent on a route that is not there yet.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Where the gateway is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Gateway {
    /// Nowhere: the CA is asked at once.
    #[default]
    Off,
    /// On this machine, at the port of every Listener that takes cleartext.
    Listeners(IpAddr),
    /// At these `host:port`.
    At(Vec<String>),
}

impl FromStr for Gateway {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "" | "off" => Ok(Self::Off),
            "listeners" => Ok(Self::Listeners(IpAddr::V4(Ipv4Addr::LOCALHOST))),
            list => {
                let addresses: Vec<_> = list.split(',').map(|one| one.trim().to_owned()).collect();
                match addresses.iter().find(|one| !one.contains(':')) {
                    Some(bad) => {
                        Err(format!("`{bad}` is not `off`, `listeners` or a list of `host:port`"))
                    }
                    None => Ok(Self::At(addresses)),
                }
            }
        }
    }
}

/// The self-check. Clones share what is known of Listeners.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    gateway: Gateway,
    patience: Duration,
    ports: Arc<ArcSwap<BTreeSet<u16>>>,
}

impl Probe {
    pub(crate) fn new(gateway: Gateway, patience: Duration) -> Self {
        Self { gateway, patience, ports: Arc::default() }
    }

    /// Replaces the ports of the Listeners that take cleartext.
    pub(crate) fn set_ports(&self, ports: BTreeSet<u16>) {
        self.ports.store(Arc::new(ports));
    }

    /// Waits until one address of the gateway gives the right answer, or
    /// patience ends, in which case the CA is asked all the same: what we
    /// cannot reach may be reachable from where the CA stands.
    pub(crate) async fn until_answered(&self, name: &str, token: &str, answer: &str) -> bool {
        if self.gateway == Gateway::Off {
            return true;
        }
        let asking = async {
            loop {
                for address in self.addresses() {
                    if ask(&address, name, token).await.is_some_and(|body| body == answer) {
                        return;
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(self.patience, asking).await.is_ok()
    }

    fn addresses(&self) -> Vec<String> {
        match &self.gateway {
            Gateway::Off => Vec::new(),
            Gateway::At(addresses) => addresses.clone(),
            Gateway::Listeners(ip) => {
                let at = |port: &u16| SocketAddr::new(*ip, *port).to_string();
                self.ports.load().iter().map(at).collect()
            }
        }
    }
}

async fn ask(address: &str, name: &str, token: &str) -> Option<String> {
    let exchange = async {
        let stream = TcpStream::connect(address).await.ok()?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        let request = Request::get(format!("/.well-known/acme-challenge/{token}"))
            .header(header::HOST, name)
            .body(Empty::<Bytes>::new())
            .ok()?;
        let answer = async {
            let response = sender.send_request(request).await.ok()?;
            let ok = response.status().is_success();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.ok()?;
            let text = String::from_utf8(body.to_bytes().to_vec()).ok()?;
            ok.then(|| text.trim_end().to_owned())
        };
        tokio::select! {
            answer = answer => answer,
            _ended = connection => None,
        }
    };
    tokio::time::timeout(ANSWER_TIME, exchange).await.ok().flatten()
}

const PAUSE: Duration = Duration::from_millis(100);
const ANSWER_TIME: Duration = Duration::from_secs(2);
const MAX_ANSWER: usize = 4096;

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;

    use super::*;

    async fn server(text: &'static str) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = Router::new().fallback(get(move || async move { text }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    #[tokio::test]
    async fn one_gateway_with_the_right_answer_is_enough() {
        let (wrong, right) = (server("wrong").await, server("t.p\n").await);
        let probe = Probe::new(Gateway::At(vec![wrong, right]), Duration::from_secs(60));
        assert!(probe.until_answered("a.org", "t", "t.p").await);
    }

    #[tokio::test]
    async fn patience_ends() {
        let wrong = server("wrong").await;
        let probe = Probe::new(Gateway::At(vec![wrong]), Duration::from_millis(300));
        assert!(!probe.until_answered("a.org", "t", "t.p").await);
        let nobody = Probe::new(Gateway::Off, Duration::ZERO);
        assert!(nobody.until_answered("a.org", "t", "t.p").await);
    }

    #[tokio::test]
    async fn a_listener_that_appears_later_is_asked() {
        let address = server("t.p").await;
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let probe = Probe::new(Gateway::Listeners(local), Duration::from_secs(60));
        let waiting = probe.until_answered("a.org", "t", "t.p");
        let port: u16 = address.rsplit_once(':').unwrap().1.parse().unwrap();
        let appear = async { probe.set_ports(BTreeSet::from([port])) };
        let (answered, ()) = tokio::join!(waiting, appear);
        assert!(answered);
    }

    #[test]
    fn settings_are_words_or_addresses() {
        assert_eq!("off".parse(), Ok(Gateway::Off));
        assert!(matches!("listeners".parse(), Ok(Gateway::Listeners(_))));
        assert_eq!("a:1, b:2".parse(), Ok(Gateway::At(vec!["a:1".into(), "b:2".into()])));
        assert!("nonsense".parse::<Gateway>().is_err());
    }
}
