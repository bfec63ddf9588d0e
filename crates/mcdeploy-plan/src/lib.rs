//! Decisions: validate, then plan. Pure: time and randomness are arguments.
