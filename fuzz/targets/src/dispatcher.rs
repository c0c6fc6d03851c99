#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| drop(taskgrid_fuzz::Target::Dispatcher.run(input)));
