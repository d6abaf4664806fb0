//! A pretended disk: what a process did to its files, and what of it a power loss may leave.
//!
//! Only fsync makes anything last. Of what was not synced, each sector of each write may be there or not, whatever its
//! neighbours and successors did; a file may have any length that it had since; and of what was done to a directory, any
//! beginning may be there.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::Path,
};

/// A drive writes so many bytes or none.
const SECTOR: usize = 512;

/// One call, as `shim.c` wrote it down.
#[derive(Debug)]
pub enum Op {
    Open { fd: i32, create: bool, truncate: bool, path: String },
    Write { fd: i32, at: usize, bytes: Vec<u8> },
    Truncate { fd: i32, len: usize },
    Sync { fd: i32 },
    Rename { from: String, to: String },
    Unlink { path: String },
    Mkdir { path: String },
}

/// Reads what `shim.c` wrote down.
pub fn read_log(path: &Path) -> Vec<Op> {
    let log = fs::read(path).unwrap();
    let (mut rest, mut ops) = (log.as_slice(), Vec::new());
    while let Some((head, tail)) = rest.split_first_chunk::<17>() {
        let fd = i32::from_ne_bytes(head[1..5].try_into().unwrap());
        let number = u64::from_ne_bytes(head[5..13].try_into().unwrap()) as usize;
        let len = u32::from_ne_bytes(head[13..17].try_into().unwrap()) as usize;
        let (bytes, tail) = tail.split_at(len);
        rest = tail;
        let text = || String::from_utf8(bytes.to_vec()).unwrap();
        ops.push(match head[0] {
            b'O' => Op::Open { fd, create: number & 1 != 0, truncate: number & 2 != 0, path: text() },
            b'W' => Op::Write { fd, at: number, bytes: bytes.to_vec() },
            b'T' => Op::Truncate { fd, len: number },
            b'S' => Op::Sync { fd },
            b'R' => {
                let both = text();
                let (from, to) = both.split_once('\0').unwrap();
                Op::Rename { from: from.to_owned(), to: to.to_owned() }
            }
            b'U' => Op::Unlink { path: text() },
            b'M' => Op::Mkdir { path: text() },
            other => panic!("no such op: {other}"),
        });
    }
    ops
}

/// What is in a directory: names, and the numbers of what they stand for.
type Names = BTreeMap<String, usize>;

#[derive(Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

#[derive(Clone)]
enum Node {
    /// What is synced, and what is not yet.
    File { synced: Vec<u8>, since: Vec<Change> },
    /// Every state of the directory since it was synced; the last is how it is.
    Dir { states: Vec<Names> },
}

/// Chance, as a test draws it.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }
}

/// The files below one directory.
pub struct Disk {
    nodes: Vec<Node>,
    open: HashMap<i32, usize>,
}

/// The directory itself.
const ROOT: usize = 0;

impl Disk {
    pub fn new() -> Self {
        Self { nodes: vec![Node::Dir { states: vec![Names::new()] }], open: HashMap::new() }
    }

    fn names(&self, dir: usize) -> &Names {
        match &self.nodes[dir] {
            Node::Dir { states } => states.last().unwrap(),
            Node::File { .. } => panic!("not a directory"),
        }
    }

