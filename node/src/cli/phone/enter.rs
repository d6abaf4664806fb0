//! `phone signup`, `phone login` and `phone reset`: each once without a code, then with it.

use rand_chacha::ChaCha20Rng;
use relaymesh_phone::api::EntityAnswer;
use relaymesh_phone::{AgeCheck, Identity, Kind, Pending, Phone, Style};

use super::args::{Entry, State};
use super::wire::{Calls, Entered};
use super::{keep, now, tell};
use crate::cli::args::Global;
use crate::cli::exit::ExitError;
use crate::config::Secret;

/// The keys of the call that brings the code are the ones that count, so nothing is kept of the first.
pub fn enter(global: &Global, entry: &Entry, kind: Kind) -> Result<(), ExitError> {
    let identity = entry.number.clone();
    let state = &entry.online.state;
    let is_new = kind != Kind::LogIn && entry.code.is_some();
    let password = if is_new { keep::fresh_password(state)? } else { keep::password(state)? };
    // Before the call: a code is used up by it.
    let known = known(state, &password, &identity, &kind)?;
    let mut rng = keep::chance()?;
    let pending = Phone::begin(kind, identity, &mut rng);
    let request = pending.request(password.expose(), entry.code.as_deref(), "", Style::Plain);
    let calls = Calls::to(&entry.online.target)?;
    match calls.enter(pending.kind(), &request)? {
        Entered::CodeSent { message } => tell(global, "code_sent", &message, "Run this again with --code CODE.\n"),
        Entered::ResetNeeded { message } => Err(ExitError::failed(message, "run: relaymesh phone reset")),
        Entered::In { message, answer } => {
            let phone = finish(&pending, known, &answer, &mut rng)?;
            keep::save(state, &password, &phone, &mut rng)?;
            let next = match pending.kind() {
                Kind::LogIn => "Its platforms: relaymesh phone list\n",
                Kind::SignUp { .. } | Kind::Reset => "Next: relaymesh phone connect PLATFORM\n",
            };
            tell(global, "logged_in", &message, next)
        }
    }
}

/// The phone of the state file, which goes on after the login with its bridge sessions and its log.
fn known(state: &State, password: &Secret, identity: &Identity, kind: &Kind) -> Result<Option<Phone>, ExitError> {
    let known = keep::load_if_any(state, password).map_err(|error| match kind {
        Kind::Reset => {
            ExitError { help: "it is sealed under the old password: name a new --state".to_owned(), ..error }
        }
        Kind::SignUp { .. } | Kind::LogIn => error,
    })?;
    if known.as_ref().is_some_and(|phone| phone.is_logged_in() && phone.identity() != identity) {
        let what = format!("{} is the phone of somebody else", state.state.display());
        return Err(ExitError::failed(what, "name another --state"));
    }
    Ok(known)
}

fn finish(
    pending: &Pending,
    known: Option<Phone>,
    answer: &EntityAnswer,
    rng: &mut ChaCha20Rng,
) -> Result<Phone, ExitError> {
    let now_s = now().seconds();
    let finished = match known {
        None => pending.finish(answer, now_s, AgeCheck::Skip, rng),
        Some(mut phone) => pending.renew(&mut phone, answer, now_s, AgeCheck::Skip, rng).map(|()| phone),
    };
    finished.map_err(|e| ExitError::failed(e.to_string(), "check that the address is one of a relaymesh node"))
}
