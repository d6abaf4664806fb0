//! RFC 9497 A.1.2 (ristretto255-SHA512, VOPRF), the equality of both routes to a tag, and what a liar may not do.

use proptest::prelude::*;

use super::*;

const PK: &str = "c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e";
const INPUTS: [&str; 2] = ["00", "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"];
const OUTPUTS: [&str; 2] = [
    "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7da4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c",
    "8a9a2f3c7f085b65933594309041fc1898d42d0858e59f90814ae90571a6df60356f4610bf816f27afdd84f47719e480906d27ecd994985890e5f539e7ea74b6",
];
/// Test vector 3: both inputs in one batch.
const BLINDS: [&str; 2] = [
    "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706",
    "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e",
];
const BLINDED: [&str; 2] = [
    "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945",
    "90a0145ea9da29254c3a56be4fe185465ebb3bf2a1801f7124bbbadac751e654",
];
const EVALUATED: [&str; 2] = [
    "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e",
    "cc5ac221950a49ceaa73c8db41b82c20372a4c8d63e5dded2db920b7eee36a2a",
];
const PROOF: &str = "cc203910175d786927eeb44ea847328047892ddf8590e723c37205cb74600b0a5ab5337c8eb4ceae0494c2cf89529dcf94572ed267473d567aeed6ab873dee08";

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn number(digits: u64) -> E164 {
    format!("+237{digits:09}").parse().unwrap()
}

fn rfc_server() -> Evaluator {
    Evaluator(VoprfServer::new_from_seed(&[0xa3; 32], b"test key").unwrap())
}

#[test]
fn rfc_9497_server_side() {
    let server = rfc_server();
    assert_eq!(server.public(), bytes(PK));
    for (input, output) in INPUTS.iter().zip(OUTPUTS) {
        let evaluated = server.0.evaluate(&hex::decode(input).unwrap()).unwrap();
        assert_eq!(hex::encode(evaluated), output);
    }
    let (evaluated, proof) = server.evaluate(&BLINDED.map(bytes), [1; 32]).unwrap();
    assert_eq!(evaluated, EVALUATED.map(bytes));
    assert_eq!(proof.len(), PROOF_LEN);
}

#[test]
fn rfc_9497_client_side() {
    let states: Vec<Vec<u8>> =
        (0..2).map(|i| hex::decode([BLINDS[i], BLINDED[i], INPUTS[i]].concat()).unwrap()).collect();
    let outputs = unblind(&states, &EVALUATED.map(bytes), &bytes::<PROOF_LEN>(PROOF), &bytes(PK)).unwrap();
    assert_eq!(outputs.iter().map(|o| hex::encode(o.as_slice())).collect::<Vec<_>>(), OUTPUTS);
}

#[test]
fn a_batch_of_the_largest_size_has_one_proof() {
    let node = Evaluator::from_seed(&[1; 32]);
    let numbers: Vec<_> = (0..BATCH_MAX as u64).map(|i| number(650_000_000 + i)).collect();
    let asked: Vec<_> =
        numbers.iter().zip(0..).map(|(n, i)| Blinded::new(n, split_seed(&Secret32::from_bytes([2; 32]), i))).collect();
    let blinded: Vec<_> = asked.iter().map(|b| b.blinded).collect();
    let states: Vec<_> = asked.iter().map(|b| b.state.as_slice()).collect();
    let (evaluated, proof) = node.evaluate(&blinded, [3; 32]).unwrap();
    let tags = finish(Purpose::Phone, &states, &evaluated, &proof, &node.public()).unwrap();
    let expected: Vec<_> = numbers.iter().map(|n| direct(&node, n, Purpose::Phone)).collect();
    assert_eq!(tags, expected);

    assert_eq!(node.evaluate(&[], [3; 32]), Err(EvaluateError::BatchSize(0)));
    let too_many = [blinded.as_slice(), &blinded[..1]].concat();
    assert_eq!(node.evaluate(&too_many, [3; 32]), Err(EvaluateError::BatchSize(BATCH_MAX + 1)));
}

