//! Blinded numbers as strangers send them, and answers to our own.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    use relaymesh_seal::oblivious::{Evaluator, Purpose, finish};
    let (points, proof) = bytes.as_chunks::<32>();
    let evaluator = Evaluator::from_seed(&[7; 32]);
    let _ = evaluator.evaluate(points, [9; 32]);
    let states: Vec<&[u8]> = points.iter().map(|point| point.as_slice()).collect();
    assert!(finish(Purpose::Phone, &states, points, proof, &evaluator.public()).is_err());
});
