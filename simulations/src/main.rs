//! The binary `simulate`.
#![allow(clippy::print_stdout)]

use relaymesh_simulations::outcome::System;
use relaymesh_simulations::scenario::load;
use relaymesh_simulations::world::{Bootstrap, Options, World};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap();
    let sets: Vec<(String, toml::Value)> = args
        .map(|a| {
            let (k, v) = a.split_once('=').unwrap();
            (k.to_owned(), toml::from_str::<toml::Table>(&format!("v = {v}")).unwrap()["v"].clone())
        })
        .collect();
    let scenario = load(path.as_ref(), &sets)?;
    let t = std::time::Instant::now();
    let bootstrap = Bootstrap::new(&scenario)?;
    println!("bootstrap {:?}", t.elapsed());
    for system in System::ALL {
        let t = std::time::Instant::now();
        let world = World::new(&scenario, &bootstrap, 1, system, Options::default())?;
        println!("setup {:?}", t.elapsed());
        let (outcome, _, _) = world.run();
        let n = outcome.messages.len();
        let mut fates = std::collections::BTreeMap::new();
        for m in &outcome.messages {
            *fates.entry(m.fate).or_insert(0) += 1;
        }
        println!(
            "{system:?} {:?} messages {n} events {} {:?} trace {}",
            t.elapsed(),
            outcome.events,
            fates,
            outcome.trace
        );
        println!("{:?}", outcome.metrics);
        println!("{:?}", outcome.violations);
    }
    Ok(())
}
