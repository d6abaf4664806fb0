//! The app's half of the ratchet, as far as a world needs it: a key pair before sign-up, then a session that encrypts.

use rand_chacha::ChaCha20Rng;
use relaymesh_ratchet::{KeyPair, PublicKey, Session, agree};

/// A phone's keys before its home knows them.
pub struct Draft(KeyPair);

impl Draft {
    /// New keys.
    #[must_use]
    pub fn new(rng: &mut ChaCha20Rng) -> Self {
        Self(KeyPair::generate(rng))
    }

    /// The public half, for the home.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        *self.0.public().as_bytes()
    }

    /// The session with the home's key. `None` if that is no key.
    #[must_use]
    pub fn connect(self, server: [u8; 32], rng: &mut ChaCha20Rng) -> Option<Phone> {
        let server = PublicKey(server);
        let shared = agree(self.0.secret(), &server).ok()?;
        let session = Session::alice(&shared, server, rng).ok()?;
        Some(Phone { session: Box::new(session), server })
    }
}

/// A phone that writes to one home.
pub struct Phone {
    session: Box<Session>,
    /// The home's key: the associated data.
    server: PublicKey,
}

impl Phone {
    /// The block of a plaintext.
    ///
    /// # Panics
    /// Never: a session of the client's side can always send.
    pub fn encrypt(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let block = self.session.encrypt(plaintext, self.server.as_bytes()).expect("a client's session can send");
        block.as_bytes().to_vec()
    }
}
