//! Which conversation an input belongs to. Decides nothing itself.

use relaymesh_protocol::frame::{Request, Response};
use relaymesh_protocol::ids::{NodeId, Timestamp};

use super::{Change, Node};
use crate::batch::Key;
use crate::command::{Command, OperatorCommand};
use crate::input::{Follow, Input, ReplyTo};
use crate::output::{Output, WorkDone, WorkId};
use crate::record::key;
use crate::timer::Timer;
use crate::tx::{Run, Tx};
use crate::{accounts, clients, delivery, egress, home, ingress, keys, locator, membership, operator, publisher};

impl Node {
    pub(super) fn run(&self, input: &Input, tx: &mut Tx<'_>) -> Run {
        match input {
            Input::Restore { .. } => Ok(()),
            Input::Started => self.start(tx),
            Input::Command { reply, command } => self.run_command(tx, *reply, command),
            Input::Envelope { reply, from, carried } => delivery::on_envelope(self, tx, *reply, *from, carried),
            Input::Asked { reply, from, request } => self.run_request(tx, *reply, *from, request),
            Input::Carried { to, envelope, taken } => delivery::on_carried(self, tx, *to, *envelope, *taken),
            Input::Answered { token, from, response } => self.run_answer(tx, *token, *from, response),
            Input::Connected(peer) => {
                membership::on_connected(self, tx, *peer)?;
                locator::on_connected(self, tx, *peer);
                home::on_connected(self, tx, *peer);
                delivery::on_link(self, tx, *peer)
            }
            Input::Disconnected(peer) => membership::on_disconnected(self, tx, *peer),
            Input::Worked { id, done } => self.run_worked(tx, *id, done),
            Input::Timer(timer) => self.run_timer(tx, timer),
            Input::Follow(follow) => self.run_follow(tx, follow),
        }
    }

    fn start(&self, tx: &mut Tx<'_>) -> Run {
        keys::start(self, tx)?;
        membership::start(self, tx)?;
        locator::start(self, tx)?;
        ingress::start(self, tx)?;
        delivery::start(self, tx)?;
        home::start(self, tx)?;
        egress::start(self, tx)
    }

    fn run_command(&self, tx: &mut Tx<'_>, reply: ReplyTo, command: &Command) -> Run {
        match command {
            Command::Submit(submit) => ingress::on_submit(self, tx, reply, submit),
            Command::Account(command) => accounts::on_command(self, tx, reply, command),
            Command::Publisher(command) => publisher::on_command(self, tx, reply, command),
            Command::Clients(command) => clients::on_command(self, tx, reply, command),
            Command::Operator(command) => self.run_operator(tx, reply, command),
        }
    }

    fn run_operator(&self, tx: &mut Tx<'_>, reply: ReplyTo, command: &OperatorCommand) -> Run {
        use OperatorCommand as C;
        match command {
            C::Status | C::Trace { .. } | C::Doctor | C::Ping { .. } => operator::on_command(self, tx, reply, command),
            C::GatewayAdd { .. } | C::GatewayList | C::GatewayRemove { .. } => {
                ingress::on_operator(self, tx, reply, command)
            }
            C::NodeId
            | C::NodeList
            | C::Invite { .. }
            | C::Join { .. }
            | C::Federate { .. }
            | C::Block { .. }
            | C::Unblock { .. } => membership::on_operator(self, tx, reply, command),
            C::BundleExport | C::BundleImport { .. } => delivery::on_operator(self, tx, reply, command),
            C::BridgeKeysGenerate { .. } | C::BridgeKeysList | C::BridgeKeysRetire { .. } => {
                keys::on_operator(self, tx, reply, command)
            }
        }
    }

    fn run_request(&self, tx: &mut Tx<'_>, reply: ReplyTo, from: NodeId, request: &Request) -> Run {
        match request {
            Request::Envelopes(_) => {
                tx.output(Output::Respond { to: reply, response: Response::Refused });
                Ok(())
            }
            Request::Digest(_)
            | Request::Heads(_)
            | Request::WantFacts(_)
            | Request::Facts(_)
            | Request::Join { .. } => membership::on_request(self, tx, reply, from, request),
            Request::WantFilter { .. } | Request::Evaluate { .. } | Request::WhoHolds { .. } => {
                locator::on_request(self, tx, reply, from, request)
            }
        }
    }

    fn run_answer(
        &self,
        tx: &mut Tx<'_>,
        token: u64,
        from: NodeId,
        response: &Result<Response, crate::LinkError>,
    ) -> Run {
        if self.membership.asked(token) {
            membership::on_answer(self, tx, token, from, response)
        } else {
            locator::on_answer(self, tx, token, from, response)
        }
    }

    fn run_worked(&self, tx: &mut Tx<'_>, id: WorkId, done: &WorkDone) -> Run {
        use WorkDone as D;
        match done {
            D::Hashed(_) | D::Verified(_) | D::Captcha(_) => accounts::on_worked(self, tx, &id, done),
            D::Sent(_) if self.accounts.waits_for(&id) => accounts::on_worked(self, tx, &id, done),
            D::Sent(_) => egress::on_worked(self, tx, id, done),
            D::Published(_) | D::Refreshed(_) => home::on_worked(self, tx, id, done),
            D::Exchanged(_) | D::Revoked => publisher::on_worked(self, tx, &id, done),
            D::KeysSaved(_) => keys::on_worked(self, tx, id, done),
        }
    }

