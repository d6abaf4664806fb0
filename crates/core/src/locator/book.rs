//! The filters of all nodes that this node has seen, in the shape that a lookup walks: one flat list, sorted by node.

use std::sync::OnceLock;

use relaymesh_protocol::frame::{FilterHead, FilterLayer};
use relaymesh_protocol::ids::{NodeId, Tag, Timestamp};
use relaymesh_seal::tags::filter_key;

use super::filter::Filter;

/// Nodes whose keys are made before their filters are looked at: the processor then waits for the memory of many filters at
/// once, which it cannot with a hash between one and the next (33 µs instead of 40 for a thousand nodes).
const STRIDE: usize = 64;

/// A filter and when it came.
#[derive(Debug)]
pub(super) struct Kept {
    pub filter: Filter,
    pub at: Timestamp,
}

/// One node's filters.
#[derive(Debug)]
struct Shelf {
    node: NodeId,
    base: Option<Kept>,
    recent: Option<Kept>,
}

impl Shelf {
    fn slot(&mut self, layer: FilterLayer) -> &mut Option<Kept> {
        match layer {
            FilterLayer::Base => &mut self.base,
            FilterLayer::Recent => &mut self.recent,
        }
    }

    fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.base.iter().chain(&self.recent)
    }

    fn contains(&self, key: u64) -> bool {
        self.kept().any(|kept| kept.filter.contains(key))
    }
}

/// All filters.
#[derive(Debug, Default)]
pub(super) struct Book {
    shelves: Vec<Shelf>,
    bytes: usize,
    filters: usize,
    /// Changes so far.
    generation: u64,
    /// What names the filters to others, until the next change.
    heads: OnceLock<Vec<FilterHead>>,
}

impl Book {
    fn find(&self, node: &NodeId) -> Result<usize, usize> {
        self.shelves.binary_search_by(|shelf| shelf.node.cmp(node))
    }

    fn shelf(&self, node: &NodeId) -> Option<&Shelf> {
        self.find(node).ok().and_then(|at| self.shelves.get(at))
    }

    /// Puts a filter in its place, unless a later one is there.
    pub fn put(&mut self, filter: Filter, at: Timestamp) {
        let node = filter.node;
        let place = self.find(&node).unwrap_or_else(|place| {
            self.shelves.insert(place, Shelf { node, base: None, recent: None });
            place
        });
        let Some(shelf) = self.shelves.get_mut(place) else { return };
        let slot = shelf.slot(filter.layer);
        if slot.as_ref().is_some_and(|old| old.filter.version > filter.version) {
            return;
        }
        self.bytes += filter.len();
        match slot.replace(Kept { filter, at }) {
            Some(old) => self.bytes = self.bytes.saturating_sub(old.filter.len()),
            None => self.filters += 1,
        }
        self.changed();
    }

    /// Takes a filter out.
    pub fn remove(&mut self, node: &NodeId, layer: FilterLayer) {
        let Ok(place) = self.find(node) else { return };
        let Some(shelf) = self.shelves.get_mut(place) else { return };
        let mut changed = false;
        if let Some(old) = shelf.slot(layer).take() {
            self.bytes = self.bytes.saturating_sub(old.filter.len());
            self.filters -= 1;
            changed = true;
        }
        if shelf.base.is_none() && shelf.recent.is_none() {
            self.shelves.remove(place);
        }
        if changed {
            self.changed();
        }
    }

    fn changed(&mut self) {
        self.generation += 1;
        self.heads.take();
    }

    /// One filter.
    pub fn get(&self, node: &NodeId, layer: FilterLayer) -> Option<&Kept> {
        let shelf = self.shelf(node)?;
        match layer {
            FilterLayer::Base => shelf.base.as_ref(),
            FilterLayer::Recent => shelf.recent.as_ref(),
        }
    }

    /// The version of one filter; zero when there is none.
    pub fn version(&self, node: &NodeId, layer: FilterLayer) -> u64 {
        self.get(node, layer).map_or(0, |kept| kept.filter.version)
    }

    /// When the newest filter of a node came.
    pub fn newest(&self, node: &NodeId) -> Option<Timestamp> {
        self.shelf(node)?.kept().map(|kept| kept.at).max()
    }

    /// Whether a node's filters may hold a tag.
    pub fn says(&self, node: &NodeId, tag: &Tag) -> bool {
        self.shelf(node).is_some_and(|shelf| shelf.contains(filter_key(tag, node)))
    }

