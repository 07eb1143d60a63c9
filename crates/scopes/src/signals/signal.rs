//! [`Signal`]: a signal by its name.

use std::ffi::c_int;
use std::fmt;
use std::io;

use signal_hook::consts;
use signal_hook::low_level;

/// A signal that a program may listen for with [`Signals`](crate::Signals).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// `SIGINT`: Ctrl-C.
    Interrupt,
    /// `SIGTERM`: the polite request to end, from `kill`, a service manager or a container runtime.
    Terminate,
    /// `SIGHUP`: the terminal is gone; for a service, by custom, to read its settings again.
    Hangup,
    /// `SIGQUIT`: Ctrl-\, by default to end with a core dump.
    Quit,
    /// `SIGUSR1`: whatever the program says.
    User1,
    /// `SIGUSR2`: whatever the program says.
    User2,
    /// `SIGWINCH`: the terminal has another size; by default ignored.
    WindowChange,
}

impl Signal {
    /// The number that it has on this system.
    pub fn number(self) -> i32 {
        NUMBERS[self as usize].1
    }

    /// The status with which a shell reports that a process was ended by it: 128 and its number.
    ///
    /// To end by the signal itself, which says more, see [`default_action`](Signal::default_action).
    pub fn exit_code(self) -> i32 {
        128 + self.number()
    }

    /// Sends it to this thread, as if it had come from outside.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn raise(self) -> io::Result<()> {
        low_level::raise(self.number())
    }

    /// Does what the signal does by default: ends the process by it, but for
    /// [`WindowChange`](Signal::WindowChange), which is ignored.
    ///
    /// The parent process then sees a death by this signal, as it should when a program ends because of it:
    /// a shell stops its script, and a service manager does not call it a failure.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn default_action(self) -> io::Result<()> {
        low_level::emulate_default_handler(self.number())
    }

    pub(super) fn from_number(number: c_int) -> Option<Self> {
        NUMBERS.iter().find(|entry| entry.1 == number).map(|entry| entry.0)
    }
}

/// In the order of the variants.
const NUMBERS: [(Signal, c_int, &str); 7] = [
    (Signal::Interrupt, consts::SIGINT, "SIGINT"),
    (Signal::Terminate, consts::SIGTERM, "SIGTERM"),
    (Signal::Hangup, consts::SIGHUP, "SIGHUP"),
    (Signal::Quit, consts::SIGQUIT, "SIGQUIT"),
    (Signal::User1, consts::SIGUSR1, "SIGUSR1"),
    (Signal::User2, consts::SIGUSR2, "SIGUSR2"),
    (Signal::WindowChange, consts::SIGWINCH, "SIGWINCH"),
];

/// Its name among programmers: `SIGINT`.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NUMBERS[*self as usize].2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_variants() {
        for (index, (signal, number, _)) in NUMBERS.into_iter().enumerate() {
            assert_eq!(signal as usize, index);
            assert_eq!(Signal::from_number(number), Some(signal));
            assert_eq!(signal.number(), number);
        }
        assert_eq!(Signal::Interrupt.to_string(), "SIGINT");
        assert_eq!(Signal::Interrupt.exit_code(), 130);
    }
}