#[test]
fn identity_and_non_canonical_elements_are_refused() {
    let node = Evaluator::from_seed(&[1; 32]);
    let good = Blinded::new(&number(1), [1; 32]);
    let (evaluated, proof) = node.evaluate(&[good.blinded], [2; 32]).unwrap();
    // Identity; the field's prime plus nothing; a negative element; out of range.
    let prime = bytes("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
    for bad in [[0; 32], prime, bytes(&format!("01{}", "00".repeat(31))), [0xff; 32]] {
        assert_eq!(node.evaluate(&[good.blinded, bad], [2; 32]), Err(EvaluateError::Element(1)));
        let result = finish(Purpose::Phone, &[&good.state], &[bad], &proof, &node.public());
        assert_eq!(result, Err(FinishError::Element(0)));
        let result = finish(Purpose::Phone, &[&good.state], &evaluated, &proof, &bad);
        assert_eq!(result, Err(FinishError::PublicKey));
    }
}

#[test]
fn every_bit_of_proof_and_answers_counts() {
    let node = Evaluator::from_seed(&[1; 32]);
    let asked = [Blinded::new(&number(1), [1; 32]), Blinded::new(&number(2), [2; 32])];
    let states = [&asked[0].state, &asked[1].state];
    let (evaluated, proof) = node.evaluate(&[asked[0].blinded, asked[1].blinded], [3; 32]).unwrap();
    let run = |e: &[[u8; 32]], p: &[u8]| finish(Purpose::Phone, &states, e, p, &node.public());
    assert!(run(&evaluated, &proof).is_ok());
    for bit in (0..PROOF_LEN * 8).step_by(7) {
        let mut bad = proof.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(run(&evaluated, &bad), Err(FinishError::Proof), "bit {bit}");
    }
    for bit in (0..256).step_by(7) {
        let mut bad = evaluated.clone();
        bad[1][bit / 8] ^= 1 << (bit % 8);
        assert!(run(&bad, &proof).is_err(), "bit {bit}");
    }
    assert_eq!(run(&[evaluated[1], evaluated[0]], &proof), Err(FinishError::Proof));
    assert_eq!(run(&evaluated, &proof[..63]), Err(FinishError::Proof));
    assert_eq!(run(&evaluated, &[]), Err(FinishError::Proof));
    assert_eq!(run(&evaluated[..1], &proof), Err(FinishError::BatchSize { states: 2, answers: 1 }));
}

#[test]
fn an_answer_under_another_key_is_refused() {
    let (honest, liar) = (Evaluator::from_seed(&[1; 32]), Evaluator::from_seed(&[2; 32]));
    let asked = Blinded::new(&number(1), [1; 32]);
    let (evaluated, proof) = liar.evaluate(&[asked.blinded], [2; 32]).unwrap();
    let result = finish(Purpose::Phone, &[&asked.state], &evaluated, &proof, &honest.public());
    assert_eq!(result, Err(FinishError::Proof));
}

#[test]
fn damaged_states_are_errors() {
    let node = Evaluator::from_seed(&[1; 32]);
    let asked = Blinded::new(&number(1), [1; 32]);
    let (evaluated, proof) = node.evaluate(&[asked.blinded], [2; 32]).unwrap();
    for len in 0..2 * ELEMENT_LEN {
        let result = finish(Purpose::Phone, &[&asked.state[..len]], &evaluated, &proof, &node.public());
        assert_eq!(result, Err(FinishError::State(0)));
    }
}

#[test]
fn tags_differ_by_node_purpose_and_number() {
    let node = Evaluator::from_seed(&[1; 32]);
    let tag = direct(&node, &number(1), Purpose::Phone);
    assert_ne!(tag, direct(&node, &number(1), Purpose::Bridge));
    assert_ne!(tag, direct(&node, &number(2), Purpose::Phone));
    assert_ne!(tag, direct(&Evaluator::from_seed(&[2; 32]), &number(1), Purpose::Phone));
    assert_ne!(key_id(&node.public()), key_id(&Evaluator::from_seed(&[2; 32]).public()));
}

#[test]
fn nothing_of_a_number_shows_in_what_is_sent_or_printed() {
    let (a, b) = (Blinded::new(&number(1), [1; 32]), Blinded::new(&number(1), [2; 32]));
    assert_ne!(a.blinded, b.blinded);
    assert_eq!(format!("{a:?} {:?}", Evaluator::from_seed(&[1; 32])), "Blinded(…) Evaluator(…)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_blinded_route_and_the_direct_one_meet(key: [u8; 32], seed: [u8; 32], digits in 0_u64..1_000_000_000, phone: bool) {
        let purpose = if phone { Purpose::Phone } else { Purpose::Bridge };
        let node = Evaluator::from_seed(&key);
        let asked = Blinded::new(&number(digits), seed);
        let (evaluated, proof) = node.evaluate(&[asked.blinded], key).unwrap();
        let tags = finish(purpose, &[&asked.state], &evaluated, &proof, &node.public()).unwrap();
        prop_assert_eq!(tags, vec![direct(&node, &number(digits), purpose)]);
    }

    #[test]
    fn noise_never_panics(
        state in proptest::collection::vec(any::<u8>(), 0..100),
        element: [u8; 32],
        proof in proptest::collection::vec(any::<u8>(), 0..80),
        public: [u8; 32],
    ) {
        let node = Evaluator::from_seed(&[1; 32]);
        let _ = node.evaluate(&[element], [0; 32]);
        prop_assert!(finish(Purpose::Phone, &[&state], &[element], &proof, &public).is_err());
    }
}
