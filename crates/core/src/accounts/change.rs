//! Change of password by who is logged in. Afterwards nobody is: every phone has to log in again.

use relaymesh_protocol::ids::{DeviceId, EntityId};

use super::check::{self, required};
use super::identity::load;
use super::login::{settle, verify_counted};
use super::{Step, done, llt, session, work};
use crate::command::{Code, Private, Refusal};
use crate::input::ReplyTo;
use crate::node::Node;
use crate::output::{Work, WorkError};
use crate::record::Entity;
use crate::record::vault::{ACCOUNT, Account, PasswordLimiter, SESSION};
use crate::tx::{Run, Tx};

pub(super) fn on_command(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    llt: &Private,
    current: &Private,
    new: &Private,
) -> Run {
    required(&[
        ("long_lived_token", llt.reveal()),
        ("current_password", current.reveal()),
        ("new_password", new.reveal()),
    ])?;
    check::password(new)?;
    let (entity, account) = llt::open(node, tx, llt)?;
    let device = account.device.as_ref().ok_or_else(llt::invalid_llt)?.id;
    account.limiter.check(tx.now())?;
    let hash = account.password.clone().filter(|_| check::is_hashable(current)).ok_or_else(incorrect)?;
    let step = Step::Current { entity: entity.id, device, new: new.clone() };
    verify_counted(node, tx, reply, (entity, account), step, (current, hash))
}

fn incorrect() -> Refusal {
    Refusal::new(Code::Unauthenticated, "The current password you entered is incorrect. Please try again.")
}

/// The account, if the phone that asked is still the one in use.
fn same_phone(node: &Node, tx: &mut Tx<'_>, id: EntityId, device: DeviceId) -> Run<(Entity, Account)> {
    let (entity, account) = load(node, tx, id)?;
    let same = account.device.as_ref().is_some_and(|in_use| in_use.id == device);
    if same { Ok((entity, account)) } else { Err(llt::invalid_llt().into()) }
}

/// The old password was checked.
pub(super) fn on_verified(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    id: EntityId,
    (device, new): (DeviceId, &Private),
    fits: Result<bool, WorkError>,
) -> Run {
    let (mut entity, mut account) = same_phone(node, tx, id, device)?;
    if !settle(node, tx, reply, (&mut entity, &mut account), fits, incorrect)? {
        return Ok(());
    }
    let salt = tx.random();
    let step = Step::New { entity: id, device };
    work(node, tx, reply, step, Work::HashPassword { password: new.clone(), salt })
}

/// The new password is hashed: it counts from now on, and the session ends.
pub(super) fn on_hashed(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    id: EntityId,
    device: DeviceId,
    hash: &Result<String, WorkError>,
) -> Run {
    let hash = hash.as_ref().map_err(|_| Refusal::unavailable())?;
    let (mut entity, mut account) = same_phone(node, tx, id, device)?;
    account.password = Some(hash.clone());
    account.limiter = PasswordLimiter::default();
    session::retire(node, tx, &mut account)?;
    entity.put(node, tx, ACCOUNT, b"", &account)?;
    entity.delete(node, tx, SESSION, b"")?;
    done(tx, reply, "Password updated successfully.")
}