    /// All nodes whose filters may hold a tag.
    pub fn holders(&self, tag: &Tag) -> Vec<NodeId> {
        let mut holders = Vec::new();
        let mut keys = [0; STRIDE];
        for stride in self.shelves.chunks(STRIDE) {
            for (key, shelf) in keys.iter_mut().zip(stride) {
                *key = filter_key(tag, &shelf.node);
            }
            let found = keys.iter().zip(stride).filter(|(key, shelf)| shelf.contains(**key));
            holders.extend(found.map(|(_, shelf)| shelf.node));
        }
        holders
    }

    /// All filters, in order of node and layer.
    pub fn iter(&self) -> impl Iterator<Item = &Filter> {
        self.shelves.iter().flat_map(Shelf::kept).map(|kept| &kept.filter)
    }

    /// How many filters.
    pub fn len(&self) -> usize {
        self.filters
    }

    /// Changes so far: whoever remembers something of these filters sees by it whether that still holds.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What names them to others.
    pub fn heads(&self) -> &[FilterHead] {
        self.heads.get_or_init(|| self.iter().map(Filter::head).collect())
    }

    /// The filters that came first, until `more` bytes fit under `max`; never those of `spare`.
    pub fn evict(&self, more: usize, max: usize, spare: &NodeId) -> Vec<(NodeId, FilterLayer)> {
        let mut over = (self.bytes + more).saturating_sub(max);
        if over == 0 {
            return Vec::new();
        }
        let mut all: Vec<&Kept> =
            self.shelves.iter().filter(|shelf| shelf.node != *spare).flat_map(Shelf::kept).collect();
        all.sort_by_key(|kept| (kept.at, kept.filter.node));
        let mut out = Vec::new();
        for kept in all {
            if over == 0 {
                break;
            }
            over = over.saturating_sub(kept.filter.len());
            out.push((kept.filter.node, kept.filter.layer));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use relaymesh_protocol::ids::MeshId;

    use super::*;

    fn filter(node: u16, layer: FilterLayer, version: u64, tags: &[Tag]) -> Filter {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&node.to_be_bytes());
        let node = NodeId(id);
        let mut keys: Vec<u64> = tags.iter().map(|tag| filter_key(tag, &node)).collect();
        keys.extend(1..64);
        Filter::build(node, layer, version, &keys, &MeshId([1; 16]), |_, _| [0; 64]).unwrap()
    }

    fn tag(n: u8) -> Tag {
        Tag([n; 16])
    }

    #[test]
    fn a_tag_is_found_in_either_layer_of_its_node_only() {
        let mut book = Book::default();
        for n in 0..50 {
            book.put(filter(n, FilterLayer::Base, 1, &[tag(n as u8)]), Timestamp(1));
        }
        book.put(filter(7, FilterLayer::Recent, 1, &[tag(200)]), Timestamp(2));
        let seven = filter(7, FilterLayer::Base, 1, &[]).node;
        assert_eq!(book.holders(&tag(7)), [seven]);
        assert_eq!(book.holders(&tag(200)), [seven]);
        assert!(book.holders(&tag(201)).is_empty());
        assert!(book.says(&seven, &tag(200)) && !book.says(&seven, &tag(8)));
        assert_eq!(book.newest(&seven), Some(Timestamp(2)));
        assert_eq!(book.heads().len(), 51);
    }

    #[test]
    fn only_later_versions_replace_and_bytes_are_counted() {
        let mut book = Book::default();
        book.put(filter(1, FilterLayer::Base, 5, &[tag(1)]), Timestamp(1));
        let bytes = book.bytes;
        book.put(filter(1, FilterLayer::Base, 4, &[tag(2)]), Timestamp(2));
        assert_eq!(book.holders(&tag(1)).len(), 1);
        book.put(filter(1, FilterLayer::Base, 6, &[tag(2)]), Timestamp(3));
        assert!(book.holders(&tag(1)).is_empty());
        assert_eq!(book.bytes, bytes);
        let node = book.heads()[0].node;
        book.remove(&node, FilterLayer::Base);
        assert_eq!((book.bytes, book.shelves.len()), (0, 0));
    }

    #[test]
    fn the_oldest_filters_make_room() {
        let mut book = Book::default();
        for n in 0..10 {
            book.put(filter(n, FilterLayer::Base, 1, &[]), Timestamp(u64::from(n)));
        }
        let each = book.bytes / 10;
        let spare = book.heads()[0].node;
        assert!(book.evict(0, book.bytes, &spare).is_empty());
        let out = book.evict(each + 1, book.bytes, &spare);
        assert_eq!(out.len(), 2);
        assert_eq!(out[0].0, book.heads()[1].node, "own filters stay");
    }
}
