//! What happened, in order, for a person to follow or for a program to read.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// Where something happened. Each line begins with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Room {
    /// A node's process.
    Node,
    /// Who knows whom.
    Mesh,
    /// The person's phone.
    Phone,
    /// The way of an SMS.
    Sms,
    /// A gateway client and the node's answer to it.
    Gateway,
    /// What people see.
    Platform,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Milliseconds since the demo began.
    pub at_ms: u64,
    /// Where.
    pub room: Room,
    /// Who; numbers are masked.
    pub who: String,
    /// What.
    pub what: String,
}

/// How the timeline is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Not until the end, as one JSON document.
    AtEnd,
    /// Line by line.
    Lines {
        /// With colours; they say nothing that the words do not.
        colour: bool,
    },
}

impl Show {
    /// Lines, coloured on a terminal that has nothing against it.
    pub fn lines() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        let able = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        Self::Lines { colour: wanted && able && std::io::stdout().is_terminal() }
    }
}

/// The timeline. It is told from many tasks.
pub struct Timeline {
    begun: Instant,
    show: Show,
    events: Mutex<Vec<Event>>,
}

impl Timeline {
    /// An empty one that begins now.
    pub fn new(show: Show) -> Self {
        Self { begun: Instant::now(), show, events: Mutex::new(Vec::new()) }
    }

    /// Time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Adds what just happened.
    pub fn tell(&self, room: Room, who: impl Into<String>, what: impl Into<String>) {
        let at_ms = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX);
        let event = Event { at_ms, room, who: who.into(), what: what.into() };
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if let Show::Lines { colour } = self.show {
            say(&line(&event, colour));
        }
        events.push(event);
    }

    /// A line that is no event; not part of the JSON document.
    pub fn note(&self, text: &str) {
        if let Show::Lines { .. } = self.show {
            say(text);
        }
    }

    /// All events so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Prints a line. A reader that went away is no reason to stop the story before its end.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn line(event: &Event, colour: bool) -> String {
    let Event { at_ms, room, who, what } = event;
    let (seconds, hundredths) = (at_ms / 1000, at_ms % 1000 / 10);
    let (name, code) = match room {
        Room::Node => ("node", 35),
        Room::Mesh => ("mesh", 34),
        Room::Phone => ("phone", 36),
        Room::Sms => ("sms", 33),
        Room::Gateway => ("gateway", 33),
        Room::Platform => ("platform", 32),
    };
    let room = if colour { format!("\x1b[{code}m{name:<8}\x1b[0m") } else { format!("{name:<8}") };
    format!("{seconds:>2}.{hundredths:02}s {room} {who:<14} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event { at_ms: 417, room: Room::Gateway, who: "gc-douala".to_owned(), what: "HTTP 200 in 3 ms".to_owned() }
    }

    #[test]
    fn lines_stand_in_columns_and_colours_add_nothing() {
        assert_eq!(line(&event(), false), " 0.41s gateway  gc-douala      HTTP 200 in 3 ms");
        let coloured = line(&event(), true);
        assert_eq!(coloured.replace("\x1b[33m", "").replace("\x1b[0m", ""), line(&event(), false));
        let late = Event { at_ms: 12_050, ..event() };
        assert!(line(&late, false).starts_with("12.05s gateway "));
    }

    #[test]
    fn events_are_kept_in_order() {
        let timeline = Timeline::new(Show::AtEnd);
        timeline.tell(Room::Phone, "+237••••0001", "composes");
        timeline.tell(Room::Node, "C", "SIGKILL");
        let events = timeline.events();
        assert_eq!(events.len(), 2);
        assert!(events[0].at_ms <= events[1].at_ms);
        assert_eq!(serde_json::to_value(&events[1]).unwrap()["room"], "node");
    }
}
