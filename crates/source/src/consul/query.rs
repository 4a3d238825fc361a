//! One query of Consul's HTTP API.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use nuncio_api::ConsulService;
use reqwest::Url;
use reqwest::header::HeaderValue;
use serde::Deserialize;

use super::ConsulSettings;

/// How long Consul may hold a query back while nothing changes. It bounds how
/// old the addresses behind host names become, too.
const WAIT: Duration = Duration::from_secs(60);
/// Consul adds up to a sixteenth to the wait; the rest is for the way.
const TIMEOUT: Duration = Duration::from_secs(75);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest answer; 10,000 instances with their checks are below.
const ANSWER_LIMIT: usize = 64 << 20;
const INDEX: &str = "x-consul-index";
const TOKEN: &str = "x-consul-token";

/// Asks Consuls.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    /// The token, and the origin of the only Consul that it is sent to.
    token: Option<(String, HeaderValue)>,
}

/// The healthy instances of a service.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// What to ask with next: the answer then waits for a change.
    pub(super) index: u64,
    /// IP addresses with ports.
    pub(super) endpoints: BTreeSet<(String, u16)>,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueryError {
    #[error("`{0}` is no address of a Consul")]
    Address(String),
    #[error("the query failed")]
    Request(#[source] reqwest::Error),
    #[error("consul answered {0}")]
    Status(reqwest::StatusCode),
    #[error("the answer is larger than {ANSWER_LIMIT} bytes")]
    TooLarge,
    #[error("the answer is no list of instances")]
    Body(#[source] serde_json::Error),
}

/// One entry of `/v1/health/service/:service`, as far as it matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    node: Node,
    service: Service,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(default)]
    address: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(default)]
    address: String,
    #[serde(default)]
    port: u16,
}

// === impl Client ===

impl Client {
    pub(super) fn new(settings: &ConsulSettings) -> anyhow::Result<Self> {
        let token = match (&settings.token, &settings.token_for) {
            (Some(token), Some(address)) => {
                let mut value = HeaderValue::from_str(token.reveal())?;
                value.set_sensitive(true);
                Some((base(address)?.origin().ascii_serialization(), value))
            }
            _ => None,
        };
        let http = reqwest::Client::builder()
            .user_agent("nuncio")
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            // A token is for the Consul that it was given for.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http, token })
    }

    /// Asks for the healthy instances of a service; with an index, as soon as
    /// they are others than those of that index.
    pub(super) async fn ask(
        &self,
        service: &ConsulService,
        index: u64,
    ) -> Result<Answer, QueryError> {
        let url = url(service, index)?;
        let origin = url.origin().ascii_serialization();
        let token = self.token.as_ref().filter(|(entitled, _)| *entitled == origin);
        let mut request = self.http.get(url);
        if let Some((_, token)) = token {
            request = request.header(TOKEN, token);
        }
        let mut response = request.send().await.map_err(QueryError::Request)?;
        if !response.status().is_success() {
            return Err(QueryError::Status(response.status()));
        }
        let said = response.headers().get(INDEX).and_then(|value| value.to_str().ok());
        let index = said.and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(QueryError::Request)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_LIMIT {
                return Err(QueryError::TooLarge);
            }
        }
        let entries: Vec<Entry> = serde_json::from_slice(&body).map_err(QueryError::Body)?;
        Ok(Answer { index, endpoints: endpoints(service, &entries).await })
    }
}

/// Returns the URL of a Consul; without a scheme it speaks HTTP.
fn base(address: &str) -> Result<Url, QueryError> {
    let bad = || QueryError::Address(address.to_owned());
    let text = address.trim();
    let whole = if text.contains("://") { text.into() } else { format!("http://{text}") };
    let url = Url::parse(&whole).map_err(|_| bad())?;
    let usable = url.has_host() && matches!(url.scheme(), "http" | "https");
    if usable { Ok(url) } else { Err(bad()) }
}

/// Returns `<address>/v1/health/service/<service>` with its parameters.
fn url(service: &ConsulService, index: u64) -> Result<Url, QueryError> {
    let mut url = base(&service.address)?;
    let bad = |()| QueryError::Address(service.address.clone());
    url.path_segments_mut().map_err(bad)?.pop_if_empty().extend([
        "v1",
        "health",
        "service",
        &service.service,
    ]);
    let mut query = url.query_pairs_mut();
    query.append_pair("passing", "true").append_pair("dc", &service.datacenter);
    if index > 0 {
        query.append_pair("index", &index.to_string());
        query.append_pair("wait", &format!("{}s", WAIT.as_secs()));
    }
    drop(query);
    Ok(url)
}

/// The service's own address, else its node's; names are looked up, and an
/// instance whose name is unknown is left out.
async fn endpoints(service: &ConsulService, entries: &[Entry]) -> BTreeSet<(String, u16)> {
    let mut found = BTreeSet::new();
    for Entry { node, service: instance } in entries {
        let own = !instance.address.is_empty();
        let host = if own { &instance.address } else { &node.address };
        if let Ok(ip) = host.parse::<IpAddr>() {
            found.insert((ip.to_string(), instance.port));
            continue;
        }
        match tokio::net::lookup_host((host.as_str(), instance.port)).await {
            Ok(addresses) => found.extend(addresses.map(|it| (it.ip().to_string(), it.port()))),
            Err(error) => tracing::warn!(
                service = service.service,
                host,
                error = nuncio_process::chain(&error),
                "an instance is left out: its name cannot be resolved"
            ),
        }
    }
    found.retain(|(_, port)| *port > 0);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(address: &str, service: &str) -> ConsulService {
        ConsulService {
            name: "consul/dc1/quote".into(),
            address: address.into(),
            datacenter: "dc1".into(),
            service: service.into(),
        }
    }

    #[test]
    fn an_address_is_a_host_and_port_or_a_url() {
        let path = "/v1/health/service/quote?passing=true&dc=dc1";
        for (address, expected) in [
            ("consul:8500", format!("http://consul:8500{path}")),
            ("https://consul.example.com", format!("https://consul.example.com{path}")),
            ("http://gate/consul/", format!("http://gate/consul{path}")),
            ("[::1]:8500", format!("http://[::1]:8500{path}")),
        ] {
            assert_eq!(url(&wanted(address, "quote"), 0).unwrap().as_str(), expected);
        }
        assert!(url(&wanted("unix:///run/consul", "quote"), 0).is_err());
        assert!(url(&wanted("", "quote"), 0).is_err());
    }

    #[test]
    fn a_known_index_makes_the_query_wait() {
        let url = url(&wanted("consul:8500", "a b"), 7).unwrap();
        assert!(url.path().ends_with("/a%20b"));
        assert!(url.query().unwrap().ends_with("&index=7&wait=60s"));
    }
}
