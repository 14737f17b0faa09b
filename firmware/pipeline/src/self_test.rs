//! Known-answer tests that a device runs on demand.

use sealnic_abi::mailbox::SelfTestResult;

/// Runs all.
pub(crate) fn run() -> SelfTestResult {
    SelfTestResult { run: 0, failed: 0 }
}
