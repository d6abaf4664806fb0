//! Tables that any program reads: tidy figures, and one line for each message.

use std::fmt::Write as _;
use std::io;

use super::{document, system_name};
use crate::kernel::Time;
use crate::outcome::{MessageRow, SeedRun, Told};
use crate::scenario::Scenario;
use crate::stats::{Sample, Stage, fate_name, grid, route_name};

/// Columns of `metrics.csv`: `t` is a day for `day.*` and `region.*`, seconds for `arrived`, else empty.
pub const METRIC_COLUMNS: &str = "scenario,tier,seed,system,metric,t,value\n";
/// Columns of `messages.csv.zst`. Times are seconds since the end of the warm-up; empty = never.
pub const MESSAGE_COLUMNS: &str =
    "seed,system,id,region,route,sent,accepted,published,posts,sends,segments,fate,told\n";
/// Level of compression: rows are made once and read seldom.
const LEVEL: i32 = 9;

/// A field, in quotation marks when it needs them.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

fn seconds(time: Option<Time>) -> String {
    time.map(|time| format!("{}.{:06}", time.0 / 1_000_000, time.0 % 1_000_000)).unwrap_or_default()
}

fn told_name(told: Told) -> &'static str {
    match told {
        Told::Nothing => "nothing",
        Told::Published => "published",
        Told::Failed => "failed",
        Told::Uncertain => "uncertain",
    }
}

/// The rows of one world as one compressed frame; frames one after the other are a file again.
///
/// # Errors
/// When there is no memory for it.
pub fn compress_rows(scenario: &Scenario, run: &SeedRun) -> io::Result<(Vec<u8>, u64)> {
    let (mut text, mut count) = (String::new(), 0);
    for outcome in &run.outcomes {
        for row in &outcome.messages {
            count += 1;
            write_row(&mut text, scenario, run.seed, system_name(outcome.system), row);
        }
    }
    Ok((zstd::encode_all(text.as_bytes(), LEVEL)?, count))
}

fn write_row(text: &mut String, scenario: &Scenario, seed: u64, system: &str, row: &MessageRow) {
    // By name, so that a new field is not forgotten here.
    let MessageRow { id, region, route, sent, accepted, published, posts, sends, segments, fate, told } = *row;
    let region = scenario.region.get(usize::from(region)).map_or("", |region| region.name.as_str());
    let (region, sent, accepted, published) =
        (field(region), seconds(Some(sent)), seconds(accepted), seconds(published));
    let (route, fate, told) = (route_name(route), fate_name(fate), told_name(told));
    let line = format_args!(
        "{seed},{system},{id},{region},{route},{sent},{accepted},{published},{posts},{sends},{segments},{fate},{told}\n"
    );
    text.write_fmt(line).expect("a string takes all");
}

/// The first frame of `messages.csv.zst`.
pub(super) fn message_header() -> io::Result<Vec<u8>> {
    zstd::encode_all(MESSAGE_COLUMNS.as_bytes(), LEVEL)
}

/// All figures of all worlds, tidy.
pub(super) fn metrics(scenario: &Scenario, tier: &str, samples: &[Sample]) -> String {
    let mut text = METRIC_COLUMNS.to_owned();
    let name = field(&scenario.name);
    for sample in samples {
        for digest in &sample.systems {
            let mut put = |metric: &str, t: &str, value: f64| {
                let (seed, system) = (sample.seed, system_name(digest.system));
                writeln!(text, "{name},{tier},{seed},{system},{},{t},{value}", field(metric))
                    .expect("a string takes all");
            };
            for (metric, value) in &digest.figures {
                put(metric, "", *value);
            }
            for (t, value) in grid().iter().zip(&digest.arrived) {
                put("arrived", &t.to_string(), *value);
            }
            for (day, stages) in digest.days.iter().enumerate() {
                for (stage, count) in Stage::ALL.iter().zip(stages) {
                    put(&format!("day.{}", stage.name()), &day.to_string(), f64::from(*count));
                }
            }
            for (region, days) in scenario.region.iter().zip(&digest.regions) {
                for (day, cell) in days.iter().enumerate() {
                    let day = day.to_string();
                    put(&format!("region.{}.sent", region.name), &day, f64::from(cell.sent));
                    put(&format!("region.{}.within_72h", region.name), &day, f64::from(cell.in_time));
                }
            }
        }
    }
    text
}

/// Figures of a sweep, tidy: the settings of a point as one field, `key=value` with `;` between.
pub(super) fn sweep(sweep: &super::Sweep) -> String {
    let mut text = "kind,settings,seed,metric,value\n".to_owned();
    for (kind, points) in [("grid", &sweep.points), ("alone", &sweep.alone)] {
        for point in points {
            let settings: Vec<String> = point.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let settings = field(&settings.join(";"));
            for sample in &point.samples {
                for (metric, value) in document::flatten(sample.systems.iter()) {
                    writeln!(text, "{kind},{settings},{},{},{value}", sample.seed, field(&metric))
                        .expect("a string takes all");
                }
            }
        }
    }
    text
}
