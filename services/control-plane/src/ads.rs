//! The aggregated discovery service: tonic streams around `nuncio_xds::session`.
//!
//! Written by hand and not by generated code, because generated code can only
//! send what it has encoded itself: here every stream copies the same prepared
//! bytes.

mod codec;
mod stream;

use std::convert::Infallible;
use std::task::{Context as TaskContext, Poll};

use nuncio_process::Context;
use nuncio_xds::session::{DeltaSession, Response, SotwSession};
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Status, Streaming};

use self::codec::AdsCodec;
use self::stream::Session;
use crate::Fleet;

const SOTW: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
const DELTA: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// Largest request. A client with 100,000 resources that comes back lists all
/// of their versions.
const REQUEST_LIMIT: usize = 64 << 20;
/// Responses between the session and the connection: one of each type that a
/// client may have in flight, so that a poll never waits halfway.
const RESPONSES: usize = 32;

/// The aggregated discovery service, both protocols.
#[derive(Debug, Clone)]
pub struct Ads {
    fleet: Fleet,
    context: Context,
}

/// One of its two methods.
struct Method<S> {
    ads: Ads,
    session: fn(&Fleet) -> S,
}

// === impl Ads ===

impl Ads {
    /// Serves a fleet; streams are tasks of `context`.
    pub fn new(fleet: Fleet, context: Context) -> Self {
        Self { fleet, context }
    }

    async fn serve<S: Session>(
        self,
        session: fn(&Fleet) -> S,
        request: http::Request<Body>,
    ) -> http::Response<Body> {
        let codec = AdsCodec::<S::Request>::default();
        let mut grpc = Grpc::new(codec).max_decoding_message_size(REQUEST_LIMIT);
        grpc.streaming(Method { ads: self, session }, request).await
    }
}

impl NamedService for Ads {
    const NAME: &'static str = "envoy.service.discovery.v3.AggregatedDiscoveryService";
}

impl Service<http::Request<Body>> for Ads {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let ads = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                DELTA => ads.serve(|f| DeltaSession::new(&f.cache(), f.rules()), request).await,
                SOTW => ads.serve(|f| SotwSession::new(&f.cache(), f.rules()), request).await,
                _ => Status::unimplemented("only the aggregated discovery service").into_http(),
            })
        })
    }
}

// === impl Method ===

impl<S: Session> Service<Request<Streaming<S::Request>>> for Method<S> {
    type Response = tonic::Response<ReceiverStream<Result<Response, Status>>>;
    type Error = Status;
    type Future = std::future::Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Streaming<S::Request>>) -> Self::Future {
        let (send, responses) = tokio::sync::mpsc::channel(RESPONSES);
        let session = (self.session)(&self.ads.fleet);
        let drain = self.ads.context.drain.clone();
        let run = stream::run(self.ads.fleet.clone(), session, request.into_inner(), send, drain);
        self.ads.context.tasks.spawn_finite("ads-stream", async move {
            run.await;
            Ok(())
        });
        std::future::ready(Ok(tonic::Response::new(ReceiverStream::new(responses))))
    }
}
