//! What differs between the two protocols, for the one loop that runs both.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use nuncio_xds::TypeUrl;
use nuncio_xds::client::{Batch, DeltaClient, SotwClient};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

pub(super) type AdsClient = AggregatedDiscoveryServiceClient<Channel>;

/// A protocol's state and the call that carries it.
pub(super) trait Dialect: Send + 'static {
    type Request: Send + 'static;
    type Response: Send + 'static;

    fn open(&mut self) -> Vec<Self::Request>;
    fn want(
        &mut self,
        type_url: &TypeUrl,
        names: BTreeSet<String>,
    ) -> (Vec<String>, Option<Self::Request>);
    fn receive(&mut self, response: Self::Response) -> Option<Batch>;
    fn settle(&mut self, batch: Batch, refused: &BTreeMap<String, String>)
    -> Option<Self::Request>;
    fn all_answered(&self) -> bool;
    fn call(
        client: &mut AdsClient,
        requests: Request<ReceiverStream<Self::Request>>,
    ) -> impl Future<Output = Result<Streaming<Self::Response>, Status>> + Send;
}

impl Dialect for DeltaClient {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;

    fn open(&mut self) -> Vec<Self::Request> {
        Self::open(self)
    }

    fn want(
        &mut self,
        type_url: &TypeUrl,
        names: BTreeSet<String>,
    ) -> (Vec<String>, Option<Self::Request>) {
        Self::want(self, type_url, names)
    }

    fn receive(&mut self, response: Self::Response) -> Option<Batch> {
        Self::receive(self, response)
    }

    fn settle(
        &mut self,
        batch: Batch,
        refused: &BTreeMap<String, String>,
    ) -> Option<Self::Request> {
        Some(Self::settle(self, batch, refused))
    }

    fn all_answered(&self) -> bool {
        Self::all_answered(self)
    }

    async fn call(
        client: &mut AdsClient,
        requests: Request<ReceiverStream<Self::Request>>,
    ) -> Result<Streaming<Self::Response>, Status> {
        Ok(client.delta_aggregated_resources(requests).await?.into_inner())
    }
}

impl Dialect for SotwClient {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;

    fn open(&mut self) -> Vec<Self::Request> {
        Self::open(self)
    }

    fn want(
        &mut self,
        type_url: &TypeUrl,
        names: BTreeSet<String>,
    ) -> (Vec<String>, Option<Self::Request>) {
        Self::want(self, type_url, names)
    }

    fn receive(&mut self, response: Self::Response) -> Option<Batch> {
        Self::receive(self, response)
    }

    fn settle(
        &mut self,
        batch: Batch,
        refused: &BTreeMap<String, String>,
    ) -> Option<Self::Request> {
        Self::settle(self, batch, refused)
    }

    fn all_answered(&self) -> bool {
        Self::all_answered(self)
    }

    async fn call(
        client: &mut AdsClient,
        requests: Request<ReceiverStream<Self::Request>>,
    ) -> Result<Streaming<Self::Response>, Status> {
        Ok(client.stream_aggregated_resources(requests).await?.into_inner())
    }
}
