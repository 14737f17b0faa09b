//! The models that the tests run on.

use sealnic_hw_model::{FunctionalModel, HwModel, ModelConfig};

/// A model, by name.
#[derive(Clone, Copy)]
pub struct Backend {
    /// Name, for messages.
    pub name: &'static str,
    /// Makes one in reset state.
    pub make: fn(&ModelConfig) -> Box<dyn HwModel>,
    /// How long, in nanoseconds of its own time, it may hold frames; 0 for one that takes no time.
    pub settle_ns: u64,
}

/// All of them.
pub const BACKENDS: &[Backend] = &[Backend {
    name: "functional",
    make: |config| Box::new(FunctionalModel::new(config).expect("the operating system gives random octets")),
    settle_ns: 0,
}];

/// Runs a test on each backend.
pub fn for_each_backend(test: impl Fn(&Backend)) {
    for backend in BACKENDS {
        // Shown by the test runner when the test fails.
        println!("backend: {}", backend.name);
        test(backend);
    }
}
