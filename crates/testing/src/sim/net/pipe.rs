//! One direction of a connection: bytes on their way, and how it ends.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::task::Waker;

use weirs_runtime::Instant;

/// Bytes on their way from one end to the other. What is held up arrives in the far future.
#[derive(Debug)]
pub(super) struct Pipe {
    bytes: VecDeque<u8>,
    /// When the next so many bytes arrive; times ascend.
    arrivals: VecDeque<(Instant, usize)>,
    capacity: usize,
    /// How it ends, and when the reader hears of it.
    end: Option<(Instant, End)>,
    /// When the writer hears that nobody reads any more.
    abandoned: Option<Instant>,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The writer closed it, or is gone.
    Closed,
    /// It was torn down.
    Reset,
}

/// What a read or a write would come to now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    /// It moves up to so many bytes; a read that moves none is at the end.
    Bytes(usize),
    /// It fails.
    Fails(ErrorKind),
    /// It has to wait, for a change and at most until then.
    Waits(Option<Instant>),
}

impl Pipe {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            bytes: VecDeque::new(),
            arrivals: VecDeque::new(),
            capacity: capacity.max(1),
            end: None,
            abandoned: None,
            reader: None,
            writer: None,
        }
    }

    /// What a read would come to.
    pub(super) fn readable(&self, now: Instant) -> Outlook {
        if matches!(self.end, Some((at, End::Reset)) if at <= now) {
            return Outlook::Fails(ErrorKind::ConnectionReset);
        }
        let arrived = self.arrivals.iter().take_while(|(at, _)| *at <= now).map(|(_, bytes)| bytes).sum();
        if arrived > 0 {
            return Outlook::Bytes(arrived);
        }
        // The end comes after all bytes, unless it is a reset, which leaves none.
        let next = self.arrivals.front().map(|(at, _)| *at).or(self.end.map(|(at, _)| at));
        match next {
            Some(at) if at <= now => Outlook::Bytes(0),
            next => Outlook::Waits(next),
        }
    }

    /// Moves the next bytes out. They are [readable](Pipe::readable).
    pub(super) fn read(&mut self, buffer: &mut [u8]) {
        let mut left = buffer.len();
        for (place, byte) in buffer.iter_mut().zip(self.bytes.drain(..left)) {
            *place = byte;
        }
        while let Some((_, bytes)) = self.arrivals.front_mut() {
            let taken = left.min(*bytes);
            *bytes -= taken;
            left -= taken;
            if *bytes > 0 {
                break;
            }
            self.arrivals.pop_front();
        }
    }

    /// What a write would come to.
    pub(super) fn writable(&self, now: Instant) -> Outlook {
        match self.end {
            Some((_, End::Closed)) => return Outlook::Fails(ErrorKind::BrokenPipe),
            Some((_, End::Reset)) => return Outlook::Fails(ErrorKind::ConnectionReset),
            None => {}
        }
        if self.abandoned.is_some_and(|at| at <= now) {
            return Outlook::Fails(ErrorKind::BrokenPipe);
        }
        match self.capacity - self.bytes.len() {
            0 => Outlook::Waits(self.abandoned),
            room => Outlook::Bytes(room),
        }
    }

    /// Sends bytes, for which there [is room](Pipe::writable), to arrive then: but after those before them.
    pub(super) fn write(&mut self, bytes: &[u8], arrival: Instant) {
        self.bytes.extend(bytes);
        match self.arrivals.back_mut() {
            Some((at, count)) if *at >= arrival => *count += bytes.len(),
            _ => self.arrivals.push_back((arrival, bytes.len())),
        }
    }

    /// Ends it from the writer's side, unless it has ended. A reset loses what is on its way.
    pub(super) fn end(&mut self, end: End, arrival: Instant) {
        if self.end.is_none_or(|(_, before)| before == End::Closed && end == End::Reset) {
            let after = self.arrivals.back().map_or(arrival, |(at, _)| arrival.max(*at));
            self.end = Some((if end == End::Reset { arrival } else { after }, end));
        }
        if end == End::Reset {
            self.bytes.clear();
            self.arrivals.clear();
        }
    }

    /// Nobody reads any more. Says whether there was something to read.
    pub(super) fn abandon(&mut self, arrival: Instant) -> bool {
        self.abandoned.get_or_insert(arrival);
        let unread = !self.bytes.is_empty();
        self.bytes.clear();
        self.arrivals.clear();
        unread
    }

    /// Holds up all that has not arrived, or sends what was held up on its way again.
    pub(super) fn reschedule(&mut self, now: Instant, arrival: Instant) {
        let cut = arrival == Instant::FAR_FUTURE;
        let new = |at: &mut Instant| {
            if *at == Instant::FAR_FUTURE || cut && *at > now {
                *at = arrival;
            }
        };
        self.arrivals.iter_mut().for_each(|(at, _)| new(at));
        self.end.iter_mut().for_each(|(at, _)| new(at));
        self.abandoned.iter_mut().for_each(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn bytes_arrive_in_order_and_on_time() {
        let mut pipe = Pipe::new(8);
        pipe.write(b"abc", at(10));
        pipe.write(b"de", at(5)); // faster, but behind the others
        assert_eq!(pipe.readable(at(9)), Outlook::Waits(Some(at(10))));
        assert_eq!(pipe.readable(at(10)), Outlook::Bytes(5));
        let mut buffer = [0; 4];
        pipe.read(&mut buffer);
        assert_eq!(&buffer, b"abcd");
        assert_eq!(pipe.readable(at(10)), Outlook::Bytes(1));
        assert_eq!(pipe.writable(at(10)), Outlook::Bytes(7));
    }

    #[test]
    fn the_end_comes_after_the_bytes() {
        let mut pipe = Pipe::new(8);
        pipe.write(b"a", at(10));
        pipe.end(End::Closed, at(3));
        pipe.read(&mut [0]);
        assert_eq!(pipe.readable(at(9)), Outlook::Waits(Some(at(10))));
        assert_eq!(pipe.readable(at(10)), Outlook::Bytes(0));
        assert_eq!(pipe.writable(at(0)), Outlook::Fails(ErrorKind::BrokenPipe));
    }

    #[test]
    fn a_cut_holds_up_what_has_not_arrived() {
        let mut pipe = Pipe::new(8);
        pipe.write(b"a", at(10));
        pipe.write(b"b", at(20));
        pipe.reschedule(at(10), Instant::FAR_FUTURE);
        assert_eq!(pipe.readable(at(15)), Outlook::Bytes(1));
        assert_eq!(pipe.readable(at(25)), Outlook::Bytes(1));
        pipe.reschedule(at(30), at(35));
        assert_eq!(pipe.readable(at(35)), Outlook::Bytes(2));
    }
}
