//! Panics of the engine as errors.

use std::any::Any;

/// What a caught panic says.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("the engine panicked").to_owned()
}

/// Sends panics to the log in its own format; without it they are plain text on stderr
/// amid JSON lines.
pub fn log_them() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string);
        tracing::error!(
            place = place.unwrap_or_default(),
            message_of_panic = info.payload_as_str().unwrap_or_default(),
            "a panic was caught"
        );
    }));
}
