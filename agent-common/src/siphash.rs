//! SipHash-2-4 over whole words, the same code in the kernel and in user space.
//!
//! Not a general hasher: input is fed as 64-bit little-endian words, the last one
//! zero-padded, and the length goes in at the end, so that different inputs never
//! share a word sequence. Reference: Aumasson and Bernstein, 2012.

/// Running state.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SipHash {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl SipHash {
    /// Begins a hash under `key`.
    #[inline(always)]
    pub fn new(key: [u64; 2]) -> Self {
        Self {
            v0: key[0] ^ 0x736f_6d65_7073_6575,
            v1: key[1] ^ 0x646f_7261_6e64_6f6d,
            v2: key[0] ^ 0x6c79_6765_6e65_7261,
            v3: key[1] ^ 0x7465_6462_7974_6573,
        }
    }

    #[inline(always)]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }

    /// Takes in one word.
    #[inline(always)]
    pub fn word(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.round();
        self.v0 ^= word;
    }

    /// Ends the hash of an input of `len` bytes.
    #[inline(always)]
    pub fn finish(mut self, len: u64) -> u64 {
        self.word(len);
        self.v2 ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.round();
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }

    /// Hash of `bytes` under `key`.
    #[cfg(feature = "user")]
    pub fn of(key: [u64; 2], bytes: &[u8]) -> u64 {
        let mut hash = Self::new(key);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            hash.word(u64::from_le_bytes(word));
        }
        hash.finish(bytes.len() as u64)
    }
}

#[cfg(all(test, feature = "user"))]
mod tests {
    use super::*;

    #[test]
    fn words_and_finalisation_are_those_of_the_reference() {
        // Reference SipHash-2-4 of 00..0e under key 00..0f is 0xa129ca6149be45e5.
        // Its last block is the tail with the length in the top byte; fed as our
        // words plus that block instead of our length word it must agree.
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let mut hash = SipHash::new(key);
        hash.word(0x0706_0504_0302_0100);
        let last = 0x0f0e_0d0c_0b0a_0908;
        assert_eq!(hash.finish(last), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn padding_is_not_confused_with_zero_bytes() {
        let key = [1, 2];
        assert_ne!(SipHash::of(key, b"a"), SipHash::of(key, b"a\0"));
        assert_ne!(SipHash::of(key, b""), SipHash::of(key, b"\0"));
        assert_ne!(SipHash::of(key, b"a"), SipHash::of([1, 3], b"a"));
    }
}
