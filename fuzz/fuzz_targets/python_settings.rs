#![no_main]
#[path = "../src/python_settings.rs"]
mod python_settings;
libfuzzer_sys::fuzz_target!(|data: &[u8]| python_settings::python_settings(data));
