//! Mutations of seeds: what a fuzzer does, without coverage to guide it.

/// `seeds` as they are, then `seeds` changed a little, again and again, without end.
pub fn mutations(seeds: &[&[u8]], seed: u64) -> impl Iterator<Item = Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    let changed = {
        let seeds = seeds.clone();
        std::iter::repeat_with(move || {
            let mut bytes = random.choice(&seeds).cloned().unwrap_or_default();
            for _ in 0..random.usize(1..8) {
                change(&mut bytes, &seeds, &mut random);
            }
            bytes
        })
    };
    seeds.into_iter().chain(changed)
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut fastrand::Rng) {
    const TELLING: &[u8] = b"\0\n\r\t \"'/\\.%2eF0:;,=[]{}()$-_~\x7f\xc3\xa4";
    let at = random.usize(..=bytes.len());
    match random.u8(0..6) {
        0 => bytes.insert(at, random.u8(..)),
        1 => bytes.insert(at, random.choice(TELLING).copied().unwrap_or_default()),
        2 => bytes.truncate(at),
        3 if at < bytes.len() => {
            bytes.remove(at);
        }
        4 if at < bytes.len() => {
            let end = random.usize(at..=bytes.len());
            let piece = bytes[at..end].to_vec();
            let to = random.usize(..=bytes.len());
            bytes.splice(to..to, piece);
        }
        _ => {
            let other = random.choice(seeds).map_or(&[][..], Vec::as_slice);
            let from = random.usize(..=other.len());
            let to = random.usize(from..=other.len());
            bytes.splice(at..at, other[from..to].iter().copied());
        }
    }
}
