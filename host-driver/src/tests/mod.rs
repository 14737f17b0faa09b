//! Tests of the driver against a device in memory.
