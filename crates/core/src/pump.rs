//! The loop around a node that the real driver and the simulator share: loads what a run needs, parks what must wait, and
//! goes on with completions and follow-ups before anything new.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use relaymesh_protocol::ids::Timestamp;

use crate::batch::{Key, Outcome};
use crate::command::Refusal;
use crate::input::{Follow, Input};
use crate::node::{Node, Step};
use crate::output::Output;
use crate::tx::{Lane, Record, Records, View};

/// Most inputs from outside that wait for one lane; whoever sent more hears that the node is busy.
const WAITERS_MAX: usize = 64;

/// The store cannot be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store cannot be read")]
pub struct Unavailable;

/// Key, version and value of rows below a prefix.
pub type Loaded = Vec<(Key, u64, Vec<u8>)>;

/// Where records come from.
pub trait Load {
    /// Version and value of a record.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn get(&mut self, key: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Unavailable>;

    /// The first `limit` rows below a prefix.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn rows(&mut self, prefix: &[u8], limit: usize) -> Result<Loaded, Unavailable>;
}

/// An input that waits, with the seed it began with.
#[derive(Debug)]
struct Parked {
    input: Input,
    seed: [u8; 32],
    reruns: u8,
}

/// A node and what waits for it.
#[derive(Debug)]
pub struct Pump {
    node: Node,
    seeds: ChaCha20Rng,
    waiting: BTreeMap<Lane, VecDeque<Parked>>,
    ready: VecDeque<Parked>,
    outputs: VecDeque<Output>,
}

impl Pump {
    /// A pump that draws each input's seed from `seed`.
    #[must_use]
    pub fn new(node: Node, seed: [u8; 32]) -> Self {
        Self {
            node,
            seeds: ChaCha20Rng::from_seed(seed),
            waiting: BTreeMap::new(),
            ready: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }

    /// The node, at its end.
    #[must_use]
    pub fn into_node(self) -> Node {
        self.node
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The node, for a test that stands in for the pump.
    #[cfg(test)]
    pub(crate) fn node_mut(&mut self) -> &mut Node {
        &mut self.node
    }

    /// Runs an input from outside, and whatever follows from it at once.
    pub fn feed(&mut self, input: Input, now: Timestamp, store: &mut dyn Load) {
        let seed = self.seed();
        self.run(Parked { input, seed, reruns: 0 }, now, store);
        self.settle(now, store);
    }

    /// A batch ended: what waited for it goes on.
    pub fn persisted(&mut self, token: u64, outcome: Outcome, now: Timestamp, store: &mut dyn Load) {
        let freed = self.node.persisted(token, outcome);
        if let Some((input, reruns)) = freed.rerun {
            let seed = self.seed();
            self.run(Parked { input, seed, reruns }, now, store);
        }
        self.settle(now, store);
        for lane in freed.lanes {
            self.wake(&lane, now, store);
        }
    }

    /// Runs every timer that is due.
    pub fn tick(&mut self, now: Timestamp, store: &mut dyn Load) {
        while let Some(timer) = self.node.take_due(now) {
            self.feed(Input::Timer(timer), now, store);
        }
    }

    /// When [`Pump::tick`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.node.poll_timeout()
    }

    /// The next thing to do, in order; follow-ups never come out.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.seeds.fill_bytes(&mut seed);
        seed
    }

    /// Lets the waiters of a freed lane run until one of them takes it again.
    fn wake(&mut self, lane: &Lane, now: Timestamp, store: &mut dyn Load) {
        while let Some(parked) = self.next_waiter(lane) {
            let parked_again = self.run(parked, now, store);
            self.settle(now, store);
            if parked_again.as_ref() == Some(lane) {
                // It was at the head of the queue and stays there.
                if let Some(queue) = self.waiting.get_mut(lane)
                    && let Some(last) = queue.pop_back()
                {
                    queue.push_front(last);
                }
                return;
            }
        }
    }

