//! Kubernetes' own kinds: the fields a gateway needs, nothing more.

mod config_map;
mod endpoints;
mod ingress;
mod secret;
mod service;

pub use config_map::{ConfigMap, Namespace};
pub use endpoints::{
    Endpoint, EndpointAddress, EndpointConditions, EndpointPort, EndpointSlice, EndpointSubset,
    Endpoints,
};
pub use ingress::{
    Ingress, IngressBackend, IngressClass, IngressHttp, IngressPath, IngressRule,
    IngressServiceBackend, IngressServicePort, IngressTls,
};
pub use secret::Secret;
pub use service::{
    LoadBalancerIngress, LoadBalancerStatus, PortRef, Service, ServicePort, ServiceSpec,
    ServiceStatus,
};
