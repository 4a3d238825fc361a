//! Against a server that speaks the documented part of Consul's API.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use nuncio_testing::consul::{Consul, Instance};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn wanted(consul: SocketAddr, service: &str) -> ConsulService {
    ConsulService {
        name: format!("consul/dc1/{service}").into(),
        address: consul.to_string(),
        datacenter: "dc1".into(),
        service: service.into(),
    }
}

struct Rig {
    consul: Consul,
    wishes: watch::Sender<BTreeSet<ConsulService>>,
    changes: mpsc::Receiver<Change>,
    context: Context,
}

impl Rig {
    async fn start() -> Self {
        let consul = Consul::start().await;
        let (wishes, wanted) = watch::channel(BTreeSet::new());
        let context = Context::new("test");
        let settings = ConsulSettings {
            token: Some(Hidden::new("sesame".into())),
            token_for: Some(consul.address().to_string()),
        };
        let changes = super::consul(&settings, wanted, &context).unwrap();
        Self { consul, wishes, changes, context }
    }

    fn want(&self, services: &[&str]) {
        let address = self.consul.address();
        self.wishes.send_replace(services.iter().map(|name| wanted(address, name)).collect());
    }

    async fn told(&mut self) -> (String, Option<Vec<(String, u16)>>) {
        let told = tokio::time::timeout(PATIENCE, self.changes.recv()).await.unwrap().unwrap();
        let Change::Registered { service, endpoints } = told else { panic!("{told:?}") };
        (service.to_string(), endpoints.map(|set| set.into_iter().collect()))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.context.drain.start();
    }
}

fn endpoints(list: &[(&str, u16)]) -> Option<Vec<(String, u16)>> {
    Some(list.iter().map(|(ip, port)| ((*ip).to_owned(), *port)).collect())
}

#[tokio::test]
async fn instances_are_told_as_they_come_and_go() {
    let mut rig = Rig::start().await;
    rig.want(&["quote"]);
    assert_eq!(rig.told().await, ("consul/dc1/quote".into(), Some(Vec::new())));
    rig.consul.register("dc1", "quote", vec![Instance::at("10.0.0.1", 8080)]);
    assert_eq!(rig.told().await.1, endpoints(&[("10.0.0.1", 8080)]));
    rig.consul.register("dc1", "quote", Vec::new());
    assert_eq!(rig.told().await.1, Some(Vec::new()));
}

#[tokio::test]
async fn the_token_is_shown_to_the_consul_that_it_is_for_alone() {
    let mut rig = Rig::start().await;
    let other = Consul::start().await;
    rig.wishes.send_replace(
        [wanted(rig.consul.address(), "quote"), wanted(other.address(), "other")].into(),
    );
    rig.told().await;
    rig.told().await;
    assert_eq!(rig.consul.tokens(), ["sesame".to_owned()].into());
    assert!(other.tokens().is_empty());
}

#[tokio::test]
async fn the_node_stands_in_for_an_instance_without_address_and_names_are_resolved() {
    let mut rig = Rig::start().await;
    let of_node = Instance { node: "10.0.0.2".into(), ..Instance::at("", 80) };
    let sick = Instance { passing: false, ..Instance::at("10.0.0.3", 80) };
    let named = Instance::at("localhost", 81);
    rig.consul.register("dc1", "quote", vec![of_node, sick, named]);
    rig.want(&["quote"]);
    let told = rig.told().await.1.unwrap();
    assert!(told.contains(&("10.0.0.2".into(), 80)));
    assert!(!told.iter().any(|(ip, _)| ip == "10.0.0.3"));
    assert!(told.contains(&("127.0.0.1".into(), 81)) || told.contains(&("::1".into(), 81)));
}

#[tokio::test]
async fn what_was_told_stays_while_consul_does_not_answer() {
    let mut rig = Rig::start().await;
    rig.consul.register("dc1", "quote", vec![Instance::at("10.0.0.1", 8080)]);
    rig.want(&["quote"]);
    assert_eq!(rig.told().await.1, endpoints(&[("10.0.0.1", 8080)]));
    rig.consul.fail(true);
    rig.consul.register("dc1", "quote", vec![Instance::at("10.0.0.4", 8080)]);
    rig.consul.failed().await;
    assert!(rig.changes.try_recv().is_err());
    rig.consul.fail(false);
    assert_eq!(rig.told().await.1, endpoints(&[("10.0.0.4", 8080)]));
}

#[tokio::test]
async fn a_service_that_nobody_wants_any_more_is_forgotten() {
    let mut rig = Rig::start().await;
    rig.want(&["quote"]);
    assert_eq!(rig.told().await.1, Some(Vec::new()));
    rig.want(&[]);
    assert_eq!(rig.told().await, ("consul/dc1/quote".into(), None));
}

#[tokio::test]
async fn an_index_that_goes_back_begins_anew() {
    let mut rig = Rig::start().await;
    rig.consul.register("dc1", "quote", vec![Instance::at("10.0.0.1", 8080)]);
    rig.want(&["quote"]);
    assert_eq!(rig.told().await.1, endpoints(&[("10.0.0.1", 8080)]));
    rig.consul.restart_index();
    rig.consul.register("dc1", "quote", vec![Instance::at("10.0.0.5", 8080)]);
    assert_eq!(rig.told().await.1, endpoints(&[("10.0.0.5", 8080)]));
}
