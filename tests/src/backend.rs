//! The models that the tests run on.

use crate::replayed::Replayed;
use sealnic_hw_model::cycle::HwConfig;
use sealnic_hw_model::{FunctionalModel, HwModel, ModelConfig};

/// A model, by name.
#[derive(Clone, Copy)]
pub struct Backend {
    /// Name, for messages.
    pub name: &'static str,
    /// Makes one in reset state.
    pub make: fn(&ModelConfig) -> Box<dyn HwModel>,
    /// No frame that is alone is inside for longer than this, in nanoseconds; 0 for one that takes no time.
    pub slowest_ns: u64,
}

/// All of them.
pub const BACKENDS: &[Backend] = &[
    Backend {
        name: "functional",
        make: |config| Box::new(FunctionalModel::new(config).expect("the operating system gives random octets")),
        slowest_ns: 0,
    },
    Backend {
        name: "cycle",
        make: |config| {
            let hardware = HwConfig::default_preset().expect("the default hardware is well formed");
            // What it did is done again by the functional model, when a test has done with it.
            Box::new(Replayed::new(config, &hardware))
        },
        slowest_ns: 10_000,
    },
];

/// Environment variable: the name of the only backend to run, where one is enough (mutation testing of what decides frames).
pub const ONLY: &str = "SEALNIC_TEST_BACKEND";

/// Runs a test on each backend, or on the one that [`ONLY`] names.
///
/// # Panics
/// When [`ONLY`] names none of them.
pub fn for_each_backend(test: impl Fn(&Backend)) {
    let only = std::env::var(ONLY).ok();
    let chosen = || {
        BACKENDS
            .iter()
            .filter(|b| only.as_deref().is_none_or(|name| name == b.name))
    };
    assert!(chosen().next().is_some(), "{ONLY}={only:?} names no backend");
    for backend in chosen() {
        // Shown by the test runner when the test fails.
        println!("backend: {}", backend.name);
        test(backend);
    }
}

/// Waits until nothing moves inside a model any more; what left it waits to be collected.
pub fn settle(model: &mut dyn HwModel) {
    while let Some(at_ns) = model.next_event_ns() {
        model.advance(at_ns);
    }
}
