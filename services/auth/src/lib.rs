//! ext_authz service.
