#![allow(missing_docs)]
pub mod django;
pub mod gate;
pub mod http;
pub mod metrics;
pub mod telemetry;
