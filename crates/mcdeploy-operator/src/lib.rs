//! The control plane: reconcilers, leader election, metrics.
