//! Objects from a folder or from Kubernetes; status and Secrets back.
