//! Tables that a scenario takes in become ordinary groups and faults, and what is wrong in them is shown with its place.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

use std::path::Path;

use relaymesh_simulations::outcome::System;
use relaymesh_simulations::run::world;
use relaymesh_simulations::scenario::imports::Import;
use relaymesh_simulations::scenario::{FaultKind, Scenario, load};
use relaymesh_simulations::world::Bootstrap;
use tempfile::TempDir;

const NODES: &str = "name,region,operator,roles,mtbf,reachable\n\
                     ours-1,north,ours,gateway vault,20d,yes\n\
                     ours-2,south,ours,gateway,,no\n\
                     theirs,north,,,,\n";
const GATEWAYS: &str = "name,region,posts_to,when_unreachable,beside_node\nbox,north,ours-1 vps,queue,yes\n";
/// As IODA has them; both sources saw the second outage, and the third is too faint.
const OUTAGES: &str = "location,start,duration,uncertainty,status,score,location_name,datasource\n\
                       region/1,1484611200,7200,,0,900.5,\"North, the\",bgp\n\
                       region/1,1484700000,3600,,0,300,North,bgp\n\
                       region/1,1484701800,5400,,0,250,North,ping-slash24\n\
                       region/1,1484800000,600,,0,1,North,bgp\n\
                       country/XX,1485000000,86400,,0,5000,X,bgp\n";

/// A scenario over the small one, with tables beside it.
fn scenario(import: &str, tables: &[(&str, &str)]) -> anyhow::Result<Scenario> {
    let folder = TempDir::new().unwrap();
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/small.toml");
    std::fs::copy(base, folder.path().join("small.toml")).unwrap();
    for (name, text) in tables {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, format!("extends = \"small.toml\"\nduration = \"9h\"\n[people]\ncount = 8\n{import}"))
        .unwrap();
    load(&path, &[])
}

fn problem(import: &str, tables: &[(&str, &str)]) -> String {
    format!("{:#}", scenario(import, tables).unwrap_err())
}

#[test]
fn own_nodes_and_gateway_clients_join_the_world() {
    let tables = [("nodes.csv", NODES), ("gateways.csv", GATEWAYS)];
    let scenario = scenario("[import]\nnodes = \"nodes.csv\"\ngateways = \"gateways.csv\"\n", &tables).unwrap();
    let names: Vec<&str> = scenario.nodes.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["vps", "pi", "ours-1", "ours-2", "theirs"]);
    assert_eq!(scenario.gateways[1].nodes, ["ours-1", "vps"]);
    assert_eq!(scenario.import, Import::default(), "nothing is left to take in");
    let again: Scenario = toml::from_str(&toml::to_string(&scenario).unwrap()).unwrap();
    assert_eq!(again, scenario, "the scenario stands without its tables");
    let run = world(&scenario, &Bootstrap::new(&scenario).unwrap(), 1, &[System::Mesh]).unwrap();
    assert!(run.outcomes[0].violations.is_empty(), "{:?}", run.outcomes[0].violations);
    assert!(run.outcomes[0].messages.iter().any(|row| row.published.is_some()));
}

#[test]
fn a_timeline_of_outages_becomes_cuts() {
    let import = "[import]\noutages = \"ioda.csv\"\nepoch = \"2017-01-16\"\nleast_score = 10.0\n\
                  [import.entities]\n\"region/1\" = [\"north\"]\n\"country/XX\" = [\"*\"]\n";
    let scenario = scenario(import, &[("ioda.csv", OUTAGES)]).unwrap();
    let hours = |span: relaymesh_simulations::kernel::Span| span.as_secs_f64() / 3_600.0;
    let cuts: Vec<(f64, f64)> =
        scenario.fault.iter().map(|fault| (hours(fault.start), hours(fault.length.unwrap()))).collect();
    assert_eq!(cuts.len(), 3, "two views of one outage are one, and the faint one is none");
    assert_eq!(cuts[0], (24.0, 2.0));
    assert!((cuts[1].1 - 2.0).abs() < 1e-9, "joined: {cuts:?}");
    assert!(scenario.fault.iter().all(|fault| fault.kind == FaultKind::InternetCut));
    assert_eq!(scenario.fault[2].filter.as_deref(), Some("region in [\"north\", \"south\"]"));
}

#[test]
fn mistakes_in_tables_are_shown_with_file_line_and_column() {
    let nodes = "[import]\nnodes = \"nodes.csv\"\n";
    for (table, wanted) in [
        ("name,region\na,nroth\n", "nodes.csv: line 2, column 3: no region is called `nroth`"),
        ("name,region,roles\na,north,vautl\n", "line 2, column 9: `vautl` is no role"),
        ("name,region,mtbf\na,north,often\n", "line 2, column 9: `often` is no length of time"),
        ("name,region\nvps,north\n", "line 2, column 1: a group or node is called `vps` already"),
        ("name,regoin\na,north\n", "line 1, column 6: no column is called `regoin`"),
    ] {
        let problem = problem(nodes, &[("nodes.csv", table)]);
        assert!(problem.contains(wanted), "{table:?}: {problem}");
    }
    let gateways = problem("[import]\ngateways = \"g.csv\"\n", &[("g.csv", "name,region,posts_to\na,north,vsp\n")]);
    assert!(gateways.contains("line 2, column 9: no node or group is called `vsp`"), "{gateways}");
    let outages = "[import]\noutages = \"o.csv\"\n";
    for (table, wanted) in [
        ("entity,start,end\nnorth,100,50\n", "line 2, column 7: the outage ends before it begins"),
        ("entity,start,end\nnorth,tomorrow,50\n", "line 2, column 7: `tomorrow` is no moment"),
        ("entity,start\nnorth,100\n", "there is no column `duration`"),
        ("entity,start,duration\nregion/9,100,50\n", "line 2, column 1: no region is called `region/9`"),
    ] {
        let problem = problem(outages, &[("o.csv", table)]);
        assert!(problem.contains(wanted), "{table:?}: {problem}");
    }
    assert!(problem(nodes, &[]).contains("nodes.csv"), "a table that is not there is named");
}
