//! Arguments and environment of a task that is stopped in execve, read from its
//! memory: /proc/PID/cmdline still shows the program that calls.

use std::fs::File;

use holdpoint_agent_common::TaskKey;

use crate::kernel::{DescribeError, ExecMemory};

/// Most bytes of arguments and environment together. The kernel's own default
/// limit is a quarter of the stack limit, 2 MiB.
pub(crate) const LIMIT: usize = 4 * 1024 * 1024;

/// `MAX_ARG_STRLEN`: the longest string execve takes.
const MAX_STRING: usize = 128 * 1024;

const PAGE: u64 = 4096;

/// The strings of an execve, without their NULs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct ExecStrings {
    pub(crate) argv: Vec<Vec<u8>>,
    pub(crate) environment: Vec<Vec<u8>>,
}

/// Reads them from `task`.
pub(crate) fn read_exec(task: TaskKey, at: ExecMemory) -> Result<ExecStrings, DescribeError> {
    let path = format!("/proc/{}/task/{}/mem", task.tgid, task.tid);
    let memory = File::open(path).map_err(|_| DescribeError::Gone)?;
    let mut reader = Reader {
        memory: &memory,
        pointer_size: if at.compat { 4 } else { 8 },
        left: LIMIT,
        page: Vec::new(),
        page_at: None,
    };
    Ok(ExecStrings {
        argv: reader.strings(at.argv)?,
        environment: reader.strings(at.envp)?,
    })
}

/// Memory that can be read at an offset; a file in production.
trait Memory {
    fn read_at(&self, buffer: &mut [u8], address: u64) -> std::io::Result<usize>;
}

impl Memory for File {
    fn read_at(&self, buffer: &mut [u8], address: u64) -> std::io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, address)
    }
}

struct Reader<'a, M> {
    memory: &'a M,
    pointer_size: u64,
    left: usize,
    page: Vec<u8>,
    page_at: Option<u64>,
}

impl<M: Memory> Reader<'_, M> {
    /// All strings of a null-terminated array of pointers. A null array has none,
    /// as for the kernel.
    fn strings(&mut self, array: u64) -> Result<Vec<Vec<u8>>, DescribeError> {
        let mut strings = Vec::new();
        if array == 0 {
            return Ok(strings);
        }
        for index in 0.. {
            let pointer = self.pointer(array.wrapping_add(index * self.pointer_size))?;
            if pointer == 0 {
                break;
            }
            self.spend(self.pointer_size as usize)?;
            strings.push(self.string(pointer)?);
        }
        Ok(strings)
    }

    fn pointer(&mut self, address: u64) -> Result<u64, DescribeError> {
        let mut bytes = [0; 8];
        for offset in 0..self.pointer_size {
            let byte = self.byte(address.wrapping_add(offset))?;
            if let Some(slot) = bytes.get_mut(offset as usize) {
                *slot = byte;
            }
        }
        Ok(u64::from_le_bytes(bytes))
    }

    fn string(&mut self, address: u64) -> Result<Vec<u8>, DescribeError> {
        let mut string = Vec::new();
        let mut at = address;
        loop {
            let rest = self.rest_of_page(at)?;
            let end = rest.iter().position(|byte| *byte == 0);
            let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            string.extend_from_slice(part);
            let taken = part.len() + usize::from(end.is_some());
            self.spend(taken)?;
            if end.is_some() {
                return Ok(string);
            }
            if string.len() > MAX_STRING {
                return Err(DescribeError::TooLarge { limit: LIMIT });
            }
            at = at.wrapping_add(taken as u64);
        }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), DescribeError> {
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or(DescribeError::TooLarge { limit: LIMIT })?;
        Ok(())
    }

    fn byte(&mut self, address: u64) -> Result<u8, DescribeError> {
        self.rest_of_page(address)?
            .first()
            .copied()
            .ok_or(DescribeError::Gone)
    }

    /// What is readable from `address` to the end of its page; never empty.
    fn rest_of_page(&mut self, address: u64) -> Result<&[u8], DescribeError> {
        let start = address & !(PAGE - 1);
        if self.page_at != Some(start) {
            self.page.resize(PAGE as usize, 0);
            self.page_at = None;
            let read = self
                .memory
                .read_at(&mut self.page, start)
                .map_err(|source| DescribeError::Memory { address, source })?;
            self.page.truncate(read);
            self.page_at = Some(start);
        }
        match self.page.get((address - start) as usize..) {
            Some(rest) if !rest.is_empty() => Ok(rest),
            _ => Err(DescribeError::Gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Memory that begins at address 0x1000.
    struct Fake(Vec<u8>);

    impl Memory for Fake {
        fn read_at(&self, buffer: &mut [u8], address: u64) -> std::io::Result<usize> {
            let from = address
                .checked_sub(0x1000)
                .map(|offset| offset as usize)
                .filter(|offset| *offset < self.0.len())
                .ok_or_else(|| std::io::Error::from_raw_os_error(5))?;
            let len = buffer.len().min(self.0.len() - from);
            buffer[..len].copy_from_slice(&self.0[from..from + len]);
            Ok(len)
        }
    }

    /// Lays out an argument array and its strings as a program would.
    fn image(strings: &[Vec<u8>], pointer_size: u64) -> Fake {
        let array = (strings.len() as u64 + 1) * pointer_size;
        let mut pointers = Vec::new();
        let mut text = Vec::new();
        for string in strings {
            let address = 0x1000 + array + text.len() as u64;
            pointers.extend_from_slice(&address.to_le_bytes()[..pointer_size as usize]);
            text.extend_from_slice(string);
            text.push(0);
        }
        pointers.extend_from_slice(&0_u64.to_le_bytes()[..pointer_size as usize]);
        pointers.extend(text);
        Fake(pointers)
    }

    fn read(memory: &Fake, pointer_size: u64) -> Result<Vec<Vec<u8>>, DescribeError> {
        Reader {
            memory,
            pointer_size,
            left: LIMIT,
            page: Vec::new(),
            page_at: None,
        }
        .strings(0x1000)
    }

    proptest! {
        #[test]
        fn any_strings_come_back(
            strings in prop::collection::vec(prop::collection::vec(1_u8.., 0..300), 0..40),
            compat in any::<bool>(),
        ) {
            let size = if compat { 4 } else { 8 };
            prop_assert_eq!(read(&image(&strings, size), size).unwrap(), strings);
        }
    }

    #[test]
    fn strings_longer_than_a_page_come_back() {
        let strings = vec![vec![b'x'; 100_000], vec![b'y'; 4096]];
        assert_eq!(read(&image(&strings, 8), 8).unwrap(), strings);
    }

    #[test]
    fn more_than_the_limit_is_an_error() {
        let strings = vec![vec![b'x'; 120_000]; 40];
        assert!(matches!(
            read(&image(&strings, 8), 8),
            Err(DescribeError::TooLarge { .. })
        ));
    }

    #[test]
    fn unreadable_memory_is_an_error_and_a_null_array_is_empty() {
        let memory = image(&[b"x".to_vec()], 8);
        let mut reader = Reader {
            memory: &memory,
            pointer_size: 8,
            left: LIMIT,
            page: Vec::new(),
            page_at: None,
        };
        assert!(reader.strings(0xdead_0000).is_err());
        assert_eq!(reader.strings(0).unwrap(), Vec::<Vec<u8>>::new());
    }
}