    fn run_timer(&self, tx: &mut Tx<'_>, timer: &Timer) -> Run {
        match timer {
            Timer::ReplyWait(id) => ingress::on_reply_wait(self, tx, *id),
            Timer::GatewayUse => ingress::on_save(self, tx),
            Timer::Segments(set) => ingress::on_segments(self, tx, set),
            Timer::Route(message) => delivery::on_route(self, tx, *message),
            Timer::Window(line) => delivery::on_window(self, tx, *line),
            Timer::Reach(candidate) => delivery::on_reach(self, tx, *candidate),
            Timer::Link(peer) => delivery::on_link_again(self, tx, *peer),
            Timer::LegSilent(message, node) => delivery::on_leg_silent(self, tx, *message, *node),
            Timer::Custody(node) => delivery::on_custody(self, tx, *node),
            Timer::Receipts(node) => delivery::on_flush(self, tx, *node),
            Timer::Declines(node) => delivery::on_declines(self, tx, *node),
            Timer::Outcome(message) => delivery::on_forget(self, tx, *message),
            Timer::Remind(ingress) => home::on_remind(self, tx, *ingress),
            Timer::HomeSet(set) => home::on_home_set(self, tx, set),
            Timer::Job(message) => home::on_job(self, tx, *message),
            Timer::Kept(message) => home::on_kept(self, tx, *message),
            Timer::Refusal(entity, message) => home::on_refusal(self, tx, *entity, *message),
            Timer::Sweep => home::on_sweep(self, tx),
            Timer::Sms(id) => egress::on_sms(self, tx, id),
            Timer::Ways => membership::on_ways(self, tx),
            Timer::Gossip | Timer::Heard | Timer::RenewRecord => membership::on_timer(self, tx, timer),
            Timer::FilterRecent | Timer::FilterSoon | Timer::Audit | Timer::Question(_) => {
                locator::on_timer(self, tx, timer)
            }
            Timer::Ping(nonce) => operator::on_ping_lost(self, tx, *nonce),
            Timer::Daily => self.daily(tx),
            Timer::Start => self.start(tx),
            Timer::Import => delivery::on_import(self, tx),
            Timer::Worked(id) => {
                let Some(done) = self.unsettled.get(id) else { return Ok(()) };
                self.run_worked(tx, *id, done)?;
                tx.then(Change::Settled(*id));
                Ok(())
            }
        }
    }

    fn daily(&self, tx: &mut Tx<'_>) -> Run {
        keys::daily(self, tx)?;
        locator::daily(self, tx)?;
        delivery::daily(self, tx)
    }

    fn run_follow(&self, tx: &mut Tx<'_>, follow: &Follow) -> Run {
        match follow {
            Follow::Route(message) => delivery::on_route(self, tx, *message),
            Follow::Body(opened) => self.run_body(tx, opened),
            Follow::Local(message) => home::on_local(self, tx, *message),
            Follow::Assembled { from, submission, number } => {
                home::on_assembled(self, tx, *from, submission, number.as_ref())
            }
            Follow::Receipt { from, receipt } => delivery::on_receipt(self, tx, *from, receipt),
            Follow::Remind { to, message } => home::on_remind_of(self, tx, *to, *message),
            Follow::RunJob(message) => home::on_job(self, tx, *message),
            Follow::RunSms(id) => egress::on_sms(self, tx, id),
        }
    }

    /// An opened body goes to the conversation that it is for.
    pub(crate) fn run_body(&self, tx: &mut Tx<'_>, opened: &delivery::Opened) -> Run {
        use delivery::Body;
        match &opened.body {
            Body::Submission(submission) => home::on_submission(self, tx, opened.sender, submission),
            Body::Receipts(receipts) => delivery::on_receipts(self, tx, opened.sender, receipts),
            Body::Question(question) => locator::on_question(self, tx, opened.sender, question),
            Body::Answer(answer) => locator::on_answer_letter(self, tx, opened.sender, answer),
            Body::Ping { nonce } => operator::on_ping(self, tx, opened, *nonce),
            Body::Pong { nonce, hops } => operator::on_pong(self, tx, opened.sender, *nonce, *hops),
            Body::Sms(request) => egress::on_request(self, tx, opened.sender, request),
            Body::SmsAnswer { id, end } => egress::on_answer(self, tx, opened.sender, id, *end),
        }
    }

    pub(super) fn restore(&mut self, table: u8, rows: &[(Key, Vec<u8>)], now: Timestamp) {
        match table {
            key::META => {
                membership::restore_meta(self, rows, now);
                keys::restore_meta(self, rows, now);
            }
            key::FACT | key::POLICY => membership::restore(self, table, rows, now),
            key::FILTER | key::AUDIT | key::TAG | key::TAG_CACHE => locator::restore(self, table, rows, now),
            key::GATEWAY => ingress::restore(self, rows, now),
            key::OUTBOX | key::CUSTODY => delivery::restore(self, table, rows, now),
            key::JOB | key::RECEIPT | key::HOME_SET => home::restore(self, table, rows),
            key::SMS => egress::restore(self, rows, now),
            key::TEST => clients::restore(self, rows),
            key::SEGMENTS => ingress::restore_segments(self, rows),
            _ => {}
        }
    }
}
