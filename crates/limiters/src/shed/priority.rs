//! [`Priority`]: how important a request is.

/// A class of requests, the most important first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Class {
    /// What keeps the system alive: health checks, logins of those who repair it.
    Critical,
    /// Somebody waits for it and pays for it.
    High,
    /// Somebody waits for it.
    #[default]
    Normal,
    /// It is done again by itself, a little later.
    Low,
    /// Nobody notices when it is done tomorrow.
    Background,
}

/// A class, and a place in it. Less is more important.
///
/// The place is between 0 and 99. Give one user always the same place, so that in a tight time some users are
/// served well rather than all of them badly: a hash of the user's name serves, or
/// [`Usage::place`](super::Usage::place), by which whoever uses much goes first.
///
/// # Examples
/// ```
/// use weirs_limiters::{Class, Priority};
///
/// let (clerk, robot) = (Priority::from(Class::High), Priority::new(Class::Low, 70));
/// assert!(clerk < robot);
/// assert_eq!((clerk.level(), robot.level()), (150, 370));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u16);

impl Priority {
    /// So many places are in a class.
    pub const PLACES: u16 = 100;
    /// So many levels there are.
    pub const LEVELS: u16 = 5 * Self::PLACES;

    /// With a place in its class; a place above 99 counts as 99.
    pub const fn new(class: Class, place: u16) -> Self {
        let last = Self::PLACES - 1;
        Self(class as u16 * Self::PLACES + if place < last { place } else { last })
    }

    /// All in one number: class times 100, and the place.
    pub const fn level(self) -> u16 {
        self.0
    }

    /// The class.
    pub const fn class(self) -> Class {
        match self.0 / Self::PLACES {
            0 => Class::Critical,
            1 => Class::High,
            2 => Class::Normal,
            3 => Class::Low,
            _ => Class::Background,
        }
    }
}

/// In the middle of its class.
impl From<Class> for Priority {
    fn from(class: Class) -> Self {
        Self::new(class, Self::PLACES / 2)
    }
}

impl Default for Priority {
    fn default() -> Self {
        Class::default().into()
    }
}
