//! SHA-256 (FIPS 180-4): names a vocabulary and checks the bytes of an index.

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// A digest under way, fed piece by piece.
pub struct Sha256 {
    state: [u32; 8],
    block: [u8; BLOCK],
    /// Bytes taken so far; the last `length % BLOCK` of them wait in `block`.
    length: u64,
}

const BLOCK: usize = 64;

impl Sha256 {
    /// Returns the digest of nothing so far.
    pub fn new() -> Self {
        Self {
            state: START,
            block: [0; BLOCK],
            length: 0,
        }
    }

    /// Takes more bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        let waiting = self.waiting();
        self.length += bytes.len() as u64;
        if waiting > 0 {
            let taken = bytes.len().min(BLOCK - waiting);
            self.block[waiting..waiting + taken].copy_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if waiting + taken < BLOCK {
                return;
            }
            compress(&mut self.state, &self.block);
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        for block in blocks {
            compress(&mut self.state, block);
        }
        self.block[..rest.len()].copy_from_slice(rest);
    }

    /// Returns the digest of all that was taken (section 5.1.1: one bit, zeros, the length).
    pub fn finish(mut self) -> Digest {
        let bits = self.length * 8;
        let waiting = self.waiting();
        let zeros = (2 * BLOCK - 9 - waiting) % BLOCK;
        let mut padding = vec![0; 1 + zeros];
        padding[0] = 0x80;
        padding.extend(bits.to_be_bytes());
        self.update(&padding);
        let mut digest = [0; 32];
        for (out, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(self.state) {
            *out = word.to_be_bytes();
        }
        digest
    }

    fn waiting(&self) -> usize {
        (self.length % BLOCK as u64) as usize
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

/// Section 6.2.2. The eight variables stand still and their names move on, a place a round.
fn compress(state: &mut [u32; 8], block: &[u8; BLOCK]) {
    let words = schedule(block);
    let mut work = *state;
    for (words, constants) in words
        .as_chunks::<8>()
        .0
        .iter()
        .zip(ROUNDS.as_chunks::<8>().0)
    {
        round::<0>(&mut work, words[0].wrapping_add(constants[0]));
        round::<1>(&mut work, words[1].wrapping_add(constants[1]));
        round::<2>(&mut work, words[2].wrapping_add(constants[2]));
        round::<3>(&mut work, words[3].wrapping_add(constants[3]));
        round::<4>(&mut work, words[4].wrapping_add(constants[4]));
        round::<5>(&mut work, words[5].wrapping_add(constants[5]));
        round::<6>(&mut work, words[6].wrapping_add(constants[6]));
        round::<7>(&mut work, words[7].wrapping_add(constants[7]));
    }
    for (sum, word) in state.iter_mut().zip(work) {
        *sum = sum.wrapping_add(word);
    }
}

#[inline(always)]
fn round<const MOVED: usize>(work: &mut [u32; 8], input: u32) {
    let [a, b, c, d, e, f, g, h] = [0, 1, 2, 3, 4, 5, 6, 7].map(|name| (name + 8 - MOVED) % 8);
    let choice = work[g] ^ (work[e] & (work[f] ^ work[g]));
    let majority = (work[a] & work[b]) | (work[c] & (work[a] | work[b]));
    let large = work[e].rotate_right(6) ^ work[e].rotate_right(11) ^ work[e].rotate_right(25);
    let small = work[a].rotate_right(2) ^ work[a].rotate_right(13) ^ work[a].rotate_right(22);
    let first = work[h]
        .wrapping_add(input)
        .wrapping_add(large)
        .wrapping_add(choice);
    work[d] = work[d].wrapping_add(first);
    work[h] = first.wrapping_add(small).wrapping_add(majority);
}

fn schedule(block: &[u8; BLOCK]) -> [u32; 64] {
    let mut words = [0; 64];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    for i in 16..64 {
        let (near, far) = (words[i - 2], words[i - 15]);
        words[i] = (near.rotate_right(17) ^ near.rotate_right(19) ^ (near >> 10))
            .wrapping_add(words[i - 7])
            .wrapping_add(far.rotate_right(7) ^ far.rotate_right(18) ^ (far >> 3))
            .wrapping_add(words[i - 16]);
    }
    words
}

/// Section 5.3.3: of the square roots of the first 8 primes, the fraction's first 32 bits.
const START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Section 4.2.2: the same of the cube roots of the first 64 primes.
#[rustfmt::skip] // eight to a line
const ROUNDS: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn sha256(bytes: &[u8]) -> Digest {
        let mut hash = Sha256::new();
        hash.update(bytes);
        hash.finish()
    }

    fn hexadecimal(digest: Digest) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_published_examples_give_the_published_digests() {
        let examples = [
            (
                "",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                "abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
        ];
        for (text, digest) in examples {
            assert_eq!(hexadecimal(sha256(text.as_bytes())), digest);
        }
        let million = hexadecimal(sha256(&vec![b'a'; 1_000_000]));
        assert_eq!(
            million,
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        );
    }

    #[test]
    fn the_pieces_do_not_matter() {
        let text: Vec<u8> = (0..=255).cycle().take(300).collect();
        for length in 0..text.len() {
            let mut hash = Sha256::new();
            for piece in text[..length].chunks(1 + length % 67) {
                hash.update(piece);
            }
            assert_eq!(hash.finish(), sha256(&text[..length]));
        }
    }
}
