//! Probes: TCP, HTTP, inference. Gives samples, decides nothing.
