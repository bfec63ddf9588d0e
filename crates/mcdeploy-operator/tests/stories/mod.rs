//! Stories about one thing each, beside those of whole rollouts.

mod access;