    fn next_waiter(&mut self, lane: &Lane) -> Option<Parked> {
        let queue = self.waiting.get_mut(lane)?;
        let parked = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(lane);
        }
        parked
    }

    /// Moves outputs out of the node; follow-ups are run at once.
    fn settle(&mut self, now: Timestamp, store: &mut dyn Load) {
        loop {
            while let Some(output) = self.node.poll_output() {
                if let Output::Follow(input) = output {
                    let seed = self.seed();
                    self.ready.push_back(Parked { input, seed, reruns: 0 });
                } else {
                    self.outputs.push_back(output);
                }
            }
            let Some(parked) = self.ready.pop_front() else { return };
            self.run(parked, now, store);
        }
    }

    /// Runs one input to its end; returns the lane if it was parked.
    fn run(&mut self, parked: Parked, now: Timestamp, store: &mut dyn Load) -> Option<Lane> {
        let live = Live::new(store);
        match self.node.handle_again(&parked.input, &live, now, parked.seed, parked.reruns) {
            Step::Done => None,
            Step::Wait(lane) => {
                self.park(lane.clone(), parked);
                Some(lane)
            }
            Step::Need(_) => {
                self.node.refuse(&parked.input, Refusal::unavailable());
                None
            }
        }
    }

    fn park(&mut self, lane: Lane, parked: Parked) {
        let queue = self.waiting.entry(lane).or_default();
        if queue.len() < WAITERS_MAX || is_own(&parked.input) {
            queue.push_back(parked);
        } else {
            self.node.refuse(&parked.input, Refusal::unavailable());
        }
    }
}

/// Whether the node goes on by itself with this. Such inputs are as few as the messages and jobs that they belong to, and
/// nobody would repeat them: an end of work that is lost leaves its job under way until the next start, and a lost offer to
/// itself counts as silent for half a minute. What an operator brought by hand is bounded by the size of a bundle.
fn is_own(input: &Input) -> bool {
    match input {
        Input::Worked { .. } | Input::Timer(_) => true,
        Input::Follow(Follow::Body(opened)) => opened.by_hand,
        Input::Follow(follow) => !matches!(follow, Follow::Assembled { .. }),
        _ => false,
    }
}

/// A store that answers at once, for one run: what was read once is not read again. A store that cannot be read has no
/// answer, and the run ends with [`Step::Need`].
struct Live<'s> {
    store: RefCell<&'s mut dyn Load>,
    view: RefCell<View>,
}

impl<'s> Live<'s> {
    fn new(store: &'s mut dyn Load) -> Self {
        Self { store: RefCell::new(store), view: RefCell::default() }
    }
}

