#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| label_studio_gate_fuzz::flow_cookie(data));
