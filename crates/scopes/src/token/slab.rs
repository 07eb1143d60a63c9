//! [`Slab`]: values that are found again by a number, in memory that is used again.

/// Values under numbers; a number is used again after its value was removed.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

/// An empty slab gives its memory back if it had room for more than so many.
const KEPT: usize = 64;

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(number) = self.free.pop() {
            self.places[number as usize] = Some(value);
            return number;
        }
        let number = u32::try_from(self.places.len()).expect("fewer than four billion wait for one token");
        self.places.push(Some(value));
        number
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.places.get_mut(number as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let value = self.places.get_mut(number as usize)?.take()?;
        self.free.push(number);
        if self.free.len() == self.places.len() {
            self.free.clear();
            self.places.clear();
            if self.places.capacity() > KEPT {
                (self.places, self.free) = (Vec::new(), Vec::new());
            }
        }
        Some(value)
    }

    /// All values, in the order of their numbers.
    pub(super) fn into_values(self) -> impl Iterator<Item = T> {
        self.places.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again() {
        let mut slab = Slab::new();
        let [a, b, c] = ["a", "b", "c"].map(|value| slab.insert(value));
        assert_eq!(slab.remove(b), Some("b"));
        assert_eq!(slab.remove(b), None);
        assert_eq!(slab.insert("d"), b);
        assert_eq!(slab.get_mut(a), Some(&mut "a"));
        assert_eq!(slab.remove(c), Some("c"));
        assert_eq!(slab.into_values().collect::<Vec<_>>(), ["a", "d"]);
    }

    #[test]
    fn an_empty_slab_gives_much_memory_back() {
        let mut slab = Slab::new();
        let numbers: Vec<u32> = (0..1000).map(|value| slab.insert(value)).collect();
        numbers.into_iter().for_each(|number| assert!(slab.remove(number).is_some()));
        assert_eq!(slab.places.capacity() + slab.free.capacity(), 0);
        assert_eq!(slab.insert(7), 0);
    }
}