impl Records for Live<'_> {
    fn has(&self, key: &[u8]) -> bool {
        if self.view.borrow().has(key) {
            return true;
        }
        let Ok(record) = self.store.borrow_mut().get(key) else { return false };
        self.view.borrow_mut().insert(key.to_vec(), record);
        true
    }

    fn record(&self, key: &[u8]) -> Option<Record> {
        if self.has(key) { self.view.borrow().record(key) } else { None }
    }

    fn seen(&self, key: &[u8]) -> Option<u64> {
        self.view.borrow().seen(key)
    }

    fn below(&self, prefix: &[u8], limit: usize) -> Option<Vec<(Key, Vec<u8>)>> {
        if let Some(rows) = self.view.borrow().below(prefix, limit) {
            return Some(rows);
        }
        let rows = self.store.borrow_mut().rows(prefix, limit).ok()?;
        self.view.borrow_mut().insert_prefix(prefix.to_vec(), limit, rows);
        self.view.borrow().below(prefix, limit)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use relaymesh_protocol::ids::MessageId;
    use relaymesh_seal::keyfile::Keyring;

    use super::*;
    use crate::command::{Command, OperatorCommand, Reply};
    use crate::crypto::RealCrypto;
    use crate::input::ReplyTo;
    use crate::membership::tests::net::{START, config};
    use crate::output::{WorkDone, WorkId};
    use crate::timer::Timer;
    use crate::tx::Fetch;

    #[test]
    fn a_busy_lane_refuses_others_and_never_the_nodes_own() {
        let mut pump = Pump::new(node(), [2; 32]);
        let lane = Lane(vec![1]);
        let mut park = |input| pump.park(lane.clone(), Parked { input, seed: [0; 32], reruns: 0 });
        for n in 0..=WAITERS_MAX as u64 {
            park(Input::Command { reply: ReplyTo(n + 1), command: Command::Operator(OperatorCommand::Status) });
        }
        park(Input::Worked { id: WorkId(7), done: WorkDone::Published(Ok("1".to_owned())) });
        park(Input::Timer(Timer::Job(MessageId([1; 32]))));
        park(Input::Follow(Follow::Local(MessageId([2; 32]))));
        assert_eq!(pump.waiting[&lane].len(), WAITERS_MAX + 3);
        pump.settle(START, &mut Nothing);
        let refused = |output| matches!(output, Output::Reply { to: ReplyTo(65), reply: Reply::Refused(_) });
        assert!(pump.poll_output().is_some_and(refused));
        assert!(pump.poll_output().is_none());
    }

    fn node() -> Node {
        let keyring = Keyring::generate(&mut ChaCha20Rng::from_seed([1; 32]), START);
        Node::new(config("a"), keyring, Arc::new(RealCrypto), START)
    }

    /// What a node says to an input when each answer of its store comes late, and how often it asked.
    fn said_late(input: &Input) -> (Vec<String>, usize) {
        let (mut node, mut view, mut asked) = (node(), View::default(), 0);
        loop {
            match node.handle(input, &view, START, [3; 32]) {
                Step::Done => break,
                Step::Need(Fetch::Keys(keys)) => keys.into_iter().for_each(|key| view.insert(key, None)),
                Step::Need(Fetch::Prefix { prefix, limit }) => view.insert_prefix(prefix, limit, Vec::new()),
                Step::Wait(lane) => panic!("{lane:?} is free"),
            }
            asked += 1;
        }
        (std::iter::from_fn(|| node.poll_output()).map(|output| format!("{output:?}")).collect(), asked)
    }

    fn said_at_once(input: &Input, store: &mut dyn Load) -> Vec<String> {
        let mut pump = Pump::new(node(), [2; 32]);
        pump.run(Parked { input: input.clone(), seed: [3; 32], reruns: 0 }, START, store);
        pump.settle(START, store);
        std::iter::from_fn(|| pump.poll_output()).map(|output| format!("{output:?}")).collect()
    }

    #[test]
    fn a_store_that_answers_late_is_asked_and_leads_to_the_same() {
        let ask = |command| Input::Command { reply: ReplyTo(1), command: Command::Operator(command) };
        let trace = ask(OperatorCommand::Trace { message: "abcdef".to_owned() });
        let (late, asked) = said_late(&trace);
        assert_eq!((asked, late.len()), (1, 1));
        assert_eq!(late, said_at_once(&trace, &mut Nothing));
        let refused = said_at_once(&trace, &mut Broken);
        assert!(refused.len() == 1 && refused != late, "a store that cannot be read is no empty one");
    }

    struct Broken;

    impl Load for Broken {
        fn get(&mut self, _key: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Unavailable> {
            Err(Unavailable)
        }

        fn rows(&mut self, _prefix: &[u8], _limit: usize) -> Result<Loaded, Unavailable> {
            Err(Unavailable)
        }
    }

    struct Nothing;

    impl Load for Nothing {
        fn get(&mut self, _key: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Unavailable> {
            Ok(None)
        }

        fn rows(&mut self, _prefix: &[u8], _limit: usize) -> Result<Loaded, Unavailable> {
            Ok(Vec::new())
        }
    }
}
