//! Questions on the terminal whose answer nobody should see.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::config::Secret;

/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 1024;
/// What Ctrl-C, Ctrl-D, Ctrl-U, Ctrl-H and the backspace key send.
const INTERRUPT: u8 = 3;
const END: u8 = 4;
const KILL_LINE: u8 = 21;
const BACKSPACE: u8 = 8;
const DELETE: u8 = 127;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody can be asked.
    #[error("there is no terminal to ask on")]
    NoTerminal,
    /// The terminal failed.
    #[error("the terminal cannot be read ({0})")]
    Io(#[from] io::Error),
    /// Whoever was asked pressed Ctrl-C, or closed the terminal.
    #[error("interrupted")]
    Interrupted,
    /// Nothing was typed.
    #[error("nothing was typed")]
    Empty,
    /// Too much was typed.
    #[error("more than {ANSWER_BYTES_MAX} bytes were typed")]
    TooLong,
    /// No UTF-8.
    #[error("what was typed is not UTF-8")]
    NotText,
    /// Two answers that should be one.
    #[error("the two answers differ")]
    Differ,
}

/// Asks once. The terminal is the controlling one, so that standard input and output can be pipes.
///
/// # Errors
/// [`AskError`]
pub fn ask(prompt: &str) -> Result<Secret, AskError> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|_| AskError::NoTerminal)?;
    ask_on(&terminal, prompt)
}

/// Asks twice, for what is new: a slip would lock whoever typed it out.
///
/// # Errors
/// [`AskError`], also when the two answers differ.
pub fn ask_twice(prompt: &str) -> Result<Secret, AskError> {
    let first = ask(prompt)?;
    if ask("once more: ")? == first { Ok(first) } else { Err(AskError::Differ) }
}

/// Puts the terminal back as it was, however the question ends.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Quiet<'a> {
    /// Letters are not shown, and Ctrl-C comes as a letter: a process that dies here would leave a mute terminal.
    fn make(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes &= !(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
        let mut terminal = self.terminal;
        let _ = terminal.write_all(b"\n");
    }
}

fn ask_on(mut terminal: &File, prompt: &str) -> Result<Secret, AskError> {
    let quiet = Quiet::make(terminal)?;
    terminal.write_all(prompt.as_bytes())?;
    let answer = read_line(terminal);
    drop(quiet);
    let answer = answer?;
    let text = std::str::from_utf8(&answer).map_err(|_| AskError::NotText)?;
    if text.is_empty() { Err(AskError::Empty) } else { Ok(Secret::new(text)) }
}

fn read_line(mut terminal: &File) -> Result<Zeroizing<Vec<u8>>, AskError> {
    // Its room is made at once: a buffer that grows leaves copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX));
    loop {
        let mut byte = [0];
        if terminal.read(&mut byte)? == 0 {
            return Err(AskError::Interrupted);
        }
        match byte[0] {
            b'\n' | b'\r' => return Ok(line),
            INTERRUPT | END => return Err(AskError::Interrupted),
            KILL_LINE => line.clear(),
            BACKSPACE | DELETE => drop_letter(&mut line),
            _ if line.len() == ANSWER_BYTES_MAX => return Err(AskError::TooLong),
            letter => line.push(letter),
        }
    }
}

/// Takes the last letter back, all bytes of it.
fn drop_letter(line: &mut Vec<u8>) {
    while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::thread;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    /// Both ends of a terminal of our own.
    fn pair() -> (File, File) {
        let near: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&near).unwrap();
        unlockpt(&near).unwrap();
        let name = ptsname(&near, Vec::new()).unwrap();
        let far = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        (near.into(), far)
    }

    /// What is asked and what of the answer can be seen.
    fn typed(keys: &'static [u8]) -> (Result<Secret, AskError>, String, bool) {
        let (mut near, far) = pair();
        let asked = thread::spawn(move || {
            let answer = ask_on(&far, "secret: ");
            let echo = tcgetattr(&far).unwrap().local_modes.contains(LocalModes::ECHO);
            (answer, echo, far)
        });
        let mut shown = [0; 8];
        near.read_exact(&mut shown).unwrap();
        near.write_all(keys).unwrap();
        let (answer, echo, far) = asked.join().unwrap();
        let mut rest = [0; 64];
        let len = near.read(&mut rest).unwrap();
        drop(far);
        (answer, String::from_utf8([&shown, &rest[..len]].concat()).unwrap(), echo)
    }

    #[test]
    fn an_answer_is_read_and_not_shown() {
        let (answer, shown, echo) = typed(b"wrong\x15hunterr\x7f2\xc3\xa9\x7f\r");
        assert_eq!(answer.unwrap().expose(), "hunter2");
        assert_eq!(shown, "secret: \r\n");
        assert!(echo, "the terminal is as it was");
    }

    #[test]
    fn whoever_is_asked_may_say_no() {
        for (keys, want) in [(b"hun\x03".as_slice(), "interrupted"), (b"\x04", "interrupted"), (b"\n", "nothing")] {
            let (answer, _, echo) = typed(keys);
            assert!(answer.unwrap_err().to_string().contains(want));
            assert!(echo);
        }
    }
}
