//! How many may follow at a time: so many in all, and so many of one person, so
//! that nobody's forgotten browser tabs shut the others out.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    domain::account::AccountName,
    http::problem::{Code, Problem},
};

/// Most streams of one person.
const PER_PERSON: u32 = 16;
/// When to come back if there is no room.
const RETRY_AFTER_SECONDS: u64 = 5;

/// The streams that are open.
#[derive(Debug)]
pub(crate) struct Seats {
    most: u32,
    taken: Mutex<HashMap<AccountName, u32>>,
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
    pub(crate) fn take(self: &Arc<Self>, person: &AccountName) -> Result<Seat, Problem> {
        let mut taken = self.taken();
        let all: u32 = taken.values().sum();
        let own = taken.get(person).copied().unwrap_or(0);
        let detail = if own >= PER_PERSON {
            format!("you have {own} streams open already")
        } else if all >= self.most {
            format!("{all} streams are open already")
        } else {
            taken.insert(person.clone(), own + 1);
            return Ok(Seat {
                seats: Arc::clone(self),
                person: person.clone(),
            });
        };
        Err(Problem::new(Code::TooMany, detail).with_retry_after(RETRY_AFTER_SECONDS))
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
        assert!(seats.take(&ada).is_err(), "enough for one person");
        let bobs = seats.take(&bob).unwrap();
        assert!(seats.take(&bob).is_err(), "enough for all");
        adas.pop();
        assert!(seats.take(&bob).is_ok());
        drop((adas, bobs));
        assert!(seats.taken().is_empty());
    }
}
