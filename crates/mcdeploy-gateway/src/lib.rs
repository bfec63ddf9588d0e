//! The data plane: routes inference to its own region first, then to another.
