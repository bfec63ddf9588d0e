//! Carries out a plan step by step, fenced by epoch.
