//! Tags of telephone numbers, made with a vault node's own oblivious function (RFC 9497, VOPRF mode,
//! ristretto255-SHA512): the node evaluates without learning the number, the asker learns one tag and nothing to go on with.
//!
//! Numbers can be enumerated, so no tag of one may be computable by who copied a disk or a filter. Crate `voprf` is of an
//! older generation of the same cryptography than the rest; only bytes cross this module's border.

mod bridge;

use relaymesh_protocol::ids::{E164, Tag};
use sha2::{Digest, Sha256};
use voprf::{BlindedElement, EvaluationElement, Group, Proof, Ristretto255, VoprfClient, VoprfServer};
use zeroize::Zeroizing;

use crate::framing::lp16;
use crate::tags::hash_to_tag;
use crate::{Secret32, labels};
use bridge::SeededRng;

/// Length of a serialised group element or scalar.
pub const ELEMENT_LEN: usize = 32;
/// Length of the proof of one batch.
pub const PROOF_LEN: usize = 64;
/// Most elements in one batch: what one frame of questions carries, and about 10 ms of work.
pub const BATCH_MAX: usize = 64;

/// Which kind of person a number's tag stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A number with an account.
    Phone,
    /// A bridge identity.
    Bridge,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Phone => labels::TAG_PHONE,
            Self::Bridge => labels::TAG_BRIDGE,
        }
    }
}

/// Why a batch of questions was not evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// None, or more than [`BATCH_MAX`].
    #[error("a batch has 1 to {BATCH_MAX} elements, not {0}")]
    BatchSize(usize),
    /// Not the canonical encoding of a group element, or the identity.
    #[error("element {0} of the batch is not a valid group element")]
    Element(usize),
}

/// Why answers give no tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FinishError {
    /// None, too many, or not as many answers as questions.
    #[error("{states} questions but {answers} answers; a batch has 1 to {BATCH_MAX} of each")]
    BatchSize {
        /// Blinding states.
        states: usize,
        /// Evaluated elements.
        answers: usize,
    },
    /// A stored blinding state is damaged.
    #[error("blinding state {0} is damaged")]
    State(usize),
    /// Not the canonical encoding of a group element, or the identity.
    #[error("answer {0} is not a valid group element")]
    Element(usize),
    /// The public key is none.
    #[error("the evaluating node's public key is not valid")]
    PublicKey,
    /// The node did not evaluate with the key that it published, or somebody changed its answer.
    #[error("the proof does not hold for the evaluating node's key")]
    Proof,
}

/// A vault node's oblivious key. Wiped on drop.
pub struct Evaluator(VoprfServer<Ristretto255>);

impl std::fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Evaluator(…)")
    }
}

impl Evaluator {
    /// The key of a stored seed (RFC 9497, DeriveKeyPair).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let server = VoprfServer::new_from_seed(seed, labels::OPRF_KEY);
        Self(server.expect("seed and label are short, and 256 attempts at a non-zero scalar do not all fail"))
    }

    /// The public key, as published in the node's record.
    #[must_use]
    pub fn public(&self) -> [u8; ELEMENT_LEN] {
        Ristretto255::serialize_elem(self.0.get_public_key()).into()
    }

    /// Evaluates a batch of blinded numbers and proves with one proof that the published key was used. `seed` must be fresh.
    ///
    /// # Errors
    /// When the batch is empty or too large, or an element is not canonical or the identity.
    pub fn evaluate(
        &self,
        blinded: &[[u8; ELEMENT_LEN]],
        seed: [u8; 32],
    ) -> Result<(Vec<[u8; ELEMENT_LEN]>, Vec<u8>), EvaluateError> {
        if blinded.is_empty() || blinded.len() > BATCH_MAX {
            return Err(EvaluateError::BatchSize(blinded.len()));
        }
        let elements = decode(blinded, BlindedElement::deserialize).map_err(EvaluateError::Element)?;
        let prepared: Vec<_> = self.0.batch_blind_evaluate_prepare(elements.iter()).collect();
        let result = self
            .0
            .batch_blind_evaluate_finish(&mut SeededRng::new(seed), elements.iter(), &prepared)
            .expect("both lists have the same length, of at most 64");
        let answers = result.messages.map(|m: EvaluationElement<Ristretto255>| m.serialize().into()).collect();
        Ok((answers, result.proof.serialize().to_vec()))
    }
}

/// One question: a number under a random blind.
pub struct Blinded {
    /// What [`finish`] needs: the blind and the number in clear. Kept sealed, never sent. Wiped on drop.
    pub state: Zeroizing<Vec<u8>>,
    /// What is sent to the evaluating node; says nothing about the number.
    pub blinded: [u8; ELEMENT_LEN],
}

impl std::fmt::Debug for Blinded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blinded(…)")
    }
}