    /// The directory that a path's last name stands in, and that name.
    fn place<'p>(&self, path: &'p str) -> (usize, &'p str) {
        let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = dirs.split('/').filter(|part| !part.is_empty()).fold(ROOT, |dir, part| self.names(dir)[part]);
        (dir, name)
    }

    fn find(&self, path: &str) -> Option<usize> {
        if path.is_empty() {
            return Some(ROOT);
        }
        let (dir, name) = self.place(path);
        self.names(dir).get(name).copied()
    }

    fn rename(&mut self, path: &str, node: Option<usize>) {
        let (dir, name) = self.place(path);
        let Node::Dir { states } = &mut self.nodes[dir] else { panic!("not a directory") };
        let mut names = states.last().unwrap().clone();
        match node {
            Some(node) => drop(names.insert(name.to_owned(), node)),
            None => drop(names.remove(name)),
        }
        states.push(names);
    }

    fn add(&mut self, path: &str, node: Node) -> usize {
        self.nodes.push(node);
        self.rename(path, Some(self.nodes.len() - 1));
        self.nodes.len() - 1
    }

    fn change(&mut self, fd: i32, change: Change) {
        let Node::File { since, .. } = &mut self.nodes[self.open[&fd]] else { panic!("not a file") };
        since.push(change);
    }

    /// The process made a call.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Open { fd, create, truncate, path } => {
                let found = self.find(path);
                let file = || Node::File { synced: Vec::new(), since: Vec::new() };
                let node = match found {
                    Some(node) => node,
                    None if *create => self.add(path, file()),
                    None => panic!("{path} was never made"),
                };
                self.open.insert(*fd, node);
                if *truncate {
                    self.change(*fd, Change::Truncate(0));
                }
            }
            Op::Write { fd, at, bytes } => self.change(*fd, Change::Write { at: *at, bytes: bytes.clone() }),
            Op::Truncate { fd, len } => self.change(*fd, Change::Truncate(*len)),
            Op::Sync { fd } => self.sync(self.open[fd]),
            Op::Rename { from, to } => {
                // Both names lie in one directory wherever this is called, so that it is one step.
                let (dir, old) = self.place(from);
                let node = self.find(from).unwrap();
                self.rename(to, Some(node));
                let Node::Dir { states } = &mut self.nodes[dir] else { panic!("not a directory") };
                states.last_mut().unwrap().remove(old);
            }
            Op::Unlink { path } => self.rename(path, None),
            Op::Mkdir { path } => drop(self.add(path, Node::Dir { states: vec![Names::new()] })),
        }
    }

    fn sync(&mut self, node: usize) {
        match &mut self.nodes[node] {
            Node::File { synced, since } => {
                since.drain(..).for_each(|change| all_of(synced, &change));
            }
            Node::Dir { states } => drop(states.drain(..states.len() - 1)),
        }
    }

    /// Whether the files below `dir` are those that were pictured here: nothing was missed.
    pub fn is_at(&self, dir: &Path) -> bool {
        self.same(ROOT, dir).unwrap()
    }

    fn same(&self, node: usize, path: &Path) -> io::Result<bool> {
        Ok(match &self.nodes[node] {
            Node::File { synced, since } => {
                let mut bytes = synced.clone();
                since.iter().for_each(|change| all_of(&mut bytes, change));
                fs::read(path)? == bytes
            }
            Node::Dir { .. } => {
                let names = self.names(node);
                let mut same = fs::read_dir(path)?.count() == names.len();
                for (name, node) in names {
                    same &= self.same(*node, &path.join(name))?;
                }
                same
            }
        })
    }

    /// Writes to `dir` what a power loss at this moment may leave.
    pub fn lose_power(&self, dir: &Path, chance: &mut Chance) {
        let luck = Luck::draw(chance);
        self.leave(ROOT, dir, luck, chance).unwrap();
    }

    fn leave(&self, node: usize, path: &Path, luck: Luck, chance: &mut Chance) -> io::Result<()> {
        match &self.nodes[node] {
            Node::File { synced, since } => fs::write(path, left_of(synced, since, luck, chance)),
            Node::Dir { states } => {
                fs::create_dir_all(path)?;
                let state = match luck {
                    Luck::Nothing => 0,
                    Luck::Everything => states.len() - 1,
                    Luck::Beginning | Luck::Sectors { .. } => chance.below(states.len()),
                };
                states[state].iter().try_for_each(|(name, node)| self.leave(*node, &path.join(name), luck, chance))
            }
        }
    }
}

/// What becomes of what was not synced.
#[derive(Clone, Copy)]
enum Luck {
    Nothing,
    Everything,
    /// All calls before some moment, the last one torn.
    Beginning,
    /// Each sector by itself, this often in a hundred.
    Sectors {
        kept: usize,
    },
}

impl Luck {
    fn draw(chance: &mut Chance) -> Self {
        match chance.below(8) {
            0 => Self::Nothing,
            1 => Self::Everything,
            2 | 3 => Self::Beginning,
            _ => Self::Sectors { kept: [3, 50, 97][chance.below(3)] },
        }
    }
}

fn all_of(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Truncate(len) => bytes.resize(*len, 0),
        Change::Write { at, bytes: new } => {
            let end = at + new.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[*at..end].copy_from_slice(new);
        }
    }
}

fn left_of(synced: &[u8], since: &[Change], luck: Luck, chance: &mut Chance) -> Vec<u8> {
    let done = match luck {
        Luck::Nothing => 0,
        Luck::Everything => since.len(),
        Luck::Beginning | Luck::Sectors { .. } => chance.below(since.len() + 1),
    };
    let (mut bytes, mut len) = (synced.to_vec(), synced.len());
    for (n, change) in since.iter().enumerate() {
        match change {
            Change::Truncate(_) if n < done => {
                all_of(&mut bytes, change);
                len = bytes.len();
            }
            Change::Truncate(_) => {}
            Change::Write { at, bytes: new } => {
                let keeps = |chance: &mut Chance| match luck {
                    Luck::Sectors { kept } => chance.below(100) < kept,
                    _ => n < done || (n == done && matches!(luck, Luck::Beginning) && chance.below(2) == 0),
                };
                sectors(&mut bytes, *at, new, || keeps(chance));
                if n < done {
                    len = len.max(at + new.len());
                }
            }
        }
    }
    bytes.resize(len, 0);
    bytes
}

/// Writes those sectors of a write that are kept.
fn sectors(bytes: &mut Vec<u8>, at: usize, new: &[u8], mut kept: impl FnMut() -> bool) {
    let mut from = 0;
    while from < new.len() {
        let to = new.len().min((at + from) / SECTOR * SECTOR + SECTOR - at);
        if kept() {
            all_of(bytes, &Change::Write { at: at + from, bytes: new[from..to].to_vec() });
        }
        from = to;
    }
}
