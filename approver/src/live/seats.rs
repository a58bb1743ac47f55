//! How many may follow at a time: so many in all, and so many of one person, so
//! that nobody's forgotten browser tabs shut the others out.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::domain::account::AccountName;

/// Most streams of one person.
const PER_PERSON: u32 = 16;

/// The streams that are open.
#[derive(Debug)]
pub(crate) struct Seats {
    most: u32,
    taken: Mutex<HashMap<AccountName, u32>>,
}

/// There is no room for one more stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Full {
    #[error("you have {0} streams open already; end one of them")]
    Person(u32),
    #[error("{0} streams are open already; try again later")]
    All(u32),
}

/// One open stream; it is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    person: AccountName,
}

impl Seats {
    pub(crate) fn new(most: u32) -> Arc<Self> {
        Arc::new(Self {
            most,
            taken: Mutex::default(),
        })
    }

    /// Room for one more stream of `person`.
    pub(crate) fn take(self: &Arc<Self>, person: &AccountName) -> Result<Seat, Full> {
        let mut taken = self.taken();
        let all: u32 = taken.values().sum();
        let own = taken.get(person).copied().unwrap_or(0);
        if own >= PER_PERSON {
            return Err(Full::Person(own));
        }
        if all >= self.most {
            return Err(Full::All(all));
        }
        taken.insert(person.clone(), own + 1);
        Ok(Seat {
            seats: Arc::clone(self),
            person: person.clone(),
        })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<AccountName, u32>> {
        // Counters are never left half done.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        match taken.get_mut(&self.person) {
            Some(own) if *own > 1 => *own -= 1,
            _ => {
                taken.remove(&self.person);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_counted_for_all_and_for_each() {
        let seats = Seats::new(PER_PERSON + 1);
        let (ada, bob): (AccountName, AccountName) =
            ("ada".parse().unwrap(), "bob".parse().unwrap());
        let mut adas: Vec<Seat> = (0..PER_PERSON).map(|_| seats.take(&ada).unwrap()).collect();
        assert_eq!(seats.take(&ada).unwrap_err(), Full::Person(PER_PERSON));
        let bobs = seats.take(&bob).unwrap();
        assert_eq!(seats.take(&bob).unwrap_err(), Full::All(PER_PERSON + 1));
        adas.pop();
        assert!(seats.take(&bob).is_ok());
        drop((adas, bobs));
        assert!(seats.taken().is_empty());
    }
}
