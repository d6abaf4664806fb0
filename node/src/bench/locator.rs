//! Finding the home of a device's message among the filters of a thousand nodes.

use std::hint::black_box;

use anyhow::{Context as _, Result, ensure};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use relaymesh_core::bench::Lookups;
use relaymesh_protocol::ids::DeviceId;
use relaymesh_seal::keyfile::Keyring;
use relaymesh_seal::keys::NodeKey;
use relaymesh_seal::tags::{device_tag, filter_key};

use super::Scale;
use super::ratchet::compare;
use super::row::{Budget, Row};
use super::world::{START, config};

/// Nodes with a filter each.
const NODES: usize = 1_000;
/// People of each node.
const PEOPLE: usize = 1_000;

pub fn rows() -> Vec<Row> {
    vec![Row::new("locator lookup, 1,000 filters, 10⁶ people", "µs", Budget::AtMost(40.0))]
}

pub fn measure(scale: Scale, rows: &mut [Row]) -> Result<()> {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let mut random = || {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    let nodes: Vec<(NodeKey, Vec<DeviceId>)> = (0..NODES)
        .map(|_| (NodeKey::from_seed(&random()), (0..PEOPLE).map(|_| DeviceId(random())).collect()))
        .collect();
    let keyring = Keyring::generate(&mut ChaCha20Rng::seed_from_u64(4), START);
    let lookups = Lookups::new(config("a", 1), keyring, &nodes, START).context("a filter cannot be built")?;
    ensure!(lookups.filters() == NODES, "the node took {} of {NODES} filters", lookups.filters());

    let people: Vec<(DeviceId, u64)> = nodes
        .iter()
        .filter_map(|(node, all)| all.first().map(|one| (*one, filter_key(&device_tag(one), &node.id()))))
        .collect();
    let mut devices = people.iter().map(|(device, _)| device).cycle();
    let mut keys = people.iter().map(|(_, key)| *key).cycle();
    let locate = || devices.next().into_iter().for_each(|device| lookups.locate(device, START));
    let raw = || {
        black_box(keys.next().map(|key| lookups.raw(key)));
    };
    let (value, baseline) = compare(scale.pick(200, 2_000), locate, raw);
    if let [row] = rows {
        row.set(value, Some(baseline), "a tag to its candidates; baseline: `contains` of the bare sets");
    }
    Ok(())
}