impl Blinded {
    /// Blinds a number. `seed` must be fresh: two questions with one seed can be linked.
    #[must_use]
    pub fn new(number: &E164, seed: [u8; 32]) -> Self {
        let input = input(number);
        let result = VoprfClient::<Ristretto255>::blind(&input, &mut SeededRng::new(seed))
            .expect("a number is far shorter than 64 KiB, and no known input hashes to the identity");
        let mut state = Zeroizing::new(Vec::with_capacity(2 * ELEMENT_LEN + input.len()));
        state.extend_from_slice(&Zeroizing::new(<[u8; 2 * ELEMENT_LEN]>::from(result.state.serialize()))[..]);
        state.extend_from_slice(&input);
        Self { state, blinded: result.message.serialize().into() }
    }
}

/// Turns a node's answers into tags, in the order of the questions. `states` are [`Blinded::state`]s, `public` is the key
/// in the node's record.
///
/// # Errors
/// When the lists do not match, something is damaged, or the proof does not hold: then none of the answers counts.
pub fn finish<S: AsRef<[u8]>>(
    purpose: Purpose,
    states: &[S],
    evaluated: &[[u8; ELEMENT_LEN]],
    proof: &[u8],
    public: &[u8; ELEMENT_LEN],
) -> Result<Vec<Tag>, FinishError> {
    let outputs = unblind(states, evaluated, proof, public)?;
    Ok(outputs.iter().map(|output| hash_to_tag(purpose.label(), output.as_slice())).collect())
}

/// The tag that a node's own key gives a number: how a home names its own people. Equal to what [`finish`] gives an asker.
#[must_use]
pub fn direct(evaluator: &Evaluator, number: &E164, purpose: Purpose) -> Tag {
    let output = Zeroizing::new(<[u8; 64]>::from(
        evaluator.0.evaluate(&input(number)).expect("as in `Blinded::new`: short, and not the identity"),
    ));
    hash_to_tag(purpose.label(), output.as_slice())
}

/// A short name of an oblivious key, for caches and envelopes: the first four bytes of the hash of the public key.
#[must_use]
pub fn key_id(public: &[u8; ELEMENT_LEN]) -> u32 {
    let digest = Sha256::digest(public);
    u32::from_be_bytes(*digest.first_chunk().expect("SHA-256 has 32 bytes"))
}

/// Derives an independent seed per question or batch from one that the core drew.
#[must_use]
pub fn split_seed(seed: &Secret32, index: u32) -> [u8; 32] {
    Sha256::new()
        .chain_update(labels::OPRF_SEED)
        .chain_update(seed.danger_bytes())
        .chain_update(index.to_be_bytes())
        .finalize()
        .into()
}

fn unblind<S: AsRef<[u8]>>(
    states: &[S],
    evaluated: &[[u8; ELEMENT_LEN]],
    proof: &[u8],
    public: &[u8; ELEMENT_LEN],
) -> Result<Vec<Zeroizing<[u8; 64]>>, FinishError> {
    if states.is_empty() || states.len() > BATCH_MAX || states.len() != evaluated.len() {
        return Err(FinishError::BatchSize { states: states.len(), answers: evaluated.len() });
    }
    let mut clients = Vec::with_capacity(states.len());
    let mut inputs = Vec::with_capacity(states.len());
    for (at, state) in states.iter().enumerate() {
        let (client, input) = state.as_ref().split_at_checked(2 * ELEMENT_LEN).ok_or(FinishError::State(at))?;
        clients.push(VoprfClient::<Ristretto255>::deserialize(client).map_err(|_| FinishError::State(at))?);
        inputs.push(input);
    }
    let answers = decode(evaluated, EvaluationElement::deserialize).map_err(FinishError::Element)?;
    let key = Ristretto255::deserialize_elem(public).map_err(|_| FinishError::PublicKey)?;
    let proof: &[u8; PROOF_LEN] = proof.try_into().map_err(|_| FinishError::Proof)?;
    let proof = Proof::deserialize(proof).map_err(|_| FinishError::Proof)?;
    let outputs =
        VoprfClient::batch_finalize(&inputs, &clients, &answers, &proof, key).map_err(|_| FinishError::Proof)?;
    let outputs = outputs.enumerate().map(|(at, output)| match output {
        Ok(output) => Ok(Zeroizing::new(output.into())),
        Err(_) => Err(FinishError::State(at)),
    });
    outputs.collect()
}

/// The input of the oblivious function for a number.
fn input(number: &E164) -> Zeroizing<Vec<u8>> {
    let mut input = Zeroizing::new(labels::OPRF_CTX.to_vec());
    lp16(&mut input, number.reveal().as_bytes());
    input
}

fn decode<T>(bytes: &[[u8; ELEMENT_LEN]], one: impl Fn(&[u8]) -> voprf::Result<T>) -> Result<Vec<T>, usize> {
    bytes.iter().enumerate().map(|(at, element)| one(element).map_err(|_| at)).collect()
}

#[cfg(test)]
mod tests;
