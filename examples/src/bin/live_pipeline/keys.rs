//! [`Keys`]: what is pressed, by a hand or by a script.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures_lite::{AsyncReadExt, Stream, StreamExt, stream};
use smol::Unblock;
use weirs_runtime::Clock;

/// What a key means.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key {
    Slow,
    Outage,
    More,
    Less,
    Quit,
}

/// What is pressed, by a hand or by a script.
pub(crate) struct Keys(Pin<Box<dyn Stream<Item = Key> + Send>>);

impl Keys {
    /// What somebody types into the terminal; and after some time, if there is one, `q`.
    pub(crate) fn typed(clock: &Clock, time: Option<Duration>) -> Self {
        // Of a thread that waits for input: it does not keep the program from its end.
        let bytes = Unblock::with_capacity(16, io::stdin()).bytes();
        let typed = bytes.filter_map(|byte| Key::of(byte.ok()?));
        match time {
            Some(time) => Self(Box::pin(stream::or(typed, after(clock, vec![(time, Key::Quit)])))),
            None => Self(Box::pin(typed)),
        }
    }

    /// An outage, a slow stage, many orders; and `q` at the end.
    pub(crate) fn script(clock: &Clock, time: Duration) -> Self {
        let at = Duration::from_secs;
        let mut script =
            vec![(at(3), Key::Outage), (at(7), Key::Outage), (at(12), Key::Slow), (at(16), Key::Slow)];
        script.extend([(at(19), Key::More); 3]);
        script.retain(|(at, _)| *at < time);
        script.push((time, Key::Quit));
        Self(Box::pin(after(clock, script)))
    }

    /// Ctrl-C and `kill` are `q`, too.
    #[cfg(unix)]
    pub(crate) fn with_signals(self) -> io::Result<Self> {
        let signals = weirs_scopes::Signals::interrupt_and_terminate()?;
        Ok(Self(Box::pin(stream::or(self.0, signals.map(|_| Key::Quit)))))
    }

    #[cfg(not(unix))]
    pub(crate) fn with_signals(self) -> io::Result<Self> {
        Ok(self)
    }

    /// The next one, if there ever is one.
    pub(crate) async fn next(&mut self) -> Key {
        match self.0.next().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }
}

impl Key {
    fn of(byte: u8) -> Option<Self> {
        /// A terminal that hands on each key hands on this one, too.
        const CTRL_C: u8 = 3;
        Some(match byte {
            b's' => Self::Slow,
            b'o' => Self::Outage,
            b'+' | b'=' => Self::More,
            b'-' => Self::Less,
            b'q' | CTRL_C => Self::Quit,
            _ => return None,
        })
    }
}

/// These keys at these times from now.
fn after(clock: &Clock, keys: Vec<(Duration, Key)>) -> impl Stream<Item = Key> + use<> {
    let (clock, start) = (clock.clone(), clock.now());
    stream::iter(keys).then(move |(time, key)| {
        let sleep = clock.sleep_until(start + time);
        async move {
            sleep.await;
            key
        }
    })
}
