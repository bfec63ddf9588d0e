//! A validated deployment to the Kubernetes objects of one cluster.
