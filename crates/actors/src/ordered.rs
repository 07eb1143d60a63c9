//! [`Ordered`]: things by their address, in the order in which they came.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

/// Things by their address, in the order in which they came: that order is the same in every run.
#[derive(Debug)]
pub(crate) struct Ordered<T> {
    places: HashMap<usize, u64>,
    items: BTreeMap<u64, (usize, T)>,
    next: u64,
}

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self { places: HashMap::new(), items: BTreeMap::new(), next: 0 }
    }
}

impl<T> Ordered<T> {
    /// Puts it last; if there is one of that address, gives the new one back.
    pub(crate) fn insert(&mut self, address: usize, item: T) -> Result<(), T> {
        if self.places.contains_key(&address) {
            return Err(item);
        }
        self.places.insert(address, self.next);
        self.items.insert(self.next, (address, item));
        self.next += 1;
        Ok(())
    }

    pub(crate) fn remove(&mut self, address: usize) -> Option<T> {
        let place = self.places.remove(&address)?;
        self.items.remove(&place).map(|(_, item)| item)
    }

    pub(crate) fn contains(&self, address: usize) -> bool {
        self.places.contains_key(&address)
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.values().map(|(_, item)| item)
    }

    /// The first behind that place, or the first of all.
    pub(crate) fn after(&self, place: Option<u64>) -> Option<(u64, &T)> {
        let behind = place.map_or(Bound::Unbounded, Bound::Excluded);
        let found = self.items.range((behind, Bound::Unbounded)).next().or_else(|| self.items.iter().next());
        found.map(|(place, (_, item))| (*place, item))
    }
}
